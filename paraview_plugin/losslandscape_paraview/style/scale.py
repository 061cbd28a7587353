"""How a figure shows a quantity: linear or logarithmic, with a floor and a ceiling.

Nothing here changes a value. The scale is written once, as an expression of ParaView's Calculator,
and used for surfaces, curves and points.
"""

import math
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from ..errors import LandscapeError
from .ticks import multiples, round_step, round_ticks

# Positive losses that span more than this many decades are shown on a log scale.
LINEAR_DECADES = 2.0
HEIGHT = "height"
# Levels closer than that are even in the quantity: in height, neighbouring steps differ by 2%.
MOST_PARTS_OF_A_DECADE = 100


@dataclass(frozen=True)
class DisplayScale:
    """One scale for the heights and the colours of every panel of a figure.

    Attributes:
        array: the quantity's array, usually `loss`.
        log: heights and colours go with the base-10 logarithm.
        floor, ceiling: smaller (greater) values are drawn at this value; None for no such limit.
        lower, upper: the least and the greatest value drawn, after floor and ceiling.
    """

    array: str
    log: bool
    floor: Optional[float]
    ceiling: Optional[float]
    lower: float
    upper: float

    @classmethod
    def of(cls, values, array="loss", log=None, floor=None, ceiling=None, preferred=None):
        """The scale for some values.

        Args:
            values: ndarray of any shape, the quantity at every point of every panel. What is not
                finite is left out, but for positive infinity where there is a ceiling: it is drawn
                there.
            array: the quantity's array name.
            log: True or False; None decides: what `preferred` says, or log where the positive
                values span more than two decades.
            floor, ceiling: limits in the quantity's unit, or None.
            preferred: the provenance's `scale`, `"log"` or `"linear"`.

        Raises:
            LandscapeError: there is no finite value, or no positive one on a log scale, or the
                limits leave nothing between them.
        """
        values = np.asarray(values, dtype=float)
        finite = values[np.isfinite(values)]
        if not finite.size:
            raise LandscapeError(
                f"array '{array}' has no finite value, so there is nothing to draw"
            )
        positive = finite[finite > 0]
        if log is None:
            decades = math.log10(positive.max() / positive.min()) if positive.size else 0.0
            log = preferred == "log" if preferred else decades > LINEAR_DECADES
            log = log and bool(positive.size)
        if log:
            if not positive.size:
                raise LandscapeError(f"array '{array}' has no positive value for a log scale")
            if floor is None and finite.min() <= 0:
                # a logarithm of nothing: those points are drawn at the least positive value
                floor = float(positive.min())
            if floor is not None and floor <= 0:
                raise LandscapeError(f"floor {floor:g}: a log scale needs a positive floor")
        least = float((positive if log else finite).min())
        if ceiling is not None and not (math.isfinite(ceiling) and ceiling > least):
            raise LandscapeError(
                f"the ceiling {ceiling:g} must be a number above the least value, {least:g}"
            )
        if floor is not None and ceiling is not None and floor >= ceiling:
            raise LandscapeError(f"the floor {floor:g} must lie below the ceiling {ceiling:g}")
        drawn = np.clip(finite, floor, ceiling) if (floor, ceiling) != (None, None) else finite
        lower, upper = float(drawn.min()), float(drawn.max())
        if ceiling is not None and np.isposinf(values).any():
            # drawn at the ceiling, however far above the finite values it is
            upper = float(ceiling)
        if lower == upper:
            half = 0.5 * max(1.0, abs(lower))
            lower, upper = (lower / 2, upper * 2) if log else (lower - half, upper + half)
        return cls(array, bool(log), floor, ceiling, lower, upper)

    @property
    def expression(self):
        """The Calculator's function, from the array to the height before the warp's factor."""
        return self.expression_of(self.array)

    def expression_of(self, value, at_least=None):
        """The same for another value than the array's own.

        Args:
            value: a Calculator's expression, in the quantity's unit.
            at_least: a floor for it, whether or not the scale has one.
        """
        inner, floor = value, self.floor if at_least is None else at_least
        # if(), and not min(): only so a NaN stays a NaN
        if floor is not None:
            inner = f"if({value} < {floor!r}, {floor!r}, {inner})"
        if self.ceiling is not None:
            inner = f"if({value} > {self.ceiling!r}, {self.ceiling!r}, {inner})"
        return f"log10({inner})" if self.log else inner

    def widened(self, values):
        """The scale with room for more values, such as the ends of error bars.

        On a log scale what is not positive, or more than a decade below the least value, gets no
        room. Floor and ceiling hold.
        """
        values = np.asarray(values, dtype=float)
        values = values[np.isfinite(values)]
        if self.log:
            values = values[values >= self.lower / 10]
        if not values.size:
            return self
        values = np.clip(values, self.floor, self.ceiling) if self._is_cut else values
        lower, upper = min(self.lower, values.min()), max(self.upper, values.max())
        return replace(self, lower=float(lower), upper=float(upper))

    @property
    def inverse_expression(self):
        """The Calculator's function from the height back to the quantity."""
        return f"10^{HEIGHT}" if self.log else HEIGHT

    @property
    def label(self):
        """What the expression does, in words, for the pipeline browser."""
        words = f"log10 of {self.array}" if self.log else self.array
        if self.floor is not None:
            words += f", at least {self.floor:g}"
        if self.ceiling is not None:
            words += f", at most {self.ceiling:g}"
        return words

    @property
    def words(self):
        """What the colour bar's title adds to the quantity, such as "log scale"."""
        words = "log scale" if self.log else "linear scale"
        limits = [f"{limit:g}" for limit in (self.floor, self.ceiling) if limit is not None]
        return words + (f", cut at {' and '.join(limits)}" if limits else "")

    def heights(self, values):
        """The same as the expression, of an ndarray."""
        values = np.asarray(values, dtype=float)
        if self._is_cut:
            values = np.clip(values, self.floor, self.ceiling)
        if not self.log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(values)

    def values(self, heights):
        """The quantity at some heights."""
        heights = np.asarray(heights, dtype=float)
        return 10.0**heights if self.log else heights

    @property
    def _is_cut(self):
        return (self.floor, self.ceiling) != (None, None)

    @property
    def bottom(self):
        """The height of the least value drawn."""
        return float(self.heights(self.lower))

    @property
    def top(self):
        """The height of the greatest value drawn."""
        return float(self.heights(self.upper))

    def levels(self, count):
        """At most `count` round values between the least and the greatest, even in height.

        On a log scale they divide each decade evenly, as the preferred numbers of ISO 3 do: powers
        of ten and 10^(k/n), rounded to two digits (three where n is above 10): 1, 1.6, 2.5, 4, 6.3,
        10 for n = 5. So each level is what its label says. Where a decade had to be divided more
        than a hundredfold, and on linear scales, they are multiples of 1, 2 or 5 times a power of
        ten.

        >>> DisplayScale("loss", True, None, None, 0.5, 20.0).levels(8).tolist()
        [0.56, 1.0, 1.8, 3.2, 5.6, 10.0, 18.0]
        """
        # an open interval of so many steps has no more multiples of the step in it
        least = (self.top - self.bottom) / count
        if self.log and least >= 1 / MOST_PARTS_OF_A_DECADE:
            parts = 1 if least > 1 else math.floor(1 / least * (1 + 1e-9))
            step = round_step(least) if least > 1 else 1 / parts
            digits = 2 if parts <= 10 else 3
            first, last = math.floor(self.bottom / step), math.ceil(self.top / step)
            values = [float(f"{10 ** (step * n):.{digits}g}") for n in range(first, last + 1)]
        else:
            values = multiples(
                round_step((self.upper - self.lower) / count), self.lower, self.upper
            )
        return np.array([value for value in values if self.lower < value < self.upper])

    def ticks(self, count=6):
        """About `count` round values within the range, for the colour bar's labels."""
        if not self.log:
            return round_ticks(self.lower, self.upper, count)
        decades = self.top - self.bottom
        factors = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 3 else (1,)
        every = max(1, math.ceil(decades / count))
        powers = range(math.floor(self.bottom), math.ceil(self.top) + 1)
        found = [
            float(f"{factor}e{power}")
            for power in powers
            for factor in factors
            if power % every == 0
        ]
        # both ends of the range are rounded for the eye, not for the test of what lies within
        slack = 1e-9 * decades
        found = [t for t in found if self.bottom - slack <= math.log10(t) <= self.top + slack]
        return found if len(found) >= 3 else round_ticks(self.lower, self.upper, count)

    def tick_choices(self):
        """Lists of round values within the range for a short axis, the best first.

        On a log scale: powers of ten, those with 3 between, with 2 and 5 between, every second of
        these, one value a decade, and, where the range is short, doubles and multiples of a round
        step. Each list is about even in height and has two values or more.

        >>> DisplayScale("loss", True, None, None, 0.04, 3.0).tick_choices()[:4]
        [[0.1, 1.0], [0.1, 0.3, 1.0, 3.0], [0.05, 0.1, 0.2, 0.5, 1.0, 2.0], [0.05, 0.2, 1.0]]
        """
        choices = []
        if self.log:
            slack = 1e-9 * (self.top - self.bottom)
            first, last = math.floor(self.bottom), math.ceil(self.top)

            def values(*factors, every=1):
                powers = (power for power in range(first, last + 1) if power % every == 0)
                found = [float(f"{factor}e{power}") for power in powers for factor in factors]
                ends = self.bottom - slack, self.top + slack
                return [value for value in found if ends[0] <= math.log10(value) <= ends[1]]

            steps = [1, 2, 3, 5]
            while steps[-1] < last - first:
                steps.append(2 * steps[-1])
            choices = [values(1, every=every) for every in steps]
            fine = values(1, 2, 5)
            choices += [values(1, 3), fine, fine[::2], fine[1::2], values(5), values(2)]
            choices.append(values(2, 4, 8))
        if not self.log or self.top - self.bottom < 1:
            counts = (4, 3, 5, 2, 6, 8)
            choices += [round_ticks(self.lower, self.upper, count) for count in counts]
            power = 10.0 ** math.floor(math.log10(self.upper - self.lower))
            lengths = (power * factor for factor in (4, 3, 2.5, 1.5, 0.4, 0.3, 0.25, 0.15))
            choices += [multiples(step, self.lower, self.upper) for step in lengths]
        wanted = [ticks for ticks in choices if len(ticks) >= 2]
        return wanted or [[self.lower, self.upper]]
