"""Stationary points of functions with known gradients."""

import numpy as np
import pytest

from losslandscape.analysis.stationarity import (
    NEAR,
    VANISHES,
    Surroundings,
    displacement,
    sampling_radius,
    shortest_in_hull,
)

CURVATURE = np.array([[2.0, 0.5], [0.5, 1.0]])


def quadratic(position):
    return CURVATURE @ position


def at(gradient, *position):
    return Surroundings(gradient, np.array(position))


def slow_shortest(gradients):
    """The least norm on the segments between all pairs, and 0 if the hull holds it."""
    places = np.linspace(0, 1, 2001)[:, None]
    lines = [a + places * (b - a) for a in gradients for b in gradients]
    points = np.concatenate(lines)
    return points[np.linalg.norm(points, axis=1).argmin()]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e6])
def test_the_shortest_vector_of_a_hull_beside_the_origin_is_on_a_segment(seed, size):
    rng = np.random.default_rng(seed)
    gradients = size * rng.normal([4.0, 1.0], size=(5, 2))
    expected = slow_shortest(gradients)
    np.testing.assert_allclose(shortest_in_hull(gradients), expected, atol=2e-3 * size)


def test_hulls_that_hold_the_origin_and_hulls_of_one_vector():
    triangle = np.array([[3.0, 0.0], [-1.0, 2.0], [-1.0, -1.0]])
    np.testing.assert_allclose(shortest_in_hull(triangle), [0, 0], atol=1e-6)
    np.testing.assert_allclose(shortest_in_hull(np.array([[3.0, 4.0]])), [3, 4], rtol=1e-6)
    assert shortest_in_hull(np.zeros((1, 2))).tolist() == [0, 0]
    assert shortest_in_hull(np.zeros((2, 2))).tolist() == [0, 0]
    assert np.isnan(shortest_in_hull(np.array([[np.nan, 1.0], [1.0, 2.0]]))).any()


def test_the_secant_of_a_quadratic_is_its_hessian_and_the_offset_the_newton_step():
    place = at(quadratic, 0.3, -0.2)
    np.testing.assert_allclose(place.secant, CURVATURE)
    assert place.offset(place.here) == pytest.approx(np.hypot(0.3, 0.2))
    assert place.offset(np.zeros(2)) == 0


def test_the_secant_is_symmetric_where_the_gradients_are_not():
    skewed = np.array([[2.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(at(lambda x: skewed @ x, 0, 0).secant, [[2, 0.5], [0.5, 1]])


def test_a_gradient_along_which_nothing_changes_is_infinitely_far():
    valley = at(lambda x: np.array([2 * x[0], 0.0]), 1.0, 0.0)
    assert valley.offset(np.array([1.0, 0.0])) == pytest.approx(0.5)
    assert valley.offset(np.array([0.0, 0.1])) == np.inf


@pytest.mark.parametrize(("share", "vanishes"), [(0.0, True), (0.99, True), (1.01, False)])
def test_a_gradient_vanishes_within_a_hundredth_of_a_spacing(share, vanishes):
    assert at(quadratic, share * VANISHES, 0.0).vanishes is vanishes


def kink(height):
    """Of height |x| + x^2 / 2 + y^2 / 2."""
    return lambda x: np.array([height * np.sign(x[0]) + x[0], x[1]])


@pytest.mark.parametrize("height", [0.0, 0.2, 1.0, 20.0])
def test_a_kink_is_told_by_its_share_of_the_gradients_change(height):
    # the jump of 2 h, and 2 (h + 1) over two spacings: a quarter from h = 1/3 on
    place = at(kink(height), 0.0, 0.0)
    assert place.kinked is (height > 1 / 3)
    assert place.non_smooth is (height > 0)


def test_a_bend_within_a_hundredth_is_no_kink():
    bend = at(lambda x: np.array([np.tanh(x[0] / (5 * NEAR)), x[1]]), 0.0, 0.0)
    assert not bend.kinked
    assert not bend.non_smooth


def test_a_kink_beside_the_minimum_is_not_stationary():
    place = at(lambda x: kink(1.0)(x) + np.array([3.0, 0.0]), 0.0, 0.0)
    assert place.kinked
    assert not place.non_smooth
    np.testing.assert_allclose(place.shortest, [2, 0], atol=2e-3)


@pytest.mark.parametrize("scale", [0.5, 0.85, 0.95, 1.0, 1.05, 1.15])
def test_a_smooth_point_changes_as_its_hessian_says_to_a_tenth(scale):
    # relative to the larger of the Hessian and the secant
    expected = abs(1 - scale) <= 0.1 * max(scale, 1)
    assert at(quadratic, 0.0, 0.0).is_smooth(scale * CURVATURE) is expected


@pytest.mark.parametrize("power", [2, 3])
@pytest.mark.parametrize(("eigenvalue", "degenerate"), [(0.0005, True), (0.002, False)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_eigenvalue_below_a_thousandth_of_the_change_of_curvature_tells_no_kind(
    power, eigenvalue, degenerate, sign
):
    def gradient(place):
        return np.array([place[0], sign * eigenvalue * place[1] + place[1] ** power])

    found = at(gradient, 0.0, 0.0).degenerate(np.array([1.0, sign * eigenvalue]), np.eye(2))
    assert found is degenerate


@pytest.mark.parametrize(("share", "degenerate"), [(0.9, True), (1.1, False)])
def test_an_eigenvalue_that_rounding_may_have_made_tells_no_kind(share, degenerate):
    values = np.array([-2.0, 2e-6 * share])
    place = Surroundings(lambda x: values * x, np.zeros(2), relative_rounding=1e-6)
    assert place.degenerate(values, np.eye(2)) is degenerate


def test_the_rounding_of_a_gradient_is_told_from_its_bends():
    rng = np.random.default_rng(0)

    def rounded(place):
        return quadratic(place) + 1e-6 * rng.normal(size=2)

    found = [at(rounded, 0.0, 0.0).rounding for _ in range(1000)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(1e-6, rel=0.1)
    assert at(lambda x: x**2, 0.0, 0.0).rounding < 1e-10


@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul")
def test_displacements_are_newton_steps():
    gradients = np.array([[1.0, 0.0], [0.3, -2.0], [0.0, 0.0]])
    expected = -np.linalg.solve(CURVATURE, gradients.T).T
    np.testing.assert_allclose(displacement(CURVATURE, gradients), expected, atol=1e-12)
    flat = displacement(np.diag([2.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert np.isfinite(flat[0]).all()
    assert not np.isfinite(flat[1]).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul")
@pytest.mark.parametrize("count", [50, 400])
def test_the_sampling_radius_in_a_plane_is_that_of_a_normal_mean(count):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(count, 2))
    gradients = (gradients - gradients.mean(axis=0)) / gradients.std(axis=0)
    # 95% of the norms of two standard normal numbers are below sqrt(-2 ln 0.05)
    expected = np.sqrt(-2 * np.log(0.05)) / np.sqrt(count) / 2
    found = sampling_radius(2 * np.eye(2), gradients + 7, draws=4000)
    assert found == pytest.approx(expected, rel=0.06)
    # the mean is taken off
    same = sampling_radius(2 * np.eye(2), gradients, draws=4000)
    assert found == pytest.approx(same, rel=1e-9)
    other = sampling_radius(2 * np.eye(2), gradients, draws=4000, seed=1)
    assert other != pytest.approx(same, rel=1e-9)
    assert sampling_radius(np.diag([2.0, 0.0]), gradients) == np.inf
