"""Errors of a region's size against known sizes, and the fields of samples drawn again."""

import numpy as np
import pytest

from losslandscape import Grid, Landscape
from losslandscape.analysis import region_errors
from losslandscape.analysis.region_errors import (
    discretization_error,
    interpolation_error,
    percentiles,
    resampled_fields,
)
from losslandscape.analysis.sublevel_set import PiecewiseLinearField
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED


def bowl(counts, spacing, curvature):
    """The values of c x^2 / 2 + d y^2 / 2 about the middle, slowest axis first."""
    axes = [(np.arange(n) - n // 2) * step for n, step in zip(counts, spacing)]
    squares = [c * axis**2 / 2 for axis, c in zip(axes, curvature)]
    return squares[0] if len(counts) == 1 else squares[1][:, None] + squares[0][None, :]


def region_of(values, spacing, level):
    points = np.argwhere(np.ones(values.shape, bool))[:, ::-1] * spacing
    field = PiecewiseLinearField(points, values)
    vertex = int(np.argmin(values))
    return field, field.component(level, vertex), vertex


@pytest.mark.parametrize("level", [0.3, 0.5, 0.8])
def test_the_discretization_error_is_that_to_the_true_ellipse(level):
    spacing = np.array([0.1, 0.25])
    values = bowl((41, 31), spacing, (2.0, 0.5))
    _, region, vertex = region_of(values, spacing, level)
    true = np.pi * 2 * level  # pi sqrt(2 l / c) sqrt(2 l / d), c d = 1
    found = discretization_error(values, spacing, level, region, vertex)
    # the finer grid has a sixteenth of the error
    assert found == pytest.approx(15 / 16 * (true - region.size), rel=0.1)


def test_the_discretization_error_of_an_interval():
    spacing = np.array([0.5])
    values = bowl((21,), spacing, (1.0,))
    _, region, vertex = region_of(values, spacing, 1.0)
    # between 1 and 1.5 the chord is at 1 where x = 1.4; the parabola where x = sqrt(2)
    assert region.size == pytest.approx(2.8)
    found = discretization_error(values, spacing, 1.0, region, vertex)
    assert found == pytest.approx(2 * (np.sqrt(2) - 1.4), rel=0.1)


@pytest.mark.parametrize(("missing", "known"), [((13, 10), False), ((20, 20), True)])
def test_a_value_missing_around_the_region_makes_its_error_unknown(missing, known):
    spacing = np.ones(2)
    values = bowl((21, 21), spacing, (1.0, 1.0))
    values[missing] = np.nan
    points = np.argwhere(np.ones(values.shape, bool))[:, ::-1] * spacing
    region = PiecewiseLinearField(points, values).component(3.0, 220)
    assert np.isfinite(discretization_error(values, spacing, 3.0, region, 220)) == known


@pytest.mark.parametrize(("rows", "known"), [(3, False), (4, True)])
def test_a_part_too_thin_for_a_spline_has_an_unknown_error(rows, known):
    spacing = np.ones(2)
    values = bowl((21, rows), spacing, (1.0, 1.0))
    _, region, vertex = region_of(values, spacing, 3.0)
    assert np.isfinite(discretization_error(values, spacing, 3.0, region, vertex)) == known


def landscape_of(values, status, error=None, losses=None):
    fields = {"loss": values}
    if error is not None:
        fields["loss_interpolation_error"] = error
    samples = {} if losses is None else {"loss_samples": losses}
    grid = Grid.line(values.size, half_width=(values.size - 1) / 2)
    return Landscape(grid, fields, np.asarray(status, np.int8), np.eye(1), samples=samples)


def test_the_interpolation_error_is_half_the_change_between_too_low_and_too_high():
    values = np.array([4.0, 2.0, 0.0, 3.0, 6.0])
    status = np.full(5, EVALUATED)
    status[3] = INTERPOLATED
    field, _, vertex = region_of(values, np.ones(1), 1.5)
    error = np.array([9.0, 9.0, 9.0, 1.0, 9.0])  # of the others it is none
    found = interpolation_error(
        landscape_of(values, status, error), "linear", field, values, 1.5, vertex
    )
    # the crossing at 1.5 of a line from 0 to 2, and to 4
    assert found == pytest.approx((1.5 / 2 - 1.5 / 4) / 2)
    plain = landscape_of(values, np.full(5, EVALUATED), error)
    assert interpolation_error(plain, "linear", field, values, 1.5, vertex) == 0.0
    error[3] = np.nan
    unknown = landscape_of(values, status, error)
    assert np.isnan(interpolation_error(unknown, "linear", field, values, 1.5, vertex))


LOSSES = np.array([[1.0, 3.0, 8.0], [2.0, 2.0, 5.0], [0.0, 0.0, 0.0], [4.0, 1.0, 1.0]])


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_fields_of_samples_drawn_again(scale):
    """Every field is that of some multiset of the samples, the same at all points."""
    losses = LOSSES + 1
    values = losses.mean(axis=1)
    values[2] = 3.3  # interpolated
    losses[2] = np.nan
    field = np.log10(values) if scale == "log" else values
    landscape = landscape_of(values, [1, 1, 2, 1], losses=losses)
    fields = list(resampled_fields(landscape, field, scale, 50, 3))
    assert len(fields) == 50
    counts = [(a, b, 3 - a - b) for a in range(4) for b in range(4 - a)]
    means = np.array([losses @ np.array(count) / 3 for count in counts])
    possible = np.log10(means) if scale == "log" else means
    seen = set()
    for found in fields:
        away = np.abs(possible[:, [0, 1, 3]] - found[[0, 1, 3]]).max(axis=1)
        assert away.min() < 1e-12
        seen.add(int(away.argmin()))
        moved = (found[1] - field[1] + found[3] - field[3]) / 2
        assert found[2] == pytest.approx(field[2] + moved)
    assert len(seen) > 5
    again = list(resampled_fields(landscape, field, scale, 50, 3))
    np.testing.assert_array_equal(again, fields)
    other = list(resampled_fields(landscape, field, scale, 50, 4))
    assert not np.array_equal(other, fields)


def test_without_several_samples_or_draws_there_are_no_fields():
    values = LOSSES.mean(axis=1)
    status = np.full(4, EVALUATED)
    landscape = landscape_of(values, status, losses=LOSSES)
    assert resampled_fields(landscape, values, "linear", 1, 0) is not None
    assert resampled_fields(landscape, values, "linear", 0, 0) is None
    assert resampled_fields(landscape_of(values, status), values, "linear", 9, 0) is None
    two, one = (landscape_of(values, status, losses=LOSSES[:, :count]) for count in (2, 1))
    assert resampled_fields(two, values, "linear", 9, 0) is not None
    assert resampled_fields(one, values, "linear", 9, 0) is None
    nowhere = landscape_of(values, status, losses=np.full((4, 3), np.nan))
    assert resampled_fields(nowhere, values, "linear", 9, 0) is None


def test_the_central_95_percent():
    sizes = np.random.default_rng(0).permutation(1001).astype(float)
    assert percentiles(list(sizes)) == (25.0, 975.0)


@pytest.mark.parametrize("level", [0.3, 0.35, 0.4, 0.45, 0.5])
@pytest.mark.parametrize("limit", [10**9, 9_000, 3_800, 1])
def test_a_large_region_is_compared_with_fewer_parts_or_a_grid_twice_as_coarse(
    level, limit, monkeypatch
):
    spacing = np.array([0.1, 0.1])
    values = bowl((31, 31), spacing, (1.0, 1.0))
    _, region, vertex = region_of(values, spacing, level)
    monkeypatch.setattr(region_errors, "_FINER_POINTS", {2: limit})
    found = discretization_error(values, spacing, level, region, vertex)
    size = 2 * np.pi * level
    if limit == 1:
        around_the_minimum = values[15 % 2 :: 2, 15 % 2 :: 2]
        _, coarse, _ = region_of(around_the_minimum, 2 * spacing, level)
        assert found == pytest.approx(abs(coarse.size - region.size) / 3)
    else:
        # without the finer grid's own error it would be 15/16, 8/9 and 3/4 of it
        assert found == pytest.approx(size - region.size, rel=0.06)


def test_the_discretization_error_of_a_ball():
    axis = (np.arange(25) - 12) * 0.1
    values = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / 2
    spacing = np.full(3, 0.1)
    _, region, vertex = region_of(values, spacing, 0.125)
    found = discretization_error(values, spacing, 0.125, region, vertex)
    true = 4 / 3 * np.pi * 0.5**3
    assert found == pytest.approx(true - region.size, rel=0.1)
