"""The lines below a plane: numbers that a reader of the picture needs."""

from ..sources.provenance import literal
from ..style import theme
from ..style.text import fitted


def write_notes(panel):
    """Write a panel's notes below what is drawn; nothing where it has none."""
    from paraview import simple

    if not panel.notes:
        return
    text = simple.Text(registrationName=panel.named("notes"), Text=literal("\n".join(panel.notes)))
    written = simple.Show(text, panel.view)
    written.WindowLocation = "Lower Center"
    width = panel.figure.letter_width
    room = 0.97 * panel.figure.layout_size[0] / len(panel.figure.panels)
    if panel.figure.charts:
        room = min(0.5 * panel.figure.layout_size[0], 0.97 * panel.figure.view_size(panel.view)[0])
    written.FontSize = fitted(theme.LETTER_SHARE * width, max(panel.notes, key=len), room)
    written.Color = theme.INK
