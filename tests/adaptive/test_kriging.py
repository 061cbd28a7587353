"""Local kriging against explicit equations, scipy's spline, and fields that it must reproduce."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator

from losslandscape.adaptive.kriging import (
    NEIGHBORS,
    WIDE_NEIGHBORS,
    LocalInterpolation,
    _growth,
    krige,
)
from losslandscape.errors import LossLandscapeError


def rough_field(points):
    return np.sin(7 * points).sum(axis=1) + np.abs(points[:, 0] - 0.4)


def kriged_by_the_book(points, values, target):
    """Solve the kriging equations of one target with a quadratic drift by plain elimination."""
    dimensions = points.shape[1]

    def drift(x):
        products = [x[i] * x[j] for i in range(dimensions) for j in range(i, dimensions)]
        return np.array([1.0, *x, *products])

    def covariance(h):
        return -(h**5)

    n = len(points)
    basis = np.array([drift(p) for p in points])
    k = np.array([[covariance(np.linalg.norm(p - q)) for q in points] for p in points])
    to_target = np.array([covariance(np.linalg.norm(p - target)) for p in points])
    terms = basis.shape[1]
    system = np.block([[k, basis], [basis.T, np.zeros((terms, terms))]])
    weights = np.linalg.solve(system, np.concatenate([to_target, drift(target)]))[:n]
    variance = weights @ k @ weights - 2 * weights @ to_target
    spline = np.linalg.solve(system, np.concatenate([values, np.zeros(terms)]))[:n]
    scale = values @ spline / (n - terms)
    return weights @ values, np.sqrt(max(variance * scale, 0.0))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_predictions_solve_the_explicit_kriging_equations(dimensions):
    generator = np.random.default_rng(dimensions)
    points = generator.random((NEIGHBORS[dimensions], dimensions))
    values = rough_field(points)
    targets = generator.random((5, dimensions))
    found = krige(points, values, targets)
    for i, target in enumerate(targets):
        value, deviation = kriged_by_the_book(points, values, target)
        assert found.value[i] == pytest.approx(value, rel=1e-7)
        assert found.spread[i] * found.scale[i] == pytest.approx(deviation, rel=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_values_are_scipys_polyharmonic_spline(dimensions):
    generator = np.random.default_rng(0)
    points = generator.random((200, dimensions))
    values = rough_field(points)
    targets = generator.random((100, dimensions))
    spline = RBFInterpolator(
        points, values, neighbors=NEIGHBORS[dimensions], kernel="quintic", degree=2
    )
    np.testing.assert_allclose(krige(points, values, targets).value, spline(targets), atol=1e-9)


def test_residuals_are_leave_one_out_residuals():
    points = np.random.default_rng(1).random((60, 2))
    values = rough_field(points)
    found = LocalInterpolation(points, values)
    for i in range(len(points)):
        others = np.arange(len(points)) != i
        alone = krige(points[others], values[others], points[i : i + 1])
        assert found.residuals[i] == pytest.approx(abs(alone.value[0] - values[i]), rel=1e-7)


def test_the_deviation_is_the_geometric_mean_of_its_three_estimates():
    # too few points to fit how errors grow with the deviation
    generator = np.random.default_rng(2)
    points, target = generator.random((39, 2)), generator.random((1, 2))
    values = rough_field(points)
    value, deviation, least = LocalInterpolation(points, values).predict(target)
    plain, wide = krige(points, values, target), krige(points, values, target, WIDE_NEIGHBORS[2])
    distance = np.linalg.norm(points - target, axis=1)
    near = np.argsort(distance)[:8]
    squares = []
    for i in near:
        others = np.arange(len(points)) != i
        alone = krige(points[others], values[others], points[i : i + 1])
        squares.append(((alone.value[0] - values[i]) / alone.spread[0]) ** 2)
    measured = plain.spread[0] * np.sqrt(np.average(squares, weights=1 / distance[near]))
    modeled = np.sqrt(plain.spread[0] * plain.scale[0] * measured)
    difference = abs(plain.value[0] - wide.value[0]) + 0.3 * modeled
    assert value[0] == plain.value[0]
    assert deviation[0] == pytest.approx(np.sqrt(modeled * difference), rel=1e-9)
    residuals = [
        abs(krige(np.delete(points, i, 0), np.delete(values, i), points[[i]]).value[0] - values[i])
        for i in near[:2]
    ]
    assert least[0] == pytest.approx(max(residuals) / 3, rel=1e-9)


coefficients = st.lists(
    st.floats(-10, 10, allow_subnormal=False).filter(lambda c: c == 0 or abs(c) > 1e-3),
    min_size=6,
    max_size=6,
)


@given(coefficients, st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_quadratics_are_reproduced_with_an_estimated_error_of_zero(coefficients, seed):
    points = np.random.default_rng(seed).random((40, 2)) * 10

    def quadratic(p):
        x, y = p.T
        return np.stack([x**0, x, y, x * x, x * y, y * y], axis=1) @ coefficients

    targets = np.random.default_rng(seed + 1).random((10, 2)) * 10
    found = krige(points, quadratic(points), targets)
    size = np.abs(quadratic(points)).max() + 1e-30
    np.testing.assert_allclose(found.value, quadratic(targets), atol=1e-9 * size)
    assert (LocalInterpolation(points, quadratic(points)).predict(targets)[1] <= 1e-6 * size).all()


@given(st.floats(0.01, 100), st.floats(-100, 100), st.floats(0.01, 100), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_units_do_not_matter(stretch, shift, gain, seed):
    generator = np.random.default_rng(seed)
    points, targets = generator.random((60, 2)), generator.random((5, 2))
    values = rough_field(points)
    value, deviation, _ = LocalInterpolation(points, values).predict(targets)
    moved, moved_deviation, _ = LocalInterpolation(
        stretch * points + shift, gain * values - shift
    ).predict(stretch * targets + shift)
    np.testing.assert_allclose(moved, gain * value - shift, rtol=1e-5, atol=1e-5 * gain)
    np.testing.assert_allclose(moved_deviation, gain * deviation, rtol=1e-3)


def test_a_known_point_is_reproduced_without_error():
    points = np.random.default_rng(3).random((50, 2))
    values = rough_field(points)
    value, deviation, _ = LocalInterpolation(points, values).predict(points[:7])
    np.testing.assert_allclose(value, values[:7], atol=1e-12)
    np.testing.assert_allclose(deviation, 0, atol=1e-5)


def test_points_on_a_line_use_a_lower_drift():
    line = np.column_stack([np.arange(30.0), np.zeros(30)])
    values = 2 * line[:, 0] + 1
    on, beside = krige(line, values, np.array([[10.5, 0.0], [10.5, 3.0]])).value
    assert on == pytest.approx(22)
    assert np.isfinite(beside)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_few_points_give_finite_values(count):
    points = np.random.default_rng(4).random((count, 2))
    target = np.array([[0.5, 0.5]])
    found = krige(points, rough_field(points), target)
    assert np.isfinite(found.value).all()
    assert np.isinf(found.scale).all() == (count == 1)  # one value does not show the variation
    if count > 1:
        value, deviation, _ = LocalInterpolation(points, rough_field(points)).predict(target)
        assert np.isfinite(value).all()
        assert np.isfinite(deviation).all()


def test_too_few_values_to_interpolate_are_refused():
    with pytest.raises(LossLandscapeError, match="no value"):
        krige(np.empty((0, 2)), np.empty(0), np.zeros((1, 2)))
    with pytest.raises(LossLandscapeError, match="variation"):
        LocalInterpolation(np.zeros((1, 2)), np.zeros(1))


def test_errors_at_one_deviation_say_nothing_of_how_they_grow():
    assert _growth(np.full(50, 0.1), np.linspace(1, 2, 50)) == pytest.approx((0.9, 0.1))
    assert _growth(np.full(39, 0.1), np.linspace(1, 2, 39)) == (1.0, 1.0)  # too few
