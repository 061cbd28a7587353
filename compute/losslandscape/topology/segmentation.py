"""Segmentation of the domain by the ends of V-paths: basins of minima, regions of maxima."""

from __future__ import annotations

import numpy as np

from losslandscape.topology.discrete_gradient import OUTSIDE, DiscreteGradient
from losslandscape.topology.scalar_field import ScalarField
from losslandscape.topology.v_paths import path_ends

# Star triangles of an inner vertex in TTK's order, as (di, dj, which): one of the two triangles of
# the square (i + di, j + dj).
_STAR_ORDER = ((-1, 0, 0), (-1, 0, 1), (0, 0, 0), (0, -1, 0), (0, -1, 1), (-1, -1, 1))


def minimum_labels(field: ScalarField, gradient: DiscreteGradient) -> np.ndarray:
    """Return the index of the minimum to which each vertex descends; -1 outside the domain.

    Returns
    -------
    ndarray, shape (n_vertices,), int32
    """
    labels = np.full(field.order.size, -1, dtype=np.int32)
    labels[gradient.minima] = np.arange(gradient.minima.size)
    if gradient.minima.size == 1 and not field.has_holes:
        labels[:] = 0
        return labels
    return labels.take(path_ends(gradient.next_vertex))


def maximum_labels(gradient: DiscreteGradient) -> np.ndarray:
    """Return the index of the maximum to which each triangle ascends, or -1.

    Paths that leave the domain through its boundary lead to no maximum.

    Returns
    -------
    ndarray, shape (n_triangles,), int32
    """
    labels = np.full(gradient.grid.triangle_count, -1, dtype=np.int32)
    if gradient.critical_triangles.size == 0:
        return labels
    labels[gradient.critical_triangles] = np.arange(gradient.critical_triangles.size)
    return labels.take(path_ends(gradient.next_triangle))


def maximum_labels_1d(field: ScalarField, gradient: DiscreteGradient) -> np.ndarray:
    """Return the index of the maximum to which each edge of a 1-D field ascends, or -1.

    Returns
    -------
    ndarray, shape (n_edges,), int32
    """
    edge_count = gradient.grid.edge_count
    maxima = gradient.critical_edges
    labels = np.full(edge_count, -1, dtype=np.int32)
    labels[maxima] = np.arange(maxima.size)
    vertices = np.arange(gradient.grid.vertex_count)
    descending = vertices[gradient.next_vertex != vertices]
    edge = gradient.paired_edge(descending)
    # The other edge of the vertex; its two edges are vertex - 1 and vertex.
    following = 2 * descending - 1 - edge
    inside = (following >= 0) & (following < edge_count)
    inside[inside] = _edges_in_domain(field)[following[inside]]
    successor = np.arange(edge_count)
    successor[edge[inside]] = following[inside]
    return labels.take(path_ends(successor))


def segmentation(
    field: ScalarField,
    gradient: DiscreteGradient,
    basins: np.ndarray,
    regions: np.ndarray,
) -> dict[str, np.ndarray]:
    """Assign each vertex its basin, its region and its cell of the complex.

    Parameters
    ----------
    basins : ndarray, shape (n_vertices,)
        From :func:`minimum_labels`.
    regions : ndarray, shape (n_triangles,) or, in one dimension, (n_edges,)
        From :func:`maximum_labels` or :func:`maximum_labels_1d`.

    Returns
    -------
    dict of ndarray, shape (ny, nx), int32
        ``DescendingManifold``: index of the minimum; ``AscendingManifold``: index of the maximum,
        or -1; ``MorseSmaleManifold``: one number for each pair of the two. As in TTK, all vertices
        in no maximum's region share the lowest number. All -1 outside the domain.
    """
    shape = field.order.shape
    if field.dimension == 1:
        first = _first_edge(field)
        maximum_count = gradient.critical_edges.size
    else:
        first = _first_triangle(gradient)
        maximum_count = gradient.critical_triangles.size
    ascending = np.where(first < 0, np.int32(-1), regions.take(first))
    inside = field.domain.ravel()
    cells = np.full(basins.size, -1, dtype=np.int32)
    region, basin = ascending[inside], basins[inside]
    pairs = np.where(region < 0, np.int64(0), basin * np.int64(maximum_count) + region + 1)
    cells[inside] = _consecutive(pairs, gradient.minima.size * maximum_count + 1)
    return {
        "AscendingManifold": ascending.reshape(shape),
        "DescendingManifold": basins.reshape(shape),
        "MorseSmaleManifold": cells.reshape(shape),
    }


def _first_triangle(gradient: DiscreteGradient) -> np.ndarray:
    """Return the first triangle in the star of each vertex, -1 if none is in the domain.

    A vertex takes the label of that triangle, so the star must have TTK's order.
    """
    ny, nx = gradient.grid.ny, gradient.grid.nx
    triangles = np.arange(gradient.grid.triangle_count, dtype=np.intp).reshape(ny - 1, nx - 1, 2)
    first = np.empty((ny, nx), dtype=np.intp)
    first[:-1, 1:] = triangles[:, :, 0]
    first[-1, :-1] = triangles[-1, :, 0]
    first[-1, -1] = triangles[-1, -1, 1]
    first[1:, 0] = triangles[:, 0, 0]
    first[0, 0] = triangles[0, 0, 0]
    first = first.ravel()
    unsettled = np.flatnonzero(gradient.triangle_pairing.take(first) == OUTSIDE)
    first[unsettled] = -1
    for di, dj, upper in _STAR_ORDER:
        j, i = np.divmod(unsettled, nx)
        i, j = i + di, j + dj
        in_grid = (i >= 0) & (j >= 0) & (i < nx - 1) & (j < ny - 1)
        candidate = np.where(in_grid, 2 * (i + j * (nx - 1)) + upper, 0)
        fits = in_grid & (gradient.triangle_pairing.take(candidate) != OUTSIDE)
        first[unsettled[fits]] = candidate[fits]
        unsettled = unsettled[~fits]
    return first


def _first_edge(field: ScalarField) -> np.ndarray:
    """Return the edge before each vertex of a 1-D field, otherwise the one after it, or -1."""
    edge = _edges_in_domain(field)
    before = np.append(False, edge)
    after = np.append(edge, False)
    vertex = np.arange(before.size)
    return np.where(before, vertex - 1, np.where(after, vertex, -1))


def _edges_in_domain(field: ScalarField) -> np.ndarray:
    inside = field.domain.ravel()
    return inside[:-1] & inside[1:]


def _consecutive(numbers: np.ndarray, bound: int) -> np.ndarray:
    """Renumber non-negative integers below a bound from 0, keeping their order."""
    if bound <= 4 * numbers.size:
        present = np.zeros(bound, dtype=bool)
        present[numbers] = True
        return (np.cumsum(present, dtype=np.int32) - np.int32(1)).take(numbers)
    return np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape)
