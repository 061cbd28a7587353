"""The order inside flattened segments against a flood that looks for the highest at every step."""

import numpy as np
import pytest

from losslandscape.topology.grid_triangulation import RING
from losslandscape.topology.scalar_field import scalar_field
from losslandscape.topology.segment_order import segment_order

SHAPE = (7, 8)
LINE = ((1, 0), (-1, 0))


def neighbors(vertex, ring, shape):
    row, column = divmod(vertex, shape[1])
    places = ((row + dj, column + di) for di, dj in ring)
    return [j * shape[1] + i for j, i in places if 0 <= j < shape[0] and 0 <= i < shape[1]]


def flooded(rank, members, saddle, ring, shape):
    """Members from the saddle on, always the one of the highest rank in reach."""
    found = []
    while len(found) < len(members):
        reach = {
            near
            for vertex in [saddle, *found]
            for near in neighbors(vertex, ring, shape)
            if near in members and near not in found
        }
        found.append(max(reach, key=lambda vertex: rank[vertex]))
    return found


def has_a_way_down(order, members, saddle, ring, shape):
    """Whether each member has a lower one beside it or leads out, if any leads out at all."""
    outside = [
        any(near not in members and near != saddle for near in neighbors(vertex, ring, shape))
        for vertex in members
    ]
    lower = [
        any(
            near in members and order[near] < order[vertex]
            for near in neighbors(vertex, ring, shape)
        )
        for vertex in members
    ]
    return not any(outside) or all(out or low for out, low in zip(outside, lower))


def grown(rng, ring, shape):
    """A connected segment of random vertices, and a vertex beside it."""
    members = [int(rng.integers(shape[0] * shape[1]))]
    for _ in range(int(rng.integers(2, 12))):
        near = {n for vertex in members for n in neighbors(vertex, ring, shape)} - set(members)
        members.append(int(rng.choice(sorted(near))))
    return members[:-1], members[-1]


@pytest.mark.parametrize("shape", [SHAPE, (1, 30)])
def test_a_segment_is_flooded_from_its_saddle_by_the_highest_in_reach(shape):
    ring = LINE if shape[0] == 1 else RING
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(200):
        values = rng.permutation(shape[0] * shape[1]).astype(float)
        members, saddle = grown(rng, ring, shape)
        segment = np.full(values.size, -1)
        segment[members] = 0
        field = scalar_field(values if shape[0] == 1 else values.reshape(shape))
        order = segment_order(field, segment, np.array([saddle]))
        if len(members) == 1:
            assert order[members[0]] == -2
            continue
        assert sorted(order[members]) == list(range(-len(members), 0))
        assert has_a_way_down(order, members, saddle, ring, shape)
        expected = flooded(values, members, saddle, ring, shape)
        flood = {vertex: -place for place, vertex in enumerate(expected, start=1)}
        if has_a_way_down(flood, members, saddle, ring, shape):
            assert {vertex: order[vertex] for vertex in members} == flood
            compared += len(members) > 2
    assert compared > 20
