"""Shares of random walks against their formulas, and against walks that are walked."""

import numpy as np
import pytest

from losslandscape.analysis.random_walk import random_walk_shares


@pytest.mark.parametrize("steps", [3, 20, 300])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_formula_of_antognini_and_sohl_dickstein(steps, dimensions):
    n = steps + 1
    k = np.arange(1, dimensions + 1)
    expected = (3 / ((n**2 - 1) * (1 - np.cos(np.pi * k / n)))).sum()
    found = random_walk_shares(steps, 10**9, dimensions, draws=0)
    assert found.variance == pytest.approx(expected, rel=1e-9)
    assert found.variance_interval is None
    # the components are cosines of the step; an increment has the squared length 2/n sum sin^2
    i = np.arange(1, n)[:, None]
    along = np.sqrt((2 / n * np.sin(np.pi * k * i / n) ** 2).sum(axis=1))
    assert found.length == pytest.approx(along.mean(), rel=1e-9)


def test_about_the_last_point():
    m = 40
    k = np.arange(1, 3)
    values = 1 / (4 * np.sin((2 * k - 1) * np.pi / (2 * (2 * m + 1))) ** 2)
    found = random_walk_shares(m, 10**9, 2, center="origin", draws=0)
    assert found.variance == pytest.approx(values.sum() / (m * (m + 1) / 2), rel=1e-9)


def walked(steps, parameters, center, lengths, generator):
    moves = generator.standard_normal((steps, parameters)) * lengths[:, None]
    points = np.concatenate([np.zeros((1, parameters)), np.cumsum(moves, axis=0)])
    points -= points.mean(axis=0) if center == "mean" else points[-1].copy()
    _, values, axes = np.linalg.svd(points, full_matrices=False)
    seen = np.diff(points @ axes[:2].T, axis=0)
    length = np.linalg.norm(seen, axis=1).sum() / np.linalg.norm(moves, axis=1).sum()
    return (values[:2] ** 2).sum() / (values**2).sum(), length


@pytest.mark.parametrize("parameters", [7, 60])
@pytest.mark.parametrize("center", ["mean", "origin"])
def test_intervals_hold_walks_of_so_many_parameters(parameters, center):
    generator = np.random.default_rng(1)
    lengths = np.linspace(1.0, 0.1, 12)
    walks = np.array([walked(12, parameters, center, lengths, generator) for _ in range(400)])
    found = random_walk_shares(
        12, parameters, center=center, step_lengths=lengths, draws=400, seed=2
    )
    for shares, interval in zip(walks.T, (found.variance_interval, found.length_interval)):
        inside = ((shares >= interval[0]) & (shares <= interval[1])).mean()
        assert 0.90 <= inside <= 0.99


def test_same_seed_same_interval():
    one, two, other = (random_walk_shares(10, 50, seed=seed) for seed in (3, 3, 4))
    assert one == two != other


def test_a_path_that_does_not_move_has_no_share():
    found = random_walk_shares(3, 10, step_lengths=np.zeros(3), draws=0)
    assert np.isnan(found.variance)
