"""Modes and plain tensors of modules come back; copies are the device's and the type's."""

import pytest
import torch
from torch import nn

from losslandscape.errors import LossLandscapeError
from losslandscape.point.module_state import copied, kept_state

CPU = torch.device("cpu")


class Keeps(nn.Linear):
    """Keeps an activation that autograd computed, as models do that are looked into."""

    def forward(self, inputs):
        self.kept = super().forward(inputs)
        return self.kept


def test_each_module_has_its_own_mode_again():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout().eval()))
    modes = [module.training for module in model.modules()]
    restore = kept_state(model)
    model.eval()
    restore()
    assert [module.training for module in model.modules()] == modes
    model.train()
    restore()
    assert [module.training for module in model.modules()] == modes


def test_plain_tensors_are_those_of_before():
    model = nn.Sequential(Keeps(3, 2))
    model(torch.ones(1, 3))
    kept, weight = model[0].kept, model[0].weight
    restore = kept_state(model)
    model(torch.zeros(1, 3))
    model[0].weight = nn.Parameter(torch.zeros(2, 3))
    model[0].other = "text"
    restore()
    assert model[0].kept is kept
    assert model[0].weight is not weight  # a parameter is another module's task
    assert model[0].other == "text"


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_a_copy_shares_nothing_and_has_the_type(dtype):
    model = nn.Sequential(Keeps(3, 2))
    model(torch.ones(1, 3))
    assert not model[0].kept.is_leaf
    found = copied(model, CPU, dtype)
    assert found[0].weight.dtype == (dtype or torch.float32)
    assert torch.equal(found[0].weight, model[0].weight)
    assert torch.equal(found[0].kept, model[0].kept)
    assert found[0].kept.is_leaf
    with torch.no_grad():
        found[0].weight.zero_()
        found[0].kept.zero_()
    assert model[0].weight.abs().sum() > 0
    assert model[0].kept.abs().sum() > 0


@pytest.mark.parametrize(("dtype", "named"), [(None, ""), (torch.float64, " as float64")])
def test_what_cannot_be_copied_is_refused(dtype, named):
    model = nn.Linear(3, 2)
    model.numbers = (number for number in range(3))
    with pytest.raises(LossLandscapeError, match=rf"Linear cannot be copied to cpu{named} \("):
        copied(model, CPU, dtype)
