"""The choice of points, each rule against its definition written out point by point."""

import itertools

import numpy as np
import pytest

from losslandscape.adaptive.selection import at_minima, bend, largest_apart


def neighbors(place, shape):
    """The places on the grid that touch one, diagonally too."""
    for step in itertools.product((-1, 0, 1), repeat=len(shape)):
        other = tuple(p + s for p, s in zip(place, step))
        if any(step) and all(0 <= o < n for o, n in zip(other, shape)):
            yield other


@pytest.mark.parametrize("shape", [(40,), (9, 7), (5, 4, 6)])
def test_minima_and_their_neighbors(rng, shape):
    field = rng.integers(0, 30, shape).astype(float)
    field.flat[3] = np.nan
    estimates = rng.uniform(0, 0.5, shape)
    estimates.flat[5] = np.inf
    expected = np.zeros(shape, bool)
    for place in np.ndindex(shape):
        around = [field[n] for n in neighbors(place, shape) if np.isfinite(field[n])]
        known = np.isfinite(field[place])
        several = len(around) < len(list(neighbors(place, shape))) or max(around) > field[place]
        if known and all(field[place] <= a for a in around) and several:
            expected[place] |= estimates[place] > 0.1
            for n in neighbors(place, shape):
                expected[n] |= estimates[n] > 0.3
    expected &= np.isfinite(estimates)
    np.testing.assert_array_equal(at_minima(field, estimates, 1.0), expected)
    np.testing.assert_array_equal(at_minima(field, 2 * estimates, 2.0), expected)
    assert expected.any()


def test_a_plateau_has_no_minimum_inside():
    flat = np.zeros((5, 5))
    assert not at_minima(flat, np.ones((5, 5)), 1.0).any()


@pytest.mark.parametrize("shape", [(20,), (6, 9), (4, 5, 6)])
def test_the_bend_is_the_largest_second_difference_near_by(rng, shape):
    field = rng.normal(size=shape)
    field.flat[8] = np.nan
    here = np.zeros(shape)
    for place in np.ndindex(shape):
        for axis in range(len(shape)):
            if 0 < place[axis] < shape[axis] - 1:
                before, after = list(place), list(place)
                before[axis] -= 1
                after[axis] += 1
                second = field[tuple(before)] - 2 * field[place] + field[tuple(after)]
                if np.isfinite(second):
                    here[place] = max(here[place], abs(second))
    expected = here.copy()
    for place in np.ndindex(shape):
        expected[place] = max([here[place], *(here[n] for n in neighbors(place, shape))])
    np.testing.assert_allclose(bend(field), expected)


def test_an_axis_of_two_points_has_no_bend():
    assert not bend(np.array([1.0, 5.0])).any()
    assert bend(np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 3.0]])).max() == 3


def test_the_largest_scores_are_taken_at_a_distance(rng):
    index = rng.integers(0, 12, (60, 2)).astype(float)
    scores, distance = rng.random(60), rng.uniform(1, 4, 60)
    expected = []
    for place in np.argsort(-scores):
        if scores[place] <= 0.3 or len(expected) == 9:
            break
        if all(
            np.linalg.norm(index[place] - index[other])
            >= 0.7 * max(distance[place], distance[other])
            for other in expected
        ):
            expected.append(place)
    assert largest_apart(scores, 0.3, 9, index, distance).tolist() == expected
    assert largest_apart(scores, 1.0, 9, index, distance).size == 0
