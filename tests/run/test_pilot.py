"""Whether a part of the samples is enough: when a pilot is run, and what it says."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from losslandscape import Grid, Objective, Subspace
from losslandscape.adaptive.allotment import Allotment, tried, worthwhile
from losslandscape.adaptive.refinement import Adaptive, coarse_points
from losslandscape.point.evaluator import Evaluator
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.pilot import find_allotment, for_interpolation, may_allot
from losslandscape.run.task import Task

ENOUGH = 8192  # samples


@pytest.fixture
def task():
    def build(count=ENOUGH, grid=Grid.square(21), ragged=False, **options):  # noqa: B008
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        data = torch.randn(count, 2), torch.randn(count, 1)
        if ragged:
            parts = [(data[0][:5], data[1][:5]), (data[0][5:, None], data[1][5:])]
            data = DataLoader(parts, batch_size=None)
        subspace = Subspace.random(model, seed=2)
        return Task(Objective(model, "mse", data), subspace, grid, **options)

    return build


@pytest.mark.parametrize(
    ("options", "may"),
    [
        ({}, True),
        ({"count": ENOUGH - 1}, False),
        ({"keep_samples": True}, False),
        ({"keep_samples": False}, True),
        ({"keep_samples": None}, True),
        ({"ragged": True}, False),
        ({"grid": Grid.square(3)}, False),
        ({"adaptive": None}, False),
    ],
)
def test_a_pilot_is_run_where_points_may_take_fewer_samples(task, options, may):
    assert may_allot(task(**{"adaptive": Adaptive(0.05), **options})) is may


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_allotment_is_that_of_512_samples_on_the_coarse_grid(task, scale):
    one = task(adaptive=Adaptive(0.2, scale=scale, seed=3))
    few = one.objective.shuffled(3).limited(512)
    with Evaluator(few, one.subspace, 512) as evaluator:
        points = one.grid.points()[coarse_points(one.grid)]
        losses = [evaluator.measure(p)["train"]["loss"].astype(np.float64) for p in points]
    assert all(len(part) == 512 for part in losses)
    means, deviations = [p.mean() for p in losses], [p.std(ddof=1) for p in losses]
    expected = worthwhile(means, deviations, ENOUGH, 0.2, scale)
    assert expected is not None
    with Evaluator(one.objective, one.subspace, 1024) as evaluator:
        origin = evaluator.measure((0, 0))
    with OneEvaluator(one.subspace) as evaluators:
        found = find_allotment(one, 1024, origin, evaluators)
    assert found.error == pytest.approx(expected.error, rel=1e-12)
    seeded = Allotment(scale, found.error, seed=3)
    assert found == tried(seeded, origin["train"]["loss"], 1024)
    assert found.seed == 3


def test_there_is_none_where_no_pilot_is_run_or_it_is_not_worthwhile(task):
    origin = {"train": {"loss": np.ones(ENOUGH)}}
    for one in (task(adaptive=None), task(adaptive=Adaptive(1e-6))):
        with OneEvaluator(one.subspace) as evaluators:
            assert find_allotment(one, 1024, origin, evaluators) is None


def test_the_errors_of_sampling_and_interpolation_add_in_quadrature():
    adaptive = Adaptive(0.01, scale="log", seed=3)
    found = for_interpolation(adaptive, Allotment("log", 0.005))
    assert np.hypot(found.tolerance, 0.005) == pytest.approx(0.01)
    assert (found.scale, found.seed) == ("log", 3)
    assert for_interpolation(adaptive, None) is adaptive
