"""The ceiling of planes in which an exploding corner would hide everything else.

`losslandscape.views.robust_ceiling` has the same rule for matplotlib.
"""

import math

import numpy as np

MOST_CUT = 0.05  # the share of points that may be above
FEWEST_TIMES = 4.0  # as high, at least, must the others become in the picture


def robust_ceiling(planes, log):
    """The value at which to cut planes; None where a cut would help little, or hide a structure.

    A cut is made if 95% of the points lie in the lowest quarter of the heights, and if all points
    above it are parts of explosions: regions that reach the border of their plane, or a hole. A
    peak inside a plane is never cut. The ceiling is the 95th percentile, rounded up.

    Args:
        planes: list of 2D ndarrays, the quantity of each panel; NaN in holes.
        log: heights go with the logarithm.

    >>> bowl = np.add.outer(np.arange(-9.0, 10) ** 2, np.arange(-9.0, 10) ** 2)
    >>> robust_ceiling([bowl], False) is None
    True
    >>> bowl[:3, :3] = 1e6
    >>> robust_ceiling([bowl], False)
    130.0
    """
    values = np.concatenate([plane.ravel() for plane in planes])
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not values.size:
        return None
    heights = np.log10(values) if log else values
    low, high = float(heights.min()), float(heights.max())
    level = float(np.quantile(heights, 1 - MOST_CUT, method="higher"))
    if not low < level < high or (level - low) * FEWEST_TIMES > high - low:
        return None
    ceiling = _rounded_up(10**level, 10**level) if log else _rounded_up(level, level - low)
    if not ceiling < values.max() or not all(_explodes(plane, ceiling) for plane in planes):
        return None
    return ceiling


def _rounded_up(value, size):
    """A value rounded up to two digits of a size."""
    step = 10.0 ** (math.floor(math.log10(size)) - 1)
    return float(f"{math.ceil(value / step) * step:.12g}") if step else value


def _explodes(plane, ceiling):
    """Whether each point above the ceiling is linked with the border or a hole by such points."""
    above = np.pad(np.isnan(plane) | (plane > ceiling), 1, constant_values=True)
    reached = np.pad(np.isnan(plane), 1, constant_values=True)
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= above
        if (grown == reached).all():
            return bool((reached == above).all())
        reached = grown
