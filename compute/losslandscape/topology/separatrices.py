"""1-separatrices: the V-paths that join saddles with minima and maxima."""

from __future__ import annotations

import numpy as np

from losslandscape.topology.discrete_gradient import DiscreteGradient
from losslandscape.topology.grid_triangulation import (
    COLUMN_EDGE,
    DIAGONAL_EDGE,
    INDEX,
    ROW_EDGE,
    GridTriangulation,
    midpoints,
)
from losslandscape.topology.persistence import highest_vertex
from losslandscape.topology.scalar_field import ScalarField
from losslandscape.topology.v_paths import trace_paths

POINT_ARRAYS = ("ttkMaskScalarField", "CellDimension", "CellId")
CELL_ARRAYS = (
    "SourceId",
    "DestinationId",
    "SeparatrixId",
    "SeparatrixType",
    "SeparatrixFunctionMaximum",
    "SeparatrixFunctionMinimum",
    "SeparatrixFunctionDifference",
    "NumberOfCriticalPointsOnBoundary",
)

_KIND_OF_PAIRING = np.array([ROW_EDGE, ROW_EDGE, COLUMN_EDGE, DIAGONAL_EDGE, ROW_EDGE], np.int8)


class _Paths:
    """V-paths from saddles, each a sequence saddle, cell, edge, cell, ..., extremum.

    ``cells`` holds the vertices or triangles, ``edges`` the edge before each; path p is
    ``offsets[p]:offsets[p + 1]`` of both. The positions of both lie alongside.
    """

    def __init__(self, saddles, cells, offsets):
        self.saddles, self.cells, self.offsets = saddles, cells, offsets
        self.destinations = cells[offsets[1:] - 1]
        self.edges = np.empty(cells.size, dtype=INDEX)
        self.points = np.empty((cells.size, 2, 3), dtype=np.float32)

    def put_saddles(self, grid: GridTriangulation) -> None:
        """Put each path's saddle at its start, over what came from the path before."""
        starts = self.offsets[:-1]
        self.edges[starts] = self.saddles
        self.points[starts, 0] = grid.edge_points(self.saddles)


def _descending_paths(gradient: DiscreteGradient) -> _Paths:
    """Follow both ends of each saddle down to a minimum."""
    grid = gradient.grid
    starts = np.stack(grid.edge_vertices(gradient.critical_edges), axis=1).ravel()
    vertices, offsets = trace_paths(gradient.next_vertex, starts)
    paths = _Paths(np.repeat(gradient.critical_edges, 2), vertices, offsets)
    paths.edges[1:] = gradient.paired_edge(vertices[:-1])
    positions = grid.vertex_points(vertices)
    paths.points[:, 1] = positions
    paths.points[1:, 0] = midpoints(positions[:-1], positions[1:])
    paths.put_saddles(grid)
    return paths


def _ascending_paths(gradient: DiscreteGradient, regions: np.ndarray) -> _Paths:
    """Follow the triangles beside each saddle up to a maximum.

    Paths that leave the domain through its boundary are not kept.
    """
    grid = gradient.grid
    starts = np.stack(grid.edge_triangles(gradient.critical_edges), axis=1).ravel()
    reaches = starts >= 0
    reaches[reaches] = regions[starts[reaches]] >= 0
    triangles, offsets = trace_paths(gradient.next_triangle, starts[reaches])
    paths = _Paths(np.repeat(gradient.critical_edges, 2)[reaches], triangles, offsets)
    passed = triangles[:-1]
    kind = _KIND_OF_PAIRING.take(gradient.triangle_pairing.take(passed))
    paths.edges[1:] = grid.triangle_edge(passed, kind)
    paths.points[:, 1] = grid.triangle_points(triangles)
    paths.points[1:, 0] = grid.triangle_edge_points(passed, kind)
    paths.put_saddles(grid)
    return paths


def separatrices(
    field: ScalarField, gradient: DiscreteGradient, regions: np.ndarray, on_boundary: np.ndarray
) -> dict[str, np.ndarray]:
    """Trace all 1-separatrices of a 2-D field, with TTK's geometry and arrays.

    Two descending ones for each saddle, then the ascending ones (N. Shivashankar, V. Natarajan,
    "Parallel computation of 3D Morse-Smale complexes", Computer Graphics Forum 31(3), 2012,
    section 3.2). Each goes through the positions of its cells: vertices, midpoints of edges,
    incentres of triangles.

    Parameters
    ----------
    regions : ndarray, shape (n_triangles,)
        From :func:`losslandscape.topology.segmentation.maximum_labels`.
    on_boundary : ndarray of bool, shape (n_vertices,)

    Returns
    -------
    dict of ndarray
        ``points`` (m, 3) float32 and ``lines`` (k, 2) int32; ``POINT_ARRAYS`` of length m,
        ``CELL_ARRAYS`` of length k.
    """
    grid = gradient.grid
    values, rank = field.values.ravel(), field.order.ravel()
    down, up = _descending_paths(gradient), _ascending_paths(gradient, regions)

    # Each path has its edges at even places and its vertices or triangles at odd ones.
    below, above = down.cells.size, up.cells.size
    cell_id = np.empty((below + above, 2), dtype=np.int32)
    cell_id[:below, 0], cell_id[below:, 0] = down.edges, up.edges
    cell_id[:below, 1], cell_id[below:, 1] = down.cells, up.cells
    cell_dimension = np.ones((below + above, 2), dtype=np.int8)
    cell_dimension[:below, 1], cell_dimension[below:, 1] = 0, 2
    points = np.concatenate([down.points, up.points])

    offsets = 2 * np.concatenate([down.offsets, below + up.offsets[1:]])
    mask = np.ones(2 * (below + above), dtype=np.int8)
    mask[offsets[:-1]] = 0
    mask[offsets[1:] - 1] = 0
    # A line from each point to the next, but none from a path's end to the next path's start.
    starts_line = np.ones(mask.size, dtype=bool)
    starts_line[offsets[1:] - 1] = False
    line_start = np.flatnonzero(starts_line).astype(np.int32)
    lines = np.stack([line_start, line_start + np.int32(1)], axis=1)

    sources = np.concatenate([down.saddles, up.saddles])
    destinations = np.concatenate([down.destinations, up.destinations])
    # An edge or a triangle spans an interval of the field, a vertex a single value.
    corners = [np.concatenate([down.destinations, v]) for v in grid.triangle_vertices(up.destinations)]
    source_vertices = grid.edge_vertices(sources)
    highest = highest_vertex(rank, source_vertices), highest_vertex(rank, corners)
    lowest = highest_vertex(-rank, source_vertices), highest_vertex(-rank, corners)
    maximum = values[highest_vertex(rank, highest)]
    minimum = values[highest_vertex(-rank, lowest)]
    boundary_count = on_boundary[highest[0]].astype(np.int8) + on_boundary[highest[1]]

    path_type = np.zeros(sources.size, dtype=np.int8)
    path_type[down.saddles.size :] = 1
    with np.errstate(invalid="ignore"):
        difference = np.where(maximum == minimum, 0.0, maximum - minimum)
    path = np.repeat(np.arange(sources.size), np.diff(offsets) - 1)
    return {
        "points": points.reshape(-1, 3),
        "lines": lines,
        "ttkMaskScalarField": mask,
        "CellDimension": cell_dimension.ravel(),
        "CellId": cell_id.ravel(),
        "SourceId": sources.take(path),
        "DestinationId": destinations.take(path),
        "SeparatrixId": path.astype(np.int32),
        "SeparatrixType": path_type.take(path),
        "SeparatrixFunctionMaximum": maximum.take(path),
        "SeparatrixFunctionMinimum": minimum.take(path),
        "SeparatrixFunctionDifference": difference.take(path),
        "NumberOfCriticalPointsOnBoundary": boundary_count.take(path),
    }
