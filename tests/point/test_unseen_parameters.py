"""Trainable parameters on which no loss depends are found, and only these."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import losslandscape as ll
from losslandscape.point.unseen_parameters import unreached, without_effect


class Parts(nn.Module):
    """A layer that is used, and one of which it depends on ``kind`` what becomes of it."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.kept = kind, None
        self.used, self.other = nn.Linear(4, 3), nn.Linear(4, 4)

    def forward(self, inputs):
        if self.kind == "cached":
            if self.kept is None:
                self.kept = self.other.weight.detach().clone(), self.other.bias.detach().clone()
            return self.used(inputs @ self.kept[0].T + self.kept[1])
        if self.kind == "detached":
            return self.used(self.other(inputs).detach())
        if self.kind == "re-entrant":
            return self.used(checkpoint(self.other, inputs, use_reentrant=True))
        if self.kind == "used":
            return self.used(self.other(inputs))
        return self.used(inputs)


DATA = (
    torch.randn(20, 4, generator=torch.Generator().manual_seed(0)),
    torch.arange(20) % 3,
)


def evaluated(model, plane=None, **options):
    objective = ll.Objective(model.eval(), "cross_entropy", DATA, **options)
    return ll.evaluate(objective, plane or ll.Subspace.random(model), ll.Grid.square(3), quiet=True)


@pytest.mark.parametrize("kind", ["unused", "cached"])
def test_they_are_named_and_stated(kind):
    with pytest.warns(UserWarning, match=r"no loss of Parts depends on 'other.weight': moving"):
        landscape = evaluated(Parts(kind))
    stated = landscape.provenance["determinism"]["unseen_parameters"]
    assert stated == ["other.weight", "other.bias"]


@pytest.mark.parametrize("kind", ["used", "detached", "re-entrant"])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_those_that_change_a_loss_are_not(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
        landscape = evaluated(Parts(kind))
    assert "unseen_parameters" not in landscape.provenance["determinism"]


def test_those_that_no_direction_moves_are_stated_without_a_warning():
    model = Parts("unused")
    still = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    directions = [{**still, "used.weight": torch.randn(3, 4)} for _ in range(2)]
    plane = ll.Subspace(dict(model.named_parameters()), directions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        landscape = evaluated(model, plane)
    assert landscape.provenance["determinism"]["unseen_parameters"] == [
        "other.weight", "other.bias",
    ]  # fmt: skip


def test_the_model_and_its_gradients_stay_as_they_were():
    model = Parts("unused")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.warns(UserWarning, match="no loss"):
        evaluated(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_of_tied_parameters_one_is_enough():
    one, other, third = (nn.Parameter(torch.ones(2)) for _ in range(3))
    assert unreached(other * 2, {"a": [one, other], "b": [third]}) == ["b"]
    assert unreached((other * 2).detach(), {"a": [one], "b": [third]}) == []


def test_where_all_together_matter_each_is_tried_alone():
    origin = {name: torch.ones(3) for name in "abc"}

    def same(parameters):
        return torch.equal(parameters["b"], origin["b"])

    assert without_effect(["a", "b", "c"], origin, same) == ["a", "c"]
    assert without_effect(["b"], origin, same) == []
    assert without_effect(["a", "c"], origin, same) == ["a", "c"]
    assert without_effect([], origin, same) == []


def test_they_are_changed_when_they_are_tried():
    origin = {"zero": torch.zeros(3), "scalar": torch.tensor(2.0), "kept": torch.ones(1)}
    tried = []
    without_effect(["zero", "scalar"], origin, lambda given: tried.append(given) or True)
    (given,) = tried
    assert not (given["zero"] == 0).any()
    assert given["scalar"] != 2
    assert given["kept"] is origin["kept"]
