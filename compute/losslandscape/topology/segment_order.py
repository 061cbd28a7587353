"""An order of the vertices of flattened segments without an extremum inside."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np

from losslandscape.topology.grid_triangulation import RING
from losslandscape.topology.scalar_field import ScalarField

# Segments need 1 or 2 passes, rarely more. In a domain with holes, parts of a segment can be
# connected by a single vertex; no order removes their extrema, and the passes would never end.
_MOST_PASSES = 100


def segment_order(field: ScalarField, segment: np.ndarray, saddles: np.ndarray) -> np.ndarray:
    """Order the vertices in each segment so that each has a path up and a path down and out.

    A segment is flooded downhill from its saddle, always to the highest vertex in reach (a
    superlevel-set propagation). Each vertex then has a higher neighbor. If a vertex away from the
    segment's boundary has no lower neighbor, the segment is flooded again, uphill from its
    boundary, and so on in turns (Lukasczyk et al. 2020).

    Parameters
    ----------
    segment : ndarray of int, shape (n_vertices,)
        Number of each vertex's segment, or -1. No two segments touch.
    saddles : ndarray of int, shape (n_segments,)
        The vertex to which each segment is flattened, next to the segment.

    Returns
    -------
    ndarray, shape (n_vertices,), int64
        -1, -2, ... from the highest vertex of each segment down; -2 for the vertex of a segment of
        one.
    """
    flood = _Flood(field, segment, saddles)
    flood.downhill()
    for count in range(_MOST_PASSES):
        if not flood.settle():
            break
        if count % 2:
            flood.downhill()
        else:
            flood.uphill()
    return flood.local_order()


class _Flood:
    """The segments that still contain an extremum, on a grid with a border on every side."""

    def __init__(self, field: ScalarField, segment: np.ndarray, saddles: np.ndarray):
        self.ny, self.nx = field.order.shape
        self.width = self.nx + 2
        ring = RING if field.dimension == 2 else ((1, 0), (-1, 0))
        self.steps = [di + dj * self.width for di, dj in ring]
        self.in_domain = self._padded(field.domain, False)
        self.segment = self._padded(segment, -1)
        self.saddles = (saddles // self.nx + 1) * self.width + saddles % self.nx + 1
        self.order = self._padded(field.order.astype(np.int64) - field.size, -1)
        # Priority of the vertices not yet reached in the current segment, otherwise -1.
        self.pending = [-1] * self.segment.size

        members = np.flatnonzero(self.segment >= 0)
        size = np.bincount(self.segment[members], minlength=saddles.size)
        self.order[members[size[self.segment[members]] == 1]] = -2
        self.members = members[size[self.segment[members]] > 1]
        self.on_boundary = np.zeros(self.segment.size, dtype=bool)

    def _padded(self, array: np.ndarray, fill) -> np.ndarray:
        bordered = np.full((self.ny + 2, self.width), fill, dtype=array.dtype)
        bordered[1:-1, 1:-1] = array.reshape(self.ny, self.nx)
        return bordered.ravel()

    def local_order(self) -> np.ndarray:
        return self.order.reshape(self.ny + 2, self.width)[1:-1, 1:-1].ravel()

    def downhill(self) -> None:
        """Flood each segment from its saddle, highest vertices first."""
        members, sizes, segments = self._grouped(-self.order[self.members])
        around = self.saddles[segments][:, None] + np.array(self.steps)
        is_seed = self.segment[around] == segments[:, None]
        seeds = np.split(around[is_seed], np.cumsum(is_seed.sum(axis=1))[:-1])
        visited = self._flood(members, sizes, seeds)
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        self.order[visited] = starts - np.arange(visited.size) - 1

    def uphill(self) -> None:
        """Flood each segment from its boundary, lowest vertices first."""
        members, sizes, _ = self._grouped(self.order[self.members])
        is_seed = self.on_boundary[members]
        per_segment = np.add.reduceat(is_seed, np.cumsum(sizes) - sizes, dtype=np.intp)
        seeds = np.split(members[is_seed], np.cumsum(per_segment)[:-1])
        visited = self._flood(members, sizes, seeds)
        ends = np.repeat(np.cumsum(sizes), sizes)
        self.order[visited] = np.arange(visited.size) - ends

    def _grouped(self, priority: np.ndarray):
        """Sort members by segment and priority; return members, segment sizes and numbers."""
        segment = self.segment[self.members]
        members = self.members[np.lexsort((priority, segment))]
        segments, sizes = np.unique(segment, return_counts=True)
        return members, sizes, segments

    def _flood(self, members: np.ndarray, sizes: np.ndarray, seeds: list) -> np.ndarray:
        """Visit each segment from its seeds, always the vertex in reach with the best priority."""
        pending, steps = self.pending, self.steps
        everyone = members.tolist()
        visited: list[int] = []
        start = 0
        for size, from_ in zip(sizes.tolist(), seeds):
            own = everyone[start : start + size]
            start += size
            for priority, vertex in enumerate(own):
                pending[vertex] = priority
            reach = []
            for vertex in from_.tolist():
                reach.append(pending[vertex])
                pending[vertex] = -1
            heapify(reach)
            while reach:
                vertex = own[heappop(reach)]
                visited.append(vertex)
                for step in steps:
                    priority = pending[vertex + step]
                    if priority >= 0:
                        pending[vertex + step] = -1
                        heappush(reach, priority)
        return np.array(visited, dtype=np.intp)

    def settle(self) -> bool:
        """Keep only the segments that still contain an extremum; return whether any remain."""
        members = self.members
        segment = self.segment[members]
        order = self.order[members]
        has_higher = np.zeros(members.size, dtype=bool)
        has_lower = np.zeros(members.size, dtype=bool)
        leads_out = np.zeros(members.size, dtype=bool)
        for step in self.steps:
            neighbors = members + step
            is_saddle = neighbors == self.saddles[segment]
            together = self.segment[neighbors] == segment
            higher = self.order[neighbors] > order
            leads_out |= self.in_domain[neighbors] & ~together & ~is_saddle
            has_higher |= is_saddle | (together & higher)
            has_lower |= together & ~higher
        self.on_boundary[members] = leads_out
        # A segment that touches only its saddle must keep a minimum.
        closed = np.ones(self.saddles.size, dtype=bool)
        closed[segment[leads_out]] = False
        unsettled = np.zeros(self.saddles.size, dtype=bool)
        unsettled[segment[~has_higher | (~has_lower & ~leads_out)]] = True
        unsettled &= ~closed
        self.members = members[unsettled[segment]]
        return self.members.size > 0
