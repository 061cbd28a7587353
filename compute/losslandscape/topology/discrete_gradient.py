"""Discrete gradient of a scalar field: pairs of cells along the steepest descent, critical cells.

Every cell belongs to the lower star of its highest vertex, and each lower star is processed
independently (Robins, Wood, Sheppard 2011, algorithm ProcessLowerStars). On a triangulated grid,
the lower star of a vertex is part of a ring of 6 triangles. The result of the algorithm therefore
depends only on which neighbors are lower, which of them is lowest, and, at saddles and maxima, on
one more comparison. This allows a table lookup for all vertices at once.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from losslandscape.topology.grid_triangulation import (
    COLUMN_EDGE,
    DIAGONAL_EDGE,
    EAST,
    INDEX,
    NORTH,
    NORTH_EAST,
    RING,
    ROW_EDGE,
    SOUTH,
    SOUTH_WEST,
    WEST,
    GridTriangulation,
)
from losslandscape.topology.scalar_field import ScalarField

# How a triangle is paired: outside the domain, with its row, column or diagonal edge, or critical.
OUTSIDE = 0
PAIRED_WITH = {ROW_EDGE: 1, COLUMN_EDGE: 2, DIAGONAL_EDGE: 3}
CRITICAL = 4

# Kind of the edge from a vertex to each ring neighbor.
_EDGE_KIND = {
    EAST: ROW_EDGE,
    NORTH_EAST: DIAGONAL_EDGE,
    NORTH: COLUMN_EDGE,
    WEST: ROW_EDGE,
    SOUTH_WEST: DIAGONAL_EDGE,
    SOUTH: COLUMN_EDGE,
}

# The key of a lower star: bit k is set if neighbor k is lower; then the lowest neighbor (3 bits);
# then 4 bits: at a maximum, the highest neighbor and which of its two ring neighbors is lower; at a
# saddle, the lowest neighbor in the arc without the lowest of all.
_LOWEST_SHIFT = 6
_DETAIL_SHIFT = 9
_KEY_BITS = 13
_ALL_LOWER = 0b111111

# An entry of the lookup table: how each of the 6 star triangles is paired, 3 bits each; then the
# critical edges, 1 bit each.
_CRITICAL_EDGE_SHIFT = 18


def _lower_arcs(mask: int) -> list[list[int]]:
    """Split the lower neighbors into arcs of consecutive ring positions, each in ring order."""
    if mask == _ALL_LOWER:
        return [list(range(6))]
    starts = [k for k in range(6) if mask >> k & 1 and not mask >> (k - 1) % 6 & 1]
    arcs = []
    for start in starts:
        arc = [start]
        while mask >> (arc[-1] + 1) % 6 & 1:
            arc.append((arc[-1] + 1) % 6)
        arcs.append(arc)
    return arcs


def _lower_star_entry(arcs, lowest_of_arcs, critical_edges, meeting_triangle) -> int:
    """Encode the pairs of one lower star.

    Along an arc of lower neighbors, each triangle is paired with its edge farther from the arc's
    lowest neighbor, because homotopy expansion starts at that neighbor and can only walk away from
    it. On a full ring, both walks end at the highest neighbor, and the remaining triangle,
    ``meeting_triangle``, is critical.
    """
    entry = 0
    for arc, lowest in zip(arcs, lowest_of_arcs):
        if meeting_triangle is None:
            at = arc.index(lowest)
            walks = [arc[at:], arc[at::-1]]
        else:
            upward = [(lowest + step) % 6 for step in range((meeting_triangle - lowest) % 6 + 1)]
            downward = [
                (lowest - step) % 6 for step in range((lowest - meeting_triangle - 1) % 6 + 1)
            ]
            walks = [upward, downward]
        for walk in walks:
            for nearer, farther in zip(walk, walk[1:]):
                triangle = nearer if farther == (nearer + 1) % 6 else farther
                entry |= PAIRED_WITH[_EDGE_KIND[farther]] << 3 * triangle
    if meeting_triangle is not None:
        entry |= CRITICAL << 3 * meeting_triangle
    for neighbor in critical_edges:
        entry |= 1 << _CRITICAL_EDGE_SHIFT + neighbor
    return entry


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Build the lookup tables.

    Returns
    -------
    entries : ndarray, shape (2**13,), int32
        Result of ProcessLowerStars for every key.
    arc_count : ndarray, shape (64,), uint8
        Number of arcs for every set of lower neighbors.
    other_arcs : ndarray, shape (64, 8), uint8
        For every set and lowest neighbor, the lower neighbors in the other arcs.
    """
    entries = np.zeros(1 << _KEY_BITS, dtype=np.int32)
    arc_count = np.zeros(64, dtype=np.uint8)
    other_arcs = np.zeros((64, 8), dtype=np.uint8)
    for mask in range(1, 64):
        arcs = _lower_arcs(mask)
        arc_count[mask] = len(arcs)
        for lowest in (k for k in range(6) if mask >> k & 1):
            key = mask | lowest << _LOWEST_SHIFT
            if mask == _ALL_LOWER:
                for highest in (k for k in range(6) if k != lowest):
                    for lower_side in (0, 1):
                        # The walk on the lower side of the highest neighbor arrives first and
                        # takes its edge; the triangle on the other side remains.
                        meeting = highest if lower_side == 0 else (highest - 1) % 6
                        detail = highest | lower_side << 3
                        entries[key | detail << _DETAIL_SHIFT] = _lower_star_entry(
                            arcs, [lowest], [], meeting
                        )
                continue
            first = next(arc for arc in arcs if lowest in arc)
            others = [arc for arc in arcs if arc is not first]
            other_arcs[mask, lowest] = sum(1 << k for arc in others for k in arc)
            if len(others) == 1:
                for second in others[0]:
                    entries[key | second << _DETAIL_SHIFT] = _lower_star_entry(
                        [first, *others], [lowest, second], [second], None
                    )
            else:
                # No other arc, or two arcs of one neighbor each.
                critical = [arc[0] for arc in others]
                entries[key] = _lower_star_entry(
                    [first, *others], [lowest, *critical], critical, None
                )
    return entries, arc_count, other_arcs


class DiscreteGradient:
    """The discrete gradient of a field, with its critical cells.

    Attributes
    ----------
    grid : GridTriangulation
    lowest_neighbor : ndarray, shape (n_vertices,), uint8
        Ring position of the neighbor to which each vertex descends. Undefined at minima.
    next_vertex : ndarray, shape (n_vertices,), int32
        Vertex after each one along its descending V-path; itself at minima and outside the domain.
    triangle_pairing : ndarray, shape (n_triangles,), uint8
        How each triangle is paired: ``OUTSIDE``, a value of ``PAIRED_WITH``, or ``CRITICAL``.
    minima, critical_edges, critical_triangles : ndarray of int32
        Ids of the critical cells, ascending. In two dimensions critical edges are the saddles and
        critical triangles the maxima; in one dimension critical edges are the maxima.

    Notes
    -----
    V. Robins, P. J. Wood, A. P. Sheppard, "Theory and algorithms for constructing discrete Morse
    complexes from grayscale digital images", IEEE TPAMI 33(8), 2011, algorithm 1. Order of cells
    as in TTK's ``DiscreteGradient``: a cell's vertices by decreasing rank, lexicographically.

    Examples
    --------
    >>> from losslandscape.topology.scalar_field import scalar_field
    >>> gradient = DiscreteGradient(scalar_field([[0.0, 5.0, 1.0], [2.0, 6.0, 3.0]]))
    >>> gradient.minima, gradient.critical_edges, gradient.critical_triangles
    (array([0, 2], dtype=int32), array([1], dtype=int32), array([], dtype=int32))
    """

    def __init__(self, field: ScalarField, grid: GridTriangulation | None = None):
        self.grid = grid or GridTriangulation(field.values.shape)
        entries, arc_count, other_arcs = _tables()
        ny, nx = field.order.shape

        # The outside is a border of vertices that are never lower; holes are treated the same way.
        # Rank and ring position form one number, so the smallest is the lowest neighbor.
        coded_type = np.int32 if field.order.size < 2**28 else np.int64
        coded = np.full((ny + 2, nx + 2), np.iinfo(coded_type).max - 7, dtype=coded_type)
        np.multiply(field.order, 8, out=coded[1:-1, 1:-1])
        if field.has_holes:
            coded[1:-1, 1:-1][~field.domain] = np.iinfo(coded_type).max - 7
        center = coded[1:-1, 1:-1]
        lower = np.zeros((ny, nx), dtype=np.uint8)
        lowest = np.full((ny, nx), np.iinfo(coded_type).max, dtype=coded_type)
        for k, (di, dj) in enumerate(RING):
            neighbor = coded[1 + dj : 1 + dj + ny, 1 + di : 1 + di + nx]
            lower |= (neighbor < center).view(np.uint8) << k
            np.minimum(lowest, neighbor + k, out=lowest)
        if field.has_holes:
            lower[~field.domain] = 0
        lower_sets = lower.ravel()
        self.lowest_neighbor = (lowest & 7).astype(np.uint8).ravel()

        key = lower_sets | self.lowest_neighbor.astype(np.uint16) << _LOWEST_SHIFT
        self._add_detail(key, lower_sets, coded.ravel(), arc_count, other_arcs)
        pairs = entries.take(key)

        step = np.append(self.grid.steps(), INDEX(0))
        self.minima = np.flatnonzero((lower_sets == 0) & field.domain.ravel()).astype(INDEX)
        direction = np.where(lower_sets == 0, np.uint8(6), self.lowest_neighbor)
        self.next_vertex = np.arange(lower_sets.size, dtype=INDEX) + step.take(direction)
        self.critical_edges = self._critical_edges(pairs)
        self.triangle_pairing = self._pair_triangles(pairs.reshape(ny, nx))
        self.critical_triangles = np.flatnonzero(self.triangle_pairing == CRITICAL).astype(INDEX)

    def _add_detail(self, key, lower, coded, arc_count, other_arcs) -> None:
        """Add the comparison that decides the pairs of saddles and maxima to their keys."""
        nx = self.grid.nx
        steps = np.array([di + dj * (nx + 2) for di, dj in RING])

        def ring(vertices):
            j, i = np.divmod(vertices, nx)
            return coded.take((i + 1 + (j + 1) * (nx + 2))[:, None] + steps)

        saddles = np.flatnonzero(arc_count.take(lower) == 2)
        other = other_arcs[lower[saddles], self.lowest_neighbor[saddles]]
        in_other = (other[:, None] >> np.arange(6, dtype=np.uint8)) & 1
        candidates = np.where(in_other, ring(saddles), np.iinfo(coded.dtype).max)
        second = candidates.argmin(axis=1).astype(np.uint16)
        key[saddles] |= second << _DETAIL_SHIFT

        maxima = np.flatnonzero(lower == _ALL_LOWER)
        neighbors = ring(maxima)
        highest = neighbors.argmax(axis=1)
        row = np.arange(maxima.size)
        before = neighbors[row, (highest - 1) % 6]
        after = neighbors[row, (highest + 1) % 6]
        key[maxima] |= (highest | (after < before) << 3).astype(np.uint16) << _DETAIL_SHIFT

    def _critical_edges(self, pairs) -> np.ndarray:
        vertices = np.flatnonzero(pairs >> _CRITICAL_EDGE_SHIFT).astype(INDEX)
        bits = pairs[vertices] >> _CRITICAL_EDGE_SHIFT
        edges = []
        for k in range(6):
            tails = vertices[(bits >> k & 1).astype(bool)]
            edges.append(self.grid.edge_towards(tails, np.full(tails.size, k)))
        return np.sort(np.concatenate(edges))

    def _pair_triangles(self, pairs) -> np.ndarray:
        """Collect each triangle's pairing from its highest vertex; its other vertices hold 0."""
        ny, nx = pairs.shape
        pairing = np.empty((ny - 1, nx - 1, 2), dtype=np.uint8)

        def star_triangle(k, corners):
            return (corners >> 3 * k) & 7

        corner, right = pairs[:-1, :-1], pairs[:-1, 1:]
        below, opposite = pairs[1:, :-1], pairs[1:, 1:]
        pairing[:, :, 0] = (
            star_triangle(SOUTH, corner)
            + star_triangle(WEST, right)
            + star_triangle(NORTH_EAST, below)
        )
        pairing[:, :, 1] = (
            star_triangle(EAST, below)
            + star_triangle(NORTH, opposite)
            + star_triangle(SOUTH_WEST, right)
        )
        return pairing.ravel()

    def paired_edge(self, vertices) -> np.ndarray:
        """Return the edge with which each vertex is paired; undefined at minima."""
        return self.grid.edge_towards(vertices, self.lowest_neighbor[vertices])

    @cached_property
    def next_triangle(self) -> np.ndarray:
        """The triangle after each one along its ascending V-path, shape (n_triangles,), int32.

        A triangle at which the path ends is its own successor: a maximum, or a triangle paired with
        an edge on the boundary of the domain.
        """
        grid = self.grid
        ny, nx = grid.ny, grid.nx
        row = 2 * (nx - 1)
        pairing = self.triangle_pairing.reshape(ny - 1, nx - 1, 2)
        step = np.zeros(pairing.shape, dtype=INDEX)
        across = np.array([0, 1 - row, -1, 1, 0], dtype=INDEX)
        step[:, :, 0] = across.take(pairing[:, :, 0])
        step[:, :, 1] = -across.take(pairing[:, :, 1])
        step[:1, :, 0][pairing[:1, :, 0] == PAIRED_WITH[ROW_EDGE]] = 0
        step[:, :1, 0][pairing[:, :1, 0] == PAIRED_WITH[COLUMN_EDGE]] = 0
        step[-1:, :, 1][pairing[-1:, :, 1] == PAIRED_WITH[ROW_EDGE]] = 0
        step[:, -1:, 1][pairing[:, -1:, 1] == PAIRED_WITH[COLUMN_EDGE]] = 0
        triangles = np.arange(grid.triangle_count, dtype=INDEX)
        following = triangles + step.ravel()
        into_hole = self.triangle_pairing.take(following) == OUTSIDE
        return np.where(into_hole, triangles, following)
