"""Models whose losses of single samples depend on the other samples of the batch."""

import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.problem.batch_dependence import batch_difference


class Centered(nn.Linear):
    """Subtracts the mean of the batch."""

    def forward(self, inputs):
        return super().forward(inputs - inputs.mean(0))


def data(count=30):
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(1))
    return inputs, torch.arange(count) % 3


@pytest.mark.parametrize(("samples", "differs"), [(30, True), (2, True), (1, False)])
def test_a_model_that_centers_its_batch(samples, differs):
    torch.manual_seed(0)
    model = Centered(3, 3)
    found = batch_difference(ll.Objective(model, "cross_entropy", data(samples)))
    assert (found > 1e-3) == differs
    if samples == 30:  # against the losses as they are
        inputs, labels = data()
        with torch.no_grad():
            four, two = (
                nn.functional.cross_entropy(model(inputs[:n]), labels[:n], reduction="none")
                for n in (4, 2)
            )
        assert found == pytest.approx(float((four[:2] - two).abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_models_whose_samples_are_apart(dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    inputs, labels = data()
    objective = ll.Objective(model.to(dtype), "cross_entropy", (inputs.to(dtype), labels))
    assert batch_difference(objective) == 0


def test_train_mode_by_choice_is_not_looked_at():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    assert batch_difference(ll.Objective(model, "cross_entropy", data(), modes="own")) == 0


def test_it_is_warned_of_and_stated(tmp_path):
    torch.manual_seed(0)
    model = Centered(3, 3)
    objective = ll.Objective(model, "cross_entropy", data(), batch_size=7)
    with pytest.warns(match="depends on the other samples of its batch.* batch size, 7 here"):
        ll.evaluate(
            objective, ll.Subspace.random(model, 1, seed=0), ll.Grid.line(3), quiet=True,
            path=tmp_path / "x.nc",
        )  # fmt: skip
    about = ll.Landscape.open(tmp_path / "x.nc").provenance
    assert "batch_difference" in str(about)
