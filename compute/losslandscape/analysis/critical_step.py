"""The smallest step along an update that raises the loss, in a few forward passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_TOLERANCE = 0.02  # between the ends of the bracket, relative
_FACTOR = 2.0  # from step to step, until the loss is seen both raised and not raised


@dataclass(frozen=True)
class CriticalStep:
    """Where the loss along a direction is back at its value at the start.

    Attributes
    ----------
    low : float
        A step at which the loss is not raised; 0 if all steps that were tried raise it.
    high : float
        A larger one at which it is; infinite if none that was tried raises it.
    passes : int
        Evaluations of the loss, with the one at the start.
    """

    low: float
    high: float
    passes: int

    @property
    def step(self) -> float:
        """The geometric mean of both ends; NaN if one of them was not found."""
        if self.low > 0 and np.isfinite(self.high):
            return float(np.sqrt(self.low * self.high))
        return float("nan")


def critical_step(
    loss: Callable[[float], float], guess: float = 1.0, passes: int = 9
) -> CriticalStep:
    """Bracket the smallest step s with loss(s) > loss(0).

    A loss that is not finite counts as raised. Steps double, or halve, until one raises the loss
    and a smaller one does not. Then (loss(s) - loss(0)) / s, which is linear in s where the loss is
    quadratic, is interpolated to 0, until the ends are within 2%. On a quadratic this takes 5
    passes or so from a near guess. A rise and fall between two steps that were tried is not seen.

    Parameters
    ----------
    guess : float
        The first step to try.
    passes : int
        Most evaluations, of at least 3.

    Examples
    --------
    >>> found = critical_step(lambda s: (s - 1.5) ** 2)  # back at its value at s = 3
    >>> round(found.step, 2), found.passes
    (3.0, 6)
    """
    start = loss(0.0)
    low, high, used = 0.0, np.inf, 1
    slopes: dict[float, float] = {}

    def tried(step: float) -> None:
        nonlocal low, high, used
        used += 1
        rise = loss(step) - start
        if np.isfinite(rise):
            slopes[step] = rise / step
        if rise <= 0:
            low = step
        else:  # raised, or not finite
            high = step

    step = guess
    while used < passes and not (low > 0 and np.isfinite(high)):
        tried(step)
        step = low * _FACTOR if low > 0 else high / _FACTOR
    side = 1.0
    while used < passes and high > low * (1 + _TOLERANCE) and low > 0:
        root = _root(slopes, low, high)
        # a little to one side, then to the other, so that both ends close in
        aim = root * (1 + side * 0.45 * _TOLERANCE)
        if not low < aim < high:
            aim = root if low < root < high else np.sqrt(low * high)
        side = -side
        tried(float(aim))
    return CriticalStep(low, float(high), used)


def _root(slopes: dict[float, float], low: float, high: float) -> float:
    """Where the mean slope is 0, by a line through its values at the ends of the bracket."""
    if low not in slopes or high not in slopes:
        return float(np.sqrt(low * high))
    below, above = slopes[low], slopes[high]
    if above == below:
        return float(np.sqrt(low * high))
    return low - below * (high - low) / (above - below)
