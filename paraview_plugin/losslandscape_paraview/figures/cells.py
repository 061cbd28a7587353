"""The cells of ParaView's layouts, in which views stand."""

from dataclasses import dataclass
from typing import Any

from ..session import is_in_window


@dataclass(frozen=True)
class Cell:
    """A part of a layout.

    Attributes:
        layout: ParaView's.
        place: its number there.
        size: width and height of its picture in pixels.
        shares: left, bottom, width and height, of the layout's.
    """

    layout: Any
    place: int
    size: tuple
    shares: tuple


def new_layout(simple):
    """An empty layout, whose views have a white ground."""
    if not any(is_in_window(view) for view in simple.GetRenderViews()):
        # the window would keep the palette in the user's settings; what is drawn does not depend
        # on it
        simple.LoadPalette("WhiteBackground")
    return simple.CreateLayout("Figure")


def split(layout, place, shares, downwards=False):
    """Divide a cell of a layout.

    Args:
        layout: ParaView's.
        place: the cell's number.
        shares: of its parts, in any unit.
        downwards: they stand one below the other, from the highest, and not from left to right.

    Returns:
        list of the parts' numbers.
    """
    parts = []
    for index in range(len(shares) - 1):
        share = shares[index] / sum(shares[index:])
        if downwards:
            first = layout.SplitVertical(place, share)
        else:
            first = layout.SplitHorizontal(place, share)
        parts.append(first)
        place = first + 1
    return [*parts, place]
