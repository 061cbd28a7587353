"""Differences of two types: stated against known ones."""

import numpy as np
import pytest

from losslandscape.adaptive.two_precisions import (
    MOST,
    RANDOM_POINTS,
    SHARE,
    FastField,
    TwoPrecisions,
    describe,
    expected_share,
)

SIDE = 25
X, Y = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2)
BOWL = (0.01 + X**2 + 2 * Y**2).ravel()
ERRORS = 0.2 * BOWL**0.8  # standard errors that vary by a factor of 60
EVERYWHERE = np.ones(BOWL.size, bool)


def field(fast, errors=ERRORS, measured=EVERYWHERE):
    return FastField(fast, errors, measured, (SIDE, SIDE), fast)


def compared(fast, exact, scale="linear", seed=0, **about):
    both = TwoPrecisions(field(fast, **about), 0.01, scale, seed)
    asked = []
    while (numbers := both.next_round(exact)).size:
        asked.append(numbers)
    return both, asked


def noise(seed, spread, size=1e-3):
    return size * spread * np.random.default_rng(seed).normal(size=BOWL.size)


@pytest.mark.parametrize("kind", ["normal", "Laplace", "normal, none of the standard error"])
def test_the_stated_errors_hold_for_95_points_in_a_hundred(kind):
    shares, largest, ratios = [], [], []
    for seed in range(60):
        draw = np.random.default_rng(1000 + seed)
        numbers = draw.laplace(size=BOWL.size) if kind == "Laplace" else draw.normal(size=BOWL.size)
        spread = 0.3 if kind.endswith("error") else ERRORS
        fast = BOWL + 1e-3 * spread * numbers
        both, _ = compared(fast, BOWL, seed=seed)
        assert not both.fallen_back
        rest = ~both.in_both
        differences, stated = np.abs(fast - BOWL)[rest], both.error(ERRORS, fast)[rest]
        shares.append((differences <= stated).mean())
        largest.append(differences.max() / np.ptp(fast) / both.largest_difference)
        ratios.append(np.median(stated) / np.median(differences))
    shares = np.array(shares)
    # a bound with a confidence of 95%; normal numbers are within it more often
    assert (shares >= 0.95).mean() >= 0.85
    assert shares.mean() > 0.96
    assert np.median(largest) <= 1
    assert max(largest) < 2.5
    assert np.median(ratios) < 7  # and is no wide one


def test_differences_that_follow_the_standard_error_are_recognized():
    for power in (0.0, 0.5, 1.0):
        spread = ERRORS**power
        stated = [
            compared(BOWL + noise(s, spread, 2e-4), BOWL, seed=s)[0].to_json() for s in range(20)
        ]
        likeliest = [one["powers_of_standard_error"][0] for one in stated]
        assert np.abs(np.array(likeliest) - power).mean() < 0.2
        plausible = [power in one["powers_of_standard_error"] for one in stated]
        assert np.mean(plausible) >= 0.9


def test_on_the_log_scale_the_standard_error_is_that_of_the_logarithm():
    relative = 10 ** (2 * X.ravel())
    for seed in range(5):
        decades = 1e-4 * relative * np.random.default_rng(seed).normal(size=BOWL.size)
        fast = 10 * BOWL * 10**decades
        both, _ = compared(fast, 10 * BOWL, scale="log", errors=relative * fast, seed=seed)
        assert both.to_json()["powers_of_standard_error"] == [1.0]


def test_no_difference_left_is_expected_to_exceed_its_share_of_the_tolerance():
    spread = ERRORS
    assert pytest.approx(1 / 3) == SHARE  # as the page and the statement say
    for size in (3e-4, 3e-3, 1e-2):
        fast = BOWL + noise(1, spread, size)
        both, asked = compared(fast, BOWL)
        assert not both.fallen_back
        assert both.largest_difference <= SHARE * 0.01
        rest = ~both.in_both
        assert (both.error(ERRORS, fast)[rest] <= both.limit).all()
        # at the largest standard errors, and more of them the larger the differences are
        if size == 1e-2:
            assert len(asked) > 1
            steep = np.setdiff1d(np.flatnonzero(both.targeted), asked[0])
            assert ERRORS[steep].min() >= ERRORS[rest].max()


def test_where_most_points_would_be_measured_twice_all_are_in_float32():
    both, asked = compared(BOWL + noise(0, 1.0, 0.05), BOWL)
    assert both.fallen_back.endswith("% of the points would have to be measured in both types")
    assert both.finished
    assert sum(len(numbers) for numbers in asked) < MOST * BOWL.size  # it is seen early


def test_a_loss_that_is_finite_in_one_type_alone_falls_back():
    exact = BOWL.copy()
    exact[X.ravel() > 0] = np.nan
    assert "finite in one type alone" in compared(BOWL, exact)[0].fallen_back


def test_lowest_points_minima_and_points_without_a_value_are_measured_in_float32():
    fast = np.log(BOWL) + 5
    fast[[17, 400]] = np.nan, np.inf
    two = fast.reshape(SIDE, SIDE).copy()
    two[3, 20] = two.ravel()[np.isfinite(fast)].mean() - 1.5  # a second minimum
    fast = two.ravel()
    both, (first, *_) = compared(fast, fast)
    low = np.argsort(np.where(np.isfinite(fast), fast, np.inf))
    assert set(low[:3]) <= set(first)
    assert {17, 400, 3 * SIDE + 20} <= set(first)
    assert np.nanargmax(np.where(np.isfinite(fast), fast, -np.inf)) in first
    assert both.difference_95 == both.largest_difference == 0


def test_random_points_are_drawn_from_those_that_nothing_else_chose():
    counts = np.zeros(BOWL.size)
    for seed in range(400):
        both = TwoPrecisions(field(BOWL), 0.01, "linear", seed)
        both.next_round(BOWL)
        assert both.drawn.sum() == RANDOM_POINTS
        assert not (both.drawn & both.targeted).any()
        counts += both.drawn
    free = ~both.targeted
    expected = 400 * RANDOM_POINTS / free.sum()
    assert counts[~free].sum() == 0
    # every one as often as the others: chi squared has one degree of freedom for each
    assert np.square(counts[free] - expected).sum() / expected < free.sum() + 5 * np.sqrt(
        2 * free.sum()
    )


def test_only_measured_points_are_asked_for():
    measured = np.random.default_rng(0).random(BOWL.size) < 0.3
    fast = np.where(measured, BOWL + noise(0, ERRORS), np.nan)
    whole = FastField(fast, ERRORS, measured, (SIDE, SIDE), BOWL)
    both = TwoPrecisions(whole, 0.01)
    while (numbers := both.next_round(BOWL)).size:
        assert measured[numbers].all()
    stated = both.to_json()
    assert stated["fast_points"] + stated["exact_points"] == measured.sum()
    assert stated["random_points"] >= RANDOM_POINTS


def test_the_rounds_follow_from_the_losses_that_were_asked_for():
    fast = BOWL + noise(3, ERRORS, 1e-2)
    _, expected = compared(fast, BOWL)
    asked = np.zeros(BOWL.size, bool)
    both = TwoPrecisions(field(fast), 0.01, "linear")
    rounds = []
    while (numbers := both.next_round(np.where(asked, BOWL, np.nan))).size:
        rounds.append(numbers)
        asked[numbers] = True
    assert len(rounds) == len(expected) > 1
    for one, other in zip(rounds, expected):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(compared(fast, BOWL, seed=1)[1][0], expected[0])


def test_without_standard_errors_the_differences_are_of_one_size():
    for errors in (np.full(BOWL.size, np.nan), np.zeros(BOWL.size)):
        both, _ = compared(BOWL + noise(0, 0.3), BOWL, errors=errors)
        assert not both.fallen_back
        stated = both.error(errors, BOWL)
        assert (stated == stated[0]).all()
        assert 6e-4 < stated[0] < 2e-3


def test_on_the_log_scale_errors_are_those_of_the_logarithm():
    decades = 1e-3 * np.random.default_rng(0).normal(size=BOWL.size)
    fast = 10 * BOWL * 10**decades
    both, _ = compared(fast, 10 * BOWL, scale="log", errors=0.3 * BOWL)
    rest = ~both.in_both
    assert both.range == pytest.approx(np.ptp(np.log10(fast)))
    stated = both.error(0.3 * BOWL, fast)[rest]
    assert (np.abs(fast - 10 * BOWL)[rest] <= stated).mean() > 0.95
    # of n(0, 1e-3) decades, 2e-3 and up to twice that
    assert 2e-3 < (stated / fast[rest] / np.log(10)).max() < 4.5e-3
    assert 2e-3 < both.difference_95 * both.range < 4.5e-3


def test_two_types_pay_for_many_points_and_a_large_gain():
    assert expected_share(2.5, 2601) < 0.5 < expected_share(2.3, 200)
    assert expected_share(1.0, 10**6) > 1


def test_a_description_that_lacks_entries_is_no_error():
    assert "?" in describe({"fast_points": 3})
    assert describe({}) == "? at all points: ?"
    assert "none was given" not in describe({"fast_points": 3, "tolerance_given": True})
    assert "sampling, 0.5%" in describe({"fast_points": 3, "together": 0.005})
