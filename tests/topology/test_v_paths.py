"""Pointer jumping and path tracing against walking step by step."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from losslandscape.topology import v_paths


@given(
    size=st.integers(1, 200),
    start_count=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
    reach=st.sampled_from([1, 3, 200]),
)
@settings(max_examples=200, deadline=None)
def test_path_ends_and_traces_equal_those_of_a_walk(size, start_count, seed, reach):
    rng = np.random.default_rng(seed)
    successor = np.maximum(np.arange(size) - rng.integers(0, reach + 1, size), 0)
    starts = rng.integers(0, size, start_count)
    elements, offsets = v_paths.trace_paths(successor, starts)
    ends = v_paths.path_ends(successor)
    assert offsets.size == start_count + 1
    for number, start in enumerate(starts.tolist()):
        walk = [start]
        while successor[walk[-1]] != walk[-1]:
            walk.append(int(successor[walk[-1]]))
        assert elements[offsets[number] : offsets[number + 1]].tolist() == walk
        assert ends[start] == walk[-1]
