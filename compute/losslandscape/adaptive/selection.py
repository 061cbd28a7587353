"""Which points of a grid to evaluate next, from an interpolated field and its estimated errors."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, special

# Share of the tolerance above which an estimate is checked by an evaluation: at a local minimum of
# the interpolated field, and at its neighbors.
_AT_MINIMUM, _BESIDE_MINIMUM = 0.1, 0.3
_SEPARATION = 0.7  # of two points of a round, relative to their nearest evaluated point


def largest_apart(
    scores: np.ndarray, least: float, count: int, index: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """Places of the largest scores, at a distance: each point also improves its neighbors.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    least : float
        Only scores above this are taken.
    count : int
        Number of places, at most.
    index : ndarray, shape (n, dimensions)
        Positions.
    distance : ndarray, shape (n,)
        From the nearest evaluated point, in the same units.

    Examples
    --------
    >>> line = np.arange(5.0)[:, None]
    >>> largest_apart(np.array([3.0, 4.0, 3.5, 2.0, 0.5]), 1.0, 9, line, np.full(5, 2.0))
    array([1, 3])
    """
    candidates = np.flatnonzero(scores > least)
    # a stable sort: equal scores, as on a symmetric field, keep the grid's order
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    chosen: list[int] = []
    free = np.ones(candidates.size, bool)
    for place, candidate in enumerate(candidates):
        if not free[place]:
            continue
        chosen.append(int(candidate))
        if len(chosen) == count:
            break
        apart = np.linalg.norm(index[candidates] - index[candidate], axis=1)
        reach = np.maximum(distance[candidates], distance[candidate])
        free &= apart >= _SEPARATION * reach
    return np.array(chosen, int)


def at_minima(field: np.ndarray, estimates: np.ndarray, tolerance: float) -> np.ndarray:
    """Points at and beside a field's minima whose estimated errors are not far below a limit.

    A cusp is a minimum, and the interpolated field is too smooth there. Its neighbors on the grid,
    diagonal ones included, are looked at too.

    Parameters
    ----------
    field : ndarray, shape ``grid.shape``
        Evaluated and interpolated values; not finite where unknown.
    estimates : ndarray, shape ``grid.shape``
        Estimated errors, in the units of the tolerance; 0 where evaluated.

    Returns
    -------
    ndarray of bool, shape ``grid.shape``
        A tenth of the tolerance at a minimum, or three tenths beside it, are too much.

    Examples
    --------
    >>> field = np.array([3.0, 1.0, 2.0, 4.0, 3.5])
    >>> at_minima(field, np.array([0.0, 0.2, 0.2, 0.4, 0.4]), 1.0)
    array([False,  True, False,  True,  True])
    """
    low = np.where(np.isfinite(field), field, np.inf)
    minima = (ndimage.minimum_filter(low, 3, mode="nearest") == low) & np.isfinite(field)
    minima &= ndimage.maximum_filter(low, 3, mode="nearest") > low  # no plateau
    beside = ndimage.maximum_filter(minima, 3)
    wanted = (minima & (estimates > _AT_MINIMUM * tolerance)) | (
        beside & (estimates > _BESIDE_MINIMUM * tolerance)
    )
    return wanted & np.isfinite(estimates)


def bend(field: np.ndarray) -> np.ndarray:
    """Largest second difference along an axis, at each point or one beside it.

    Parameters
    ----------
    field : ndarray, shape ``grid.shape``

    Returns
    -------
    ndarray, shape ``grid.shape``
        Absolute values, in units of the field per squared spacing; 0 where none is finite.

    Examples
    --------
    >>> bend(np.array([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
    array([0., 0., 1., 1., 1., 0., 0., 0., 0.])
    """
    found = np.zeros(field.shape)
    for axis in range(field.ndim):
        inner = [slice(None)] * field.ndim
        inner[axis] = slice(1, -1)
        second = np.zeros(field.shape)
        second[tuple(inner)] = np.abs(np.diff(field, 2, axis=axis))
        found = np.fmax(found, np.where(np.isfinite(second), second, 0.0))
    return ndimage.maximum_filter(found, 3)


def largest_of(errors: np.ndarray, count: int) -> float:
    """The largest error to expect of some points, from the errors of a few random ones of them.

    The largest of n normal errors is about at the quantile n / (n + 1) of their absolute values.
    Errors are normal where the field is rough. Where it is smooth, most are far below the largest,
    and so are those of random points.

    Parameters
    ----------
    errors : ndarray, shape (n,)
        Absolute errors of the random points; those that are not finite are left out.
    count : int
        Number of points.

    Returns
    -------
    float
        No less than the largest error; 0 if none is finite.

    Examples
    --------
    >>> round(largest_of(np.array([0.2, 1.0, 0.5]), 2000), 2)
    3.03
    """
    finite = errors[np.isfinite(errors)]
    if not finite.size:
        return 0.0
    few, all_points = (special.ndtri((1 + n / (n + 1)) / 2) for n in (finite.size, count))
    return float(finite.max() * max(1.0, all_points / few))
