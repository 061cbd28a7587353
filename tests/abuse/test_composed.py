"""Composed command lines end as they must; ``composer.py`` tries as many as you like."""

import contextlib
import os
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from tests.abuse.composer import BASES, LEFT_OUT, Composer, command_lines, verbs


@pytest.fixture(scope="module")
def composer(template, tmp_path_factory):
    with contextlib.chdir(os.getcwd()) if hasattr(contextlib, "chdir") else _back():
        yield Composer(template, tmp_path_factory.mktemp("composed") / "work")


@contextlib.contextmanager
def _back():
    before = os.getcwd()
    yield
    os.chdir(before)


@settings(max_examples=100, deadline=None, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(words=command_lines(verbs()))
def test_a_composed_line(composer, words):
    fault = composer.fault(words)
    assert fault is None, f"{shlex.join(words)}\n{fault}"


@pytest.mark.parametrize("words", ["info two.nc", "export two.nc", "topology one.nc --draws 40"])
def test_the_basis_of_the_lines_works(composer, words):
    assert composer.fault(words.split()) is None
    assert composer.statuses[words.split()[0], 0]


def test_faults_are_found(composer, monkeypatch):
    """A traceback, another status, silence, and a missing output."""

    def ends(status, said=""):
        def run(words):
            import sys

            print(said, file=sys.stderr)
            if status == "raises":
                raise ValueError("a fault")
            return status

        monkeypatch.setattr("tests.abuse.composer.main", run)
        return composer.fault(["export", "two.nc"])

    assert "ValueError: a fault" in ends("raises")
    assert "exit status 70" in ends(70, "losslandscape export: x")
    assert "no word of why" in ends(1)
    assert "a traceback" in ends(1, "losslandscape export: Traceback (most recent call last)")
    assert "no output" in ends(0)
    assert ends(1, "losslandscape export: two.nc: is damaged") is None


def test_every_verb_is_composed():
    assert set(BASES) == {verb.name for verb in verbs()}
    options = {name for verb in verbs() for a in verb.actions for name in a.option_strings}
    assert not options & LEFT_OUT
    assert len(options) > 90
