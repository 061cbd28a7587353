"""Grids of unequal axes, so that no axis can stand for another."""

import numpy as np
import pytest

from losslandscape import Grid
from losslandscape.errors import LossLandscapeError


def test_geometry_of_a_box_of_unequal_axes():
    grid = Grid.rectangle((2, 3, 5), ((-1, 1), (0, 4), (2, 10)))
    assert grid.dimensions == 3
    assert grid.axis_names == ("alpha", "beta", "gamma")
    assert grid.shape == (5, 3, 2)
    assert grid.size == 30
    assert grid.origin == (-1.0, 0.0, 2.0)
    assert grid.spacing == (2.0, 2.0, 2.0)
    assert [axis.tolist() for axis in grid.axes()] == [[-1, 1], [0, 2, 4], [2, 4, 6, 8, 10]]
    expected = [(a, b, c) for c in (2, 4, 6, 8, 10) for b in (0, 2, 4) for a in (-1, 1)]
    np.testing.assert_array_equal(grid.points(), expected)


@pytest.mark.parametrize(("make", "axes"), [(Grid.line, 1), (Grid.square, 2), (Grid.cube, 3)])
def test_centered_grids(make, axes):
    assert make(5) == Grid((5,) * axes, ((-1.0, 1.0),) * axes)
    assert make(4, 2.5) == Grid((4,) * axes, ((-2.5, 2.5),) * axes)


@pytest.mark.parametrize(("low", "high", "count"), [(-1.0, 1.0, 7), (-0.3, 1.7, 10), (5.0, 6.0, 2)])
def test_axes_are_those_of_linspace(low, high, count):
    grid = Grid((count,), ((low, high),))
    np.testing.assert_allclose(grid.axes()[0], np.linspace(low, high, count), rtol=1e-14)
    assert grid.spacing[0] == pytest.approx((high - low) / (count - 1), rel=1e-14)


def test_around_adds_the_margin_of_the_longest_side_to_every_side():
    grid = Grid.around(np.array([[0.0, 10.0], [4.0, 11.0], [1.0, 12.0]]), 0.25, 9)
    assert grid.counts == (9, 9)
    assert grid.bounds == ((-1.0, 5.0), (9.0, 13.0))
    assert Grid.around(np.array([[0.0], [1.0]]), 0.5).counts == (51,)


def test_around_one_point_is_a_grid_all_the_same():
    [(low, high)] = Grid.around(np.zeros((1, 1)), 0.2, 3).bounds
    assert low < 0 < high


def test_resized_keeps_the_bounds():
    grid = Grid.rectangle((4, 3), ((-1, 1), (0, 5))).resized(6)
    assert grid == Grid((6, 6), ((-1.0, 1.0), (0.0, 5.0)))


def test_a_refined_grid_is_the_lattice_in_the_grown_box():
    grid = Grid.rectangle((5, 3), ((0, 4), (0, 20)))
    fine = grid.refined([(0.9, 2.1), (10, 12)], 3)
    assert fine.counts == (10, 4)
    assert fine.bounds == ((0.0, 3.0), (10.0, 20.0))
    assert fine.lattice == ((0, 13, 0.0, 4.0), (3, 7, 0.0, 20.0))
    np.testing.assert_allclose(fine.axes()[0], np.arange(10) / 3, atol=1e-15)
    np.testing.assert_allclose(fine.axes()[1], 10 + np.arange(4) * 10 / 3, rtol=1e-15)


def test_the_end_of_a_box_that_rounding_moves_off_a_point_is_that_point():
    grid = Grid.line(11)  # spacing 0.2
    step = 0.2
    fine = grid.refined([(-0.2 - 1e-9 * step, 0.4 + 1e-9 * step)], 2)
    assert fine.counts == (7,)
    np.testing.assert_allclose(fine.bounds, [(-0.2, 0.4)], atol=1e-15)
    wider = grid.refined([(-0.2 - 1e-3 * step, 0.4 + 1e-3 * step)], 2)
    np.testing.assert_allclose(wider.bounds, [(-0.4, 0.6)], atol=1e-15)


def test_a_box_that_rounding_closes_still_has_an_interval():
    fine = Grid.line(3).refined([(-1e-8, 1e-8)], 4)
    assert fine.counts == (5,)
    assert fine.bounds == ((0.0, 1.0),)


def test_a_factor_of_one_is_the_same_grid_in_the_box():
    assert Grid.line(5).refined([(-0.5, 0.5)], 1).axes()[0].tolist() == [-0.5, 0.0, 0.5]


def test_json_holds_counts_slowest_first_and_the_lattice_of_a_part():
    grid = Grid.rectangle((4, 3), ((0, 3), (0, 2)))
    assert grid.to_json() == {"shape": [3, 4], "bounds": [[0.0, 3.0], [0.0, 2.0]]}
    fine = grid.refined([(1, 2), (0, 1)], 2)
    assert fine.to_json()["lattice"] == [[2, 7, 0.0, 3.0], [0, 5, 0.0, 2.0]]
    assert Grid.from_json(fine.to_json()) == fine
    assert Grid.from_json(grid.to_json()) == grid


def test_two_points_along_an_axis_are_enough_and_counts_may_be_whole_floats():
    grid = Grid((2.0,), ((0, 1),))
    assert grid.counts == (2,)
    assert isinstance(grid.counts[0], int)


@pytest.mark.parametrize(
    ("counts", "bounds", "message"),
    [
        ((), (), "0 counts"),
        ((2,) * 4, ((0, 1),) * 4, "4 counts"),
        ((1,), ((0, 1),), "alpha .* 1 "),
        ((2.5,), ((0, 1),), r"alpha .* 2\.5 "),
        ((2, 2, 1), ((0, 1),) * 3, "gamma .* 1 "),
        ((2,), ((1, 1),), "alpha .* 1 to 1"),
        ((2, 2), ((0, 1), (float("-inf"), 1)), "beta .* -inf to 1"),
        ((2,), ((0, float("nan")),), "alpha .* 0 to nan"),
    ],
)
def test_grids_that_cannot_be(counts, bounds, message):
    with pytest.raises(LossLandscapeError, match=message):
        Grid(counts, bounds)


def test_a_lattice_has_an_entry_an_axis():
    with pytest.raises(LossLandscapeError, match=r"2 axes .* 1"):
        Grid((2, 2), ((0, 1), (0, 1)), ((0, 2, 0.0, 1.0),))


@pytest.mark.parametrize("factor", [0, -1, 1.5])
def test_factors_that_are_no_whole_number_of_1_or_more(factor):
    with pytest.raises(LossLandscapeError, match=f"{factor}"):
        Grid.line(5).refined([(-0.5, 0.5)], factor)
