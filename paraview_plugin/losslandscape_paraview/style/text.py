"""Texts in a view: where they stand, and how large their letters are."""

from textwrap import wrap

from . import theme

# a letter of these fonts is about half as wide as high
_WIDE = 0.53


def write_at(view, text, place, width):
    """Show a text at a place in the view's space, facing the reader."""
    from paraview import simple

    written = simple.Show(text, view)
    written.TextPropMode = "Billboard 3D Text"
    written.BillboardPosition = [float(x) for x in place]
    written.FontSize = round(theme.LETTER_SHARE * width)
    written.Color = theme.INK
    written.Justification = "Left"
    written.VerticalJustification = "Bottom"
    return written


def in_letters(count, letters):
    """How long a line of so many letters of some size is, in pixels."""
    return _WIDE * count * letters


def fitted(letters, text, room):
    """A letter size in pixels, smaller where the text would be longer than the room for it."""
    return round(min(letters, room / in_letters(max(1, len(text)), 1.0)))


def in_lines(lines, letters, room, least):
    """Lines with a letter size at which they fit a room: smaller letters first, then more lines.

    Args:
        lines: list of str.
        letters: the size in pixels where there is room.
        room: pixels.
        least: the smallest size, a whole number.

    Returns:
        list of str, and the size.

    >>> in_lines(["x" * 40], 20, 300, 10)[1], in_lines(["one, two and three"], 20, 120, 14)
    (14, (['one, two and', 'three'], 14))
    """
    size = fitted(letters, max(lines, key=len), room)
    if size >= least:
        return lines, size
    most = max(8, int(room / in_letters(1, least)))
    parts = [wrap(line, most, break_on_hyphens=False) or [""] for line in lines]
    return [part for broken in parts for part in broken], least
