"""Batch sizes that memory does not hold, or no longer."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.point.evaluator import Evaluator

OutOfMemory = torch.OutOfMemoryError


class Hungry(nn.Module):
    """Takes a number of samples at once."""

    def __init__(self, limit):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.limit = limit

    def forward(self, inputs):
        if len(inputs) > self.limit:
            raise OutOfMemory("used up")
        return self.linear(inputs)


@pytest.mark.parametrize("limit", [200, 50, 7])
def test_an_evaluator_finds_a_size_that_fits(limit):
    model = Hungry(limit)
    objective = Objective(model, "mse", (torch.zeros(300, 3), torch.zeros(300, 2)))
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        assert evaluator.batch_size <= limit
        assert evaluator.measure((0.1, 0.1))["train"]["loss"].shape == (300,)


@pytest.mark.parametrize(("limit", "size"), [(10, 20), (0, None)])
def test_memory_used_up_is_explained(limit, size):
    model = Hungry(limit)
    weight = model.linear.weight.data_ptr()
    objective = Objective(model, "mse", (torch.zeros(30, 3), torch.zeros(30, 2)), batch_size=size)
    with (
        pytest.raises(LossLandscapeError, match="memory of cpu does not hold a batch"),
        Evaluator(objective, Subspace.random(model)),
    ):
        pass
    assert model.linear.weight.data_ptr() == weight


def test_memory_used_up_later_is_explained():
    model = Hungry(100)
    objective = Objective(model, "mse", (torch.zeros(30, 3), torch.zeros(30, 2)), batch_size=20)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        model.limit = 10
        with pytest.raises(LossLandscapeError, match="a batch of 20 samples"):
            evaluator.measure((0.0, 0.0))


SAMPLES = torch.randn(300, 3, generator=torch.Generator().manual_seed(1))
DATA = SAMPLES, SAMPLES[:, :2].clone()


class Crowded(Hungry):
    """Memory gets scarce after some calls at points of the grid; for ever, or for some calls."""

    def __init__(self, after, limit, calls=10**9):
        super().__init__(limit)
        nn.init.constant_(self.linear.weight, 0.5)
        nn.init.constant_(self.linear.bias, 0.25)
        self.origin = 0.5
        self.after, self.calls, self.seen = after, calls, 0

    def forward(self, inputs):
        self.seen += bool(self.linear.weight[0, 0] != self.origin)  # not of the trials
        if self.after < self.seen <= self.after + self.calls:
            return super().forward(inputs)
        return self.linear(inputs)


def surface(model, path, **options):
    objective = Objective(model, "mse", DATA, batch_size=options.pop("batch_size", None))
    plane = Subspace.random(model, seed=3)
    grid = Grid.square(5, 0.5)
    return evaluate(objective, plane, grid, path=path, quiet=True, **options)


@pytest.fixture
def of_a_hundred(monkeypatch):
    """The trial finds a size of 100, and a point takes three passes."""
    monkeypatch.setattr("losslandscape.point.evaluator.trial_batch_size", lambda *_: 100)


def undisturbed(path, batch_size):
    surface(Crowded(10**9, 0), path, batch_size=batch_size)
    return path.read_bytes()


def test_the_first_measurement_halves_a_size_found_by_trial():
    model = Hungry(10**9)
    objective, plane = Objective(model, "mse", DATA), Subspace.random(model, seed=3)
    with Evaluator(objective, plane) as evaluator:
        before = evaluator.batch_size
        model.limit = before // 3
        found = evaluator.measure((0.5, -0.5))["train"]["loss"]
        size = evaluator.batch_size
        assert size == before // 4
        model.limit = size // 2
        with pytest.raises(LossLandscapeError, match=f"a batch of {size} samples"):
            evaluator.measure((0.5, -0.5))
        assert evaluator.batch_size == size
    model.limit = 10**9
    with Evaluator(objective, plane, size) as evaluator:
        assert (evaluator.measure((0.5, -0.5))["train"]["loss"] == found).all()


def test_a_size_that_was_given_is_not_halved():
    model = Hungry(10**9)
    objective = Objective(model, "mse", DATA, batch_size=100)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        model.limit = 10
        with pytest.raises(LossLandscapeError, match="a batch of 100 samples"):
            evaluator.measure((0.5, -0.5))


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor])
def test_a_run_begins_anew_when_memory_gets_scarce_early(tmp_path, executor, of_a_hundred):
    pool = executor(1) if executor else None
    with pytest.warns(UserWarning, match="the run begins anew with"):
        found = surface(Crowded(5 * 3, 10), tmp_path / "a.nc", executor=pool)
    size = found.provenance["objective"]["batch_size"]
    assert size == 6  # 100, 50, 25, 12, 6
    assert found.finished
    assert "failed_points" not in found.provenance
    assert (tmp_path / "a.nc").read_bytes() == undisturbed(tmp_path / "b.nc", size)


def test_a_shortage_that_passes_changes_nothing(tmp_path, of_a_hundred):
    model = Crowded(5 * 3, 1, calls=1)
    surface(model, tmp_path / "a.nc")
    assert model.seen == 24 * 3 + 1  # the failed pass, and its point anew
    assert (tmp_path / "a.nc").read_bytes() == undisturbed(tmp_path / "b.nc", 100)


def test_late_shortages_leave_points_out_until_the_same_call(tmp_path, of_a_hundred):
    path = tmp_path / "a.nc"
    with pytest.warns(UserWarning, match="1 points could not be measured"):
        first = surface(Crowded(3 * 15, 1, calls=2), path)
    assert len(first.provenance["failed_points"]) == 1
    found = surface(Crowded(10**9, 0), path, overwrite=True)
    assert found.finished
    assert path.read_bytes() == undisturbed(tmp_path / "b.nc", 100)
