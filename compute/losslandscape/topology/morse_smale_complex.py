"""The Morse-Smale complex of a scalar field, with TTK's schema."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from losslandscape.topology.discrete_gradient import DiscreteGradient
from losslandscape.topology.grid_triangulation import RING, GridTriangulation
from losslandscape.topology.persistence import highest_vertex, morse_pairs, pair_arrays
from losslandscape.topology.scalar_field import FieldError, ScalarField, scalar_field, shown
from losslandscape.topology.segmentation import (
    maximum_labels,
    maximum_labels_1d,
    minimum_labels,
    segmentation,
)
from losslandscape.topology.separatrices import separatrices
from losslandscape.topology.simplification import check_threshold, simplified_field


@dataclass(frozen=True)
class MorseSmaleComplex:
    """The Morse-Smale complex of a scalar field, with TTK's arrays, values and names.

    Attributes
    ----------
    critical_points : dict of ndarray
        ``points`` (n, 3) float32: vertices for minima, midpoints of edges for saddles, incenters
        of triangles for maxima. ``CellDimension`` int8: 0 minimum, 1 saddle, 2 maximum (in one
        dimension 0 and 1). ``CellId`` int32. ``loss`` float64: the field at
        ``ttkVertexScalarField`` int32, the highest vertex of the cell. ``IsOnBoundary`` int8:
        whether that vertex is on the boundary. ``ManifoldSize`` int32: number of vertices in the
        basin of a minimum or the region of a maximum. Beyond TTK: ``pair`` int32, the index of the
        point's pair in ``persistence_pairs``, and ``persistence`` float64 of that pair. It is
        infinite if the pair never ends: for the lowest minimum of each component of the domain,
        and for one saddle per hole.
    separatrices : dict of ndarray
        ``points`` (m, 3) float32 and ``lines`` (k, 2) int32 into them; ``ttkMaskScalarField``,
        ``CellDimension``, ``CellId`` for each point; ``SourceId``, ``DestinationId``,
        ``SeparatrixId``, ``SeparatrixType`` (0 to a minimum, 1 to a maximum),
        ``SeparatrixFunctionMaximum``, ``...Minimum``, ``...Difference`` and
        ``NumberOfCriticalPointsOnBoundary`` for each line. Empty in one dimension.
    segmentation : dict of ndarray, shape of the field, int32
        ``DescendingManifold``, the basins of minima; ``AscendingManifold``, the regions of maxima,
        or -1; ``MorseSmaleManifold``. Minima and maxima are numbered in the order of
        ``critical_points``. -1 outside the domain.
    persistence_pairs : dict of ndarray, shape (p,)
        As returned by :func:`losslandscape.topology.persistence_pairs`.
    values : ndarray, float64
        The field of the complex: the field passed or, with a persistence threshold, the simplified
        field.
    domain : ndarray of bool
        Where the field has a value. Everything above refers to this part of the grid alone.
    has_holes : bool
        Whether any vertex lies outside the domain.
    """

    critical_points: dict[str, np.ndarray]
    separatrices: dict[str, np.ndarray]
    segmentation: dict[str, np.ndarray]
    persistence_pairs: dict[str, np.ndarray]
    values: np.ndarray
    domain: np.ndarray
    has_holes: bool


def morse_smale_complex(
    values, origin=(0.0, 0.0, 0.0), spacing=(1.0, 1.0, 1.0), persistence=0.0
) -> MorseSmaleComplex:
    """Compute the Morse-Smale complex of a scalar field on a regular grid.

    Parameters
    ----------
    values : array_like, shape (ny, nx) or (n,)
        ``values[j, i]`` is at ``origin + (i, j) * spacing``. NaN marks vertices outside the
        domain; cells with such a vertex do not exist. Infinite values are ordered like any other.
    origin, spacing : sequence of 1 to 3 floats
        Position of ``values[0, 0]`` and the steps along x, y, z.
    persistence : float
        If above 0, first remove the pairs of extremum and saddle up to this persistence, in the
        units of the values, as :func:`losslandscape.topology.simplify` does.

    Returns
    -------
    MorseSmaleComplex

    Raises
    ------
    FieldError
        If the field is not 1-D or 2-D, is not real, has fewer than 2 points along an axis, is NaN
        everywhere or constant; if the threshold is negative or NaN; if origin or spacing is not 1
        to 3 finite numbers, or a step is not positive.

    Notes
    -----
    Discrete gradient: Robins, Wood, Sheppard 2011. Complex from its V-paths: Shivashankar and
    Natarajan 2012. Conventions for triangulation, ties, order and names: TTK (J. Tierny, G.
    Favelier, J. A. Levine, C. Gueunet, M. Michaux, "The Topology ToolKit", IEEE TVCG 24(1), 2018;
    first online 2017). Simplification: J. Lukasczyk, C. Garth, R. Maciejewski, J. Tierny,
    "Localized Topological Simplification of Scalar Data", IEEE TVCG 27(2), 2021 (online 2020).
    Time grows as n log n.

    Examples
    --------
    >>> complex_ = morse_smale_complex([[0.0, 5.0, 1.0], [2.0, 6.0, 3.0]])
    >>> complex_.critical_points["CellDimension"]
    array([0, 0, 1], dtype=int8)
    >>> complex_.critical_points["persistence"]
    array([inf,  4.,  4.])
    >>> complex_.segmentation["DescendingManifold"]
    array([[0, 0, 1],
           [0, 1, 1]], dtype=int32)
    """
    threshold = check_threshold(persistence)
    field = scalar_field(values)
    if threshold > 0:
        field = simplified_field(field, threshold)
    grid = GridTriangulation(
        field.values.shape, _vector(origin, "origin"), _vector(spacing, "spacing", positive=True)
    )
    gradient = DiscreteGradient(field, grid)
    basins = minimum_labels(field, gradient)
    if field.dimension == 1:
        regions = maximum_labels_1d(field, gradient)
        pairs = morse_pairs(field, gradient, basins, None)
    else:
        regions = maximum_labels(gradient)
        pairs = morse_pairs(field, gradient, basins, regions)
    manifolds = segmentation(field, gradient, basins, regions)
    on_boundary = _on_boundary(field).ravel()
    diagram, pair_of = pair_arrays(field, gradient, pairs)
    critical_points = _critical_points(field, gradient, manifolds, on_boundary)
    critical_points["pair"] = pair_of
    critical_points["persistence"] = np.where(
        diagram["IsFinite"] == 1, diagram["Persistence"], np.inf
    )[pair_of]

    shape = np.shape(values)
    return MorseSmaleComplex(
        critical_points=critical_points,
        separatrices=separatrices(field, gradient, regions, on_boundary),
        segmentation={name: labels.reshape(shape) for name, labels in manifolds.items()},
        persistence_pairs=diagram,
        values=field.values.reshape(shape),
        domain=field.domain.reshape(shape),
        has_holes=field.has_holes,
    )


def _vector(numbers, name: str, positive: bool = False) -> tuple[float, ...]:
    try:
        array = np.empty(0) if isinstance(numbers, (str, bytes)) else np.asarray(numbers)
        array = array.astype(np.float64) if array.dtype.kind in "iuf" else np.empty(0)
    except Exception:  # whatever the conversion of an object raises
        array = np.empty(0)
    if array.ndim != 1 or not 1 <= array.size <= 3 or not np.isfinite(array).all():
        raise FieldError(f"{name} must be 1 to 3 finite numbers (x, y, z); it is {shown(numbers)}")
    if positive and array.min() <= 0:
        raise FieldError(f"{name} must be positive along each axis; it is {shown(numbers)}")
    return tuple(array.tolist())


def _on_boundary(field: ScalarField) -> np.ndarray:
    """Mark the vertices of the domain with a missing neighbor."""
    ny, nx = field.order.shape
    inside = np.zeros((ny + 2, nx + 2), dtype=bool)
    inside[1:-1, 1:-1] = field.domain
    ring = RING if field.dimension == 2 else ((1, 0), (-1, 0))
    surrounded = np.ones((ny, nx), dtype=bool)
    for di, dj in ring:
        surrounded &= inside[1 + dj : 1 + dj + ny, 1 + di : 1 + di + nx]
    return ~surrounded


def _critical_points(
    field: ScalarField,
    gradient: DiscreteGradient,
    manifolds: dict[str, np.ndarray],
    on_boundary: np.ndarray,
) -> dict[str, np.ndarray]:
    grid, rank = gradient.grid, field.order.ravel()
    minima, edges, triangles = gradient.minima, gradient.critical_edges, gradient.critical_triangles
    counts = (minima.size, edges.size, triangles.size)
    vertices = np.concatenate(
        [
            minima,
            highest_vertex(rank, grid.edge_vertices(edges)),
            highest_vertex(rank, grid.triangle_vertices(triangles)),
        ]
    )
    maximum_count = counts[2] if field.dimension == 2 else counts[1]
    size = np.zeros(sum(counts), dtype=np.int32)
    for name, labeled in (
        ("DescendingManifold", size[: counts[0]]),
        ("AscendingManifold", size[size.size - maximum_count :]),
    ):
        labels = manifolds[name]
        labeled[:] = np.bincount(labels[labels >= 0], minlength=labeled.size)
    return {
        "points": np.concatenate(
            [grid.vertex_points(minima), grid.edge_points(edges), grid.triangle_points(triangles)]
        ),
        "CellDimension": np.repeat(np.arange(3, dtype=np.int8), counts),
        "CellId": np.concatenate([minima, edges, triangles]).astype(np.int32),
        "loss": field.values.ravel()[vertices],
        "IsOnBoundary": on_boundary[vertices].astype(np.int8),
        "ttkVertexScalarField": vertices.astype(np.int32),
        "ManifoldSize": size,
    }
