"""A sheet: several figures and charts in one layout, each with a scale of its own."""

from dataclasses import dataclass, field
from typing import Any

from ..compatibility import restore_getargspec
from ..errors import LandscapeError
from ..session import is_in_window
from ..style import theme
from .camera import dress_view
from .cells import Cell, new_layout, split
from .figure import Figure
from .legend import draw_legend
from .written import Written

# heights of a letter that the strip with the common keys has
_STRIP_LETTERS = 5.4


class Sheet(Written):
    """Cells in rows, from left to right and from above, and a strip for what they share below.

    Args:
        count: of the cells.
        columns: how many stand side by side.
        size: width and height of the picture in pixels.
        letters: scale of all texts.
        strip: the strip's height in heights of a letter; 0 for none.

    Attributes:
        layout: ParaView's layout.
        cells: list of `Cell`.
        figures: list of the figures that were drawn in them.
        charts: list of the charts.
        captions: list of lines about the charts.
        letter_width: the width in pixels that text sizes are shares of (see `style.theme`).
        strip: the view for what is shared, or None.
        strip_share, strip_size: its height, of the layout's; width and height in its pixels.
    """

    def __init__(self, count, columns, size, letters=1.0, strip=_STRIP_LETTERS):
        restore_getargspec()
        from paraview import simple

        simple._DisableFirstRenderCameraReset()
        self.size = tuple(int(pixels) for pixels in size)
        self.layout_size = tuple(pixels // theme.PICTURE_SCALE for pixels in self.size)
        self.letters = letters
        self.figures: list = []
        self.charts: list = []
        self.captions: list = []
        self._views: list = []
        self.layout = new_layout(simple)
        rows = -(-count // columns)
        self.letter_width = letters * self.layout_size[0] / columns
        share = self.strip_share = (
            strip * theme.LETTER_SHARE * self.letter_width / self.layout_size[1]
        )
        place, self.strip = 0, None
        if strip:
            place, below = split(self.layout, 0, [1.0 - share, share], True)
        parts = [
            part
            for row in split(self.layout, place, [1.0] * rows, True)
            for part in split(self.layout, row, [1.0] * columns)
        ]
        width, height = 1.0 / columns, (1.0 - share) / rows
        self.cells = []
        for number, part in enumerate(parts[:count]):
            row, column = divmod(number, columns)
            shares = (column * width, 1.0 - (row + 1) * height, width, height)
            pixels = (round(width * self.size[0]), round(height * self.size[1]))
            self.cells.append(Cell(self.layout, part, pixels, shares))
        if strip:
            whole = (self.size[0], round(share * self.size[1]))
            self.strip_size = [pixels / theme.PICTURE_SCALE for pixels in whole]
            cell = Cell(self.layout, below, whole, (0.0, 0.0, 1.0, share))
            self.strip = self.view_in(cell)

    def view_in(self, cell):
        """A new render view in a cell, with a white ground."""
        from paraview import simple

        view = simple.CreateView("RenderView")
        simple.AssignViewToLayout(view, self.layout, hint=cell.place)
        dress_view(view)
        self._views.append((view, cell.shares))
        return view

    def figure(self, number, landscapes, titles=None, **options):
        """A `Figure` in a cell; its keys are left to the strip."""
        made = Figure(
            landscapes, titles, cell=self.cells[number], letters=self.letters, keys=False, **options
        )
        self.figures.append(made)
        return made

    def finish(self):
        """Give the layout its size, and draw the keys that the figures share. Returns self."""
        from paraview import simple

        views = self.views
        if not is_in_window(views[0]):
            self.layout.SetSize(*self.layout_size)
        if self.strip is not None and self.figures:
            draw_legend(_Shared(self))
            for bar in self.strip.Representations:
                if bar.GetXMLName() == "ScalarBarWidgetRepresentation":
                    # as thick as those of the figures, which are narrower
                    letters = theme.BAR_LETTER_SHARE * self.letter_width
                    bar.ScalarBarThickness = round(0.6 * letters)
        simple.SetActiveView(views[0])
        return self

    @property
    def views(self):
        """The views of all cells, and of the strip."""
        return [view for view, _place in self.view_places()]

    @property
    def landscapes(self):
        """What all figures are of."""
        return [one for figure in self.figures for one in figure.landscapes]

    @property
    def panels(self):
        """The panels of all figures."""
        return [panel for figure in self.figures for panel in figure.panels]

    def view_places(self):
        """Each view with its left, bottom, width and height, as shares of the sheet's size."""
        found = []
        for figure in self.figures:
            left, bottom, width, height = figure.cell.shares
            for view, (x, y, across, up) in figure.view_places():
                found.append(
                    (view, (left + x * width, bottom + y * height, across * width, up * height))
                )
        return [*found, *self._views]

    def report(self):
        """What a reader should know: as `Figure.report`, with the `scales` of all figures."""
        reports = [figure.report() for figure in self.figures]
        return {
            "size": list(self.size),
            "scales": [one["scale"] for one in reports],
            "panels": [panel for one in reports for panel in one["panels"]],
            "caption": "".join(
                [*(one["caption"] for one in reports), *(f"{line}\n" for line in self.captions)]
            ),
        }


@dataclass
class _Shared:
    """What `draw_legend` draws in a sheet's strip: the figures' keys, and the bar they share."""

    sheet: Any
    has_bar: bool = False
    shows_bar: bool = True
    keys: bool = True
    bar_title: str = ""
    bar_ticks: list = field(default_factory=list)
    curve_key: dict = field(default_factory=dict)

    def __post_init__(self):
        figures = self.sheet.figures
        self.legend, self.letter_width = self.sheet.strip, self.sheet.letter_width
        self.layout_size, self.letters = self.sheet.layout_size, self.sheet.letters
        self.legend_share = self.sheet.strip_share
        self.least_letters = figures[0].least_letters
        self.views, self.panels = figures[0].views, self.sheet.panels
        self.marks = {name: c for one in figures for name, c in one.marks.items()}
        self.runs = {name: c for one in figures for name, c in one.runs.items()}
        self.steps = figures[0].steps
        if not figures[0].shows_bar:
            self.has_bar = True
            self.bar_title, self.bar_ticks = figures[0].bar_title, figures[0].bar_ticks
        # a figure's colours of steps are those of its own range
        ranges = {tuple(sorted(one.tables.step_ranges.items())) for one in figures}
        with_steps = [one for one in figures if one.tables.step_ranges]
        if len(ranges - {()}) > 1:
            raise LandscapeError(
                "the panels' trajectories have different steps, so that no color bar is right for "
                "all of them; draw them as figures of their own"
            )
        self.tables = (with_steps or figures)[0].tables
