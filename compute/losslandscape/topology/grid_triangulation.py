"""The regular grid as a simplicial complex: Freudenthal's triangulation with TTK's cell ids."""

from __future__ import annotations

import numpy as np

# The link of an inner vertex is a ring of 6 neighbours, named by their step (di, dj). Star
# triangle k of a vertex lies between its neighbours k and k + 1 (modulo 6).
EAST, NORTH_EAST, NORTH, WEST, SOUTH_WEST, SOUTH = range(6)
RING = ((1, 0), (1, -1), (0, -1), (-1, 0), (-1, 1), (0, 1))

# The three edges of a triangle, in the order of TTK's edge sets.
ROW_EDGE, COLUMN_EDGE, DIAGONAL_EDGE = range(3)


class GridTriangulation:
    """Vertices, edges and triangles of a regular grid of ``nx`` by ``ny`` vertices.

    Each grid square is split by the diagonal from (i+1, j) to (i, j+1). Vertices are numbered x
    fastest. Edges are numbered row edges first (along x), then column edges, then diagonals;
    triangles two a square, the one with its right angle at (i, j) first. These are the ids of
    TTK's implicit triangulation (Tierny et al. 2017, section 4.1, after Freudenthal 1942), so that
    ``CellId`` means the same cell in both. One row of vertices is the 1-D grid.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx).
    origin, spacing : sequence of 1 to 3 floats
        Position of vertex 0 and the steps along x, y, z; those left out are 0 and 1.

    Examples
    --------
    >>> grid = GridTriangulation((2, 3))
    >>> grid.edge_count, grid.triangle_count
    (9, 4)
    >>> grid.edge_vertices(np.array([8]))
    (array([2]), array([4]))
    """

    def __init__(self, shape, origin=(0.0, 0.0, 0.0), spacing=(1.0, 1.0, 1.0)):
        self.ny, self.nx = shape
        self.vertex_count = self.nx * self.ny
        self.first_column_edge = (self.nx - 1) * self.ny
        self.first_diagonal = self.first_column_edge + self.nx * (self.ny - 1)
        self.edge_count = self.first_diagonal + (self.nx - 1) * (self.ny - 1)
        self.triangle_count = 2 * (self.nx - 1) * (self.ny - 1)
        # TTK computes positions in single precision.
        x0, y0, self._z = np.float32([*origin, *(0.0,) * (3 - len(origin))])
        dx, dy = np.float32([*spacing, 1.0])[:2]
        self._x = x0 + dx * np.arange(self.nx, dtype=np.float32)
        self._y = y0 + dy * np.arange(self.ny, dtype=np.float32)

    def steps(self) -> np.ndarray:
        """Return the difference of vertex id for each of the 6 ring neighbours, shape (6,)."""
        return np.array([di + dj * self.nx for di, dj in RING], dtype=np.intp)

    def edge_towards(self, vertices, neighbours):
        """Return the ids of the edges from vertices to their ring neighbours (0 to 5 each)."""
        j, i = np.divmod(vertices, self.nx)
        towards = np.array(
            [
                (ROW_EDGE, 0, 0),
                (DIAGONAL_EDGE, 0, -1),
                (COLUMN_EDGE, 0, -1),
                (ROW_EDGE, -1, 0),
                (DIAGONAL_EDGE, -1, 0),
                (COLUMN_EDGE, 0, 0),
            ]
        )[neighbours]
        return self.edge_id(towards[..., 0], i + towards[..., 1], j + towards[..., 2])

    def edge_id(self, kind, i, j):
        """Return the ids of the edges of a kind in squares (i, j)."""
        first = np.array([0, self.first_column_edge, self.first_diagonal])
        row = np.array([self.nx - 1, self.nx, self.nx - 1])
        return first[kind] + i + j * row[kind]

    def edge_position(self, edges):
        """Return kind, i and j of edges."""
        kind = (edges >= self.first_column_edge).astype(np.intp) + (edges >= self.first_diagonal)
        first = np.array([0, self.first_column_edge, self.first_diagonal])
        row = np.maximum([self.nx - 1, self.nx, self.nx - 1], 1)
        j, i = np.divmod(edges - first[kind], row[kind])
        return kind, i, j

    def edge_vertices(self, edges):
        """Return both vertices of each edge, in TTK's order."""
        kind, i, j = self.edge_position(edges)
        corner = i + j * self.nx
        first = corner + (kind == DIAGONAL_EDGE)
        second = corner + np.array([1, self.nx, self.nx])[kind]
        return first, second

    def edge_triangles(self, edges):
        """Return both triangles beside each edge, in TTK's order; -1 beyond the grid's boundary."""
        kind, i, j = self.edge_position(edges)
        row = 2 * (self.nx - 1)
        above = 2 * i + j * row
        beyond = above + 1 - np.array([row, 2, 0])[kind]
        above = np.where((kind == ROW_EDGE) & (j == self.ny - 1), -1, above)
        above = np.where((kind == COLUMN_EDGE) & (i == self.nx - 1), -1, above)
        beyond = np.where((kind == ROW_EDGE) & (j == 0), -1, beyond)
        beyond = np.where((kind == COLUMN_EDGE) & (i == 0), -1, beyond)
        return above, beyond

    def triangle_vertices(self, triangles):
        """Return the three vertices of each triangle, in TTK's order."""
        square, upper = np.divmod(triangles, 2)
        j, i = np.divmod(square, self.nx - 1)
        corner = i + j * self.nx
        # Right angle at (i, j): (i, j), (i+1, j), (i, j+1); else (i+1, j), (i+1, j+1), (i, j+1).
        return corner + upper, corner + 1 + upper * self.nx, corner + self.nx

    def triangle_edge(self, triangles, kind):
        """Return the edge of a kind of each triangle."""
        square, upper = np.divmod(triangles, 2)
        j, i = np.divmod(square, self.nx - 1)
        i = i + (upper & (kind == COLUMN_EDGE))
        j = j + (upper & (kind == ROW_EDGE))
        return self.edge_id(kind, i, j)

    def vertex_points(self, vertices) -> np.ndarray:
        """Return positions of vertices, shape (n, 3) float32."""
        j, i = np.divmod(vertices, self.nx)
        return self._points(self._x[i], self._y[j])

    def edge_points(self, edges) -> np.ndarray:
        """Return midpoints of edges, shape (n, 3) float32."""
        kind, i, j = self.edge_position(edges)
        left, right = i, i + (kind != COLUMN_EDGE)
        top, bottom = j, j + (kind != ROW_EDGE)
        half = np.float64(0.5)
        return self._points(
            half * self._x[left] + half * self._x[right],
            half * self._y[top] + half * self._y[bottom],
        )

    def triangle_points(self, triangles) -> np.ndarray:
        """Return incentres of triangles, shape (n, 3) float32.

        TTK places a triangle at its incentre, each vertex weighted by the length of the edge
        opposite to it.
        """
        corners = [np.divmod(vertices, self.nx) for vertices in self.triangle_vertices(triangles)]
        x = [self._x[i] for _, i in corners]
        y = [self._y[j] for j, _ in corners]
        lengths = []
        for one, other in ((1, 2), (0, 2), (0, 1)):
            dx, dy = x[one] - x[other], y[one] - y[other]
            lengths.append(np.sqrt(dx * dx + dy * dy))
        total = lengths[0] + lengths[1] + lengths[2]
        weights = [length / total for length in lengths]
        return self._points(
            weights[0] * x[0] + weights[1] * x[1] + weights[2] * x[2],
            weights[0] * y[0] + weights[1] * y[1] + weights[2] * y[2],
        )

    def _points(self, x, y) -> np.ndarray:
        points = np.empty((len(x), 3), dtype=np.float32)
        points[:, 0] = x
        points[:, 1] = y
        points[:, 2] = self._z
        return points
