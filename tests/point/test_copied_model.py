"""A copy of the model has the model's losses, or it is refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll

DATA = (
    torch.randn(20, 4, generator=torch.Generator().manual_seed(0)),
    torch.arange(20) % 3,
)


def model_of(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype).eval()


def penalized(parameters):
    def loss(model, batch):
        penalty = 0.05 * sum((parameter**2).sum() for parameter in parameters(model))
        losses = functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
        return losses + penalty.to(losses)

    return loss


def surface(model, loss, **options):
    objective = ll.Objective(model, loss, DATA, **options)
    plane = ll.Subspace.random(model, seed=0)
    return ll.evaluate(objective, plane, ll.Grid.square(3), quiet=True).values("loss")


def test_parameters_that_the_loss_holds_are_not_the_copys():
    model = model_of()
    own = list(model.parameters())
    held, read = penalized(lambda _: own), penalized(lambda called: called.parameters())
    expected = surface(model, held)
    assert surface(model, read) == pytest.approx(expected)
    assert surface(model, read, precision="float64") == pytest.approx(expected, rel=1e-5)
    message = r"a copy of the model \(float64 on cpu\) has a loss of .*precision='float32'"
    with pytest.raises(ll.LossLandscapeError, match=message):
        surface(model, held, precision="float64")
    assert surface(model, held, precision="float32") == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_rounding_is_no_difference(dtype):
    model = model_of(dtype)
    single = model_of(dtype).float()
    expected = surface(single, "cross_entropy")
    assert surface(model, "cross_entropy", precision="float32") == pytest.approx(expected, rel=0.01)


def test_a_model_that_does_not_run_as_it_is_may_have_a_copy():
    class Double(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, inputs):
            return self.layer(inputs.double())

    model = Double().eval()
    expected = surface(Double().double().eval().requires_grad_(True), "cross_entropy")
    found = surface(model, "cross_entropy", precision="float64")
    assert found.shape == expected.shape


def test_only_losses_that_are_finite_are_compared():
    model = model_of()
    own = list(model.parameters())

    def loss(called, batch):
        losses = functional.cross_entropy(called(batch[0]), batch[1], reduction="none")
        return losses + torch.log(sum(p.square().sum() for p in own) - 1e4).to(losses)

    with pytest.raises(ll.LossLandscapeError, match="the loss function itself makes it"):
        surface(model, loss, precision="float64")  # NaN everywhere
