"""Flat regions that are joined, or cut off, between grid points only."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.analysis.flatness import flat_region
from losslandscape.analysis.region_joins import doubtful_points
from losslandscape.analysis.sublevel_set import PiecewiseLinearField

GRID = Grid.square(51)
CELL = GRID.spacing[0]


def region_of(values, minimum, grid=GRID):
    values = np.asarray(values).reshape(grid.shape)
    landscape = Landscape(
        grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(grid.dimensions)
    )
    lowest = float(landscape.values().min())
    return flat_region(landscape, 1 - lowest, scale="linear", minimum=minimum)


def discs(gap, angle, power=1.0):
    """Two discs, of 9 and 7 cells, {field <= 1}; the centre of the first."""
    x, y = GRID.points().T - 0.003
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    radii = np.array([9.0, 7.0]) * CELL
    apart = radii.sum() + gap * CELL
    first, second = -apart / 2, apart / 2
    both = [
        (np.hypot(along - place, across) / radius) ** power
        for place, radius in zip((first, second), radii)
    ]
    return np.min(both, axis=0), (first * np.cos(angle), first * np.sin(angle))


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("angle", np.linspace(0, np.pi, 7))
@pytest.mark.parametrize("gap", [0.1, 0.3, 0.5, 0.7])
def test_discs_that_nearly_touch_are_resolved_only_with_their_own_size(gap, angle, power):
    found = region_of(*discs(gap, angle, power))
    off = abs(found.size / (np.pi * (9 * CELL) ** 2) - 1)
    assert off < 0.02 or not found.resolved
    if off > 0.02:
        assert found.errors.joins > 0.4 * np.pi * (7 * CELL) ** 2


def test_some_of_them_are_joined_on_the_grid():
    """Else the test above would show nothing."""
    sizes = [region_of(*discs(0.3, angle)).size for angle in np.linspace(0, np.pi, 7)]
    assert max(sizes) > 1.5 * np.pi * (9 * CELL) ** 2


@pytest.mark.parametrize("gap", [4.0, -8.0])
def test_what_is_clearly_apart_or_joined_is_resolved(gap):
    found = region_of(*discs(gap, 0.4))
    assert found.errors.joins == 0
    assert found.resolved


def test_a_passage_between_grid_points_is_seen_beside_it():
    """Two discs joined by a strip four fifths of a cell wide, between two rows of the grid."""
    x, y = GRID.points().T
    y = y - CELL / 2
    strip = np.hypot(np.maximum(abs(x) - 0.5, 0), y) / (0.4 * CELL)
    # steep at their ends; else the strip leaves no trace beside them
    ends = [(np.hypot(x - place, y) / (8 * CELL)) ** 8 for place in (-0.5, 0.5)]
    found = region_of(np.minimum(strip, np.min(ends, axis=0)), (-0.5, 0.0))
    one = np.pi * (8 * CELL) ** 2
    assert found.size == pytest.approx(one, rel=0.02)  # without the strip and the other disc
    assert found.errors.joins == pytest.approx(one, rel=0.05)
    assert not found.resolved
    assert "may be joined to it, or cut off from it, between grid points" in found.summary()[-1]
    finer = found.proposed_grid()
    assert finer.spacing[0] <= CELL / 2 * (1 + 1e-9)
    assert found.to_json()["size_errors"]["joins"] == found.errors.joins


def test_smooth_wells_whose_barrier_is_clear_are_resolved():
    x, y = GRID.points().T
    wells = 4 * ((x / 0.45) ** 2 - 1) ** 2 + 2 * (y / 0.45) ** 2 + 0.05 * x
    found = region_of(wells - wells.min(), (-0.45, 0.0))
    assert found.errors.joins == 0


def test_values_that_are_missing_join_nothing():
    values = discs(0.3, 0.0)[0].reshape(GRID.shape)
    values[:, 30:] = np.nan
    field = PiecewiseLinearField(GRID.points(), values)
    vertex = int(np.nanargmin(values))
    region = field.component(1.0, vertex)
    assert not doubtful_points(field, 1.0, region, vertex).any()


def test_a_line_has_no_way_around_a_point():
    grid = Grid.line(31)
    x = grid.points()[:, 0] / grid.spacing[0]
    wells = np.minimum(abs(x + 8), abs(x - 8)) / 7.5  # one point above the level between them
    found = region_of(wells, (-8 * grid.spacing[0],), grid)
    assert found.errors.joins == 0
