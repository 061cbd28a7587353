"""A plane is cut where an exploding corner would hide the rest, and nowhere else."""

import numpy as np
import pytest

from losslandscape.views.robust_ceiling import robust_ceiling

SIDE = np.linspace(-1, 1, 21)
BOWL = 0.1 + np.add.outer(3 * SIDE**2, SIDE**2)


def with_block(rows, columns, value):
    plane = BOWL.copy()
    plane[rows, columns] = value
    return plane


@pytest.mark.parametrize(
    ("plane", "scale"),
    [
        (with_block(slice(0, 3), slice(0, 4), 1e6), "linear"),
        (with_block(slice(0, 3), slice(0, 4), 1e30), "log"),
    ],
)
def test_an_exploding_corner_is_cut_above_almost_all_other_points(plane, scale):
    ceiling = robust_ceiling(plane, scale)
    rest = plane[plane < 1e4]
    assert np.quantile(rest, 0.9) < ceiling < 1.2 * rest.max()


@pytest.mark.parametrize(
    ("plane", "why"),
    [
        (BOWL, "nothing explodes"),
        (with_block(10, 10, 1e6), "a peak inside the plane"),
        (with_block([0, 10], [0, 10], 1e6), "a peak inside and a corner"),
        (with_block(slice(0, 6), slice(0, 6), 1e6), "more than 5% of the points"),
        (with_block(slice(0, 2), slice(0, 3), np.inf), "infinite losses are holes"),
        (with_block(slice(None), 10, 1e6), "a wall between two basins"),
        (with_block(0, 0, 10.0), "the others have a quarter of the height"),
        (np.full((21, 21), np.nan), "only holes"),
        (np.arange(441.0).reshape(21, 21) * 5e-324, "nothing explodes, however small"),
        (np.where(np.arange(441).reshape(21, 21) < 9, 5.0, 1.0), "the others are a plateau"),
    ],
)
def test_nothing_is_cut_where_it_would_hide_something(plane, why):
    assert robust_ceiling(plane, "linear") is None, why


def test_a_cut_next_to_a_hole_is_an_explosion():
    plane = with_block(slice(9, 12), slice(9, 12), 1e6)
    plane[10, 10] = np.nan
    assert robust_ceiling(plane, "linear") is not None
