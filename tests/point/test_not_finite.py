"""A loss that is not finite at the model's own weights: what is not finite first is named."""

import pytest
import torch
from torch import nn

from losslandscape import Grid, LossLandscapeError, Objective, Subspace, evaluate
from losslandscape.problem.not_finite import in_network, in_weights

NAN, INF = float("nan"), float("inf")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)).eval()


def samples():
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 3


def refused(model, data, loss="cross_entropy", **options):
    objective = Objective(model, loss, data, batch_size=7, **options)
    with pytest.raises(LossLandscapeError) as error:
        evaluate(objective, Subspace.random(model, 1, seed=0), Grid.line(3), quiet=True)
    return str(error.value)


def test_weights():
    model = network()
    model[3].weight.data[1, 2] = NAN
    text = refused(model, samples())
    assert "not finite: parameter '3.weight' has NaN in 1 of 12 values; the training has" in text
    model = network()
    model[1].running_var[2] = INF
    model[3].weight.data[0, 0] = 1.0
    assert in_weights(model) == "buffer '1.running_var' has infinity in 1 of 4 values"


def test_a_mask_of_infinities_is_no_cause():
    model = network()
    model.register_buffer("mask", torch.full((3,), -INF))
    assert in_weights(model) == ""


@pytest.mark.parametrize("number", [0, 6, 7, 19])
def test_inputs(number):
    inputs, targets = samples()
    inputs[number, 1] = NAN
    text = refused(network(), (inputs, targets))
    assert f"sample {number} of 'train': its inputs have NaN in 1 of 3 values; remove" in text


def test_targets_of_the_test_set():
    inputs, _ = samples()
    good, bad = torch.zeros(20, 3), torch.zeros(20, 3)
    bad[11] = INF
    text = refused(network(), {"train": (inputs, good), "test": (inputs, bad)}, "mse")
    assert text.startswith("test: the loss at the center")
    assert "sample 11 of 'test': its targets have infinity in 3 of 3 values" in text


class Logarithm(nn.Module):
    def forward(self, inputs):
        return inputs.abs().log()


def test_a_module():
    inputs, targets = samples()
    inputs[4] = 0.0
    model = nn.Sequential(Logarithm(), nn.Linear(3, 3)).eval()
    text = refused(model, (inputs, targets))
    assert "sample 4 of 'train': the output of module '0' (Logarithm) is the first that" in text
    assert all(not module._forward_hooks for module in model.modules())


def test_the_code_between_modules():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(1, 1)

        def forward(self, inputs):
            return self.inner(inputs) / 0.0

    model = Outer()
    found = in_network(model, lambda: model(torch.ones(1, 1)))
    assert found == "the output of the network (Outer) is the first that has infinity"


def test_the_loss_function():
    def of_logarithm(outputs, targets):
        return (outputs.sum(1) * 0).log()

    text = refused(network(), samples(), of_logarithm)
    assert "is -inf for sample 0, although weights, data and outputs are finite" in text


def test_points_away_from_the_center_are_stored():
    class Steep(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1, 3))

        def forward(self, inputs):
            return (inputs @ self.weight.T * 1e4).exp()

    model = Steep()
    plane = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 3)}])
    objective = Objective(model, "mse", (torch.ones(4, 3), torch.zeros(4, 1)))
    landscape = evaluate(objective, plane, Grid.line(3), quiet=True)
    assert landscape.values("loss")[1] == 1.0
    assert landscape.values("loss")[2] == INF
