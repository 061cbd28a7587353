"""The lookup tables against ProcessLowerStars as written in the paper."""

from itertools import permutations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from losslandscape.topology.discrete_gradient import CRITICAL, OUTSIDE, DiscreteGradient
from losslandscape.topology.scalar_field import scalar_field


@st.composite
def fields(draw, highest=6, holes=True):
    shape = draw(
        st.one_of(
            st.tuples(st.integers(2, 6), st.integers(2, 6)),
            st.tuples(st.integers(2, 9)),
        )
    )
    value = st.integers(0, draw(st.sampled_from([1, 3, highest, 1000]))).map(float)
    if holes and draw(st.booleans()):
        value = st.one_of(value, value, value, st.just(np.nan))
    size = int(np.prod(shape))
    values = np.array(draw(st.lists(value, min_size=size, max_size=size))).reshape(shape)
    finite = values[~np.isnan(values)]
    assume(finite.size > 0 and finite.min() < finite.max())
    return values


@given(values=fields())
@settings(max_examples=300, deadline=None)
def test_pairs_and_critical_cells(slow, values):
    pairs, critical = slow.discrete_gradient(values)
    gradient = DiscreteGradient(scalar_field(values))
    for dimension, cells in enumerate(
        (gradient.minima, gradient.critical_edges, gradient.critical_triangles)
    ):
        assert cells.tolist() == sorted(c.id for c in critical if c.dimension == dimension)

    vertices = np.array([cell.id for cell in pairs if cell.dimension == 0], dtype=np.int32)
    edges = gradient.paired_edge(vertices)
    assert {(v, e) for v, e in zip(vertices.tolist(), edges.tolist())} == {
        (face.id, coface.id) for face, coface in pairs.items() if face.dimension == 0
    }
    triangles = np.flatnonzero(
        (gradient.triangle_pairing != OUTSIDE) & (gradient.triangle_pairing != CRITICAL)
    ).astype(np.int32)
    kinds = gradient.triangle_pairing[triangles].astype(np.int8) - np.int8(1)
    edges = gradient.grid.triangle_edge(triangles, kinds)
    assert {(e, t) for e, t in zip(edges.tolist(), triangles.tolist())} == {
        (face.id, coface.id) for face, coface in pairs.items() if face.dimension == 1
    }


def test_every_lower_star_of_a_single_vertex(slow):
    """All 720 orders of the 6 neighbors, with the center at each possible height."""
    for order in permutations(range(6)):
        for height in (2.5, 4.5, 9.0):
            ring = iter(order)
            values = np.array(
                [
                    [90, next(ring), next(ring)],
                    [next(ring), height, next(ring)],
                    [next(ring), next(ring), 91],
                ],
                dtype=float,
            )
            _, critical = slow.discrete_gradient(values)
            gradient = DiscreteGradient(scalar_field(values))
            assert gradient.critical_edges.tolist() == sorted(
                cell.id for cell in critical if cell.dimension == 1
            )
            assert gradient.critical_triangles.tolist() == sorted(
                cell.id for cell in critical if cell.dimension == 2
            )
