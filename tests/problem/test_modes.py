"""Train and eval mode: what passes, what is named, what is left as it was."""

import pytest
import torch
from torch import nn

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batch_norm import layers, reestimate
from losslandscape.problem.modes import (
    check_modes,
    refuse_batch_norm,
    set_modes,
    training_modules,
)


def network(*training):
    model = nn.Sequential(
        nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2), nn.ReLU(), nn.Identity()
    )
    model.eval()
    for number in training:
        model[number].train()
    return model


def test_a_model_in_train_mode_as_a_whole_passes_and_one_in_part_does_not():
    check_modes(network().train(), None)
    check_modes(network(), None)
    check_modes(network(1), "eval")
    check_modes(network(1), "own")
    with pytest.raises(LossLandscapeError, match=r"'1' \(Dropout\) in train mode"):
        check_modes(network(1), None)
    with pytest.raises(LossLandscapeError, match="modes 'train' is not one of eval, own"):
        check_modes(network(), "train")


@pytest.mark.parametrize(
    ("training", "named", "more"),
    [((0, 1, 2), "'2' (BatchNorm1d)", None), ((0, 1, 2, 3), "'2'", 1), ((0, 1, 2, 3, 4), "'2'", 2)],
)
def test_three_modules_are_named_and_the_others_counted(training, named, more):
    with pytest.raises(LossLandscapeError) as caught:
        check_modes(network(*training), None)
    assert named in str(caught.value)
    assert "'3'" not in str(caught.value)
    assert (f"and {more} more" in str(caught.value)) == (more is not None)
    assert more is not None or "more in train" not in str(caught.value)


def test_modes_are_set_or_left():
    model = network(1)
    set_modes(model, "own")
    assert training_modules(model) == ["1"]
    set_modes(model, "eval")
    assert training_modules(model) == []
    model.train()
    assert training_modules(model)[0] == "Sequential"
    set_modes(model, None)
    assert training_modules(model) == []


class Stubborn(nn.Linear):
    def train(self, mode=True):
        return super().train(True)


def test_a_module_that_stays_in_train_mode_is_refused():
    model = nn.Sequential(Stubborn(2, 2))
    with pytest.raises(LossLandscapeError, match=r"'0' \(Stubborn\)"):
        set_modes(model, "eval")


def test_batch_norm_in_train_mode_has_no_statistics_to_gather():
    refuse_batch_norm(network(0, 1, 3))
    with pytest.raises(LossLandscapeError, match="'2' is batch norm in train mode"):
        refuse_batch_norm(network(2))


def test_statistics_are_the_mean_over_batches_and_momenta_come_back():
    model = nn.Sequential(nn.BatchNorm1d(2, momentum=0.3), nn.Dropout(), nn.BatchNorm1d(2)).eval()
    model.append(nn.BatchNorm1d(2, track_running_stats=False))
    model[0].running_mean.fill_(9.0)
    found = layers(model)
    assert found == [model[0], model[2]]
    batches = [torch.randn(8, 2), torch.randn(8, 2) + 3]

    def run(batch):
        assert model[0].training
        assert not model[1].training
        model[0](batch)

    reestimate(found, batches, run)
    torch.testing.assert_close(
        model[0].running_mean, torch.stack([b.mean(0) for b in batches]).mean(0)
    )
    torch.testing.assert_close(
        model[0].running_var, torch.stack([b.var(0) for b in batches]).mean(0)
    )
    assert (model[0].momentum, model[2].momentum) == (0.3, 0.1)
    assert not any(m.training for m in found)
    with pytest.raises(ZeroDivisionError):
        reestimate(found, batches, lambda batch: 1 / 0)
    assert (model[0].momentum, model[2].momentum) == (0.3, 0.1)
    assert not any(m.training for m in found)
