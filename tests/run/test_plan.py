"""What a landscape will cost: counts are exact, the probe is short, nothing is written."""

import numpy as np
import pytest
import torch
from benchmarks import adaptive as surfaces

from losslandscape import Grid, Objective, Subspace
from losslandscape.adaptive.refinement import Adaptive
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.run import plan as planning
from losslandscape.run.plan import plan


class Counting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.linear = torch.nn.Linear(4, 3)
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return self.linear(self.norm(inputs))


@pytest.fixture
def problem():
    torch.manual_seed(0)
    model = Counting()
    data = (torch.randn(100, 4), torch.arange(100) % 3)
    sets = {"train": data, "test": tuple(t[:30] for t in data)}
    objective = Objective(
        model, "cross_entropy", sets, batch_norm="reestimated", batch_size=30,
        reestimation_samples=60,
    )  # fmt: skip
    return model, objective, Subspace.random(model, seed=0)


def test_passes_are_those_that_a_point_makes(problem):
    model, objective, plane = problem
    found = plan(objective, plane, Grid.square(31))
    before = model.calls
    from losslandscape.point.evaluator import Evaluator

    with Evaluator(objective, plane) as evaluator:
        opened = model.calls
        evaluator.measure((0.1, 0.2))
        assert found.passes == model.calls - opened == 4 + 1 + 2
    assert before > 0


def test_the_probe_keeps_to_its_share(problem):
    _, objective, plane = problem
    assert plan(objective, plane, Grid.square(31), seconds=0).timed == 10  # 1% of 961, rounded up
    assert plan(objective, plane, Grid.square(5), seconds=0).timed == 2
    assert plan(objective, plane, Grid.square(51), seconds=60).timed == 25  # both axes


def test_costs_are_those_of_float32_where_a_faster_type_is_tried():
    model = torch.nn.Linear(2, 1)
    data = torch.ones(8, 2), torch.zeros(8, 1)
    for precision, said in ((None, False), ("auto", True)):
        objective = Objective(model, "mse", data, precision=precision)
        found = plan(objective, Subspace.random(model), Grid.square(3))
        assert found.auto is said
        assert ("time: in float32" in found.describe()) is said


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_expected_points_lie_between_the_least_and_all(problem, dimensions):
    model, objective, _ = problem
    grid = Grid((21,) * dimensions, ((-1, 1),) * dimensions)
    found = plan(objective, Subspace.random(model, dimensions), grid, tolerance=0.01)
    low, high = found.expected
    assert 0 < low <= high <= found.points == grid.size
    assert str(high) in found.describe().replace(",", "")


def test_a_limit_of_points_is_kept(problem):
    _, objective, plane = problem
    found = plan(objective, plane, Grid.square(31), Adaptive(0.001, max_points=90))
    assert found.expected[1] <= 90
    with pytest.raises(LossLandscapeError, match=r"max_points is 80; the coarse grid .* 81 points"):
        plan(objective, plane, Grid.square(31), Adaptive(0.001, max_points=80))


def expected(name, tolerance=0.01):
    grid, truth = surfaces.stored()[name]
    lines = planning._cross(grid)
    measured = planning._in_turn(lines)
    losses = np.full(grid.size, np.nan)
    losses[measured] = truth[measured]
    return planning._expected(grid, losses, measured, lines, Adaptive(tolerance))[0]


@pytest.mark.slow
def test_real_surfaces_take_what_is_expected():
    inside = 0
    some = list(surfaces.stored().items())[::2]
    for name, (grid, truth) in some:
        low, high = expected(name)
        inside += low <= surfaces.refined(grid, truth)[1].sum() <= high
    assert inside >= len(some) - 1 > 3


def test_noise_is_expected_to_be_evaluated_whole():
    grid = Grid.square(51)
    lines = planning._cross(grid)
    noise = np.random.default_rng(0).standard_normal(grid.size)
    (_, high), _ = planning._expected(grid, noise, planning._in_turn(lines), lines, Adaptive(0.01))
    assert high == grid.size


def test_losses_that_are_not_finite_tell_nothing():
    grid = Grid.square(51)
    lines = planning._cross(grid)
    (low, high), spacing = planning._expected(
        grid, np.full(grid.size, np.nan), planning._in_turn(lines), lines, Adaptive(0.01)
    )
    assert (low, high, spacing) == (111, 2601, 0.0)


def test_the_command_line_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = "surface --model mlp --data digits8 --samples 50 --grid 21 --tolerance 0.01 --plan"
    assert main([*arguments.split(), "--output", "new/x.nc"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("dense: 441 points")
    assert "expected: " in printed
    assert not list(tmp_path.iterdir())
