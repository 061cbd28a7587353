"""A number and its noun, in the right form."""

from __future__ import annotations


def counted(number: int, one: str, more: str | None = None) -> str:
    """``number`` with a comma at the thousands, and its noun.

    Parameters
    ----------
    one, more
        The noun in the singular and in the plural, which is ``one`` with an s by default.

    Examples
    --------
    >>> counted(1, "checkpoint"), counted(1200, "pass", "passes")
    ('1 checkpoint', '1,200 passes')
    """
    return f"{number:,} {one if number == 1 else more or one + 's'}"
