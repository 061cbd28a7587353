"""The search for a critical point of the loss near one of the grid.

Newton's method comes first. Where its steps jump to and fro, the jump is bisected. Where that finds
nothing, a quasi-Newton method that converges on kinks too looks for the minimum or maximum, and
bisection along the axes of the surrounding curvature, and then along creases, for the saddle.
Whatever was found, the gradients around it decide what it is:
:mod:`losslandscape.analysis.stationarity`.

Positions are in spacings of the grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from losslandscape.analysis.stationarity import Surroundings, displacement
from losslandscape.point.checked_derivatives import Derivatives
from losslandscape.point.plane_derivatives import Expansion

# spacings: to this a jump is bisected, well inside of what the surroundings look at
_BISECTED = 1e-6
DEGENERATE = 3  # of a kind, besides the numbers of negative eigenvalues
_PINNED = 1e-4  # diameter of positions that are one
_SAME = 0.5  # between what two methods find
_POLISH = 10  # Newton steps from a point that another method found
_BISECTIONS = 4  # of jumps, each followed by Newton's method
_SWEEPS = 12  # along all axes
_SLIDES = 8  # along a crease
_SCANNED = np.linspace(-1.5, 1.5, 13)  # spacings from a grid's point, for creases
_CROSSINGS = 4  # places from which a crease is followed
_TINY = np.finfo(float).tiny
_WOLFE_SLOPE, _WOLFE_DECREASE = 0.5, 1e-4
_LINE_TRIALS, _DESCENT_STEPS = 30, 40


@dataclass(frozen=True)
class StoppingRule:
    """When the search for a critical point ends; lengths are in spacings of the grid.

    Attributes
    ----------
    trust_radius : float
        Farther than this from the grid's critical point, the one found is another: "moved".
    step_limit : float
        The longest step along each eigenvector of the Hessian.
    step_tolerance : float
        Newton's method has converged once the whole Newton step is shorter.
    cycle_tolerance, cycle_length : float, int
        Newton's method cycles once this many positions in a row lie this close together: among
        the linear pieces of a ReLU network, which meet all over the plane. The position of least
        gradient is then judged by the gradients around it.
    late_cycle_tolerance, late : float, int
        The tolerance after so many iterations: a deep network's pieces are coarser.
    iterations : int
        Newton's method ends after so many.
    """

    trust_radius: float = 2.0
    step_limit: float = 0.5
    step_tolerance: float = 1e-9
    cycle_tolerance: float = 0.05
    cycle_length: int = 8
    late_cycle_tolerance: float = 0.5
    late: int = 16
    iterations: int = 60

    @classmethod
    def for_dtype(cls, dtype: torch.dtype) -> StoppingRule:
        """float64: steps below 1e-9 spacings; else below 1e-3, which is near the rounding."""
        return cls(step_tolerance=1e-9 if dtype == torch.float64 else 1e-3)


class ScaledLoss:
    """The loss as a function of positions in spacings."""

    def __init__(self, loss: Derivatives, spacing: np.ndarray):
        self._loss = loss
        self.spacing = spacing

    @property
    def relative_rounding(self) -> float:
        """An eigenvalue below this share of the largest has no sign."""
        return self._loss.relative_rounding

    def expansion(self, position: np.ndarray) -> Expansion:
        found = self._loss.expansion(position * self.spacing)
        scale = np.outer(self.spacing, self.spacing)
        return Expansion(found.value, found.gradient * self.spacing, found.hessian * scale)

    def value_and_gradient(self, position: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self._loss.value_and_gradient(position * self.spacing)
        return value, gradient * self.spacing

    def gradient(self, position: np.ndarray) -> np.ndarray:
        return self.value_and_gradient(position)[1]


@dataclass(frozen=True)
class Stationary:
    """A stationary point.

    Attributes
    ----------
    position : ndarray, shape (dimensions,)
    curvature : ndarray, shape (dimensions, dimensions), or None
        The Hessian; the secant one where Newton's method cycled; None where it is not smooth.
    surroundings : Surroundings
    cycle_diameter : float
        Of the positions among which Newton's method cycled; 0 where its steps vanished.
    """

    position: np.ndarray
    curvature: np.ndarray | None
    surroundings: Surroundings
    cycle_diameter: float = 0.0

    @property
    def kind(self) -> int | None:
        """How many eigenvalues are negative; ``DEGENERATE``; None where it is not smooth."""
        if self.curvature is None:
            return None
        eigenvalues, eigenvectors = np.linalg.eigh(self.curvature)
        if self.surroundings.degenerate(eigenvalues, eigenvectors):
            return DEGENERATE
        return int((eigenvalues < 0).sum())


class CriticalPointSearch:
    """Searches in a window, from critical points of the grid.

    Parameters
    ----------
    loss : ScaledLoss
    low, high : ndarray, shape (dimensions,)
        The window's corners; no position is outside of it.
    """

    def __init__(self, loss: ScaledLoss, low: np.ndarray, high: np.ndarray, rule: StoppingRule):
        self._loss = loss
        self._low, self._high = low, high
        self._rule = rule
        self.iterations = 0
        self.last = np.full(len(low), np.nan)  # the position at which Newton's method ended

    def near(self, start: np.ndarray, kind: int) -> Stationary | None:
        """The stationary point that a grid's critical point of this kind stands for.

        The nearest one that Newton's method finds; another one of the wanted kind is preferred if
        the nearest is of another kind or beyond the trust radius. None where nothing is found.
        """
        self.iterations = 0
        found = self._by_newton(start, kind)
        if found is not None and self._is_wanted(found, start, kind):
            return found
        other = self._by_other_means(start, kind)
        if other is not None and (found is None or self._is_near(other, start)):
            return other
        if found is None and 0 < kind < len(start):
            return self._by_creases(start)
        return found

    def _around(self, position: np.ndarray) -> Surroundings:
        return Surroundings(self._loss.gradient, position, self._loss.relative_rounding)

    def _is_near(self, found: Stationary, start: np.ndarray) -> bool:
        return bool(np.linalg.norm(found.position - start) <= self._rule.trust_radius)

    def _is_wanted(self, found: Stationary, start: np.ndarray, kind: int) -> bool:
        return found.kind in (None, DEGENERATE, kind) and self._is_near(found, start)

    def _by_newton(self, start: np.ndarray, kind: int) -> Stationary | None:
        """What Newton's method finds, and after each jump to and fro the place it jumped over."""
        smooth: Stationary | None = None  # found by bisection; Newton's method gives the digits
        for _ in range(_BISECTIONS):
            path, converged, diameter = self._newton(start, kind, self._rule.iterations)
            self.iterations += len(path)
            self.last = path[-1][0]
            found = self._judged_path(path, converged, diameter)
            if found is not None and (smooth is None or _apart(found, smooth) <= _SAME):
                return found
            jumped = self._bisected_jump(path)
            if jumped is None or np.linalg.norm(jumped - start) < _BISECTED:
                break
            found = self._judged(jumped) or self._along_the_crease(jumped)
            if found is not None and found.curvature is None:
                return found
            smooth = found or smooth
            start = jumped
        return smooth

    def _along_the_crease(self, position: np.ndarray) -> Stationary | None:
        """From a place on a crease to the one where the gradient along the crease vanishes.

        The secant method on the shortest vector between the gradients of the two sides, which
        points along the crease.
        """
        before = None
        for _ in range(_SLIDES):
            around = self._around(position)
            if not around.kinked:
                return None
            if around.non_smooth:
                return Stationary(position, None, around)
            slope = around.shortest
            if before is None:
                step = displacement(around.secant, slope[None])[0]
            else:
                way = position - before[0]
                change = float((slope - before[1]) @ way)
                step = -way * float(slope @ way) / change if change else np.full_like(way, np.inf)
            length = float(np.linalg.norm(step))
            if not np.isfinite(length):
                return None
            before = position, slope
            moved = self._on_crease(
                position + step * min(1.0, self._rule.step_limit / length), slope
            )
            if moved is None or length == 0:
                return None
            position = moved
        return None

    def _by_creases(self, start: np.ndarray) -> Stationary | None:
        """The saddle on a crease around the start, from the nearest places where one is met.

        A crease is met where the slope along a line through the start changes its sign at a kink.
        """
        axes = np.eye(len(start))
        diagonals = [a + sign * b for a, b in itertools.combinations(axes, 2) for sign in (1, -1)]
        crossings: list[tuple[float, np.ndarray, np.ndarray, float]] = []
        for line in (*axes, *(diagonal / np.linalg.norm(diagonal) for diagonal in diagonals)):
            places = [np.clip(start + reach * line, self._low, self._high) for reach in _SCANNED]
            slopes = [float(self._loss.gradient(place) @ line) for place in places]
            for place, end, slope, other in zip(places, places[1:], slopes, slopes[1:]):
                if slope * other < 0:
                    middle = (place + end) / 2
                    away = float(np.linalg.norm(middle - start))
                    crossings.append((away, place, end - place, slope))
        for _, place, way, slope in sorted(crossings, key=lambda one: one[0])[:_CROSSINGS]:
            met = self._sign_change(place, way, slope)
            found = self._along_the_crease(met) if self._around(met).kinked else None
            if found is not None and self._is_near(found, start):
                return found
        return None

    def _on_crease(self, position: np.ndarray, along: np.ndarray) -> np.ndarray | None:
        """The place across the crease's direction where the slope changes its sign."""
        gradient = self._loss.gradient(position)
        across = gradient - along * float(gradient @ along) / max(float(along @ along), _TINY)
        size = float(np.linalg.norm(across))
        if size == 0:
            return position
        for reach in (0.05, -0.05, 0.25, -0.25, 0.5, -0.5):
            way = reach * across / size
            slope = float(gradient @ way)
            if (self._loss.gradient(position + way) @ way) * slope < 0:
                return self._sign_change(position, way, slope)
        return None

    def _newton(
        self, start: np.ndarray, kind: int, iterations: int
    ) -> tuple[list[tuple[np.ndarray, Expansion]], bool, float]:
        """Positions with their expansions, whether the steps vanished, and the cycle's diameter."""
        rule, position = self._rule, start.copy()
        path: list[tuple[np.ndarray, Expansion]] = []
        clipped = -rule.cycle_length  # the last iteration whose step left the window
        for _ in range(iterations):
            here = self._loss.expansion(position)
            path.append((position, here))
            if not (np.isfinite(here.gradient).all() and np.isfinite(here.hessian).all()):
                break
            step, length = self._step(here, kind)
            if length <= rule.step_tolerance:
                return path, True, 0.0
            # positions pressed against the window's edge are no cycle
            if len(path) - clipped > rule.cycle_length:
                diameter = self._cycle_diameter(path)
                late = len(path) >= rule.late
                if diameter <= (rule.late_cycle_tolerance if late else rule.cycle_tolerance):
                    return path, False, diameter
            moved = np.clip(position + step, self._low, self._high)
            if (moved != position + step).any():
                clipped = len(path)
            if (moved == position).all() or _to_and_fro([*path[-5:], (moved, here)]):
                break  # against the window's edge, or between two points for ever
            position = moved
        # a degenerate point, where rounding moves Newton's last steps
        pinned = _diameter(path[-rule.cycle_length :])
        return path, False, pinned if len(path) == iterations and pinned <= _PINNED else np.inf

    def _step(self, here: Expansion, kind: int) -> tuple[np.ndarray, float]:
        """A limited step, and the length of Newton's own.

        J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed. 2006, sections 3.4 and 11.1.
        """
        curvature, axes = np.linalg.eigh(here.hessian)
        slope = axes.T @ here.gradient
        # without curvature: uphill to a maximum, downhill otherwise
        flat = -_TINY if kind == len(slope) else _TINY
        curvature = np.where(abs(curvature) < _TINY, flat, curvature)
        with np.errstate(over="ignore"):
            newton = -slope / curvature
            length = float(np.linalg.norm(newton))
        return axes @ np.clip(newton, -self._rule.step_limit, self._rule.step_limit), length

    def _cycle_diameter(self, path: list[tuple[np.ndarray, Expansion]]) -> float:
        """Of the last positions; infinite while they are few, or while they still converge."""
        count = self._rule.cycle_length
        if len(path) < count:
            return np.inf
        first, second = path[-count : -count // 2], path[-count // 2 :]
        return _diameter(path[-count:]) if _diameter(second) > _diameter(first) / 2 else np.inf

    def _judged_path(
        self, path: list[tuple[np.ndarray, Expansion]], converged: bool, diameter: float
    ) -> Stationary | None:
        if converged:
            position, here = path[-1]
            around = self._around(position)
            if around.kinked:  # at a kink autograd picks one of many gradients, 0 perhaps
                return Stationary(position, None, around) if around.non_smooth else None
            # a linear piece has no curvature of its own; a plateau and x^4 have none around either
            own = here.hessian.any() or around.is_smooth(here.hessian)
            return Stationary(position, here.hessian if own else around.secant, around)
        if diameter <= _PINNED:
            position, here = path[-1]
            around = self._around(position)
            if around.vanishes and not around.kinked:
                return Stationary(position, here.hessian, around, diameter)
        if diameter < np.inf:
            position = min(
                (one for one in path[-self._rule.cycle_length :]),
                key=lambda one: float(np.linalg.norm(one[1].gradient)),
            )[0]
            return self._judged(position, diameter)
        return None

    def _judged(self, position: np.ndarray, cycle_diameter: float = 0.0) -> Stationary | None:
        """A position where Newton's steps did not vanish, if it is stationary all the same."""
        around = self._around(position)
        if not np.isfinite(around.secant).all():
            return None
        if around.non_smooth:
            return Stationary(position, None, around, cycle_diameter)
        if around.vanishes and not around.kinked:
            hessian = self._loss.expansion(position).hessian
            curvature = hessian if around.is_smooth(hessian) else around.secant
            return Stationary(position, curvature, around, cycle_diameter)
        return None

    def _bisected_jump(self, path: list[tuple[np.ndarray, Expansion]]) -> np.ndarray | None:
        """Where the slope along Newton's last jump to and fro changes its sign."""
        for (one, first), (other, second) in reversed(list(zip(path, path[1:]))):
            way = other - one
            start, end = first.gradient @ way, second.gradient @ way
            if start * end < 0:
                return self._sign_change(one, way, start)
        return None

    def _sign_change(self, position: np.ndarray, way: np.ndarray, slope: float) -> np.ndarray:
        """Where the slope along a way, which has this sign at its start, changes its sign."""
        low, high = 0.0, 1.0
        length = np.linalg.norm(way)
        while (high - low) * length > _BISECTED:
            middle = (low + high) / 2
            same = (self._loss.gradient(position + middle * way) @ way) * slope > 0
            low, high = (middle, high) if same else (low, middle)
        return position + (low + high) / 2 * way

    def _by_other_means(self, start: np.ndarray, kind: int) -> Stationary | None:
        dimensions = len(start)
        if kind in (0, dimensions):
            ends = self._descend(start, 1.0 if kind == 0 else -1.0)
        else:
            ends = self._sweep(start)
        for end in ends:
            found = self._judged(end)
            if found is not None and found.curvature is None:
                return found
            # smooth: Newton's method gives the digits
            path, converged, _ = self._newton(end, kind, _POLISH)
            self.iterations += len(path)
            polished = self._judged_path(path, converged, np.inf)
            if polished is not None and np.linalg.norm(polished.position - end) <= _SAME:
                return polished
            if found is not None:
                return found
        return None

    def _descend(self, start: np.ndarray, sign: float) -> Iterator[np.ndarray]:
        """Where a quasi-Newton method ends that converges on kinks too; of ``sign * loss``.

        BFGS with a line search for the weak Wolfe conditions: A. S. Lewis, M. L. Overton,
        "Nonsmooth optimization via quasi-Newton methods", Mathematical Programming 141, 2013.
        """
        position = start.copy()
        value, gradient = self._signed(position, sign)
        inverse = np.eye(len(start)) / max(float(np.linalg.norm(gradient)), _TINY)
        inverse *= self._rule.step_limit
        for _ in range(_DESCENT_STEPS):
            direction = -inverse @ gradient
            length = float(np.linalg.norm(direction))
            if not np.isfinite(length) or length == 0 or not gradient @ direction < 0:
                break
            direction *= min(1.0, self._rule.step_limit / length)
            share = self._weak_wolfe(position, value, gradient, direction, sign)
            if share is None:
                break
            step = share * direction
            moved = position + step
            if not self._within(moved, start):
                return
            new_value, new_gradient = self._signed(moved, sign)
            self.iterations += 1
            change = new_gradient - gradient
            position, value, gradient = moved, new_value, new_gradient
            if (product := float(step @ change)) > 0:
                left = np.eye(len(start)) - np.outer(step, change) / product
                inverse = left @ inverse @ left.T + np.outer(step, step) / product
            if np.linalg.norm(step) < _BISECTED:
                break
        yield position

    def _within(self, position: np.ndarray, start: np.ndarray) -> bool:
        inside = (position >= self._low).all() and (position <= self._high).all()
        return bool(inside and np.linalg.norm(position - start) <= self._rule.trust_radius)

    def _signed(self, position: np.ndarray, sign: float) -> tuple[float, np.ndarray]:
        value, gradient = self._loss.value_and_gradient(position)
        return sign * value, sign * gradient

    def _weak_wolfe(
        self,
        position: np.ndarray,
        value: float,
        gradient: np.ndarray,
        direction: np.ndarray,
        sign: float,
    ) -> float | None:
        """A share of the direction with enough decrease and a slope that has flattened."""
        low, high, share = 0.0, np.inf, 1.0
        slope = float(gradient @ direction)
        for _ in range(_LINE_TRIALS):
            trial, there = self._signed(position + share * direction, sign)
            if not trial <= value + _WOLFE_DECREASE * share * slope:
                high = share
            elif not there @ direction >= _WOLFE_SLOPE * slope:
                low = share
            else:
                return share
            share = (low + high) / 2 if np.isfinite(high) else 2 * low
            if share * np.linalg.norm(direction) > self._rule.trust_radius:
                return None
        return low if low > 0 else None

    def _sweep(self, start: np.ndarray) -> Iterator[np.ndarray]:
        """Zeros of the slope along one axis of the surrounding curvature after another."""
        position = start.copy()
        axes = np.linalg.eigh(self._around(start).secant)[1].T
        for _ in range(_SWEEPS):
            before = position
            for axis in axes:
                slope = float(self._loss.gradient(position) @ axis)
                if slope == 0:
                    continue
                for way in (axis, -axis):
                    end = position + way
                    if (self._loss.gradient(end) @ way) * (slope * (axis @ way)) < 0:
                        position = self._sign_change(position, way, slope * (axis @ way))
                        break
            if not self._within(position, start):
                return
            if np.linalg.norm(position - before) < 2 * _BISECTED:
                break
        yield position


def _apart(one: Stationary, other: Stationary) -> float:
    return float(np.linalg.norm(one.position - other.position))


def _to_and_fro(path: list[tuple[np.ndarray, Expansion]]) -> bool:
    """Whether six positions alternate between two points."""
    if len(path) < 6:
        return False
    positions = np.array([position for position, _ in path])
    apart = np.linalg.norm(positions[1:] - positions[:-1], axis=1).min()
    return bool(np.linalg.norm(positions[2:] - positions[:-2], axis=1).max() < 1e-3 * apart)


def _diameter(path: list[tuple[np.ndarray, Expansion]]) -> float:
    """Diagonal of the box of some positions."""
    return float(np.linalg.norm(np.ptp([position for position, _ in path], axis=0)))
