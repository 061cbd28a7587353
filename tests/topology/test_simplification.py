"""What simplification must remove, keep and leave unchanged."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from losslandscape import topology
from losslandscape.topology.scalar_field import scalar_field
from losslandscape.topology.simplification import _remove_maxima


@st.composite
def noisy_fields(draw, hole_shares=(0.0,)):
    shape = draw(
        st.one_of(st.tuples(st.integers(2, 9), st.integers(2, 9)), st.tuples(st.integers(2, 14)))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=shape)
    if draw(st.booleans()):
        values = np.round(2 * values) / 2
    values[rng.random(shape) < draw(st.sampled_from(hole_shares))] = np.nan
    finite = values[~np.isnan(values)]
    assume(finite.size > 0 and finite.min() < finite.max())
    return values


thresholds = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0, np.inf])


def finite_lifetimes(values, kind=0):
    pairs = topology.persistence_pairs(values)
    return pairs["Persistence"][(pairs["IsFinite"] == 1) & (pairs["PairType"] == kind)]


@given(values=noisy_fields(hole_shares=(0.0, 0.0, 0.2)), threshold=thresholds)
@settings(max_examples=200, deadline=None)
def test_no_minimum_with_a_persistence_up_to_the_threshold_remains(values, threshold):
    lifetimes = finite_lifetimes(topology.simplify(values, threshold).values)
    assert not ((lifetimes > 0) & (lifetimes <= threshold)).any()


@given(values=noisy_fields(hole_shares=(0.0, 0.0, 0.2)), threshold=thresholds)
@settings(max_examples=200, deadline=None)
def test_the_first_pass_keeps_only_maxima_above_the_threshold(slow, values, threshold):
    flat = values.ravel()
    ends = slow.superlevel_merges(values)
    stay = {m: saddle for m, saddle in ends.items() if flat[m] - flat[saddle] > threshold}
    field = _remove_maxima(scalar_field(values), threshold)
    ranks = np.where(field.domain, field.order, np.nan).reshape(values.shape)
    assert slow.superlevel_merges(ranks) == stay


def test_filling_a_valley_can_leave_a_peak_below_the_threshold():
    """Maxima are removed first, so removing minima may bring a maximum below the threshold."""
    values = np.full((9, 9), 5.0)
    values[1:8, 1:8] = 9.0
    values[2:7, 2:7] = 6.0
    values[3:6, 3:6] = 8.0
    values[4, 4] = 10.5
    values += 0.001 * np.arange(81).reshape(9, 9)
    values[1, 4] = 8.0
    simplified = topology.simplify(values, 3.0)
    assert simplified.values[4, 4] == values[4, 4]
    assert 0 < finite_lifetimes(-simplified.values).min() <= 3.0
    assert (simplified.values[2, 2:7] == values[1, 4]).all()


@given(values=noisy_fields(hole_shares=(0.0, 0.2)), threshold=thresholds)
@settings(max_examples=200, deadline=None)
def test_the_order_ranks_the_vertices_consistently_with_the_values(values, threshold):
    simplified = topology.simplify(values, threshold)
    domain = ~np.isnan(values)
    np.testing.assert_array_equal(simplified.order >= 0, domain)
    np.testing.assert_array_equal(np.isnan(simplified.values), ~domain)
    order, flat = simplified.order[domain], simplified.values[domain]
    assert sorted(order.tolist()) == list(range(order.size))
    assert (np.diff(flat[np.argsort(order)]) >= 0).all()


@given(values=noisy_fields(), threshold=thresholds)
@settings(max_examples=200, deadline=None)
def test_values_change_by_at_most_the_threshold_and_stay_in_range(values, threshold):
    simplified = topology.simplify(values, threshold).values
    assert (np.abs(simplified - values) <= threshold).all()
    assert simplified.min() == values.min()
    assert simplified.max() == values.max()


def test_the_threshold_must_be_exceeded_strictly():
    values = [0.0, 2.0, 1.0, 3.0]
    assert finite_lifetimes(values).tolist() == [1.0]
    assert topology.simplify(values, 1.0).values.tolist() == [0.0, 1.0, 1.0, 3.0]
    assert topology.simplify(values, 0.999).values.tolist() == values


def test_ties_alone_are_removed_at_threshold_0():
    values = np.array([[0.0, 1.0, 1.0, 1.0, 0.5]] * 3)
    simplified = topology.simplify(values, 0.0)
    np.testing.assert_array_equal(simplified.values, values)


def test_a_field_with_nothing_to_remove_is_returned_unchanged():
    values = np.add.outer(np.arange(5.0), 10.0 * np.arange(4.0))
    simplified = topology.simplify(values, 3.0)
    np.testing.assert_array_equal(simplified.values, values)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 3.0])
def test_the_complex_of_a_simplified_field_equals_the_simplified_complex(threshold):
    values = np.random.default_rng(7).normal(size=(20, 23))
    complex_ = topology.morse_smale_complex(values, persistence=threshold)
    plain = topology.morse_smale_complex(values)
    np.testing.assert_array_equal(complex_.values, topology.simplify(values, threshold).values)
    assert complex_.critical_points["CellId"].size < plain.critical_points["CellId"].size
