"""Checks of argument types, made before the work starts."""

from __future__ import annotations

import operator
from typing import Any

from losslandscape.errors import LossLandscapeError


def check_kind(what: str, value: Any, kind: type, hint: str) -> None:
    """Check that an argument is an instance of a class.

    Parameters
    ----------
    what : str
        The argument's name, for the message.
    hint : str
        What to pass instead, for the message.

    Raises
    ------
    LossLandscapeError
        If it is not.

    Examples
    --------
    >>> check_kind("grid", 5, dict, "give {}")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: grid is 5 (int), but a dict is expected: give {}
    """
    if not isinstance(value, kind):
        shown = repr(value)
        shown = f"{shown} ({type(value).__name__})" if len(shown) < 40 else type(value).__name__
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise LossLandscapeError(
            f"{what} is {shown}, but {article} {kind.__name__} is expected: {hint}"
        )


def whole_number(what: str, value: Any, least: int = 1) -> int:
    """A whole number of any integer type, as an int.

    Raises
    ------
    LossLandscapeError
        If it is not a whole number, or less than `least`.

    Examples
    --------
    >>> import numpy as np
    >>> whole_number("batch_size", np.int64(9))
    9
    >>> whole_number("samples", 9.0)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: samples is 9.0; it must be a whole number of at least 1
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise LossLandscapeError(
            f"{what} is {value!r}; it must be a whole number of at least {least}"
        )
    return number
