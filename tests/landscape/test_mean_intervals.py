"""Intervals of skewed means: against slow formulas and simulated draws of known means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats import binom, skew
from scipy.stats import t as student_t

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.mean_intervals import (
    effective_samples,
    mean_interval,
    undrawn_share,
)

LEVEL = 0.954


def fewest(trials, share, chance=1e-4):
    """Successes that are not reached with this chance, if each has the given share."""
    return binom.ppf(chance, trials, share)


def trained(random, rows, count, wrong):
    """Losses of a trained network: a share of samples is wrong, the others are near 0."""
    losses = np.abs(random.normal(size=(rows, count))) * 1e-3
    chosen = random.random((rows, count)) < wrong
    losses[chosen] = random.exponential(size=int(chosen.sum()))
    return losses, wrong + (1 - wrong) * 1e-3 * np.sqrt(2 / np.pi)


def covered(losses, truth, **options):
    low, high = mean_interval(losses, LEVEL, **options)
    return (low <= truth) & (truth <= high)


_losses = npst.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 9)),
    elements=st.integers(-640, 640).map(lambda k: k / 64),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(_losses)
def test_effective_samples_are_counted_one_by_one(losses):
    found = effective_samples(losses)
    for row, count in zip(losses, found):
        squares = sorted(((row - row.mean()) ** 2).tolist(), reverse=True)
        half, total, expected = sum(squares) / 2, 0.0, 0
        while total < half * (1 - 1e-12):
            total += squares[expected]
            expected += 1
        sums = np.cumsum(squares)
        if (np.abs(sums - half) > 1e-9 * max(half, 1e-300)).all():  # no tie to round
            assert count == expected
    np.testing.assert_array_equal(effective_samples(losses[:, ::-1]), found)


def test_effective_samples_of_known_distributions(rng, monkeypatch):
    expected = effective_samples(rng.normal(size=(50, 2000))).mean() / 2000
    assert 0.11 < expected < 0.14  # half of a normal's variance lies beyond 1.54 deviations
    monkeypatch.setattr("losslandscape.landscape.sampling_errors._BLOCK_BYTES", 8 * 9)
    losses = np.zeros((2, 3, 9))
    losses[0, 1, 4], losses[1, 2], losses[1, 1, 0] = 5.0, np.arange(9), np.nan
    found = effective_samples(losses)
    assert found.shape == (2, 3)
    assert found[0, 1] == 1
    assert found[0, 0] == 0
    assert found[1, 2] == 2  # 16 + 16 of 60
    assert np.isnan(found[1, 1])


@pytest.mark.parametrize("size", [None, 40, 400])
def test_the_interval_inverts_the_transformation(rng, size):
    losses = rng.lognormal(0, 1.5, size=(6, 30))
    losses[1] = 3 - losses[1]  # skewed to the other side
    losses[2] = np.concatenate([np.arange(15.0), -np.arange(15.0)])  # not skewed
    share = 0 if size is None else 30 / size
    quantile = student_t.ppf((1 + LEVEL) / 2, 29)
    low, high = mean_interval(losses, LEVEL, size)
    for row, a, b in zip(losses, low, high):
        error = row.std(ddof=1) / np.sqrt(30) * np.sqrt(1 - share)
        scaled = skew(row) / np.sqrt(30 * (1 - share))
        square, shift = scaled * (2 - share) / 6, scaled * (1 - 2 * share) / 6
        for end, value in ((a, quantile), (b, -quantile)):
            t = (row.mean() - end) / error
            assert t + square * t**2 + square**2 * t**3 / 3 + shift == pytest.approx(value)
    assert (low < high).all()
    symmetric = losses[2].std(ddof=1) / np.sqrt(30) * np.sqrt(1 - share) * quantile
    assert high[2] - losses[2].mean() == pytest.approx(symmetric)
    # with the uncorrected interval, the ends are those that lie further out
    wide = mean_interval(losses, LEVEL, size, hull=True)
    student = quantile * losses.std(1, ddof=1) / np.sqrt(30) * np.sqrt(1 - share)
    np.testing.assert_allclose(wide[0], np.minimum(low, losses.mean(1) - student))
    np.testing.assert_allclose(wide[1], np.maximum(high, losses.mean(1) + student))
    assert (wide[0] < low).any()
    up, down = high - losses.mean(1), losses.mean(1) - low
    assert up[0] > down[0]
    assert up[1] < down[1]


def test_edges_of_the_interval():
    same = mean_interval(np.full((2, 5), 0.25))
    np.testing.assert_array_equal(same, np.full((2, 2), 0.25))
    whole = mean_interval(np.array([[1.0, 2.0, 6.0], [1.0, np.inf, 2.0]]), dataset_samples=3)
    np.testing.assert_array_equal(whole, [[3.0, np.nan], [3.0, np.nan]])
    assert np.isnan(mean_interval(np.ones((2, 1)))).all()
    assert np.isnan(mean_interval(np.array([[1.0, np.inf], [np.nan, 1.0]]))).all()
    with pytest.raises(LossLandscapeError, match="cannot be drawn"):
        mean_interval(np.ones((2, 5)), dataset_samples=4)
    for level in (0, 1, 1.5, float("nan")):
        with pytest.raises(LossLandscapeError, match="between 0 and 1"):
            mean_interval(np.ones((2, 5)), level)
        with pytest.raises(LossLandscapeError, match="between 0 and 1"):
            undrawn_share(5, level)


@pytest.mark.parametrize(("count", "wrong"), [(50, 0.1), (200, 0.03), (1000, 0.01)])
def test_skewed_means_are_covered_where_two_standard_errors_fail(rng, count, wrong):
    losses, truth = trained(rng, 800, count, wrong)
    assert covered(losses, truth).sum() >= fewest(800, 0.95)
    error = 2 * losses.std(axis=1, ddof=1) / np.sqrt(count)
    plain = np.abs(losses.mean(1) - truth) <= error
    assert plain.sum() < fewest(800, 0.93)


@pytest.mark.parametrize("name", ["normal", "gamma"])
def test_well_behaved_means_are_covered_at_little_cost_in_width(rng, name):
    losses = rng.normal(3, 1, (800, 200)) if name == "normal" else rng.gamma(2.0, size=(800, 200))
    truth = {"normal": 3.0, "gamma": 2.0}[name]
    assert covered(losses, truth).sum() >= fewest(800, 0.95)
    low, high = mean_interval(losses, LEVEL)
    plain = 4 * losses.std(axis=1, ddof=1) / np.sqrt(200)
    assert np.median((high - low) / plain) < 1.1


def test_the_mean_of_a_data_set_is_covered_by_narrower_intervals(rng):
    dataset = trained(rng, 1, 400, 0.1)[0][0]
    draws = dataset[rng.random((800, 400)).argsort(axis=1)[:, :200]]
    assert covered(draws, dataset.mean(), dataset_samples=400).sum() >= fewest(800, 0.95)
    narrow, wide = mean_interval(draws, LEVEL, 400), mean_interval(draws, LEVEL)
    assert np.median((narrow[1] - narrow[0]) / (wide[1] - wide[0])) < 0.8


def test_the_undrawn_share_is_missed_with_the_stated_chance():
    for count in (1, 50, 5000):
        share = undrawn_share(count, LEVEL)
        assert (1 - share) ** count == pytest.approx((1 - LEVEL) / 2)
    # of a data set: the largest number of samples of a kind that n draws may all miss
    for count, size in ((20, 30), (50, 400), (10, 1000)):
        rare = int(undrawn_share(count, LEVEL, size) * size) + 1
        missed = np.prod(1 - count / (size - np.arange(rare)))
        assert missed < (1 - LEVEL) / 2
    assert undrawn_share(30, LEVEL, 10**9) == pytest.approx(undrawn_share(30, LEVEL), rel=0.1)
    assert undrawn_share(30, LEVEL, 30) == 0
