"""Which points are measured again in float32, and what that says of those in a faster type.

A surface is measured in a type that the machine multiplies faster, such as bfloat16. The lowest
points, the minima with their neighbors, and points drawn at random are measured in float32 as well.
The random ones are an unbiased sample of the differences; from them, two numbers are stated: one
that holds for 95% of the points, and the largest to expect. Wherever the largest would exceed its
share of the tolerance, points are measured in float32 too, and if that is most of them, all are.

Differences are rounding errors of many samples, so they are large where the samples' losses vary
much: of two surfaces of one network, the difference divided by the standard error of the mean is
close to normal. Whether the differences follow the standard error, its root, or neither is decided
by the likelihood of the random sample; of several plausible ones, each point has the largest bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage, special

from losslandscape.adaptive.selection import largest_of
from losslandscape.landscape.scale import scale_of, to_scale

SHARE = 1 / 3  # of the tolerance, for the largest difference; errors add in quadrature
DEFAULT_TOLERANCE = 0.01  # where none is given
RANDOM_POINTS = 30
MOST = 0.5  # share of the points: if more need float32, all are measured in it
_LOWEST_SHARE = 0.02  # of the points, the lowest ones; as many at and beside the minima
_LEAST_LOWEST = 3
_STATED = 0.95  # share of the points that the smaller number is stated for
_CONFIDENCE = 0.95
_POWERS = (0.0, 0.5, 1.0)  # of the standard error, to which the differences may be proportional
_PLAUSIBLE = 2.0  # a log likelihood that is smaller by no more than this


@dataclass(frozen=True)
class FastField:
    """A surface in the fast type.

    Attributes
    ----------
    losses, standard_errors : float64 ndarray, shape (size,)
        Used only where ``measured``.
    measured : ndarray of bool, shape (size,)
    shape : tuple of int
        Of the grid.
    whole : float64 ndarray, shape (size,)
        The losses, and in between what was interpolated; not finite where unknown.
    """

    losses: np.ndarray
    standard_errors: np.ndarray
    measured: np.ndarray
    shape: tuple[int, ...]
    whole: np.ndarray


@dataclass(frozen=True)
class _Spread:
    """What the differences may be proportional to.

    Attributes
    ----------
    power : float
        Of the standard error, on the scale.
    least : float
        No value is smaller than at the points where it was tried.
    bound_95, bound : float
        95% of the differences, and the largest to expect, as multiples.
    """

    power: float
    least: float
    bound_95: float
    bound: float


class TwoPrecisions:
    """The rounds of points that are measured in float32 as well.

    The rounds depend on the losses alone, on both kinds, so an interrupted run replays them.

    Parameters
    ----------
    fast : FastField
    tolerance : float
        Of the whole landscape, as a share of the range; the differences get :data:`SHARE` of it.
    scale : "log", "linear" or None
        Of differences and range. None chooses as :func:`losslandscape.landscape.scale.scale_of`.
    seed : int
        Of the random points.

    Attributes
    ----------
    fallen_back : str
        Why all points are measured in float32; empty if they are not.
    finished : bool

    Examples
    --------
    >>> exact = np.linspace(-1, 1, 401) ** 2 + 0.5
    >>> noise = 1e-5 * np.random.default_rng(0).normal(size=401)
    >>> everywhere = np.ones(401, bool)
    >>> fast = FastField(exact + noise, np.full(401, 0.1), everywhere, (401,), exact + noise)
    >>> both = TwoPrecisions(fast, 0.01)
    >>> while (numbers := both.next_round(exact)).size:
    ...     print(numbers.size)
    40
    >>> both.finished, bool(both.difference_95 < 1e-4), both.fallen_back
    (True, True, '')
    """

    def __init__(self, fast: FastField, tolerance: float, scale: str | None = None, seed: int = 0):
        self.fast = fast
        self.tolerance = tolerance
        self.scale = scale or scale_of(fast.losses[fast.measured])
        self.seed = seed
        self.fallen_back = ""
        self.finished = False
        self._on_scale = to_scale(np.where(fast.measured, fast.losses, np.nan), self.scale)
        known = self._on_scale[np.isfinite(self._on_scale)]
        self.range = float(np.ptp(known)) if known.size else 0.0
        self.targeted = np.zeros(fast.losses.size, bool)
        self.drawn = np.zeros(fast.losses.size, bool)
        self._spreads: list[_Spread] = []  # those that are plausible, the likeliest first
        self.found = np.empty(0)  # differences at the random points, on the scale

    @property
    def limit(self) -> float:
        """The largest difference that the tolerance allows, on the scale."""
        return SHARE * self.tolerance * self.range

    @property
    def in_both(self) -> np.ndarray:
        """The points that were asked for so far, shape (size,)."""
        return self.targeted | self.drawn

    def next_round(self, exact: np.ndarray) -> np.ndarray:
        """Numbers of the points to measure in float32 next; empty at the end.

        Parameters
        ----------
        exact : float64 ndarray, shape (size,)
            Losses in float32; used only where earlier rounds asked for them.
        """
        before = self.in_both
        if not before.any():
            self._aim(~np.isfinite(self._on_scale) & self.fast.measured)
            self._aim(self._lowest() | self._at_minima())
        else:
            self._compare(exact)
            if not self.fallen_back:
                largest = self._largest(self.fast.standard_errors, self.fast.losses)
                self._aim(largest > self.limit)
        if not self.fallen_back:
            self._draw()
            share = self.in_both.sum() / max(int(self.fast.measured.sum()), 1)
            if share > MOST:
                self.fallen_back = (
                    f"{100 * share:.0f}% of the points would have to be measured in both types"
                )
        if self.fallen_back:
            self.finished = True
            return np.empty(0, int)
        numbers = np.flatnonzero(self.in_both & ~before)
        self.finished = not numbers.size
        return numbers

    def error(self, standard_errors: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """What 95% of the differences are within, at any points, in units of the loss."""
        on_scale = self._bounds_95(standard_errors, losses)
        return losses * (10**on_scale - 1) if self.scale == "log" else on_scale

    def _bounds_95(self, standard_errors: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """What 95% of the differences are within, on the scale."""
        multiples = [one.bound_95 for one in self._spreads]
        return self._bounds(multiples, standard_errors, losses)

    def _largest(self, standard_errors: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """The largest differences to expect, on the scale."""
        return self._bounds([one.bound for one in self._spreads], standard_errors, losses)

    def _bounds(
        self, multiples: Sequence[float], standard_errors: np.ndarray, losses: np.ndarray
    ) -> np.ndarray:
        """Of all plausible spreads, each times its number, the largest at each point."""
        found = np.zeros(losses.shape)
        for one, multiple in zip(self._spreads, multiples):
            spread = np.fmax(self._raised(one.power, standard_errors, losses), one.least)
            found = np.fmax(found, multiple * spread)
        return found

    @property
    def difference_95(self) -> float:
        """95% of the points not measured in float32 differ by no more, as a share of the range.

        The larger of two numbers: of the random differences alone, and the 95% quantile of the
        points' own bounds.
        """
        rest = self.fast.measured & ~self.in_both
        if not rest.any():
            return 0.0
        bounds = self._bounds_95(self.fast.standard_errors[rest], self.fast.losses[rest])
        most = float(np.quantile(bounds, _STATED, method="higher"))
        return self._as_share(max(most, _bound_of_most(self.found)))

    @property
    def largest_difference(self) -> float:
        """The largest estimate of those points, as a share of the range."""
        rest = self.fast.measured & ~self.in_both
        if not rest.any():
            return 0.0
        largest = self._largest(self.fast.standard_errors[rest], self.fast.losses[rest])
        return self._as_share(float(largest.max()))

    def to_json(self) -> dict[str, Any]:
        """Describe the comparison, for the file."""
        return {
            "tolerance": self.tolerance,
            "share": SHARE,
            "scale": self.scale,
            "range": self.range,
            "fast_points": int((self.fast.measured & ~self.in_both).sum()),
            "exact_points": int(self.in_both.sum()),
            "random_points": int(self.drawn.sum()),
            "difference_95": self.difference_95,
            "largest_difference": self.largest_difference,
            "largest_found": self._as_share(float(np.abs(self.found).max(initial=0.0))),
            "mean_found": self._as_share(float(self.found.mean()) if self.found.size else 0.0),
            "powers_of_standard_error": [one.power for one in self._spreads],
        }

    def _as_share(self, difference: float) -> float:
        return difference / self.range if self.range > 0 else difference

    def _aim(self, wanted: np.ndarray) -> None:
        self.targeted |= wanted & self.fast.measured

    def _lowest(self) -> np.ndarray:
        """The lowest points, and the highest one: they are the ends of the range."""
        low = np.where(np.isfinite(self._on_scale), self._on_scale, np.inf)
        chosen = np.zeros(low.size, bool)
        chosen[np.argsort(low, kind="stable")[: self._few()]] = True
        high = np.where(np.isfinite(self._on_scale), self._on_scale, -np.inf)
        chosen[int(high.argmax())] = True
        return chosen

    def _at_minima(self) -> np.ndarray:
        """The lowest of the points at the minima of the field and beside them."""
        whole = self.fast.whole.reshape(self.fast.shape)
        low = np.where(np.isfinite(whole), whole, np.inf)
        minima = (ndimage.minimum_filter(low, 3, mode="nearest") == low) & np.isfinite(low)
        minima &= ndimage.maximum_filter(low, 3, mode="nearest") > low  # no plateau
        chosen = np.zeros(low.size, bool)
        for candidates in (minima, ndimage.maximum_filter(minima, 3)):
            numbers = np.flatnonzero(candidates.ravel() & self.fast.measured)
            order = np.argsort(low.ravel()[numbers], kind="stable")
            chosen[numbers[order][: self._few()]] = True
        return chosen

    def _few(self) -> int:
        return max(_LEAST_LOWEST, int(np.ceil(_LOWEST_SHARE * self.fast.measured.sum())))

    def _draw(self) -> None:
        """Draw random points until there are enough among those that are not targeted."""
        rest = self.fast.measured & ~self.targeted
        missing = RANDOM_POINTS - int((rest & self.drawn).sum())
        candidates = np.flatnonzero(rest & ~self.drawn)
        if missing <= 0 or not candidates.size:
            return
        generator = np.random.default_rng([self.seed, int(self.drawn.sum())])
        count = min(missing, candidates.size)
        self.drawn[generator.choice(candidates, count, replace=False)] = True

    def _compare(self, exact: np.ndarray) -> None:
        """Find the bounds from the differences at the random points."""
        numbers = np.flatnonzero(self.drawn)
        self.found = to_scale(exact[numbers], self.scale) - self._on_scale[numbers]
        if not np.isfinite(self.found).all():
            self.fallen_back = "at some points the loss is finite in one type alone"
            return
        errors, losses = self.fast.standard_errors[numbers], self.fast.losses[numbers]
        rest = self.fast.measured & np.isfinite(self._on_scale)
        # of those that are left, each of which may have the largest difference
        count = max(int((self.fast.measured & ~self.in_both).sum()), 1)
        found = []
        for power in _POWERS:
            everywhere = self._raised(
                power, self.fast.standard_errors[rest], self.fast.losses[rest]
            )
            if not (np.isfinite(everywhere) & (everywhere > 0)).all():
                continue
            spread = self._raised(power, errors, losses)
            ratios = self.found / spread
            # of a normal distribution with this spread, times a common factor
            scatter = max(float(np.sqrt(np.mean(ratios**2))), np.finfo(float).tiny)
            likelihood = -float(np.log(spread).sum()) - ratios.size * float(np.log(scatter))
            bound_95 = _bound_of_most(ratios)
            of_all = special.ndtri((1 + count / (count + 1)) / 2) * _scatter(ratios)
            bound = max(bound_95, of_all, largest_of(np.abs(ratios), count))
            found.append((likelihood, _Spread(power, float(spread.min()), bound_95, bound)))
        found.sort(key=lambda one: -one[0])  # a stable sort: the smallest power of equals
        best = found[0][0]
        self._spreads = [one for likelihood, one in found if likelihood > best - _PLAUSIBLE]

    def _raised(self, power: float, standard_errors: np.ndarray, losses: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            on_scale = standard_errors / losses if self.scale == "log" else standard_errors
            return np.power(on_scale, power)


def _bound_of_most(differences: np.ndarray) -> float:
    """What 95% of a population are within, with a confidence of 95%, from a random sample.

    The larger of two bounds: the largest of the n numbers, which holds for any distribution, but
    only with a confidence of 1 - 0.95^n; and that of a normal distribution with mean 0.

    Examples
    --------
    >>> numbers = np.random.default_rng(0).normal(size=30)
    >>> 1.96 < _bound_of_most(numbers) < 4
    True
    """
    if not differences.size:
        return 0.0
    quantile = special.ndtri((1 + _STATED) / 2)
    return float(max(np.abs(differences).max(), quantile * _scatter(differences)))


def _scatter(differences: np.ndarray) -> float:
    """Upper limit, with a confidence of 95%, of the root mean square of normal differences."""
    n = differences.size
    return float(np.sqrt(np.sum(differences**2) / special.chdtri(n, _CONFIDENCE)))


def expected_share(speed_up: float, points: int) -> float:
    """The expected cost of measuring in two types, as a share of measuring in float32 alone.

    Examples
    --------
    >>> [round(expected_share(*of), 2) for of in ((2.5, 2601), (2.5, 289), (2.5, 81), (1.3, 2601))]
    [0.47, 0.56, 0.83, 0.84]
    """
    return 1 / speed_up + 3 * _LOWEST_SHARE + RANDOM_POINTS / points


def describe(stated: Mapping[str, Any]) -> str:
    """What was measured in which type, from its description in the file.

    Examples
    --------
    >>> print(describe({"type": "bfloat16", "exact_type": "float32", "fast_points": 245,
    ...                 "exact_points": 44, "random_points": 30, "speed_up": 2.34, "scale": "log",
    ...                 "range": 2.6, "difference_95": 0.0009, "largest_difference": 0.0025,
    ...                 "tolerance": 0.01, "tolerance_given": False}))
    bfloat16 at 245 points, 2.3 times as fast as float32, and float32 at 44, 30 of them at random:
    95% of the others differ by at most 0.09% of the range, the largest difference is estimated at
    0.25% (2.6 decades, log scale; a third of the tolerance, 1% as none was given)
    >>> describe({"type": "float32", "reason": "bfloat16 is slower than float32"})
    'float32 at all points: bfloat16 is slower than float32'
    """
    if "fast_points" not in stated:
        return f"{stated.get('type', '?')} at all points: {stated.get('reason', '?')}"

    def number(name: str, factor: float = 1.0, form: str = ".2g") -> str:
        value = stated.get(name)
        return f"{factor * value:{form}}" if isinstance(value, (int, float)) else "?"

    exact = stated.get("exact_type", "float32")
    decades = " decades" if stated.get("scale") == "log" else ""
    given = "" if stated.get("tolerance_given") else " as none was given"
    return (
        f"{stated.get('type', '?')} at {number('fast_points', 1, ',.0f')} points, "
        f"{number('speed_up')} times as fast as {exact}, and {exact} at "
        f"{number('exact_points', 1, ',.0f')}, {number('random_points', 1, ',.0f')} of them at "
        f"random: 95% of the others differ by at most {number('difference_95', 100)}% of the "
        f"range, the largest difference is estimated at {number('largest_difference', 100)}% "
        f"({number('range', 1, '.3g')}{decades}, {stated.get('scale', '?')} scale; a third of the "
        f"tolerance, {number('tolerance', 100, 'g')}%{given})"
        + (
            f"; with the other largest errors, of interpolation and sampling, "
            f"{number('together', 100)}%"
            if "together" in stated
            else ""
        )
    )
