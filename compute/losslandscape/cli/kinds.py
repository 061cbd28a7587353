"""What the words of an option may be: numbers, lists of them, text, paths.

A kind is the type of an option (`parser.Parser` calls it with the option's name, so that the
message has both). Numbers are those of :mod:`losslandscape.argument_checks`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from losslandscape.argument_checks import COUNT, ENDS, POSITIVE, SEED, Real, Whole, refused_text
from losslandscape.errors import LossLandscapeError

_LONGEST_NAME = 255  # bytes of a file's or a folder's name, on every usual file system
_LONGEST_PATH = 4096
_LONGEST_TEXT = 1000


class Range(Protocol):
    """What parses the word of an option, and says in words what it takes."""

    @property
    def words(self) -> str: ...

    def parse(self, option: str, text: str) -> Any:
        """The value, or a `LossLandscapeError` that names the option."""


@dataclass(frozen=True)
class Kind:
    """The argparse type of a range.

    >>> Kind(Whole(1, 256))("7")
    7
    """

    range: Range

    def __call__(self, text: str) -> Any:
        return self.range.parse("", text)


@dataclass(frozen=True)
class Text:
    """Text of at least one character.

    >>> Text().parse("--array", "")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: --array '': must be text of at least one character
    """

    empty: bool = False

    @property
    def words(self) -> str:
        return f"text of at most {_LONGEST_TEXT} characters" if self.empty else _TEXT

    def parse(self, option: str, text: str) -> str:
        if not (self.empty or text.strip()):
            raise refused_text(option, text, _TEXT)
        if len(text) > _LONGEST_TEXT or "\0" in text:
            raise refused_text(option, text, f"text of at most {_LONGEST_TEXT} characters")
        return text


_TEXT = "text of at least one character"
_END = Real()


@dataclass(frozen=True)
class FileName:
    """A path, which need not exist; `make` is the type of the value.

    >>> FileName().parse("--output", "")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: --output '': must be the name of a file or folder
    """

    make: Callable[[str], Any] = Path
    words: str = "the name of a file or folder"

    def parse(self, option: str, text: str) -> Any:
        if not text.strip() or "\0" in text:
            raise refused_text(option, text, self.words)
        data = os.fsencode(text)
        if len(data) > _LONGEST_PATH or max(map(len, data.split(b"/"))) > _LONGEST_NAME:
            raise refused_text(
                option, text, f"{self.words}, each at most {_LONGEST_NAME} bytes long"
            )
        return self.make(text)


@dataclass(frozen=True)
class Numbers:
    """Numbers joined by commas, of one range.

    >>> Numbers(Whole(0)).parse("--sample-numbers", "3,1")
    [3, 1]
    """

    of: Whole | Real
    count: int | None = None

    @property
    def words(self) -> str:
        many = f"{self.count} numbers" if self.count else "numbers"
        return f"{many} joined by commas, each {self.of.words}"

    def parse(self, option: str, text: str) -> list[Any]:
        parts = text.removesuffix(",").split(",")
        try:
            found = [self.of.parse(option, part) for part in parts]
        except LossLandscapeError:
            raise refused_text(option, text, self.words) from None
        if self.count not in (None, len(found)):
            raise refused_text(option, text, self.words)
        return found


@dataclass(frozen=True)
class Intervals:
    """The ends of one to three axes, joined by commas, as pairs.

    >>> Intervals().parse("--bounds", "-1,1,0,2")
    [(-1.0, 1.0), (0.0, 2.0)]
    >>> Intervals().parse("--bounds", "1,1")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: --bounds 1,1: must be two finite numbers, the lower
    first, for each axis, joined by commas
    """

    most: int = 3
    words: str = f"{ENDS.words}, for each axis, joined by commas"

    def parse(self, option: str, text: str) -> list[tuple[float, float]]:
        try:
            ends = [_END.parse(option, end) for end in text.removesuffix(",").split(",")]
            pairs = list(zip(ends[::2], ends[1::2], strict=True))
            if len(pairs) > self.most:
                raise refused_text(option, text, self.words)
            return [ENDS.check(option, pair) for pair in pairs]
        except (ValueError, LossLandscapeError):
            raise refused_text(option, text, self.words) from None


@dataclass(frozen=True)
class Ends:
    """The two ends of one range of values.

    >>> Ends().parse("--valid-range", "0,1")
    [0.0, 1.0]
    """

    words: str = f"{ENDS.words}, joined by a comma"

    def parse(self, option: str, text: str) -> list[float]:
        try:
            ((low, high),) = Intervals(1).parse(option, text)
        except LossLandscapeError:
            raise refused_text(option, text, self.words) from None
        return [low, high]


@dataclass(frozen=True)
class Counts:
    """Numbers of points along each axis, joined by x; one number stands for all axes.

    >>> Counts(Whole(2, 100)).parse("--grid", "61x41")
    [61, 41]
    """

    of: Whole
    most: int = 3

    @property
    def words(self) -> str:
        return f"{self.of.words}, or one for each direction, joined by x (61x41)"

    def parse(self, option: str, text: str) -> list[int]:
        try:
            found = [self.of.parse(option, part) for part in text.lower().split("x")]
        except LossLandscapeError:
            found = []
        if not 1 <= len(found) <= self.most:
            raise refused_text(option, text, self.words)
        return found


@dataclass(frozen=True)
class OrNan:
    """A number of a range, or nan.

    >>> OrNan(Real()).parse("--not-evaluated", "nan")
    nan
    """

    of: Real

    @property
    def words(self) -> str:
        return f"{self.of.words}, or nan"

    def parse(self, option: str, text: str) -> float:
        if text.strip().lower().lstrip("+-") == "nan":
            return math.nan
        try:
            return self.of.parse(option, text)
        except LossLandscapeError:
            raise refused_text(option, text, self.words) from None


TEXT = Kind(Text())
PATH = Kind(FileName())
PATH_TEXT = Kind(FileName(str))
COUNTED = Kind(COUNT)
SEED_KIND = Kind(SEED)
POSITIVE_KIND = Kind(POSITIVE)
