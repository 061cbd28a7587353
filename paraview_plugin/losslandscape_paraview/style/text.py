"""Texts in a view: where they stand, and how large their letters are."""

from . import theme


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


def fitted(letters, text, room):
    """A letter size in pixels, smaller where the text would be longer than the room for it."""
    # a letter of these fonts is about half as wide as high
    return round(min(letters, room / (0.53 * max(1, len(text)))))
