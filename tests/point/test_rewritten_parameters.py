"""Where forward writes to parameters, the surface is that of a fresh model, or refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll
from losslandscape.point.determinism import observe, stated
from losslandscape.point.evaluator import Evaluator

DATA = (
    torch.randn(24, 4, generator=torch.Generator().manual_seed(0)),
    torch.arange(24) % 3,
)


class Rewriting(nn.Module):
    def __init__(self, kind, frozen=False, large=False):
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.first = nn.Linear(4, 5000 if large else 6).requires_grad_(not frozen)
        self.last = nn.Linear(self.first.out_features, 3)

    def forward(self, inputs):
        weight = self.first.weight
        if self.kind == "replaced":
            weight.data = functional.normalize(weight.data)
        elif self.kind == "in place":
            weight.data.clamp_(-0.2, 0.2)
        elif self.kind == "drifting":
            weight.data.mul_(0.9)
        elif self.kind == "counted":
            with torch.no_grad():
                weight.mul_(0.9)
        return self.last(torch.tanh(self.first(inputs)))


def evaluated(model, plane, **options):
    objective = ll.Objective(model.eval(), "cross_entropy", DATA, **options)
    return ll.evaluate(objective, plane, ll.Grid.square(3), quiet=True)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", ["replaced", "in place"])
def test_each_point_is_that_of_a_fresh_model(kind, large):
    model = Rewriting(kind, large=large)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plane = ll.Subspace.random(model, seed=0)
    landscape = evaluated(model, plane, batch_size=8)
    for i, point in enumerate(landscape.grid.points()):
        fresh = copy.deepcopy(Rewriting(kind, large=large)).eval()
        with torch.no_grad():
            moved = plane.parameters_at(point)
            for name, parameter in fresh.named_parameters():
                parameter.copy_(moved[name])
            expected = functional.cross_entropy(fresh(DATA[0]), DATA[1]).item()
        assert landscape.values("loss").flat[i] == pytest.approx(expected, rel=1e-5)
    found = landscape.provenance["determinism"]
    assert found["altered_parameters"] == ["first.weight"]
    assert not found.get("order_difference")
    assert "forward writes to parameters in eval mode: first.weight (moved anew to each" in "".join(
        stated(found)
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_loss_that_depends_on_the_batches_before_is_refused():
    model = Rewriting("drifting")
    with pytest.raises(
        ll.LossLandscapeError,
        match=r"batches before it .* parameters that forward writes to .* first",
    ):
        evaluated(model, ll.Subspace.random(model), batch_size=8)
    one_batch = evaluated(model, ll.Subspace.random(model), batch_size=24)
    assert one_batch.provenance["determinism"]["altered_parameters"] == ["first.weight"]


@pytest.mark.parametrize("kind", ["drifting", "counted"])
def test_frozen_parameters_that_change_are_refused_or_stated(kind):
    model = Rewriting(kind, frozen=True)
    message = "writes to parameters that are frozen .*: first.weight. Each pass"
    with pytest.raises(ll.LossLandscapeError, match=message):
        evaluated(model, ll.Subspace.random(model))
    landscape = evaluated(model, ll.Subspace.random(model), nondeterminism="stated")
    found = landscape.provenance["determinism"]
    assert found["altered_frozen_parameters"] == ["first.weight"]
    assert "writes to frozen parameters" in "".join(stated(found))


def test_models_that_write_nothing_have_nothing_stated():
    for frozen in (False, True):
        model = Rewriting("nothing", frozen=frozen)
        plane = ll.Subspace.random(model)
        with torch.no_grad():
            model.last.weight[0, 0] = torch.nan
        objective = ll.Objective(model.eval(), "cross_entropy", DATA, batch_size=8)
        with Evaluator(objective, plane) as evaluator:
            _, found = observe(evaluator)
        assert not {"altered_parameters", "altered_frozen_parameters"} & set(found)
