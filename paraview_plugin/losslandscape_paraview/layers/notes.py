"""The lines below a plane: numbers that a reader of the picture needs."""

from ..sources.provenance import literal
from ..style import theme
from ..style.text import in_lines


def write_notes(panel):
    """Write a panel's notes below what is drawn; nothing where it has none."""
    from paraview import simple

    if not panel.notes:
        return
    figure = panel.figure
    room = room_for_notes(figure, panel.view)
    letters = theme.LETTER_SHARE * figure.letter_width
    lines, size = in_lines(panel.notes, letters, room, figure.least_letters)
    text = simple.Text(registrationName=panel.named("notes"), Text=literal("\n".join(lines)))
    written = simple.Show(text, panel.view)
    written.WindowLocation = "Lower Center"
    written.FontSize = size
    written.Color = theme.INK


def room_for_notes(figure, view):
    """The pixels of a line below a plane."""
    if figure.charts:
        return min(0.5 * figure.layout_size[0], 0.97 * figure.view_size(view)[0])
    return 0.97 * figure.layout_size[0] / len(figure.panels)
