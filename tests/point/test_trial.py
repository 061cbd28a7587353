import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point.buffers import PointBuffers
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.forward_pass import ForwardPass
from losslandscape.point.moving import MovingParameters
from losslandscape.point.point_batches import PointBatches
from losslandscape.point.trial import Trial


@pytest.mark.parametrize("takes", [None, 20])
def test_a_given_size_is_tried_without_a_copy_where_the_model_takes_few_samples(takes):
    class Looking(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.seen = []

        def forward(self, inputs):
            if takes is not None and len(inputs) != takes:
                raise ValueError(f"{len(inputs)} samples")
            self.seen.append((len(inputs), inputs.data_ptr() == data[0].data_ptr()))
            return self.linear(inputs)

    model = Looking()
    data = torch.zeros(40, 3), torch.zeros(40, 2)
    objective = Objective(model, "mse", data, batch_size=20)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        tried = list(model.seen)
        assert evaluator.measure((0.0, 0.0))["train"]["loss"].shape == (40,)
    first = 2 if takes is None else 20
    # the last looks at the same few samples for parameters that the loss does not see
    assert tried == [(first, False), *([(20, True)] if takes is None else []), (first, True)]


def test_no_timed_pass_of_the_opening_is_recorded_by_autograd():
    """Shortcuts step aside where autograd records: a trial of them would time the plain way.

    One pass of the few samples is recorded: it looks for parameters that the loss does not see.
    """

    passes = []

    class Watched(nn.Linear):
        def forward(self, inputs):
            passes.append((len(inputs), torch.is_grad_enabled()))
            return super().forward(inputs)

    model = Watched(3, 2)
    data = torch.zeros(40, 3), torch.zeros(40, 2)
    with Evaluator(Objective(model, "mse", data), Subspace.random(model)):
        pass
    assert {32, 2} <= {count for count, _ in passes}
    assert [count for count, grad in passes if grad] == [2]


class Bounded(nn.Module):
    """Its output is its weight, up to a limit, beyond which it fails in one way or another."""

    def __init__(self, limit, beyond):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.limit, self.beyond = limit, beyond
        self.passes = 0

    def forward(self, inputs):
        self.passes += 1
        if self.weight.abs().max() > self.limit:
            return inputs + self.beyond()
        return inputs + self.weight


def fails():
    raise ArithmeticError("too far")


@pytest.fixture
def begun():
    def build(limit, beyond, count=5):
        model = Bounded(limit, beyond)
        data = torch.arange(2.0 * count).reshape(count, 2), torch.zeros(count, 2)
        objective = Objective(model, "mse", data)
        directions = [{"weight": torch.tensor(axis)} for axis in ([1.0, 0.0], [0.0, 1.0])]
        subspace = Subspace(dict(model.named_parameters()), directions)
        buffers = PointBuffers(model)
        forward, batches = ForwardPass(objective, model), PointBatches(objective)
        trial = Trial(subspace, forward, batches, buffers, buffers.reset)
        parameters = MovingParameters(model, subspace)
        opened.append(parameters)
        trial.begin(parameters, None)
        return model, trial

    opened = []
    yield build
    for parameters in opened:
        parameters.restore()


@pytest.mark.parametrize("beyond", [lambda: torch.inf, lambda: torch.nan, fails])
@pytest.mark.parametrize(
    ("limit", "share"), [(2.0, 0.5), (0.5, 0.5), (0.49, 0.125), (0.1, 0.03125), (0.01, None)]
)
def test_points_are_the_farthest_of_finite_losses_toward_two_corners(begun, limit, share, beyond):
    model, trial = begun(limit, beyond)
    assert trial.batch[0].tolist() == [[0, 1], [2, 3]]
    for _ in range(2):
        places = []
        for point, losses in trial.points():
            assert model.weight.tolist() == list(point)
            places.append(point)
            if share is None and len(places) > 1:
                assert losses is None
            else:
                expected = (torch.tensor([[0.0, 1], [2, 3]]) + torch.tensor(point)) ** 2
                assert torch.equal(losses, expected.mean(dim=1))
        end = share or 0.03125
        assert places == [(0, 0), (-end, -end), (end, end)]
        passes, model.passes = model.passes, 0
    assert passes == 0  # nothing is computed twice


def test_a_single_sample_is_enough(begun):
    _, trial = begun(1.0, fails, 1)
    assert [losses.tolist() for _, losses in trial.points()] == [[0.5], [0.25], [1.25]]
