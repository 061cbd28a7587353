import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.point.batch_size import (
    _malloc_trim,
    fastest_batch_size,
    out_of_memory,
    release_memory,
)
from losslandscape.point.evaluator import Evaluator

OutOfMemory = torch.OutOfMemoryError


def limited(limit, rate=lambda size: float(size)):
    def measured(size):
        if size > limit:
            raise OutOfMemory("used up")
        return rate(size)

    return measured


@given(limit=st.integers(1, 20_000), count=st.integers(1, 20_000))
def test_the_size_found_fits_into_memory(limit, count):
    size = fastest_batch_size(limited(limit), count)
    assert 1 <= size <= min(limit, count)
    assert 2 * size > min(limit, count, 8192) // 2  # and is not needlessly small


def test_nothing_fits():
    with pytest.raises(OutOfMemory):
        fastest_batch_size(limited(0), 100)


def test_a_larger_batch_must_be_worth_its_memory():
    assert fastest_batch_size(lambda size: min(size, 128), 10_000) == 128
    assert fastest_batch_size(lambda size: 1.0, 10_000) == 32
    assert fastest_batch_size(lambda size: 1 + size / 1e6, 10_000) == 32
    assert fastest_batch_size(lambda size: 1.0 if size < 64 else 0.5, 10_000) == 32


def test_sizes_that_promise_nothing_are_not_tried():
    tried = []

    def rate(size):  # 1 ms a batch and 0.1 ms a sample
        tried.append(size)
        return size / (1e-3 + 1e-4 * size)

    assert fastest_batch_size(rate, 10_000) == 256
    assert max(tried) == 256  # 512 would gain 2%


def test_a_disturbed_trial_is_repeated():
    calls = {}

    def rate(size):  # every size is as fast as it is large, but the second trial was disturbed
        calls[size] = calls.get(size, 0) + 1
        return 1.0 if size == 64 and calls[size] == 1 else float(size)

    assert fastest_batch_size(rate, 512) == 512


@pytest.mark.parametrize("count", [1, 5, 32, 33, 100, 512])
def test_all_samples_are_a_batch_where_that_is_fastest(count):
    assert fastest_batch_size(float, count) == count


def test_other_errors_pass():
    def broken(size):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fastest_batch_size(broken, 100)


def test_what_says_that_memory_is_used_up():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert out_of_memory(caught.value)
    assert out_of_memory(OutOfMemory("used up"))
    assert not out_of_memory(RuntimeError("shapes"))


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
    monkeypatch.setattr("losslandscape.point.evaluator.fastest_batch_size", lambda rate, count: 100)


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


@pytest.mark.skipif(
    _malloc_trim() is None or platform.machine() != "x86_64",
    reason="PyTorch's allocator is not glibc's here",
)
def test_freed_blocks_go_back_to_the_system():
    def resident():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    release_memory(torch.device("cpu"))
    before = resident()
    blocks = [torch.ones(16_000) for _ in range(1_000)]  # 64 kB each: of the heap, not mapped
    last = torch.ones(16_000)  # the heap's end is in use: freeing alone gives nothing back
    held = resident() - before
    del blocks
    release_memory(torch.device("cpu"))
    assert held > 50e6
    assert resident() - before < 0.1 * held
    assert last.sum() == 16_000


def test_an_evaluation_gives_back_what_was_freed_before_it(monkeypatch):
    released = []
    monkeypatch.setattr("losslandscape.point.evaluator.release_memory", released.append)
    model = nn.Linear(4, 2)
    data = torch.randn(8, 4), torch.zeros(8, dtype=torch.long)
    with Evaluator(Objective(model, "cross_entropy", data), Subspace.random(model)) as evaluator:
        assert len(released) == 2  # before the trials and after them
        evaluator.measure((0.1, 0.2))
    assert released == [torch.device("cpu")] * 2  # not at each point


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
    assert tried == ([(2, False), (20, True)] if takes is None else [(20, False)])
