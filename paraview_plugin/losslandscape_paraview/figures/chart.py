"""Plots beside a surface: lines, bands, bars and dots in a frame with two axes, as geometry.

ParaView's own chart views do not grow with the picture, and no export but the PNG has them. What is
drawn here is shown by a render view, whose space is the layout's pixels from below left; its points
are in the state file itself.
"""

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..layers.glyphs import glyphs_at
from ..sources.provenance import literal
from ..style import theme
from ..style.scale import DisplayScale
from ..style.text import write_at
from ..style.ticks import label_format

# Radii of lines, in pixels of a layout of 1000; they grow with the letters.
LINE, THIN, GRID = 1.1, 0.35, 0.4
_HIDDEN = -100.0  # where what joins one line to the next goes
# Depths, from the back to the front. Radii stay below half of their distance.
_DEPTHS = ("axes", "band", "bars", "lines", "marks", "dots")
_DEPTH = 10.0
# a letter is about so wide, in units of its size
_WIDE = 0.5
# the height of a row of words above a frame, in the same unit
_ROW = 1.25


@dataclass(frozen=True)
class Axis:
    """One axis of a `Chart`.

    Attributes:
        scale: `DisplayScale` of what it has room for.
        title: its words; may be empty.
        ticks: pairs of a value and its words; None for round values.
        margin: room at each end, as a share of the range.
    """

    scale: DisplayScale
    title: str = ""
    ticks: Optional[tuple] = None
    margin: float = 0.04

    @classmethod
    def of(cls, values, title="", log=None, ticks=None, margin=0.04):
        """An axis for some values, on a log scale where they span more than two decades.

        Raises:
            LandscapeError: none of them is finite, or none positive on a log scale.
        """
        scale = DisplayScale.of(np.ravel(values), title, log)
        return cls(scale, title, None if ticks is None else tuple(ticks), margin)

    @property
    def ends(self):
        """The heights at both ends."""
        room = self.margin * (self.scale.top - self.scale.bottom)
        return self.scale.bottom - room, self.scale.top + room

    def shares(self, values):
        """Where values lie along the axis: 0 at its low end, 1 at the high one; NaN for none."""
        low, high = self.ends
        heights = self.scale.heights(values)
        return np.where(np.isfinite(heights), (heights - low) / (high - low), np.nan)

    def labels(self, count=4):
        """The ticks: pairs of a value and its words; about `count` where they are round values."""
        if self.ticks is not None:
            return list(self.ticks)
        values = self.scale.ticks(max(1, count))
        label = label_format(values)
        return [(value, label.format(value)) for value in values]


class Chart:
    """A plot in a render view, which may hold several.

    Args:
        view: a render view, one of a figure's `charts`.
        name: of the layer; the axes are another, `name axes`.
        x, y: `Axis` across and upwards.
        size: the view's width and height in the layout's pixels, see `Figure.view_size`.
        letter_width: the width in pixels that text sizes are shares of, see `Figure`.
        named: function of what a pipeline object is, for its name, such as `Panel.named`.
        place: left, right, bottom and top, as shares of the view.
        title: above it.
        key: rows above the frame, of pairs of words and their colour: what the colours are.

    Attributes:
        frame: left, right, bottom and top in the view's space.
        letter: the size of a letter in the view's space.
    """

    def __init__(
        self,
        view,
        name,
        x,
        y,
        size,
        letter_width,
        named=str,
        place=(0.0, 1.0, 0.0, 1.0),
        title="",
        key=(),
    ):
        self.view, self.name, self.x, self.y = view, name, x, y
        self._full_name, self._letter_width = named, letter_width
        width, height = size
        self._face(width, height)
        self.letter = letter = theme.LETTER_SHARE * letter_width
        self._thick = letter_width / 1000
        rows = [row for row in key if row]
        above = (_ROW * (bool(y.title) + len(rows)) + 0.4) * letter
        if title:
            above += 1.25 * theme.TITLE_LETTER_SHARE * letter_width
        bottom = place[2] * height + (2.9 if x.title else 1.6) * letter
        top = place[3] * height - above
        self._numbers = y.labels(int((top - bottom) / (1.3 * letter)))
        widest = max((len(words) for _value, words in self._numbers), default=0)
        self.frame = (
            place[0] * width + (_WIDE * widest + 0.9) * letter,
            place[1] * width - 1.1 * letter,
            bottom,
            top,
        )
        self._axes()
        self._above(title, rows)

    def lines(self, part, curves, colour, radius=LINE, depth="lines"):
        """Draw curves in one colour, as far as they lie within the frame.

        Args:
            part: what they are, for the pipeline browser.
            curves: pairs of values along x and along y; a NaN interrupts.
            colour: red, green and blue.
            radius: in pixels of a layout of 1000.
        """
        pieces = [piece for x, y in curves for piece in _pieces(self.x.shares(x), self.y.shares(y))]
        return self._lines(part, [self._placed(piece) for piece in pieces], colour, radius, depth)

    def band(self, part, x, low, high, colour, across=False, depth="band"):
        """Fill what lies between two curves; an end beyond the frame is drawn at its edge.

        Args:
            part: what it is, for the pipeline browser.
            x: values along x, or along y where `across`.
            low, high: values along the other axis; a NaN interrupts.
            colour: red, green and blue.
        """
        along, other = (self.y, self.x) if across else (self.x, self.y)
        at = along.shares(x)
        # below every positive number, a log scale has its foot
        ends = [np.where(np.isnan(e), e, other.shares(e)) for e in np.asarray([low, high], float)]
        if other.scale.log:
            ends = [
                np.where(np.asarray(e, float) <= 0, 0.0, share)
                for e, share in zip((low, high), ends)
            ]
        first, last = (np.clip(share, 0.0, 1.0) for share in ends)
        self._band(part, at, first, last, colour, across, depth)

    def bars(self, part, places, values, colour, width=0.7, base=None):
        """Bars upwards, from a base to their values.

        Args:
            part: what they are, for the pipeline browser.
            places: of their middles along x.
            values: along y.
            colour: red, green and blue.
            width: of a bar, in units of x.
            base: where they begin; None for the foot of the frame.
        """
        foot = 0.0 if base is None else float(self.y.shares(base))
        at, low, high = [], [], []
        for place, share in zip(places, self.y.shares(values)):
            if np.isnan(share):
                continue
            ends = self.x.shares(np.array([place - width / 2, place + width / 2]))
            at += [ends[0], *ends, ends[1]]
            low += [foot] * 4
            high += [foot, share, share, foot]
        self._band(part, np.array(at), np.array(low), np.array(high), colour, False, "bars")

    def dots(self, part, x, y, colour, radius=4.5):
        """Discs in one colour; see `lines`. Those without a place in the frame are left out."""
        across, up = self.x.shares(x), self.y.shares(y)
        inside = (across >= 0) & (across <= 1) & (up >= 0) & (up <= 1)
        points = self._placed(np.stack([across[inside], up[inside]], axis=1))
        if not len(points):
            return None
        if len(points) == 1:  # a line has two
            points = np.repeat(points, 2, axis=0)
        source = self._source(f"{part}, points", points, _depth("dots"))
        glyph = glyphs_at(source, self._named(part), "Sphere")
        glyph.GlyphType.Radius = radius * self._thick
        glyph.GlyphType.ThetaResolution = glyph.GlyphType.PhiResolution = 32
        return self._show(glyph, colour)

    def words(self, part, text, x, y, colour=None, align="Left", size=1.0):
        """Write words in the view's space; `align` says which end of them is at x, y below them."""
        from paraview import simple

        letters = size * self.letter
        if align == "Center":
            # ParaView 5.11 lets centred letters in a view's space begin at their place
            x, align = x + 0.47 * letters * len(text) / 2, "Right"
        source = simple.Text(
            registrationName=self._full_name(f"{self.name} axes: {part}"), Text=literal(text)
        )
        written = write_at(self.view, source, [x, y, _DEPTH * len(_DEPTHS)], self._letter_width)
        written.FontSize, written.Justification = round(letters), align
        if colour is not None:
            written.Color = colour
        return written

    def at(self, x, y):
        """The place of values in the view's space."""
        shares = np.stack([self.x.shares(x), self.y.shares(y)], axis=-1)
        return self._placed(np.atleast_2d(shares))[0]

    def _face(self, width, height):
        view = self.view
        view.CameraFocalPoint = [width / 2, height / 2, 0.0]
        view.CameraPosition = [width / 2, height / 2, 1000.0]
        view.CameraViewUp = [0.0, 1.0, 0.0]
        view.CameraParallelScale = height / 2

    def _axes(self):
        left, right, bottom, top = self.frame
        corners = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
        lines: list[Any] = [np.array(corners)]
        letter = self.letter
        free = -np.inf  # of the words so far, where the next may begin
        for value, words in self.x.labels():
            share = float(self.x.shares(value))
            if not -1e-9 <= share <= 1 + 1e-9:
                continue
            place = left + share * (right - left)
            lines.append(np.array([[place, bottom], [place, top]]))
            half = _WIDE * letter * len(words) / 2
            if words and place - half > free:
                self.words(f"x {words}", words, place, bottom - 1.35 * letter, align="Center")
                free = place + half + 0.4 * letter
        free = -np.inf
        for value, words in self._numbers:
            share = float(self.y.shares(value))
            if not -1e-9 <= share <= 1 + 1e-9:
                continue
            place = bottom + share * (top - bottom)
            lines.append(np.array([[left, place], [right, place]]))
            if words and place - 0.5 * letter > free:
                free = place + 0.6 * letter
                beside = left - 0.4 * letter
                self.words(f"y {words}", words, beside, place - 0.45 * letter, align="Right")
        self._lines("axes", lines, theme.GRID, GRID, "axes")
        if self.x.title:
            middle = (left + right) / 2
            self.words("x title", self.x.title, middle, bottom - 2.75 * letter, align="Center")

    def _above(self, title, rows):
        left, _right, _bottom, top = self.frame
        at, letter = top + 0.4 * self.letter, self.letter
        # where there is room, what is above the frame begins with the numbers beside it
        # a text whose place is on the view's edge is not drawn
        begin = max(left - 0.9 * letter, 0.3 * letter)
        if self.y.title:
            self.words("y title", self.y.title, begin, at)
            at += _ROW * letter
        for number, row in enumerate(reversed(rows)):
            x = begin
            for words, colour in row:
                self.words(f"key {len(rows) - number} {words}", words, x, at, colour)
                x += (_WIDE * len(words) + 1.0) * letter
            at += _ROW * letter
        if title:
            size = theme.TITLE_LETTER_SHARE / theme.LETTER_SHARE
            self.words("title", title, begin, at, size=size)

    def _placed(self, shares):
        left, right, bottom, top = self.frame
        shares = np.asarray(shares, float)
        return np.stack(
            [left + shares[..., 0] * (right - left), bottom + shares[..., 1] * (top - bottom)],
            axis=-1,
        )

    def _lines(self, part, pieces, colour, radius, depth):
        from paraview import simple

        pieces = [piece for piece in pieces if len(piece) > 1]
        if not pieces:
            return None
        level = _depth(depth)
        name = part if part != "axes" else "frame and grid"
        lines = pieces[0]
        if len(pieces) > 1:
            # one source for all: what joins them lies far behind, and is taken away
            ends = [
                np.vstack([[*piece[0], _HIDDEN], _with(piece, level), [*piece[-1], _HIDDEN]])
                for piece in pieces
            ]
            source = self._source(f"{name}, joined", np.vstack(ends))
            parts = simple.Triangulate(
                registrationName=self._named(f"{name}, in segments"), Input=source
            )
            deep = simple.Calculator(
                registrationName=self._named(f"{name}, depth"),
                Input=parts,
                Function="coordsZ",
                ResultArrayName="depth",
            )
            kept = simple.Threshold(
                registrationName=self._named(f"{name}, in front"),
                Input=deep,
                Scalars=["POINTS", "depth"],
                ThresholdMethod="Above Upper Threshold",
                UpperThreshold=_HIDDEN / 2,
                AllScalars=1,
            )
            source = simple.ExtractSurface(
                registrationName=self._named(f"{name}, lines"), Input=kept
            )
        else:
            source = self._source(f"{name}, line", lines, level)
        tube = simple.Tube(
            registrationName=self._axes_named(part) if part == "axes" else self._named(part),
            Input=source,
            Radius=radius * self._thick,
            NumberofSides=12,
            Capping=1,
        )
        return self._show(tube, colour)

    def _band(self, part, at, low, high, colour, across, depth):
        from paraview import simple

        points: list[Any] = []
        known = np.isfinite(at) & np.isfinite(low) & np.isfinite(high)
        left, right, bottom, top = self.frame
        first, length = (bottom, top - bottom) if across else (left, right - left)
        foot, rise = (left, right - left) if across else (bottom, top - bottom)
        for run in _runs(known):
            ends = [[first + at[n] * length, foot + low[n] * rise, 0.0] for n in (run[0], run[-1])]
            points.append(ends[0])  # without height: what joins two parts is not seen
            points += [
                [first + at[n] * length, foot + low[n] * rise, (high[n] - low[n]) * rise]
                for n in run
            ]
            points.append(ends[1])
        if not points:
            return None
        source = self._source(f"{part}, one end and the distance", np.array(points))
        far = simple.Calculator(
            registrationName=self._named(f"{part}, distance"),
            Input=source,
            Function="coordsZ",
            ResultArrayName="distance",
        )
        flat = simple.Calculator(
            registrationName=self._named(f"{part}, one end"),
            Input=far,
            Function="coordsX*iHat + coordsY*jHat",
            CoordinateResults=1,
        )
        doubled = simple.LinearExtrusion(
            registrationName=self._named(f"{part}, two ends"),
            Input=flat,
            Vector=[0.0, 0.0, 1.0],
            ScaleFactor=1.0,
            Capping=0,
        )
        other = "(coordsY + if(coordsZ > 0.5, 1, 0)*distance)"
        x, y = (other, "coordsX") if across else ("coordsX", other)
        filled = simple.Calculator(
            registrationName=self._named(part),
            Input=doubled,
            Function=f"{x}*iHat + {y}*jHat + {_depth(depth)!r}*kHat",
            CoordinateResults=1,
        )
        return self._show(filled, colour)

    def _source(self, part, points, level=None):
        from paraview import simple

        points = points if level is None else _with(points, level)
        # a thousandth of a pixel
        numbers = [round(float(number), 3) for point in points for number in point]
        return simple.PolyLineSource(registrationName=self._named(part), Points=numbers)

    def _show(self, source, colour):
        from paraview import simple

        shown = simple.Show(source, self.view)
        simple.ColorBy(shown, ("POINTS", None))
        shown.AmbientColor = shown.DiffuseColor = colour
        shown.Ambient, shown.Diffuse, shown.Specular = 1.0, 0.0, 0.0
        return shown

    def _named(self, part):
        return self._full_name(f"{self.name}: {part}")

    def _axes_named(self, part):
        return self._full_name(f"{self.name} {part}")


def write_block(panel, view, name, lines, size=1.0):
    """Write lines of words into a view of their own, from above left.

    Args:
        panel: the `Panel` that they are of.
        view: a render view.
        name: of the layer.
        lines: list of str.
        size: of the letters, in units of the figure's.
    """
    from paraview import simple

    figure = panel.figure
    text = simple.Text(registrationName=panel.named(name), Text=literal("\n".join(lines)))
    written = simple.Show(text, view)
    written.WindowLocation = "Any Location"
    written.Position = [0.02, 0.06]
    letters = round(size * theme.LETTER_SHARE * figure.letter_width)
    written.FontSize = max(letters, figure.least_letters)
    written.Color = theme.INK
    written.Justification = "Left"
    return written


def wrapped(sentences, letters, width):
    """Sentences in lines that fit a width, each beginning a line of its own.

    >>> wrapped(["One and two.", "Three."], 10, 45)
    ['One and', 'two.', 'Three.']
    """
    from textwrap import wrap

    room = max(8, int(width / (_WIDE * letters)))
    return [line for sentence in sentences for line in wrap(sentence, room)]


def _depth(name):
    return _DEPTH * _DEPTHS.index(name)


def _with(points, level):
    return np.column_stack([points, np.full(len(points), level)])


def _runs(known):
    """Numbers of the places that are known, in runs without a gap.

    >>> [run.tolist() for run in _runs(np.array([True, True, False, True]))]
    [[0, 1], [3]]
    """
    numbers = np.flatnonzero(known)
    return [run for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(run)]


def _pieces(x, y):
    """A curve cut where it leaves the frame: arrays of points whose y is from 0 to 1.

    >>> [piece.tolist() for piece in _pieces(np.array([0.0, 0.5, 1.0]), np.array([0.5, 1.5, 0.5]))]
    [[[0.0, 0.5], [0.25, 1.0]], [[0.75, 1.0], [1.0, 0.5]]]
    """
    found: list[Any] = []
    for run in _runs(np.isfinite(x) & np.isfinite(y)):
        piece: list[Any] = []
        for a, b in zip(run, run[1:]):
            (x0, y0), (x1, y1) = (x[a], y[a]), (x[b], y[b])
            shares = [0.0, 1.0]
            if y0 != y1:
                at = sorted(((edge - y0) / (y1 - y0)) for edge in (0.0, 1.0))
                shares = [max(0.0, at[0]), min(1.0, at[1])]
            elif not 0 <= y0 <= 1:
                shares = [1.0, 0.0]
            if shares[0] >= shares[1]:
                continue
            ends = [[x0 + s * (x1 - x0), y0 + s * (y1 - y0)] for s in shares]
            if not piece or piece[-1] != ends[0]:
                if len(piece) > 1:
                    found.append(np.array(piece))
                piece = [ends[0]]
            piece.append(ends[1])
        if len(piece) > 1:
            found.append(np.array(piece))
    return found
