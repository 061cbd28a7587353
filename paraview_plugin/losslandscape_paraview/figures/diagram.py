"""The persistence diagram in a view of its own: birth across, death upwards."""

import math

from ..layers.glyphs import glyphs_at
from ..layers.topology import KINDS, SIGNIFICANT
from ..sources.landscape_sources import fetch
from ..style import theme
from ..style.text import write_at
from ..style.ticks import label_format

# The frame is drawn so wide and high, in units of the view's space.
SIDE = 2.0
HALF_HEIGHT = 0.77 * SIDE
RADIUS, FAINT, EDGE, LINE = 0.045, 0.017, 0.008, 0.007
# Discs lie one above the other, each on its own dark edge, so that close pairs can be told apart.
STEP = 0.1
# more are drawn smaller, with a few corners and no edge: a round one has four thousand triangles
MOST_DISCS, MANY_RADIUS = 300, 0.012


def draw_persistence_diagram(panel, view, topology, title="persistence diagram"):
    """Pairs as points, the diagonal, and the line of the persistence threshold.

    The axes are those of the figure's scale. Pairs of minimum and saddle have a minimum's colour,
    pairs of saddle and maximum a maximum's. The pair of the lowest minimum, which never dies, is
    at the top. Pairs that do not count are small: by their own flag where they have one.

    Args:
        panel: the `Panel` the topology belongs to.
        view: a render view.
        topology: `TopologySources`.
        title: above the diagram.
    """
    _Diagram(panel, view, topology).draw(title)


class _Diagram:
    def __init__(self, panel, view, topology):
        self.panel, self.view, self.topology = panel, view, topology
        self.scale = panel.scale
        low, high = self.scale.bottom, self.scale.top
        self.low, self.high = low - 0.05 * (high - low), high + 0.05 * (high - low)
        self.unit = SIDE / (self.high - self.low)
        self.width = panel.figure.letter_width

    def draw(self, title):
        from paraview import simple

        self._axes(simple, title)
        self._line(simple, "diagram: diagonal", [0.60] * 3, None)
        threshold = self.topology.threshold
        if 0 < threshold < self._to_stored(self.high):
            self._line(simple, "diagram: threshold", theme.FLAT_REGION, threshold)
            words = f"t = {threshold:.2g}"
            # the line rises: above its height where the words end
            letter = (
                2
                * HALF_HEIGHT
                / (self.panel.figure.layout_size[1] * (1 - self.panel.figure.legend_share))
            )
            end = 0.06 + 0.6 * len(words) * theme.LETTER_SHARE * self.width * letter
            height = self._to_drawn(self._to_stored(self.low + end / self.unit) + threshold)
            place = [0.06, (height - self.low) * self.unit + 0.04, 0.0]
            if self.topology.follows:
                # the line can be moved: no number, and out of its way
                words, place = "threshold", [0.62 * SIDE, 0.06, 0.0]
            self._write(simple, "threshold", words, place, "Left").Color = theme.FLAT_REGION
        self._pairs(simple)
        self.view.CameraPosition = [0.46 * SIDE, 0.52 * SIDE, 10.0]
        self.view.CameraFocalPoint = [0.46 * SIDE, 0.52 * SIDE, 0.0]
        self.view.CameraViewUp = [0.0, 1.0, 0.0]
        self.view.CameraParallelScale = HALF_HEIGHT

    def _pairs(self, simple):
        lines = simple.Threshold(
            registrationName=self._named("pairs without the diagonal"),
            Input=self.topology.diagram,
            Scalars=["CELLS", "PairIdentifier"],
            ThresholdMethod="Above Upper Threshold",
            UpperThreshold=-0.5,
        )
        centres = simple.CellCenters(
            registrationName=self._named("a point a pair"), Input=lines, VertexCells=1
        )
        # 0 for pairs with a minimum, 2 for those with a maximum: the numbers of their kinds
        kinds = simple.Calculator(
            registrationName=self._named("pairs, kind"),
            Input=centres,
            Function="2*PairType",
            ResultArrayName=KINDS,
        )
        data = fetch(kinds).GetPointData()
        placed = simple.Calculator(
            registrationName=self._named("pairs, birth and death"),
            Input=kinds,
            Function=f"{self._drawn('Birth')}*iHat + {self._drawn('Birth + Persistence')}*jHat"
            f" + {2 * STEP!r}*PairIdentifier*kHat",
            CoordinateResults=1,
        )
        if self.topology.follows:
            array, limit = "AboveThreshold", 0.5
        elif data.GetArray(SIGNIFICANT) is not None:
            array, limit = SIGNIFICANT, 0.5
        else:
            array, limit = "Persistence", self.topology.threshold
        table = self.panel.figure.category_table(KINDS, theme.KIND_COLOURS, in_legend=())
        for name, method, radius in (
            ("pairs", "Above Upper Threshold", RADIUS),
            ("pairs, not significant", "Below Lower Threshold", FAINT),
        ):
            chosen = simple.Threshold(
                registrationName=self._named(f"{name}, chosen"),
                Input=placed,
                Scalars=["POINTS", array],
                ThresholdMethod=method,
            )
            # given at once, a limit of 0 would count as not given
            chosen.LowerThreshold = chosen.UpperThreshold = limit
            # kept when empty where another threshold may fill it
            count = fetch(chosen).GetNumberOfPoints()
            if not self.topology.follows and not count:
                simple.Delete(chosen)
                continue
            few = count <= MOST_DISCS
            radius, sides = (radius, 48) if few else (MANY_RADIUS, 6)
            for what, edge in [(name, 0.0), (f"{name}: edge", EDGE)][: 1 + few]:
                below = STEP if edge else 0.0
                discs = self._discs(simple, chosen, what, radius + edge, below, sides)
                shown = self._show(simple, discs, theme.INK)
                if not edge:
                    self.panel.colour_by(shown, KINDS, table)

    def _discs(self, simple, source, what, radius, below, sides):
        glyph = glyphs_at(source, self._named(f"{what}, balls"), "Sphere")
        glyph.GlyphType.Radius = radius
        glyph.GlyphType.ThetaResolution = glyph.GlyphType.PhiResolution = sides
        glyph.GlyphType.Center = [0.0, 0.0, -below]
        flat = simple.Transform(registrationName=self._named(what), Input=glyph)
        flat.Transform.Scale = [1.0, 1.0, 0.001]
        flat.Transform.Translate = [0.0, 0.0, 0.05]
        return flat

    def _line(self, simple, name, colour, threshold):
        """The diagonal, or the line so much above it."""
        end = self.high
        if threshold:
            if self.topology.follows:
                return self._tube(simple, self._followed(simple), name, colour)
            end = self._to_drawn(max(self._to_stored(self.high) - threshold, 1e-300))
        line = simple.Line(
            registrationName=self._named(f"{name}, along birth"),
            Point1=[self.low, self.low, 0.0],
            Point2=[end, end, 0.0],
            Resolution=200,
        )
        if threshold:
            stored = _converted("coordsY", self.scale.log, self.topology.log)
            death = _converted(f"({stored} + {threshold!r})", self.topology.log, self.scale.log)
            line = simple.Calculator(
                registrationName=self._named(f"{name}, death"),
                Input=line,
                Function=f"coordsX*iHat + {death}*jHat",
                CoordinateResults=1,
            )
        self._tube(simple, line, name, colour)

    def _tube(self, simple, line, name, colour):
        placed = simple.Transform(registrationName=self._named(f"{name}, placed"), Input=line)
        placed.Transform.Scale = [self.unit, self.unit, 1.0]
        placed.Transform.Translate = [-self.low * self.unit] * 2 + [0.0]
        tube = simple.Tube(
            registrationName=self._named(name), Input=placed, Radius=LINE, NumberofSides=12
        )
        self._show(simple, tube, colour)

    def _followed(self, simple):
        """The diagonal of the diagram, as much above itself as its own threshold says."""
        name = "diagram: threshold"
        diagonal = simple.Threshold(
            registrationName=self._named(f"{name}, diagonal"),
            Input=self.topology.diagram,
            Scalars=["CELLS", "PairIdentifier"],
            ThresholdMethod="Below Lower Threshold",
            LowerThreshold=-0.5,
        )
        at_points = simple.CellDatatoPointData(
            registrationName=self._named(f"{name}, at points"), Input=diagonal
        )
        raised = simple.WarpByScalar(
            registrationName=self._named(f"{name}, raised by it"),
            Input=at_points,
            Scalars=["POINTS", "Threshold"],
            ScaleFactor=1.0,
            UseNormal=1,
            Normal=[0.0, 1.0, 0.0],
        )
        inside = simple.Clip(
            registrationName=self._named(f"{name}, in the frame"), Input=raised, ClipType="Plane"
        )
        inside.ClipType.Origin, inside.ClipType.Normal = [0.0, self.high, 0.0], [0.0, 1.0, 0.0]
        inside.Scalars, inside.Invert = ["POINTS", "Threshold"], 1
        return simple.ExtractSurface(registrationName=self._named(f"{name}, line"), Input=inside)

    def _axes(self, simple, title):
        side = SIDE
        ticks = self.scale.ticks(4)
        if len(ticks) < 2:
            ticks = self.scale.ticks(6)
        places = [self._place(tick) for tick in ticks]
        corners: list[list[float]] = [[0, 0], [side, 0], [side, side], [0, side], [0, 0]]
        for place in places:
            corners += [[place, 0], [place, side], [place, 0]]
        corners.append([0, 0])
        for place in places:
            corners += [[0, place], [side, place], [0, place]]
        frame = simple.PolyLineSource(
            registrationName=self._named("frame and grid"),
            Points=[float(x) for corner in corners for x in (*corner, -1.0)],
        )
        pieces = simple.Triangulate(
            registrationName=self._named("frame and grid, in segments"), Input=frame
        )
        tube = simple.Tube(
            registrationName=self._named("diagram axes"),
            Input=pieces,
            Radius=0.4 * LINE,
            NumberofSides=12,
        )
        self._show(simple, tube, theme.GRID)
        label = label_format(ticks)
        for written, place in zip((label.format(tick) for tick in ticks), places):
            self._write(simple, f"birth {written}", written, [place, -0.14, 0.0])
            self._write(simple, f"death {written}", written, [-0.06, place - 0.05, 0.0], "Right")
        self._write(simple, "birth", "loss at birth", [side / 2, -0.32, 0.0])
        self._write(simple, "death", "loss at death", [0.0, side + 0.06, 0.0], "Left")
        written = simple.Show(
            simple.Text(registrationName=f"title ({title}, {self.panel.name})", Text=title),
            self.view,
        )
        written.WindowLocation = "Upper Center"
        written.FontSize = round(theme.TITLE_LETTER_SHARE * self.width)
        written.Color = theme.INK

    def _write(self, simple, name, words, place, justification="Center"):
        text = simple.Text(registrationName=self._named(f"diagram axes: {name}"), Text=words)
        if justification == "Center":
            # ParaView 5.11 lets centred letters in a view's space begin at their place
            letter = 0.47 * theme.LETTER_SHARE * self.width
            height = self.panel.figure.layout_size[1] * (1 - self.panel.figure.legend_share)
            place[0] += len(words) * letter * HALF_HEIGHT / height
            justification = "Right"
        written = write_at(self.view, text, place, self.width)
        written.Justification = justification
        return written

    def _show(self, simple, source, colour):
        shown = simple.Show(source, self.view)
        simple.ColorBy(shown, ("POINTS", None))
        shown.AmbientColor = shown.DiffuseColor = colour
        shown.Ambient, shown.Diffuse = 1.0, 0.0
        return shown

    def _place(self, value):
        return float((self.scale.heights(value) - self.low) * self.unit)

    def _to_stored(self, height):
        return (
            height
            if self.topology.log == self.scale.log
            else (float(self.scale.values(height)) if self.scale.log else math.log10(height))
        )

    def _to_drawn(self, stored):
        return (
            stored
            if self.topology.log == self.scale.log
            else (float(self.scale.heights(stored)) if self.scale.log else 10.0**stored)
        )

    def _drawn(self, expression):
        """Calculator's expression from the diagram's unit to a coordinate of the frame."""
        height = _converted(f"({expression})", self.topology.log, self.scale.log)
        return f"({height} - {self.low!r})*{self.unit!r}"

    def _named(self, what):
        return self.panel.named(what)


def _converted(expression, from_log, to_log):
    if from_log == to_log:
        return expression
    return f"log10({expression})" if to_log else f"(10^{expression})"
