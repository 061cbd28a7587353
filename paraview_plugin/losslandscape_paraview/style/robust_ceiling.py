"""The ceiling of a plane in which an exploding corner would hide everything else.

`losslandscape.views.robust_ceiling` has the same rule for matplotlib.
"""

import math

import numpy as np

MOST_CUT = 0.05  # the share of points that may be above
FEWEST_TIMES = 4.0  # as high, at least, must the others become in the picture


def robust_ceiling(plane, log):
    """The value at which to cut a plane; None where a cut would help little, or hide a structure.

    A cut is made if 95% of the points lie in the lowest quarter of the heights, if all points above
    it are parts of explosions, regions that reach the border of the plane or a hole, and if they do
    not part the others: a peak inside a plane and a wall between two basins are never cut. The
    ceiling is the 95th percentile, rounded up. A plane with infinite values is not cut: they would
    no longer be holes.

    Args:
        plane: 2D ndarray; NaN in holes.
        log: heights go with the logarithm.

    >>> bowl = np.add.outer(np.arange(-9.0, 10) ** 2, np.arange(-9.0, 10) ** 2)
    >>> robust_ceiling(bowl, False) is None
    True
    >>> bowl[:3, :3] = 1e6
    >>> robust_ceiling(bowl, False)
    130.0
    """
    known = plane[np.isfinite(plane) & ((plane > 0) | (not log))]
    if not known.size or np.isposinf(plane).any():
        return None
    level = np.quantile(known, 1 - MOST_CUT, method="higher")
    low, level, high = ends = [float(end) for end in (known.min(), level, known.max())]
    if not low < level < high:
        return None
    least, middle, most = map(math.log10, ends) if log else ends
    if (middle - least) * FEWEST_TIMES > most - least:
        return None
    ceiling = _rounded_up(level, level if log else level - low)
    return ceiling if level <= ceiling < high and _explodes(plane, ceiling) else None


def _rounded_up(value, size):
    """A value rounded up to two digits of a size."""
    step = 10.0 ** (math.floor(math.log10(size)) - 1)
    return float(f"{math.ceil(value / step) * step:.12g}") if step else value


def _explodes(plane, ceiling):
    """Whether what is above is linked with the border or a hole, and the rest is in one piece."""
    holes = np.pad(np.isnan(plane), 1, constant_values=True)
    above = holes | np.pad(plane > ceiling, 1, constant_values=True)
    first = np.zeros_like(above)
    first.flat[np.flatnonzero(~above)[:1]] = True
    return bool((_grown(holes, above) == above).all() and (_grown(first, ~above) == ~above).all())


def _grown(region, room):
    """All points of a room that are linked with some of them, across the sides of cells."""
    while True:
        grown = region.copy()
        grown[1:] |= region[:-1]
        grown[:-1] |= region[1:]
        grown[:, 1:] |= region[:, :-1]
        grown[:, :-1] |= region[:, 1:]
        grown &= room
        if (grown == region).all():
            return region
        region = grown
