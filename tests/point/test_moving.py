import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.point import moving
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.moving import MovingParameters


class Large(nn.Module):
    """Kernels, a linear layer, a bias and a frozen parameter; large enough to move in place."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(32, 96, 3, padding=1)
        self.frozen = nn.Parameter(torch.randn(5), requires_grad=False)
        self.linear = nn.Linear(500, 200)

    def forward(self, inputs):
        return inputs


def tied_model():
    model = nn.Sequential(nn.Linear(200, 200, bias=False), nn.Linear(200, 200, bias=False))
    model[1].weight = nn.Parameter(model[0].weight.data)
    return model


def transposed_tie():
    model = nn.Sequential(nn.Linear(200, 100, bias=False), nn.Linear(100, 200, bias=False))
    model[1].weight = nn.Parameter(model[0].weight.data.T)
    return model


def expanded():
    model = nn.Linear(300, 200, bias=False)
    model.weight = nn.Parameter(torch.randn(200, 1).expand(200, 300))
    return model


def shared_with_processes():
    return nn.Linear(300, 200).share_memory()


def overlapping_frozen():
    model = nn.Linear(300, 200, bias=False)
    model.part = nn.Parameter(model.weight.data[5:10], requires_grad=False)
    return model


def inside_one_storage():
    """Two parameters that are parts of one storage, as flattened ones are."""
    storage = torch.randn(60_000)
    model = nn.Sequential(nn.Linear(200, 100, bias=False), nn.Linear(400, 100, bias=False))
    model[0].weight = nn.Parameter(storage[:20_000].view(100, 200))
    model[1].weight = nn.Parameter(storage[20_000:].view(100, 400))
    return model


def buffer_over_a_weight():
    model = nn.Linear(300, 200, bias=False)
    model.register_buffer("view", model.weight.data)
    return model


def interleaved():
    """Every other column of one matrix each: nothing in common, and neither span is its own."""
    matrix = torch.randn(200, 600)
    model = nn.Sequential(nn.Linear(300, 200, bias=False), nn.Linear(300, 200, bias=False))
    model[0].weight = nn.Parameter(matrix[:, ::2])
    model[1].weight = nn.Parameter(matrix[:, 1::2])
    return model


def empty_and_sparse_buffers():
    model = Large()
    model.register_buffer("empty", torch.zeros(0))
    model.register_buffer("sparse", torch.eye(3).to_sparse())
    return model


IN_PLACE = [Large, tied_model, inside_one_storage, empty_and_sparse_buffers]
ELSEWHERE = [expanded, shared_with_processes, interleaved]
REFUSED = [transposed_tie, overlapping_frozen, buffer_over_a_weight]


def state(model):
    return {
        name: (p, p.data_ptr(), p.stride(), p.detach().clone())
        for name, p in model.named_parameters(remove_duplicate=False)
    }


def assert_as_before(model, before):
    for name, p in model.named_parameters(remove_duplicate=False):
        own, pointer, stride, value = before[name]
        assert p is own
        assert (p.data_ptr(), p.stride()) == (pointer, stride)
        assert torch.equal(p.detach().view(torch.int32), value.view(torch.int32)), name


@pytest.mark.parametrize("build", IN_PLACE + ELSEWHERE)
def test_parameters_are_those_of_the_point_and_then_as_before(build):
    torch.manual_seed(0)
    model = build()
    before = state(model)
    plane = Subspace.random(model, normalization="none")
    parameters = MovingParameters(model, plane)
    inside = any(p.data_ptr() == before[n][1] for n, p in model.named_parameters())
    assert parameters._in_place is (build in IN_PLACE)
    assert inside is (build in IN_PLACE)
    for point in ((0.5, -2.0), (3.0, 0.25), (0.0, 0.0)):
        parameters.move(point)
        for name, expected in plane.parameters_at(point).items():
            assert torch.equal(model.get_parameter(name), expected), name
    parameters.move((1.0, 1.0))
    parameters.restore()
    assert_as_before(model, before)


@pytest.mark.parametrize("build", REFUSED)
def test_memory_that_is_shared_in_another_form_is_refused(build):
    """Its two readers would come apart: moved as two parameters, or one of them not at all."""
    model = build()
    with pytest.raises(LossLandscapeError, match=r"'.*weight' .* share memory"):
        Subspace.random(model)
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(LossLandscapeError, match="share memory"):
        Subspace(parameters, [parameters]).check_model(model)


@settings(max_examples=25, deadline=None)
@given(
    coordinates=st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3),
    dimensions=st.integers(1, 3),
    channels_last=st.booleans(),
    separate=st.booleans(),
)
def test_any_point_of_any_subspace(coordinates, dimensions, channels_last, separate):
    torch.manual_seed(0)
    model = Large() if separate else nn.Conv2d(2, 3, 2)
    space = Subspace.random(model, dimensions, "none").placed(
        torch.device("cpu"), torch.float32, channels_last
    )
    before = state(model)
    parameters = MovingParameters(model, space)
    parameters.move((7.0,) * dimensions)
    parameters.move(coordinates[:dimensions])
    for name, (_, _, _, origin) in before.items():
        if name == "frozen":
            continue
        expected = origin.clone()
        for coordinate, direction in zip(coordinates, space.directions):
            expected = torch.add(expected, space.layout.views(direction)[name], alpha=coordinate)
        assert torch.equal(model.get_parameter(name), expected)
    parameters.restore()
    assert_as_before(model, before)


def test_odd_bits_survive():
    model = Large()
    own = Subspace.random(model, normalization="none")
    with torch.no_grad():
        model.linear.weight[0, :3] = torch.tensor([float("nan"), -0.0, float("inf")])
    own.origin.copy_(own.layout.flatten(dict(model.named_parameters())))  # refused when it is made
    before = state(model)
    other = Large()  # of another origin: the model's own values must be kept
    for plane in (own, Subspace.random(other, normalization="none")):
        parameters = MovingParameters(model, plane)
        parameters.move((1.0, 2.0))
        parameters.restore()
        assert_as_before(model, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_measurement_leaves_the_model_as_it_was(error):
    class Interrupted(Large):
        def forward(self, images):
            if float(self.linear.bias[0].detach()) != bias:
                raise error
            return self.linear(torch.zeros(len(images), 500))

    torch.manual_seed(0)
    model = Interrupted()
    bias = float(model.linear.bias[0].detach())
    before = state(model)
    objective = Objective(model, "mse", (torch.zeros(4, 1), torch.zeros(4, 200)))
    plane = Subspace.random(model, normalization="none", zero_vectors=False)
    expected = KeyboardInterrupt if error is KeyboardInterrupt else LossLandscapeError
    with (  # noqa: PT012
        pytest.raises(expected),
        Evaluator(objective, plane) as evaluator,
    ):
        evaluator.measure((0.0, 0.0))
        evaluator.measure((1.0, 1.0))
    assert_as_before(model, before)


def test_a_second_interrupt_waits_until_the_model_is_restored(monkeypatch):
    model = Large()
    before = state(model)
    parameters = MovingParameters(model, Subspace.random(model, normalization="none"))
    parameters.move((1.0, 1.0))
    restore, calls = parameters._restore, []

    def interrupted():
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        restore()

    monkeypatch.setattr(parameters, "_restore", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parameters.restore()
    assert_as_before(model, before)


def test_evaluators_may_be_nested():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 200))
    before = state(model)
    plane = Subspace.random(model, normalization="none")
    objective = Objective(model, "mse", (torch.randn(6, 300), torch.randn(6, 200)))
    with Evaluator(objective, plane) as outer:
        expected = outer.measure((0.5, 0.5))["train"]["loss"]
        outer.move((2.0, 2.0))
        with Evaluator(objective, plane) as inner:
            found = inner.measure((0.5, 0.5))["train"]["loss"]
        again = outer.measure((0.5, 0.5))["train"]["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(again, expected)
    assert_as_before(model, before)


def small():
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))


def points_of(model, space, parameters):
    """The model's parameters beside those of a point, by name."""
    expected = space.parameters_at(parameters.coordinates)
    return [(name, model.get_parameter(name), value) for name, value in expected.items()]


@pytest.mark.parametrize("build", [Large, small])
def test_parameters_left_behind_or_spoiled_catch_up(build):
    model = build()
    space = Subspace.random(model, normalization="none", zero_vectors=False)
    parameters = MovingParameters(model, space)
    name = space.layout.segments[0].name
    parameters.move((1.0, 2.0), frozenset([name]))
    for other, found, expected in points_of(model, space, parameters):
        # only parameters that are moved one by one can be left behind
        assert torch.equal(found, expected) == (build is small or other != name)
    parameters.catch_up()
    assert all(torch.equal(found, value) for _, found, value in points_of(model, space, parameters))
    parameters.spoil(frozenset([name]))
    assert model.get_parameter(name).isnan().all()
    parameters.catch_up()
    assert all(torch.equal(found, value) for _, found, value in points_of(model, space, parameters))
    parameters.spoil(frozenset())
    assert all(torch.equal(found, value) for _, found, value in points_of(model, space, parameters))
    parameters.restore()


@pytest.mark.parametrize("build", [Large, small])
def test_any_values_can_be_assigned_and_are_no_point(build):
    model = build()
    before = state(model)
    space = Subspace.random(model, normalization="none")
    values = {s.name: torch.randn(s.shape) for s in space.layout.segments}
    parameters = MovingParameters(model, space)
    assert parameters.coordinates == (0, 0)
    parameters.move((1.0, 2.0), frozenset(values))
    parameters.assign(values)
    assert parameters.coordinates is None
    parameters.catch_up()  # nothing is left to move
    assert all(torch.equal(model.get_parameter(name), value) for name, value in values.items())
    parameters.restore()
    assert_as_before(model, before)


@pytest.mark.parametrize("build", [Large, small])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
def test_a_first_move_that_fails_leaves_the_model_as_it_was(build, error, monkeypatch):
    def fail(*_):
        raise error

    model = build()
    before = state(model)
    space = Subspace.random(model, normalization="none")
    monkeypatch.setattr(MovingParameters, "_move", fail)
    with pytest.raises(error):
        MovingParameters(model, space)
    assert_as_before(model, before)


def test_a_move_that_fails_is_at_no_point(monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    model = small()
    parameters = MovingParameters(model, Subspace.random(model))
    monkeypatch.setattr(parameters, "_move", fail)
    with pytest.raises(KeyboardInterrupt):
        parameters.move((1.0, 1.0))
    assert parameters.coordinates is None
    parameters.restore()


def test_parameters_known_to_be_at_the_origin_are_not_compared_again(monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(64, 64, 3, bias=False), nn.Conv2d(64, 64, 3, bias=False))
    plane = Subspace.random(model)
    with torch.no_grad():
        model[1].weight[0, 0, 0, 0] += 1.0  # is not the origin's
    before = [p.detach().clone() for p in model.parameters()]
    first = MovingParameters(model, plane)
    assert first.at_origin == {"0.weight"}
    first.move((0.5, 0.5))
    first.restore()
    compared = []
    monkeypatch.setattr(moving, "_same_bits", lambda *pair: compared.append(pair) or False)
    placed = plane.placed(torch.device("cpu"), torch.float32, True, ["0.weight"])
    second = MovingParameters(model, placed, first.at_origin)
    assert len(compared) == 1
    second.move((-0.5, 0.25))
    assert model[0].weight.is_contiguous()
    expected = plane.parameters_at((-0.5, 0.25))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.data, expected[name])
    second.restore()
    assert all(map(torch.equal, model.parameters(), before))
