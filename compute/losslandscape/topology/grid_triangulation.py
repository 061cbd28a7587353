"""The regular grid as a simplicial complex: Freudenthal's triangulation with TTK's cell ids."""

from __future__ import annotations

import numpy as np

# The link of an inner vertex is a ring of 6 neighbors, named by their step (di, dj). Star
# triangle k of a vertex lies between its neighbors k and k + 1 (modulo 6).
EAST, NORTH_EAST, NORTH, WEST, SOUTH_WEST, SOUTH = range(6)
RING = ((1, 0), (1, -1), (0, -1), (-1, 0), (-1, 1), (0, 1))

# Cell ids, as in TTK.
INDEX = np.int32

# The three edges of a triangle, in the order of TTK's edge sets.
ROW_EDGE, COLUMN_EDGE, DIAGONAL_EDGE = range(3)


class GridTriangulation:
    """Vertices, edges and triangles of a regular grid of ``nx`` by ``ny`` vertices.

    The diagonal from (i+1, j) to (i, j+1) splits each grid square. Vertices are numbered x fastest;
    edges by kind: row edges (along x), column edges, diagonals; triangles by square, the triangle
    with its right angle at (i, j) first. These are the ids of TTK's implicit triangulation (Tierny
    et al. 2017, after Freudenthal 1942), so ``CellId`` means the same cell in both. A 1-D grid is
    a single row of vertices.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx).
    origin, spacing : sequence of 1 to 3 floats
        Position of vertex 0 and the steps along x, y, z; by default 0 and 1 along each axis.

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
        x0, y0, self._z = np.array([*origin, 0.0, 0.0], dtype=np.float32)[:3]
        dx, dy = np.array([*spacing, 1.0], dtype=np.float32)[:2]
        self._x = x0 + dx * np.arange(self.nx, dtype=np.float32)
        self._y = y0 + dy * np.arange(self.ny, dtype=np.float32)

    def steps(self) -> np.ndarray:
        """Return the difference of vertex id for each of the 6 ring neighbors, shape (6,)."""
        return np.array([di + dj * self.nx for di, dj in RING], dtype=INDEX)

    def edge_towards(self, vertices, neighbors) -> np.ndarray:
        """Return the ids of the edges from vertices to their ring neighbors (0 to 5 each)."""
        # A row has one row edge and one diagonal fewer than it has vertices.
        shift = np.array(
            [
                0,
                self.first_diagonal - (self.nx - 1),
                self.first_column_edge - self.nx,
                -1,
                self.first_diagonal - 1,
                self.first_column_edge,
            ],
            dtype=INDEX,
        )
        column = (neighbors == NORTH) | (neighbors == SOUTH)
        return vertices + shift.take(neighbors) - np.where(column, INDEX(0), vertices // self.nx)

    def edge_position(self, edges):
        """Return kind, i and j of edges."""
        kind = (edges >= self.first_column_edge).astype(np.int8) + (edges >= self.first_diagonal)
        first = np.array([0, self.first_column_edge, self.first_diagonal], dtype=INDEX)
        width = np.array([self.nx - 1, self.nx, self.nx - 1], dtype=INDEX)
        within = edges - first.take(kind)
        # Divide all by each width: division by a scalar is faster.
        j = np.where(kind == COLUMN_EDGE, within // self.nx, within // (self.nx - 1))
        i = within - j * width.take(kind)
        return kind, i, j

    def edge_vertices(self, edges):
        """Return both vertices of each edge, in TTK's order."""
        kind, i, j = self.edge_position(edges)
        corner = i + j * self.nx
        first = corner + (kind == DIAGONAL_EDGE)
        second = corner + np.array([1, self.nx, self.nx], dtype=INDEX).take(kind)
        return first, second

    def edge_triangles(self, edges):
        """Return the two triangles of each edge, in TTK's order; -1 beyond the grid's boundary."""
        kind, i, j = self.edge_position(edges)
        row = 2 * (self.nx - 1)
        above = 2 * i + j * row
        beyond = above + 1 - np.array([row, 2, 0], dtype=INDEX).take(kind)
        above = np.where((kind == ROW_EDGE) & (j == self.ny - 1), INDEX(-1), above)
        above = np.where((kind == COLUMN_EDGE) & (i == self.nx - 1), INDEX(-1), above)
        beyond = np.where((kind == ROW_EDGE) & (j == 0), INDEX(-1), beyond)
        beyond = np.where((kind == COLUMN_EDGE) & (i == 0), INDEX(-1), beyond)
        return above, beyond

    def triangle_vertices(self, triangles):
        """Return the three vertices of each triangle, in TTK's order."""
        i, j, upper = self._triangle_position(triangles)
        corner = i + j * self.nx
        # Right angle at (i, j): (i, j), (i+1, j), (i, j+1); else (i+1, j), (i+1, j+1), (i, j+1).
        return corner + upper, corner + 1 + upper * self.nx, corner + self.nx

    def triangle_edge(self, triangles, kind) -> np.ndarray:
        """Return the edge of the given kind of each triangle."""
        square, upper = triangles >> 1, triangles & 1
        shift = np.array(
            [
                [0, self.nx - 1],
                [self.first_column_edge, self.first_column_edge + 1],
                [self.first_diagonal, self.first_diagonal],
            ],
            dtype=INDEX,
        )
        j = np.where(kind == COLUMN_EDGE, square // (self.nx - 1), INDEX(0))
        return square + shift.ravel().take(2 * kind + upper) + j

    def _triangle_position(self, triangles):
        square, upper = triangles >> 1, triangles & 1
        j = square // (self.nx - 1)
        return square - j * (self.nx - 1), j, upper

    def vertex_points(self, vertices) -> np.ndarray:
        """Return positions of vertices, shape (n, 3) float32."""
        j = vertices // self.nx
        return self._points(self._x.take(vertices - j * self.nx), self._y.take(j))

    def edge_points(self, edges) -> np.ndarray:
        """Return midpoints of edges, shape (n, 3) float32."""
        first, second = self.edge_vertices(edges)
        return midpoints(self.vertex_points(first), self.vertex_points(second))

    def triangle_edge_points(self, triangles, kind) -> np.ndarray:
        """Return the midpoint of each triangle's edge of the given kind, shape (n, 3) float32."""
        i, j, upper = self._triangle_position(triangles)
        x = np.where(
            kind == COLUMN_EDGE,
            self._x.take(i + upper),
            midpoints(self._x[:-1], self._x[1:]).take(i),
        )
        y = np.where(
            kind == ROW_EDGE, self._y.take(j + upper), midpoints(self._y[:-1], self._y[1:]).take(j)
        )
        return self._points(x, y)

    def triangle_points(self, triangles) -> np.ndarray:
        """Return incenters of triangles, shape (n, 3) float32.

        TTK places a triangle at its incenter: the mean of its vertices, weighted by the lengths of
        the opposite edges.
        """
        i, j, upper = self._triangle_position(triangles)
        width, height = np.abs(np.diff(self._x)).take(i), np.abs(np.diff(self._y)).take(j)
        diagonal = np.sqrt(width * width + height * height)
        # Weights of the vertices, in TTK's order of summation: single precision is not associative.
        is_upper = upper.astype(bool)
        first = np.where(is_upper, width, diagonal)
        second = np.where(is_upper, diagonal, height)
        third = np.where(is_upper, height, width)
        total = first + second + third
        first, second, third = first / total, second / total, third / total
        left, right = self._x.take(i), self._x.take(i + 1)
        top, bottom = self._y.take(j), self._y.take(j + 1)
        corner = np.where(is_upper, right, left)
        x = first * corner + second * right + third * left
        middle = np.where(is_upper, bottom, top)
        y = first * top + second * middle + third * bottom
        return self._points(x, y)

    def _points(self, x, y) -> np.ndarray:
        points = np.empty((len(x), 3), dtype=np.float32)
        points[:, 0] = x
        points[:, 1] = y
        points[:, 2] = self._z
        return points


def midpoints(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return midpoints as TTK computes them: in double precision, rounded to single."""
    half = np.float64(0.5)
    return (half * one + half * other).astype(np.float32)
