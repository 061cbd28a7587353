"""The rules that use every value: what they need on fields whose answer is known."""

import numpy as np
import pytest
from benchmarks.adaptive_floor import Interpolant, fewest

from losslandscape import Grid
from losslandscape.adaptive.kriging import krige

GRID = Grid.square(13)


@pytest.mark.parametrize("local", [False, True])
def test_a_quadratic_needs_the_coarse_grid_alone_and_noise_every_point(local):
    bowl = (GRID.points() ** 2).sum(axis=1)
    assert fewest(GRID, bowl, Interpolant(2), local) == 81
    noise = np.random.default_rng(0).standard_normal(GRID.size)
    needed = fewest(GRID, noise, Interpolant(2), local)
    assert needed == GRID.size if local else needed > 0.9 * GRID.size


def test_without_nugget_stretch_and_cusp_it_is_the_engines_kriging():
    points = np.random.default_rng(1).uniform(0, 9, (60, 2))
    values = np.sin(points[:, 0]) + points[:, 1]
    targets = np.random.default_rng(2).uniform(2, 7, (20, 2))
    found = Interpolant(2).predict(points, values, targets, np.array([50.0, 50.0]))
    np.testing.assert_allclose(found, krige(points, values, targets).value, atol=1e-6)


def test_a_nugget_averages_noise_and_a_stretch_follows_an_axis():
    random = np.random.default_rng(3)
    line = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), axis=-1).reshape(-1, 2)
    known = np.arange(144) % 2 == 0
    minimum = np.array([50.0, 50.0])

    def error(field, truth, interpolant):
        found = interpolant.predict(line[known], field[known], line[~known], minimum)
        return np.sqrt(np.mean((found - truth[~known]) ** 2))

    plane = line @ [0.1, 0.2]
    noisy = plane + random.standard_normal(144)
    assert error(noisy, plane, Interpolant(1, nugget=3.0)) < 0.9 * error(
        noisy, plane, Interpolant(1)
    )
    waves = np.sin(1.5 * line[:, 0])
    assert error(waves, waves, Interpolant(1, stretch=3.0)) < error(
        waves, waves, Interpolant(1, stretch=1 / 3)
    )
