"""What an argument may be: its kind, and the range of its values, for the API and the command line.

A range checks a Python value (`check`) and parses a word of the command line (`parse`). Both refuse
with the same words, which name the range: ``levels=2000: must be a whole number from 1 to 256``, or
``--levels 2000: must be a whole number from 1 to 256``.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

from losslandscape.errors import LossLandscapeError

_SHOWN = 60  # characters of a refused value


_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `least` to `most`, both included.

    Parameters
    ----------
    least, most : int, optional
        None: no limit.
    unit : str, optional
        What is counted, for the message.

    Examples
    --------
    >>> import numpy as np
    >>> Whole(1).check("batch_size", np.int64(9))
    9
    >>> Whole(1, 256).check("levels", 9.0)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: levels=9.0: must be a whole number from 1 to 256
    >>> Whole(1, 256).parse("--levels", "2000")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: --levels 2000: must be a whole number from 1 to 256
    """

    least: int | None = 1
    most: int | None = None
    unit: str = ""

    @property
    def words(self) -> str:
        """What a value must be, for a message after "must be"."""
        ends = [None if end is None else _whole(end) for end in (self.least, self.most)]
        unit = f" {self.unit}" if self.unit else ""
        return "a whole number" + _from_to(*ends) + unit

    def check(self, name: str, value: Any) -> int:
        """The value as an int; of any integer type, but no bool and no float.

        Raises
        ------
        LossLandscapeError
            If it is not a whole number, or is out of range.
        """
        try:
            number = None if _is_bool(value) or _is_array(value) else operator.index(value)
        except (TypeError, ValueError):
            number = None
        if number is None or not self._holds(number):
            raise refused(name, value, self.words)
        if self.most is None and number > _LARGEST:  # no count, which C code could take
            raise refused(name, value, f"{self.words} and at most 2**63 - 1")
        return number

    def parse(self, option: str, text: str) -> int:
        """The number that a word of the command line says.

        Raises
        ------
        LossLandscapeError
            If it says none, or one that is out of range.
        """
        try:
            number = int(_without_marks(text))
        except ValueError:
            raise refused_text(option, text, self.words) from None
        if not self._holds(number):
            raise refused_text(option, text, self.words)
        if self.most is None and number > _LARGEST:
            raise refused_text(option, text, f"{self.words} and at most 2**63 - 1")
        return number

    def _holds(self, number: int) -> bool:
        low = self.least is None or number >= self.least
        return low and (self.most is None or number <= self.most)


@dataclass(frozen=True)
class Real:
    """Finite numbers in an interval.

    Parameters
    ----------
    least, most : float
        The ends, which belong to the interval.
    above, below : float
        Ends that do not belong to it.

    Examples
    --------
    >>> Real(above=0, below=1).check("confidence", 1)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: confidence=1: must be a number above 0 and below 1
    >>> Real(above=0).parse("--learning-rate", "inf")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: --learning-rate inf: must be a finite number above 0
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    @property
    def words(self) -> str:
        """What a value must be, for a message after "must be"."""
        open_ends = self.above > -math.inf, self.below < math.inf
        if open_ends == (True, True):
            return f"a number above {self.above:g} and below {self.below:g}"
        ends = [f"{end:g}" if math.isfinite(end) else None for end in (self.least, self.most)]
        closed = _from_to(*ends)
        finite = "" if math.isfinite(self.most) or open_ends[1] else "finite "
        words = f"a {finite}number"
        if open_ends[0]:
            words += f" above {self.above:g}" + (f" and at most {ends[1]}" if ends[1] else "")
        elif open_ends[1]:
            words += closed + (" and" if closed else "") + f" below {self.below:g}"
        else:
            words += closed
        return words

    def check(self, name: str, value: Any) -> float:
        """The value as a float; of any real type, but no bool and no text.

        Raises
        ------
        LossLandscapeError
            If it is not a finite number, or is out of range.
        """
        number = _float(value)
        if number is None or not self._holds(number):
            raise refused(name, value, self.words)
        return number

    def parse(self, option: str, text: str) -> float:
        """The number that a word of the command line says.

        Raises
        ------
        LossLandscapeError
            If it says none, or one that is not finite or is out of range.
        """
        try:
            number = float(_without_marks(text))
        except ValueError:
            raise refused_text(option, text, self.words) from None
        if not self._holds(number):
            raise refused_text(option, text, self.words)
        return number

    def _holds(self, number: float) -> bool:
        inside = self.least <= number <= self.most and self.above <= number <= self.below
        return inside and math.isfinite(number) and number not in (self.above, self.below)


class UpperLimit(Real):
    """A finite number, or infinity for no limit, which the command line calls ``none``.

    Examples
    --------
    >>> UpperLimit().parse("--ceiling", "none"), UpperLimit().parse("--ceiling", "10")
    (inf, 10.0)
    >>> UpperLimit().check("most", float("nan"))
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: most=nan: must be a finite number, or none (infinity)
    """

    @property
    def words(self) -> str:
        """What a value must be, for a message after "must be"."""
        return "a finite number, or none (infinity)"

    def parse(self, option: str, text: str) -> float:
        """The limit that a word of the command line says; infinity has no other name there."""
        if text == "none":
            return math.inf
        number = super().parse(option, text)
        if math.isinf(number):
            raise refused_text(option, text, self.words)
        return number

    def _holds(self, number: float) -> bool:
        return number == math.inf or super()._holds(number)


@dataclass(frozen=True)
class Interval:
    """A pair (low, high) of finite numbers, the lower first.

    Examples
    --------
    >>> Interval().check("bounds[0]", (-1, 1))
    (-1.0, 1.0)
    >>> Interval().check("bounds[0]", (1, 1))
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: bounds[0]=(1, 1): must be two finite numbers, the lower
    first
    """

    words: str = "two finite numbers, the lower first"

    def check(self, name: str, value: Any) -> tuple[float, float]:
        """The ends as floats.

        Raises
        ------
        LossLandscapeError
            If they are not two finite numbers, or do not increase.
        """
        try:
            low, high = (None, None) if isinstance(value, (str, bytes)) else map(_float, value)
        except (TypeError, ValueError):
            low = high = None
        if low is None or high is None or not -math.inf < low < high < math.inf:
            raise refused(name, value, self.words)
        return low, high


COUNT = Whole(1)
"""Samples, points, checkpoints: 1 or more."""
# torch takes no seed of more than 64 bits, NumPy no negative one
SEED = Whole(0, 2**64 - 1)
POSITIVE = Real(above=0)
NON_NEGATIVE = Real(least=0)
FINITE = Real()
CEILING = UpperLimit()
AXIS_POINTS = Whole(2, 100_000)
FACTOR = Whole(1, 10_000)
COORDINATE = Real(-1e30, 1e30)  # float32 holds such steps, and their squares are finite in float64
PROBES = Whole(1, 100_000)
DIRECTIONS = Whole(2, 10_000_000)
DRAWS = Whole(1, 10_000_000)
LEVELS = Whole(1, 256)
EPOCHS = Whole(1, 100_000)
THREADS = Whole(1, 1024)
DPI = Real(10, 2400)
POINTS = Real(4, 40)
"""Text sizes in print."""
ENDS = Interval()
SHARE = Real(above=0, below=1)


def _without_marks(text: str) -> str:
    """A number's text as it is; a ValueError for ``0_1``, which Python reads as 1."""
    if "_" in text:
        raise ValueError(text)
    return text


def refused(name: str, value: Any, words: str) -> LossLandscapeError:
    """The error of an argument of the API that is not what `words` say.

    >>> print(refused("seed", "7", "a whole number"))
    seed='7': must be a whole number
    """
    return LossLandscapeError(f"{name}={shown(value)}: must be {words}")


def refused_text(option: str, text: str, words: str) -> LossLandscapeError:
    """The error of an option whose text is not what `words` say.

    >>> print(refused_text("--seed", "", "a whole number"))
    --seed '': must be a whole number
    """
    shown = text if text.strip() and text.isprintable() else repr(text)
    return LossLandscapeError(f"{option} {shortened(shown)}: must be {words}")


def shown(value: Any) -> str:
    """A value's text for a message, shortened; its type where it has no text.

    >>> shown(3), shown(10**5000)
    ('3', 'int')
    """
    try:
        return shortened(repr(value))
    except Exception:  # an int of thousands of digits, and whatever the user's object raises
        return type(value).__name__


def shortened(shown: str, most: int = _SHOWN) -> str:
    """The text on one line of at most `most` characters.

    >>> shortened("[[1 2]" + chr(10) + " [3 4]]")
    '[[1 2] [3 4]]'
    """
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _is_array(value: Any) -> bool:
    """Whether it has axes: some versions of NumPy and torch take an array of size 1 as a number."""
    return bool(getattr(value, "ndim", 0))


def _float(value: Any) -> float | None:
    """A number of any real type as a float; None if it is none."""
    is_text = isinstance(value, (str, bytes, bytearray))
    is_complex = isinstance(value, complex) or "complex" in str(getattr(value, "dtype", ""))
    if _is_bool(value) or _is_array(value) or is_text or is_complex:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _from_to(least: str | None, most: str | None) -> str:
    if least is None:
        return "" if most is None else f" of at most {most}"
    return f" of at least {least}" if most is None else f" from {least} to {most}"


def _whole(number: int) -> str:
    """A limit as it is read best: 2**64 - 1 rather than twenty digits.

    >>> _whole(256), _whole(2**64 - 1)
    ('256', '2**64 - 1')
    """
    bits = number.bit_length()
    return f"2**{bits} - 1" if bits > 24 and number == 2**bits - 1 else str(number)
