"""What the tables of docs/curvature.md are made of: shares with open points, gaps, settings."""

import numpy as np
import pytest
from benchmarks.convexity import by_kind, shares
from benchmarks.curvature_cost import cheapest
from benchmarks.outliers import outliers
from scipy.stats import ttest_rel


def test_points_that_are_open_are_in_no_share_and_are_counted():
    ratio = np.array([0.5, 0.01, 0.11, 0.09, np.nan, np.inf, 0.2, 0.2])
    error = np.array([0.1, 0.01, 0.02, 0.02, np.nan, np.inf, np.inf, 0.05])
    above, undecided = shares(ratio, error)
    assert above == pytest.approx(100 * 2 / 8)  # of all points, not of those that are known
    assert undecided == pytest.approx(100 * 5 / 8)


def test_the_difference_is_taken_seed_by_seed():
    found = {True: [80.0, 60.0, 70.0], False: [90.0, 71.0, 79.0]}
    *_, (name, seeds, mean, ends, _) = by_kind(found)
    expected = ttest_rel(found[False], found[True]).confidence_interval(0.95)
    assert (name, seeds, mean) == ("without - with", 3, "10.0")
    assert ends == f"{expected.low:.1f} to {expected.high:.1f}"


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        ([9.0, 8.0, 1.0, 0.9, 0.8, 0.7, 0.6, 1e-9], 3, (2, 8.0)),  # the last is beyond 2 C
        ([9.0, 8.0, 0.5, -1.0, -2.0, -3.0, -4.0], 3, (2, 16.0)),
    ],
)
def test_outliers_are_above_the_widest_gap(values, classes, expected):
    assert outliers(np.array(values), classes) == expected


def test_a_setting_that_is_accurate_by_luck_is_not_taken():
    errors = {1: 0.1, 2: 0.3, 3: 0.1, 4: 0.1, 5: 0.3}
    tried = []

    def error(setting):
        tried.append(setting)
        return errors[setting]

    assert cheapest([1, 2, 3, 4, 5], error, 0.2) == 3
    assert tried == [1, 2, 3, 4]  # each once
    with pytest.raises(RuntimeError, match=r"reaches 0\.05"):
        cheapest([1, 2, 3], error, 0.05)
