"""The search against functions whose critical points are known, smooth and not."""

import numpy as np
import pytest
import torch

from losslandscape.analysis.critical_point_search import (
    DEGENERATE,
    CriticalPointSearch,
    StoppingRule,
)
from losslandscape.analysis.stationarity import VANISHES, Surroundings
from losslandscape.point.plane_derivatives import Expansion


class Function:
    """A function of coordinates, in units of a spacing; it counts its passes."""

    relative_rounding = 1e-8

    def __init__(self, function, spacing):
        self.function, self.spacing = function, np.array(spacing)
        self.passes = 0

    def _at(self, position):
        self.passes += 1
        leaf = torch.tensor(position * self.spacing, requires_grad=True)
        return leaf, self.function(leaf)

    def value_and_gradient(self, position):
        leaf, value = self._at(position)
        (gradient,) = torch.autograd.grad(value, leaf)
        return value.item(), gradient.numpy() * self.spacing

    def gradient(self, position):
        return self.value_and_gradient(position)[1]

    def expansion(self, position):
        leaf, value = self._at(position)
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        rows = [
            torch.autograd.grad(entry, leaf, retain_graph=True, allow_unused=True)[0]
            if entry.requires_grad
            else None
            for entry in gradient
        ]
        hessian = np.array([np.zeros(len(leaf)) if row is None else row.numpy() for row in rows])
        scale = np.outer(self.spacing, self.spacing)
        return Expansion(value.item(), gradient.detach().numpy() * self.spacing, hessian * scale)


def rotated(function, center, angle):
    """A function of coordinates that are rotated around a center."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = torch.tensor([[cosine, -sine], [sine, cosine]])
    return lambda x: function(*(rotation @ (x - torch.tensor(center))))


def norm(x, y):
    return torch.sqrt(x**2 + y**2)


# name -> function of weights and coordinates, kind on the grid
KINKS = {
    "crease": (lambda w: lambda x, y: w[0] * abs(x) + w[1] * y**2, 0),
    "unequal sides": (
        lambda w: lambda x, y: w[0] * torch.relu(x) + w[2] * torch.relu(-x) + w[1] * y**2,
        0,
    ),
    "ridge": (lambda w: lambda x, y: -w[0] * abs(x) - w[1] * y**2, 2),
    "diamond": (lambda w: lambda x, y: w[0] * abs(x) + w[1] * abs(y), 0),
    "cone": (lambda w: lambda x, y: w[0] * norm(x, y), 0),
    "elliptic cone": (lambda w: lambda x, y: norm(w[0] * x, w[1] * y), 0),
    "cusp": (lambda w: lambda x, y: torch.sqrt(norm(x, y)), 0),
    "creased saddle": (lambda w: lambda x, y: w[0] * abs(x) - w[1] * y**2, 1),
    "folded saddle": (lambda w: lambda x, y: -w[0] * abs(x) + w[1] * abs(y), 1),
    "weak crease": (
        lambda w: lambda x, y: 0.1 * w[0] * abs(x) + w[1] * y**2 + w[2] * x**2 + 0.05 * w[0] * x,
        0,
    ),
    "slope along a crease": (lambda w: lambda x, y: w[0] * abs(x) + w[1] * y, 0),
    "creased maximum of planes": (lambda w: lambda x, y: torch.maximum(x, -w[0] * x) + w[1] * y, 0),
}
SMOOTH = {
    "bowl": (lambda w: lambda x, y: w[0] * x**2 + w[1] * y**2 + 0.3 * x**3, 0, 0),
    "saddle": (lambda w: lambda x, y: w[0] * x**2 - w[1] * y**2 + 0.3 * x**3, 1, 1),
    "top": (lambda w: lambda x, y: -w[0] * x**2 - w[1] * y**2 + 0.3 * x**3, 2, 2),
    "sharp bowl": (lambda w: lambda x, y: w[0] * torch.sqrt(1e-6 + x**2 + y**2), 0, 0),
    "sharp valley": (lambda w: lambda x, y: w[0] * torch.sqrt(1e-5 + x**2) + w[1] * y**2, 0, 0),
    "quartic": (lambda w: lambda x, y: w[0] * x**4 + w[1] * y**4, 0, DEGENERATE),
    "half a quartic": (lambda w: lambda x, y: w[0] * x**2 + w[1] * y**4, 0, DEGENERATE),
    "monkey saddle": (lambda w: lambda x, y: w[0] * (x**3 - 3 * x * y**2), 1, DEGENERATE),
}


def searched(family, kind, rng):
    """The function, what was found from the nearest grid point or one beside it, and the truth."""
    center, weights = rng.uniform(-0.15, 0.15, 2), rng.uniform(0.2, 3.0, 4)
    spacing = rng.uniform(0.08, 0.25, 2)
    loss = Function(rotated(family(weights), center, rng.uniform(0, 2 * np.pi)), spacing)
    start = np.round(center / spacing) + rng.integers(-1, 2, 2) * (rng.random(2) < 0.3)
    search = CriticalPointSearch(loss, start - 8, start + 8, StoppingRule())
    return loss, search.near(start, kind), center / spacing


@pytest.mark.parametrize("name", KINKS)
def test_no_kink_is_verified(name, rng):
    family, kind = KINKS[name]
    ends = []
    for _ in range(10):
        _loss, found, truth = searched(family, kind, rng)
        assert found is None or found.curvature is None, "a kink counts as smooth"
        ends.append(np.inf if found is None else np.linalg.norm(found.position - truth))
    if name.startswith("slope") or "planes" in name:
        assert min(ends) == np.inf  # nowhere stationary
    elif kind != 1:
        assert np.mean(np.array(ends) < 0.05) >= 0.9


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_points_are_verified_where_they_are_with_their_kind(name, rng):
    family, kind, true_kind = SMOOTH[name]
    for _ in range(10):
        loss, found, truth = searched(family, kind, rng)
        assert found.kind == true_kind
        np.testing.assert_allclose(found.position, truth, atol=1e-5)
        around = abs(Surroundings(loss.gradient, found.position).secant).max()
        assert np.linalg.norm(loss.gradient(found.position)) <= VANISHES * around


def test_two_points_between_which_newtons_method_alternates_are_not_critical():
    # x^4 / 4 - x^2 + 2 x: from 0 Newton's method goes to 1 and back; the minimum is at -1.77
    loss = Function(lambda x: (x**4 / 4 - x**2 + 2 * x).sum(), [1.0])
    for kind in (0, 1):
        search = CriticalPointSearch(loss, np.array([-9.0]), np.array([9.0]), StoppingRule())
        found = search.near(np.array([0.0]), kind)
        if found is not None:
            assert found.position[0] == pytest.approx(-1.7693, abs=1e-4)
            assert found.kind == 0


def jagged(amplitude, width):
    """A bowl whose gradient is piecewise constant, as a ReLU network's: steps of some width."""

    def expansion(position):
        gradient = np.round(position / width) * width + amplitude * np.sign(position)
        return Expansion(float(position @ position) / 2, gradient, np.zeros((2, 2)))

    class Pieces:
        relative_rounding = 1e-8

        def __init__(self):
            self.expansion = expansion

        def value_and_gradient(self, position):
            found = expansion(position)
            return found.value, found.gradient

        def gradient(self, position):
            return expansion(position).gradient

    return Pieces()


def test_among_many_small_pieces_the_curvature_is_that_of_the_gradients_around():
    low, high = np.full(2, -9.0), np.full(2, 9.0)
    found = CriticalPointSearch(jagged(0.0, 1e-3), low, high, StoppingRule()).near(
        np.array([0.301, -0.202]), 0
    )
    assert found is not None
    assert found.curvature is not None
    np.testing.assert_allclose(found.curvature, np.eye(2), atol=0.01)
    assert abs(found.position).max() < 0.01
    assert found.kind == 0


def test_a_point_pressed_against_the_windows_edge_is_not_critical():
    # a bowl with its minimum outside of the window, at (13, 0.2) spacings
    def bowl(x):
        away = x - torch.tensor([1.3, 0.02])
        return away @ torch.tensor([[5.0, 1.5], [1.5, 0.6]], dtype=torch.float64) @ away

    loss = Function(bowl, [0.1, 0.1])
    search = CriticalPointSearch(loss, np.full(2, -10.0), np.full(2, 10.0), StoppingRule())
    assert search.near(np.array([9.0, 0.0]), 0) is None


def test_a_narrow_kink_is_found_though_newtons_method_leaves_for_a_smooth_minimum():
    # the grid's minimum is the cusp at 0; a wide bowl lies 5 spacings away
    def cusp_beside_a_bowl(x):
        return 0.3 * (x[0] - 5) ** 2 - 9 * torch.exp(-4 * abs(x[0])) + x[1] ** 2

    loss = Function(cusp_beside_a_bowl, [1.0, 1.0])
    search = CriticalPointSearch(loss, np.full(2, -9.0), np.full(2, 9.0), StoppingRule())
    found = search.near(np.array([0.2, 0.0]), 0)
    assert found is not None
    assert found.curvature is None
    np.testing.assert_allclose(found.position, 0.0, atol=0.01)


@pytest.mark.parametrize("bend", [0.0, 0.1])
@pytest.mark.parametrize("sign", [1, -1], ids=["valley", "ridge"])
def test_saddles_on_creases_are_found_from_the_nearest_grid_point(sign, bend):
    rng = np.random.default_rng(0)
    for _ in range(4):
        center, angle = rng.uniform(-2, 2, 2), rng.uniform(0, np.pi)
        jump, fall = rng.uniform(0.2, 2), rng.uniform(0.01, 0.4)
        tilt = rng.uniform(-0.7, 0.7) * jump

        def function(u, v, bend=bend, jump=jump, fall=fall, tilt=tilt):
            across = u - bend * v**2
            return sign * (jump * across.abs() + tilt * across - fall * v**2)

        loss = Function(rotated(function, center, angle), (1.0, 1.0))
        corner = np.full(2, 5.0)
        rule = StoppingRule.for_dtype(torch.float64)
        search = CriticalPointSearch(loss, -corner, corner, rule)
        found = search.near(np.round(center), 1)
        assert found is not None
        assert found.curvature is None
        np.testing.assert_allclose(found.position, center, atol=0.02)


@pytest.mark.parametrize("tilt", [1.2, -1.2])
def test_a_crease_on_which_nothing_is_stationary_has_no_saddle(tilt):
    def function(u, v):
        return u.abs() + tilt * u - 0.1 * v**2  # the slope has one sign across the crease

    loss = Function(rotated(function, np.array([0.3, -0.2]), 0.4), (1.0, 1.0))
    corner = np.full(2, 5.0)
    search = CriticalPointSearch(loss, -corner, corner, StoppingRule.for_dtype(torch.float64))
    assert search.near(np.zeros(2), 1) is None
