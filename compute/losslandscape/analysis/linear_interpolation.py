"""Linear interpolation between scattered points, as a matrix."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import Delaunay, QhullError, cKDTree


def linear_interpolation_matrix(points: np.ndarray, targets: np.ndarray) -> csr_matrix:
    """The matrix that maps values at some points to their linear interpolant at targets.

    Interpolation is linear on the simplices of a Delaunay triangulation (in one dimension, between
    neighboring points). Outside the hull of the points, it takes the value of the nearest point.
    Rows are convex combinations, so the interpolant stays between the smallest and the largest
    value.

    Parameters
    ----------
    points : ndarray, shape (n, dimensions)
    targets : ndarray, shape (m, dimensions)

    Returns
    -------
    csr_matrix, shape (m, n)
        Rows add up to 1.

    Examples
    --------
    >>> weights = linear_interpolation_matrix(np.array([[0.0], [4.0]]), np.array([[1.0], [9.0]]))
    >>> weights @ np.array([10.0, 20.0])
    array([12.5, 20. ])
    """
    if not len(targets):
        return csr_matrix((0, len(points)))
    found = _containing_simplices(points, targets)
    nearest = cKDTree(points).query(targets)[1]
    corners = np.repeat(nearest[:, None], points.shape[1] + 1, axis=1)
    weights = np.zeros(corners.shape)
    weights[:, 0] = 1.0
    if found is not None:
        inside, corners_inside, weights_inside = found
        corners[inside], weights[inside] = corners_inside, weights_inside
    rows = np.repeat(np.arange(len(targets)), corners.shape[1])
    matrix = csr_matrix((weights.ravel(), (rows, corners.ravel())), (len(targets), len(points)))
    matrix.eliminate_zeros()
    return matrix


def _containing_simplices(
    points: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Whether each target lies in the hull; the corners around those that do, and their weights."""
    if points.shape[1] == 1:
        return _containing_segments(points[:, 0], targets[:, 0])
    try:
        triangulation = Delaunay(points)
    except QhullError:  # fewer points than a simplex has, or all on a line
        return None
    simplex = triangulation.find_simplex(targets)
    inside = simplex >= 0
    transform = triangulation.transform[simplex[inside]]
    offset = targets[inside] - transform[:, -1]
    most = np.einsum("kij,kj->ki", transform[:, :-1], offset)
    weights = np.column_stack([most, 1 - most.sum(axis=1)])
    # rounding may put a target on a facet outside
    weights = np.clip(weights, 0, 1)
    weights /= weights.sum(axis=1, keepdims=True)
    return inside, triangulation.simplices[simplex[inside]], weights


def _containing_segments(
    points: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    if len(points) < 2:
        return None
    order = np.argsort(points)
    sorted_points = points[order]
    inside = (targets >= sorted_points[0]) & (targets <= sorted_points[-1])
    upper = np.clip(np.searchsorted(sorted_points, targets[inside]), 1, len(points) - 1)
    low, high = sorted_points[upper - 1], sorted_points[upper]
    share = (targets[inside] - low) / (high - low)
    corners = np.column_stack([order[upper - 1], order[upper]])
    return inside, corners, np.column_stack([1 - share, share])
