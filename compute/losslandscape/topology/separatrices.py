"""1-separatrices: the V-paths that join saddles with minima and maxima."""

from __future__ import annotations

from dataclasses import dataclass

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

# Cells of paths processed at a time.
_PART = 1 << 15

_KIND_OF_PAIRING = np.array([ROW_EDGE, ROW_EDGE, COLUMN_EDGE, DIAGONAL_EDGE, ROW_EDGE], np.int8)


@dataclass(frozen=True)
class _Paths:
    """V-paths from saddles, each a sequence saddle, cell, edge, cell, ..., extremum.

    ``cells`` holds the vertices or triangles; the edges follow from them. Path p is
    ``cells[offsets[p]:offsets[p + 1]]``.
    """

    saddles: np.ndarray
    cells: np.ndarray
    offsets: np.ndarray

    @property
    def destinations(self) -> np.ndarray:
        return self.cells[self.offsets[1:] - 1]

    def parts(self):
        """Cut the cells into slices small enough for their arrays to stay in the cache."""
        for start in range(0, self.cells.size, _PART):
            yield slice(start, min(start + _PART, self.cells.size))

    def put_saddles(self, grid: GridTriangulation, ids: np.ndarray, points: np.ndarray) -> None:
        """Write each path's saddle at its start, over the entry from the previous path."""
        starts = self.offsets[:-1]
        ids[starts, 0] = self.saddles
        points[starts, 0] = grid.edge_points(self.saddles)


def _descending_paths(gradient: DiscreteGradient, saddles: np.ndarray) -> _Paths:
    """Follow both ends of each saddle down to a minimum."""
    starts = np.stack(gradient.grid.edge_vertices(saddles), axis=1).ravel()
    return _Paths(np.repeat(saddles, 2), *trace_paths(gradient.next_vertex, starts))


def _ascending_paths(
    gradient: DiscreteGradient, saddles: np.ndarray, regions: np.ndarray
) -> _Paths:
    """Follow the triangles at each saddle up to a maximum.

    Paths that leave the domain through its boundary are dropped.
    """
    starts = np.stack(gradient.grid.edge_triangles(saddles), axis=1).ravel()
    reaches = starts >= 0
    reaches[reaches] = regions[starts[reaches]] >= 0
    paths = trace_paths(gradient.next_triangle, starts[reaches])
    return _Paths(np.repeat(saddles, 2)[reaches], *paths)


def _put_descending(
    gradient: DiscreteGradient, paths: _Paths, ids: np.ndarray, points: np.ndarray
) -> None:
    """Write ids and positions of descending paths, each cell after the edge that leads to it."""
    grid = gradient.grid
    for part in paths.parts():
        vertices = paths.cells[part]
        ids[part, 1] = vertices
        points[part, 1] = grid.vertex_points(vertices)
        after = ids[part.start + 1 : part.stop + 1, 0]
        after[:] = gradient.paired_edge(vertices)[: len(after)]
        seen = points[max(part.start - 1, 0) : part.stop]
        seen[1:, 0] = midpoints(seen[:-1, 1], seen[1:, 1])
    paths.put_saddles(grid, ids, points)


def _put_ascending(
    gradient: DiscreteGradient, paths: _Paths, ids: np.ndarray, points: np.ndarray
) -> None:
    """Write ids and positions of ascending paths, each cell after the edge that leads to it."""
    grid = gradient.grid
    for part in paths.parts():
        triangles = paths.cells[part]
        ids[part, 1] = triangles
        points[part, 1] = grid.triangle_points(triangles)
        after = slice(part.start + 1, part.stop + 1)
        left = triangles[: len(ids[after])]
        kind = _KIND_OF_PAIRING.take(gradient.triangle_pairing.take(left))
        ids[after, 0] = grid.triangle_edge(left, kind)
        points[after, 0] = grid.triangle_edge_points(left, kind)
    paths.put_saddles(grid, ids, points)


def separatrices(
    field: ScalarField, gradient: DiscreteGradient, regions: np.ndarray, on_boundary: np.ndarray
) -> dict[str, np.ndarray]:
    """Trace all 1-separatrices of a 2-D field, with TTK's geometry and arrays; a 1-D one has none.

    The two descending 1-separatrices of each saddle come first, then the ascending ones (N.
    Shivashankar, V. Natarajan, "Parallel computation of 3D Morse-Smale complexes", Computer
    Graphics Forum 31(3), 2012). Each passes through the positions of its cells: vertices,
    midpoints of edges, incenters of triangles.

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
    # In one dimension, critical edges are maxima.
    saddles = gradient.critical_edges if field.dimension == 2 else gradient.critical_edges[:0]
    down = _descending_paths(gradient, saddles)
    up = _ascending_paths(gradient, saddles, regions)

    # Each path has edges at even places and vertices or triangles at odd places.
    below, above = down.cells.size, up.cells.size
    cell_id = np.empty((below + above, 2), dtype=INDEX)
    points = np.empty((below + above, 2, 3), dtype=np.float32)
    _put_descending(gradient, down, cell_id[:below], points[:below])
    _put_ascending(gradient, up, cell_id[below:], points[below:])
    cell_dimension = np.ones((below + above, 2), dtype=np.int8)
    cell_dimension[:below, 1], cell_dimension[below:, 1] = 0, 2

    offsets = 2 * np.concatenate([down.offsets, below + up.offsets[1:]])
    mask = np.ones(2 * (below + above), dtype=np.int8)
    mask[offsets[:-1]] = 0
    mask[offsets[1:] - 1] = 0
    # A line from each point to the next, but not from the end of a path to the next path.
    starts_line = np.ones(mask.size, dtype=bool)
    starts_line[offsets[1:] - 1] = False
    line_start = np.flatnonzero(starts_line).astype(np.int32)
    lines = np.stack([line_start, line_start + np.int32(1)], axis=1)

    sources = np.concatenate([down.saddles, up.saddles])
    destinations = np.concatenate([down.destinations, up.destinations])
    # An edge or a triangle spans an interval of the field, a vertex a single value.
    corners = [
        np.concatenate([down.destinations, v]) for v in grid.triangle_vertices(up.destinations)
    ]
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
