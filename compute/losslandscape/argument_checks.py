"""Is an argument of the kind that is expected? Said in front of the work, not in the middle."""

from __future__ import annotations

import operator
from typing import Any

from losslandscape.errors import LossLandscapeError


def check_kind(what: str, value: Any, kind: type, hint: str) -> None:
    """Raise a LossLandscapeError with a hint if an argument is not of a kind.

    Examples
    --------
    >>> check_kind("grid", 5, dict, "give {}")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: grid is 5 (int), where a dict is expected: give {}
    """
    if not isinstance(value, kind):
        shown = repr(value)
        shown = f"{shown} ({type(value).__name__})" if len(shown) < 40 else type(value).__name__
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise LossLandscapeError(
            f"{what} is {shown}, where {article} {kind.__name__} is expected: {hint}"
        )


def whole_number(what: str, value: Any, least: int = 1) -> int:
    """A whole number of any integer type as an int; a LossLandscapeError where it is none.

    Examples
    --------
    >>> import numpy as np
    >>> whole_number("batch_size", np.int64(9))
    9
    >>> whole_number("samples", 9.0)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: samples is 9.0; a whole number of at least 1 is needed
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise LossLandscapeError(
            f"{what} is {value!r}; a whole number of at least {least} is needed"
        )
    return number
