"""Parts of a flat region that are joined to it, or cut off from it, between grid points only.

A barrier or a passage that is narrower than a spacing may lie between grid points. The field then
bends sharply beside it: down to both sides of a barrier, up from both sides of a passage.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import ndimage

from losslandscape.analysis.sublevel_set import PiecewiseLinearField, Region


def doubtful_points(
    field: PiecewiseLinearField, level: float, region: Region, vertex: int
) -> np.ndarray:
    """Grid points below the level that may or may not be joined to the region.

    Between two grid points at a kink with second difference c, the field may be |c| / 2 above or
    below them. With every value raised by that where the field bends down, points of the region
    that stay below the level but lose their connection may be cut off. With every value lowered
    where it bends up, other points below the level that become connected may belong to it; a
    passage along any diagonal of a cell connects them.

    Parameters
    ----------
    field : PiecewiseLinearField
    level : float
    region : Region
        The field's component at this level that holds the vertex.
    vertex : int

    Returns
    -------
    ndarray of bool, shape of the grid

    Examples
    --------
    Two pits, 2 apart, that meet between grid points:

    >>> x, y = np.meshgrid(np.arange(-8.0, 9.0), np.arange(-4.0, 5.0))
    >>> pits = np.minimum(np.hypot(x + 4.5, y), np.hypot(x - 4.5, y))
    >>> field = PiecewiseLinearField(np.stack([x.ravel(), y.ravel()], axis=1), pits)
    >>> vertex = int(pits.argmin())
    >>> for level in (3.0, 4.6, 6.0):
    ...     region = field.component(level, vertex)
    ...     print(region.vertices.sum(), doubtful_points(field, level, region, vertex).sum())
    26 0
    121 60
    151 0
    """
    values = field.values.reshape(field.shape)
    down, up = _bends(values)
    raised = values + down / 2
    raised.ravel()[vertex] = values.ravel()[vertex]
    kept = field.with_values(raised).component(level, vertex).vertices
    cut_off = region.vertices & (raised <= level) & ~kept
    parts, _ = ndimage.label(values - up / 2 <= level, np.ones((3,) * values.ndim))
    reached = parts == parts.ravel()[vertex]
    return cut_off | (reached & (values <= level) & ~region.vertices)


def _bends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest second differences at each point, downwards and upwards, 0 where none is known.

    They are taken along the axes and the diagonals.
    """
    down, up = np.zeros(values.shape), np.zeros(values.shape)
    padded = np.pad(values, 1, constant_values=np.nan)
    inner = tuple(slice(1, -1) for _ in values.shape)
    for step in product((-1, 0, 1), repeat=values.ndim):
        if step <= (0,) * values.ndim:
            continue  # the opposite step is the same line
        ahead = np.roll(padded, step, axis=tuple(range(values.ndim)))[inner]
        behind = np.roll(padded, tuple(-s for s in step), axis=tuple(range(values.ndim)))[inner]
        second = ahead - 2 * values + behind
        down, up = np.fmax(down, -second), np.fmax(up, second)
    return down, up
