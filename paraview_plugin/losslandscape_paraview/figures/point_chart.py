"""Charts of points, lines and regions that lie in files, as pipeline objects in a frame."""

from dataclasses import dataclass

from ..sources.provenance import literal
from ..style import theme
from ..style.text import fitted, write_at
from ..style.ticks import label_format, round_ticks
from .legend import dress_colour_bar, with_ends
from .marks import flat_colour, glyphs

# how near to the reader each part is, in pixels; what is nearer covers the others
_FILL, _GRID, _LINE, _MARK, _WORDS = -5.0, 0.0, 30.0, 45.0, 60.0
_LETTER_WIDTH = 0.5  # in heights of a letter


@dataclass
class Axis:
    """A linear axis.

    Attributes:
        title: as it is written.
        low, high: its ends.
        count: about how many values are labelled.
    """

    title: str
    low: float
    high: float
    count: int = 4

    @classmethod
    def around(cls, title, values, share=0.07):
        """An axis with some room around values.

        >>> Axis.around("x", [0.0, 10.0], 0.1)
        Axis(title='x', low=-1.0, high=11.0, count=4)
        """
        low, high = float(min(values)), float(max(values))
        room = share * (high - low) or 0.5
        return cls(title, low - room, high + room)

    def ticks(self):
        """The labelled values and their words."""
        values = round_ticks(self.low, self.high, self.count)
        label = label_format(values)
        return [(value, label.format(value)) for value in values]


class PointChart:
    """A chart in a cell of a sheet; its view's unit is a pixel of the layout, from below left.

    Args:
        sheet: a `Sheet`.
        number: of its cell.
        name: above the frame, and of the chart in the pipeline browser.
        x, y: `Axis`.
        equal: both axes have the same unit of length: `"frame"` makes the frame smaller, `"range"`
            one of the axes longer; None for units of their own.
        below: room below the axis, in heights of a letter, such as for a colour bar.

    Attributes:
        view: the render view.
        frame: left, right, bottom and top of the frame there.
        letter: the height of a letter there.
        scale, shift: of x and y into the view: two numbers each.
    """

    def __init__(self, sheet, number, name, x, y, equal=None, below=0.0):
        cell = sheet.cells[number]
        self.name, self.x, self.y = name, x, y
        self._letter_width = sheet.letter_width
        self._size = [pixels / theme.PICTURE_SCALE for pixels in cell.size]
        self.letter = theme.LETTER_SHARE * sheet.letter_width
        self.unit = sheet.letter_width / 1000
        self.view = sheet.view_in(cell)
        width, height = self._size
        self.view.CameraFocalPoint = [width / 2, height / 2, 0.0]
        self.view.CameraPosition = [width / 2, height / 2, 1000.0]
        self.view.CameraViewUp, self.view.CameraParallelScale = [0.0, 1.0, 0.0], height / 2
        self._lay_out(equal, below)
        self._draw_frame()
        sheet.charts.append(self)

    def named(self, what):
        """`what` with the chart's name: how the pipeline browser tells charts apart."""
        return f"{what} ({self.name})"

    def at(self, x, y):
        """The place of a point of the chart in the view."""
        return self.scale[0] * x + self.shift[0], self.scale[1] * y + self.shift[1]

    def placed(self, source, what, depth=_MARK):
        """A pipeline object in the chart's units, moved into the frame."""
        from paraview import simple

        moved = simple.Transform(registrationName=self.named(what), Input=source)
        moved.Transform.Scale = [*self.scale, 1.0]
        moved.Transform.Translate = [*self.shift, depth]
        return moved

    def show(self, source, colour=None):
        """Show a pipeline object in one colour, without shades."""
        return flat_colour(self.view, source, colour or theme.INK)

    def colour_by(self, shown, array, table):
        """Colour a representation by a point array."""
        shown.ColorArrayName = ["POINTS", array]
        shown.LookupTable = table
        shown.SetScalarBarVisibility(self.view, False)

    def fill(self, source, what, colour):
        """Show a region, in the chart's units, behind the grid."""
        return self.show(self.placed(source, what, _FILL), colour)

    def polylines(self, source, what, colour, radius=1.0):
        """Show polylines, in the chart's units; the radius is in pixels of a layout of 1000."""
        return self.tube(self.placed(source, f"{what}, placed", _LINE), what, colour, radius)

    def tube(self, source, what, colour, radius):
        """Show lines of the view as tubes; see `polylines`."""
        from paraview import simple

        tube = simple.Tube(
            registrationName=self.named(what),
            Input=source,
            Radius=radius * self.unit,
            NumberofSides=8,
        )
        return self.show(tube, colour)

    def marks(self, source, what, kind, radius, colour=None, edge=0.0):
        """Show points, in the chart's units, as marks of one size.

        Args:
            source: proxy of points.
            what: their name in the pipeline browser.
            kind: of `marks.glyphs`.
            radius: in pixels of a layout of 1000.
            colour: of all; None for ink.
            edge: width of the dark edge around each.

        Returns:
            The representation, to be coloured by an array.
        """
        placed = self.placed(source, f"{what}, placed")
        if edge:
            name = self.named(f"{what}: edge")
            away = -2.5 * edge * self.unit
            self.show(glyphs(placed, name, kind, (radius + edge) * self.unit, away))
        return self.show(glyphs(placed, self.named(what), kind, radius * self.unit), colour)

    def write(self, what, words, x, y, justification="Left"):
        """Write words at a place of the view: their lower left, middle or right end."""
        from paraview import simple

        text = simple.Text(registrationName=self.named(what), Text=literal(words))
        if justification == "Center":
            # ParaView 5.11 lets centred letters in a view's space begin at their place
            x, justification = x + 0.47 * len(words) * self.letter / 2, "Right"
        written = write_at(self.view, text, [x, y, _WORDS], self._letter_width)
        written.Justification = justification
        return written

    def bar(self, table, title, ticks):
        """A colour bar below the frame."""
        from paraview import simple

        bar = simple.GetScalarBar(table, self.view)
        width, letters = self._size[0], theme.BAR_LETTER_SHARE * self._letter_width
        middle = (self.frame[0] + self.frame[1]) / 2 / width
        long = 0.8 * (self.frame[1] - self.frame[0]) / width
        ticks = with_ends(table, ticks, letters / (long * width))
        dress_colour_bar(bar, literal(title), ticks, middle, long, width, self._letter_width)
        bar.Position = [middle - long / 2, 0.012]
        bar.ScalarBarThickness = round(0.6 * letters)
        bar.Visibility = 1
        return bar

    def _lay_out(self, equal, below):
        width, height = self._size
        letter, x, y = self.letter, self.x, self.y
        longest = max(len(words) for _value, words in y.ticks())
        left, right = (_LETTER_WIDTH * longest + 1.4) * letter, width - 1.4 * letter
        title = 1.5 * theme.TITLE_LETTER_SHARE / theme.LETTER_SHARE
        bottom, top = (below + 3.2) * letter, height - (title + 1.9) * letter
        spans = x.high - x.low, y.high - y.low
        unit = min((right - left) / spans[0], (top - bottom) / spans[1])
        if equal == "frame":
            middle = (left + right) / 2
            left, right = middle - unit * spans[0] / 2, middle + unit * spans[0] / 2
            bottom = top - unit * spans[1]
        elif equal == "range":
            for one, room in ((x, right - left), (y, top - bottom)):
                centre = (one.low + one.high) / 2
                one.low, one.high = centre - room / unit / 2, centre + room / unit / 2
        self.frame = (left, right, bottom, top)
        self.scale = [(right - left) / (x.high - x.low), (top - bottom) / (y.high - y.low)]
        self.shift = [left - self.scale[0] * x.low, bottom - self.scale[1] * y.low]

    def _draw_frame(self):
        from paraview import simple

        left, right, bottom, top = self.frame
        letter = self.letter
        # one stroke along the frame, with each line of the grid there and back
        corners = [(left, bottom)]
        for value, words in self.x.ticks():
            across = self.at(value, 0.0)[0]
            corners += [(across, bottom), (across, top), (across, bottom)]
            self.write(f"chart axes: x {words}", words, across, bottom - 1.35 * letter, "Center")
        corners += [(right, bottom), (right, top), (left, top)]
        for value, words in reversed(self.y.ticks()):
            up = self.at(0.0, value)[1]
            corners += [(left, up), (right, up), (left, up)]
            beside = left - 0.45 * letter
            self.write(f"chart axes: y {words}", words, beside, up - 0.42 * letter, "Right")
        corners.append((left, bottom))
        stroke = simple.PolyLineSource(
            registrationName=self.named("chart axes, frame and grid"),
            Points=[round(float(n), 3) for corner in corners for n in (*corner, _GRID)],
        )
        pieces = simple.Triangulate(
            registrationName=self.named("chart axes, frame and grid in segments"), Input=stroke
        )
        self.tube(pieces, "chart axes", theme.GRID, 0.9)
        middle = (left + right) / 2
        self.write("chart axes: title of x", self.x.title, middle, bottom - 2.75 * letter, "Center")
        self.write("chart axes: title of y", self.y.title, 0.4 * letter, top + 0.5 * letter)
        title = simple.Text(registrationName=self.named("title"), Text=literal(self.name))
        written = simple.Show(title, self.view)
        written.WindowLocation = "Upper Center"
        letters = theme.TITLE_LETTER_SHARE * self._letter_width
        written.FontSize = fitted(letters, self.name, 0.96 * self._size[0])
        written.Color = theme.INK
