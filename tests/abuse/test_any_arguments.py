"""Whatever a public callable is given: a LossLandscapeError, a TypeError for names, or a result.

`ANY_ARGUMENTS=1000 pytest tests/abuse/test_any_arguments.py` draws more of each.
"""

import inspect
import os
import signal
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.abuse.any_arguments import World, call, digest, junk, other_forms, valid_arguments
from tests.abuse.public_names import public_callables

import losslandscape as ll

DRAWN = int(os.environ.get("ANY_ARGUMENTS", "12"))
SECONDS = 30  # after which a call counts as hung
CALLABLES = public_callables()
# of these the object itself is what changes
CHANGES = (
    "load_weights", "Landscape.add_trajectory", "Landscape.save", "TrajectoryRecorder",
    "reestimate",
    "write",  # replaces a file
)  # fmt: skip
# modules that ParaView loads, too: they check by themselves
OWN_CHECKS = ("losslandscape.topology",)


@pytest.fixture(scope="module")
def world(template, tmp_path_factory):
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("here"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield World(template, tmp_path_factory.mktemp("world"))
    os.chdir(before)


@pytest.fixture(autouse=True)
def _mended(world):
    yield
    if world.changed():
        world.mend()


@pytest.fixture(autouse=True)
def _no_hang():
    def hung(*_):
        raise TimeoutError(f"the call took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hung)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(world, one, arguments):
    """The words of the LossLandscapeError that a call raises; None if it raises nothing."""
    signal.alarm(SECONDS)
    try:
        call(world, one, arguments)
        return None
    except ll.LossLandscapeError as error:
        return str(error)
    finally:
        signal.alarm(0)


def each(function):
    return pytest.mark.parametrize("one", CALLABLES, ids=lambda one: one.name)(function)


@each
def test_each_public_callable_checks_all_its_parameters(one):
    if one.function.__module__.startswith(OWN_CHECKS):
        return
    function = one.function.__init__ if inspect.isclass(one.function) else one.function
    if inspect.isclass(one.function) and hasattr(one.function, "__post_init__"):
        return  # a dataclass that checks its attributes
    names = [n for n, p in one.parameters.items() if p.kind is not p.VAR_KEYWORD]
    assert set(names) <= getattr(function, "__public__", set())


@each
def test_the_valid_call_is_valid(one, world):
    found = call(world, one, valid_arguments(world, one))
    if not one.name.startswith(CHANGES):
        assert not world.changed()
        assert digest(call(world, one, valid_arguments(world, one))) == digest(found)


@each
def test_junk_is_refused_in_a_sentence(one, world):
    parameters = one.parameters
    spread = [name for name, p in parameters.items() if p.kind is p.VAR_KEYWORD]
    names = [name for name in parameters if name not in spread and name[0] != "_"]

    @settings(
        max_examples=DRAWN,
        deadline=None,
        database=None,
        derandomize=DRAWN < 100,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def draw(data):
        arguments = valid_arguments(world, one)
        chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        for name in chosen:
            arguments[name] = data.draw(junk(world), label=name)
        message = refusal(world, one, arguments)
        assert message is None or (len(message) > 10 and "Traceback" not in message)
        if not one.name.startswith(CHANGES):
            assert not world.changed()
        elif world.changed():
            world.mend()

    if names:
        draw()


@each
def test_the_same_value_of_another_type_gives_the_same_bits(one, world):
    arguments = valid_arguments(world, one)
    expected = None
    for name, value in arguments.items():
        for other in other_forms(value):
            fresh = {**valid_arguments(world, one), name: other}
            if expected is None:
                expected = digest(call(world, one, valid_arguments(world, one)))
            try:
                found = call(world, one, fresh)
            except ll.LossLandscapeError:
                continue
            assert digest(found) == expected, (name, other)


@each
def test_missing_and_unknown_names_are_type_errors(one, world):
    if not any(p.kind is p.VAR_KEYWORD for p in one.parameters.values()):
        with pytest.raises(TypeError, match=r"unexpected keyword.*no_such_name"):
            call(world, one, {**valid_arguments(world, one), "no_such_name": 1})
    required = [n for n, p in one.parameters.items() if p.default is p.empty]
    for name in [
        n for n in required if one.parameters[n].kind is not inspect.Parameter.VAR_KEYWORD
    ]:
        rest = valid_arguments(world, one)
        del rest[name]
        with pytest.raises(TypeError, match=f"missing .*'{name}'"):
            call(world, one, rest)
