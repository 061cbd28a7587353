"""Linear interpolation against SciPy's interpolators and linear functions."""

import numpy as np
import pytest
from scipy.interpolate import LinearNDInterpolator

from losslandscape.analysis.linear_interpolation import linear_interpolation_matrix


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_linear_function_is_met_inside_the_hull(rng, dimensions):
    points = np.concatenate(
        [np.stack(np.meshgrid(*[[0.0, 5.0]] * dimensions), -1).reshape(-1, dimensions),
         rng.uniform(0, 5, (20, dimensions))]
    )  # fmt: skip
    targets = rng.uniform(0, 5, (30, dimensions))
    slope = np.array([2.0, -3.0, 0.5])[:dimensions]
    weights = linear_interpolation_matrix(points, targets)
    assert weights.shape == (30, len(points))
    np.testing.assert_allclose(weights @ (points @ slope + 1), targets @ slope + 1, atol=1e-9)
    np.testing.assert_allclose(np.asarray(weights.sum(axis=1)).ravel(), 1)
    assert weights.min() >= 0


def test_in_one_dimension_it_is_numpys(rng):
    points, values = rng.permutation(np.arange(8.0) ** 1.5), rng.random(8)
    targets = np.concatenate([np.linspace(-3, 25, 57), points])
    order = np.argsort(points)
    expected = np.interp(targets, points[order], values[order])
    found = linear_interpolation_matrix(points[:, None], targets[:, None]) @ values
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_in_two_dimensions_it_is_scipys_and_outside_that_of_the_nearest(rng):
    points, values = rng.random((25, 2)), rng.random(25)
    targets = rng.uniform(-0.5, 1.5, (200, 2))
    expected = LinearNDInterpolator(points, values)(targets)
    outside = np.isnan(expected)
    assert 0 < outside.sum() < 200
    distances = np.linalg.norm(targets[:, None] - points, axis=2)
    expected[outside] = values[distances.argmin(axis=1)[outside]]
    found = linear_interpolation_matrix(points, targets) @ values
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    "points",
    [[[0.0]], [[0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]],
    ids=["a point of a line", "a point", "two points", "points on a line"],
)
def test_points_that_span_nothing_give_the_nearest(points):
    points = np.array(points)
    targets = np.vstack([points + 0.1, points - 0.2])
    weights = linear_interpolation_matrix(points, targets).toarray()
    nearest = np.linalg.norm(targets[:, None] - points, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(weights, np.eye(len(points))[nearest])


def test_no_targets_have_no_rows():
    assert linear_interpolation_matrix(np.zeros((3, 2)), np.zeros((0, 2))).shape == (0, 3)
