"""Persistence pairs against the reduction of the whole boundary matrix."""

from collections import Counter

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from losslandscape import topology
from losslandscape.topology import persistence
from losslandscape.topology.persistence import elder_rule


@given(
    shape=st.one_of(st.tuples(st.integers(2, 7), st.integers(2, 7)), st.tuples(st.integers(2, 12))),
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([2, 6, 10**6]),
    hole_share=st.sampled_from([0.0, 0.0, 0.1, 0.4]),
)
@settings(max_examples=300, deadline=None)
def test_boundary_matrix_reduction(slow, shape, seed, levels, hole_share):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, levels, shape).astype(float)
    values[rng.random(shape) < hole_share] = np.nan
    finite = values[~np.isnan(values)]
    assume(finite.size > 0 and finite.min() < finite.max())
    pairs = topology.persistence_pairs(values)
    flat = values.ravel()
    mine = Counter()
    for kind, birth, death, is_finite, lifetime in zip(
        *(
            pairs[name].tolist()
            for name in ("PairType", "birth_vertex", "death_vertex", "IsFinite", "Persistence")
        )
    ):
        mine[kind, birth, death if is_finite else None] += 1
        assert lifetime == flat[death] - flat[birth]
        if not is_finite:
            assert flat[death] == finite.max()
    assert mine == slow.persistence_pairs(values)
    births = flat[pairs["birth_vertex"]]
    np.testing.assert_array_equal(births, np.sort(births))


def one_by_one(ends, age):
    root = list(range(len(age)))

    def find(a):
        while root[a] != a:
            a = root[a]
        return a

    dying = []
    for a, b in ends:
        a, b = find(a), find(b)
        if a == b:
            dying.append(-1)
            continue
        older, younger = (a, b) if age[a] < age[b] else (b, a)
        root[younger] = older
        dying.append(younger)
    return dying


@given(
    component_count=st.integers(1, 60),
    edge_count=st.integers(0, 200),
    seed=st.integers(0, 2**32 - 1),
    few_edges=st.sampled_from([0, 256]),
)
@settings(max_examples=300, deadline=None)
def test_elder_rule_is_kruskals(component_count, edge_count, seed, few_edges):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, component_count, (edge_count, 2))
    age = rng.permutation(component_count)
    before = persistence._FEW_EDGES
    persistence._FEW_EDGES = few_edges
    try:
        dying, into = elder_rule(ends, age)
    finally:
        persistence._FEW_EDGES = before
    assert dying.tolist() == one_by_one(ends.tolist(), age.tolist())
    dead = dying[dying >= 0]
    assert (age[into[dead]] < age[dead]).all()


def test_a_staircase_of_components_does_not_need_one_round_each():
    """Each further component is older and its edge comes earlier: one merge per round."""
    count = 5000
    edges = np.arange(count - 1)[::-1]
    ends = np.stack([edges, edges + 1], axis=1)
    dying, _ = elder_rule(ends, np.where(np.arange(count) % 2, -1, 1) * np.arange(count))
    assert np.count_nonzero(dying >= 0) == count - 1


def test_persistence_of_a_saddle_between_two_valleys():
    pairs = topology.persistence_pairs([[0.0, 9.0, 3.0], [1.0, 7.0, 4.0]])
    assert pairs["birth_vertex"].tolist() == [0, 2]
    assert pairs["death_vertex"].tolist() == [1, 4]
    assert pairs["Persistence"].tolist() == [9.0, 4.0]
    assert pairs["IsFinite"].tolist() == [0, 1]
