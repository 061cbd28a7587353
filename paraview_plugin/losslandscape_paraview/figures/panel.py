"""One view of one landscape: its drawn surface, and everything that is laid on it."""

import numpy as np

from ..compatibility import function
from ..layers.glyphs import glyphs_at
from ..sources.landscape_sources import fetch
from ..style import theme
from ..style.scale import HEIGHT, DisplayScale


class Panel:
    """A render view with a landscape's pipeline, from the flat grid to the lifted surface.

    Args:
        figure: the `Figure` it belongs to.
        view: its render view.
        landscape: `LandscapeSources`.
        name: what it is called in the pipeline browser and above the picture.
        scale: the figure's `DisplayScale`.
        box: `Box`, where the plane lies in the view.

    Attributes:
        sliders: whether the height and the contours are made by filters of this plugin, which have
            sliders (see `LandscapeSources`).
        level_slider: proxy of the contours where their number is a slider, else None.
        valued: proxy of the grid with `height`; without its holes, unless `sliders`.
        flat: proxy of the triangulated plane with all arrays and `height`, in plane coordinates.
        heights: the same with the array `height` alone, to sample from.
        holes: number of grid points without a finite value; they are left out of the drawing.
        report: dict, filled by the layers: what a reader of the picture should know.
        notes: list of lines, filled by the layers, that are written below the plane.
        obstacles: list of arrays of points in the view's space, filled by the layers, over which no
            label should lie.
    """

    def __init__(self, figure, view, landscape, name, scale, box):
        self.figure, self.view, self.landscape = figure, view, landscape
        self.name, self.scale, self.box = name, scale, box
        values = landscape.values(scale.array)
        kept = ~np.isnan(values) if scale.ceiling is not None else np.isfinite(values)
        self.level_slider = None
        self.holes = int(np.count_nonzero(~kept))
        self.dimensions = landscape.dimensions
        # the filter with the slider has a ceiling of its own, and no floor but the automatic one
        plain = DisplayScale.of(values, scale.array, scale.log)
        self.sliders = (
            landscape.sliders
            and self.dimensions == 2
            and (scale.floor, scale.ceiling) == (plain.floor, None)
        )
        self.report = {"title": name, "path": landscape.path, "holes": self.holes}
        self.notes, self.obstacles = [], []
        self._build_flat()

    def named(self, what):
        """`what` with the panel's name: how the pipeline browser tells the panels apart."""
        return f"{what} ({self.name})"

    def lift(self, source, what, shown=False):
        """Raise a flat thing by its array `height` to where the surface is drawn.

        Args:
            source: proxy with the point array `height`, in plane coordinates.
            what: its name in the pipeline browser.
            shown: the result gets exactly this name; without it, that of an intermediate step.

        Returns:
            proxy; one Warp By Scalar with the figure's factor, and where the planes of a figure
            differ, one Transform into the common box.
        """
        from paraview import simple

        name = what if shown else f"{what}, lifted"
        if self.dimensions == 3:
            lifted = source
        else:
            lifted = simple.WarpByScalar(
                registrationName=self.named(name if self.box.is_plain else f"{what}, warped"),
                Input=source,
                Scalars=["POINTS", HEIGHT],
                ScaleFactor=self.box.factor,
                UseNormal=1,
                Normal=[0.0, 0.0, 1.0],
            )
        if self.box.is_plain:
            return lifted
        moved = simple.Transform(registrationName=self.named(name), Input=lifted)
        moved.Transform.Scale = list(self.box.scale)
        moved.Transform.Translate = list(self.box.position)
        return moved

    def show(self, source, colour=None):
        """Show a proxy in this panel's view in one colour; returns its representation."""
        from paraview import simple

        shown = simple.Show(source, self.view)
        simple.ColorBy(shown, ("POINTS", None))
        if colour is not None:
            shown.AmbientColor = shown.DiffuseColor = colour
        shown.Specular = 0.0
        return shown

    def colour_by(self, shown, array, table):
        """Colour a representation by a point array through one of the figure's tables."""
        # simple.ColorBy would rescale the table, and warn of data that are empty for now
        shown.ColorArrayName = ["POINTS", array]
        shown.LookupTable = table
        shown.SetScalarBarVisibility(self.view, False)

    def chosen_points(self, source, numbers, what, which):
        """The points of a source with these numbers; `which` says in words which they are."""
        from paraview import simple

        chosen = simple.IDSelectionSource(
            registrationName=self.named(f"{what}, ids of {which}"),
            IDs=[part for number in numbers for part in (-1, number)],
            FieldType="POINT",
        )
        # Between the two, as ParaView's own selections have it: its panel of properties ends
        # ParaView where an Extract Selection is applied without (5.11).
        selections = simple.AppendSelections(
            registrationName=self.named(f"{what}, selection of {which}"),
            Input=[chosen],
            SelectionNames=["s0"],
        )
        return simple.ExtractSelection(
            registrationName=self.named(f"{what}, {which}"), Input=source, Selection=selections
        )

    def joined(self, source, what):
        """Curves as one line each instead of many pieces; `what` is what they are for."""
        from paraview import simple

        lines = source
        if fetch(source).IsA("vtkUnstructuredGrid"):
            lines = simple.ExtractSurface(
                registrationName=self.named(f"{what}, lines"), Input=lines
            )
        # One line instead of many pieces: a tube's pieces would show their ends at each bend.
        for step, make in (
            ("in segments", simple.Triangulate),
            ("ends merged", simple.Clean),
            ("joined", simple.TriangleStrips),
        ):
            lines = make(registrationName=self.named(f"{what}, {step}"), Input=lines)
        return lines

    def tubes(self, source, what, radius, sides=24):
        """Tubes of a given radius, in half plane widths, around lifted curves."""
        from paraview import simple

        return simple.Tube(
            registrationName=self.named(what),
            Input=self.joined(source, what),
            Scalars=["POINTS", HEIGHT],
            Radius=radius * self.box.unit,
            NumberofSides=sides,
            Capping=1,
        )

    def smooth(self, source, name):
        """A lifted surface with normals, under exactly this name: shaded without facets."""
        return function("SurfaceNormals")(
            registrationName=self.named(name), Input=source, FeatureAngle=180.0, Splitting=0
        )

    def contour(self, source, levels, what):
        """Contours at some levels of the quantity, each carrying exactly its level."""
        from paraview import simple

        contour = simple.Contour(
            registrationName=self.named(f"{what} of the height"),
            Input=source,
            ContourBy=["POINTS", HEIGHT],
            Isosurfaces=[float(height) for height in self.scale.heights(levels)],
        )
        # interpolated along an edge, the quantity would differ from the level it is drawn at
        return simple.Calculator(
            registrationName=self.named(f"{what}, level"),
            Input=contour,
            Function=self.scale.inverse_expression,
            ResultArrayName=self.scale.array,
            ReplaceInvalidResults=0,
        )

    def spheres(self, source, what, radius, sides=32):
        """Spheres of a given radius, in half plane widths, at lifted points."""
        glyph = glyphs_at(source, self.named(what), "Sphere")
        glyph.GlyphType.ThetaResolution = glyph.GlyphType.PhiResolution = sides
        glyph.GlyphType.Radius = radius * self.box.unit
        return glyph

    def nearer(self, source, what, distance):
        """Move what lies on the surface towards the reader, where it is seen at the same place.

        A tube or a sphere that the surface cuts shows its dark edge as a crescent on one side.

        Args:
            source: proxy of lifted curves or points.
            what: the result's name in the pipeline browser.
            distance: in half plane widths.
        """
        from paraview import simple

        if self.dimensions == 3:
            return source
        moved = simple.Transform(registrationName=self.named(what), Input=source)
        towards = distance * self.box.unit * self.figure.towards_reader()
        moved.Transform.Translate = [float(x) for x in towards]
        return moved

    def outline(self, source):
        """Show the inside of a slightly larger shape in ink: a dark edge around the shape in it."""
        shown = self.show(source, theme.INK)
        shown.BackfaceRepresentation = "Cull Frontface"
        shown.Ambient, shown.Diffuse = 1.0, 0.0
        return shown

    def _build_flat(self):
        from paraview import simple

        scale, source = self.scale, self.landscape.surface
        if self.sliders:
            self._build_heights_with_slider(simple)
            return
        if self.holes:
            source = simple.Threshold(
                registrationName=self.named(f"finite {scale.array} only"),
                Input=source,
                Scalars=["POINTS", scale.array],
                LowerThreshold=-1e300,
                UpperThreshold=1e300,
                ThresholdMethod=("Between" if scale.ceiling is None else "Above Upper Threshold"),
            )
            if scale.ceiling is not None:
                source.UpperThreshold = -1e300
        self.valued = simple.Calculator(
            registrationName=self.named(f"height = {scale.label}"),
            Input=source,
            Function=scale.expression,
            ResultArrayName=HEIGHT,
            ReplaceInvalidResults=0,
        )
        if self.dimensions == 3:
            self.flat = self.heights = self.valued
            return
        self._build_plane(simple, self.valued)

    def _build_heights_with_slider(self, simple):
        scale = self.scale
        self.valued = simple.LossDisplayHeight(
            registrationName=self.named(f"height = {scale.label}"),
            Input=self.landscape.surface,
            ScalarField=["POINTS", scale.array],
            Scale="Logarithmic" if scale.log else "Linear",
        )
        # there without holes too: a file that is read again may have some
        drawn = simple.Threshold(
            registrationName=self.named(f"finite {scale.array} only"),
            Input=self.valued,
            Scalars=["POINTS", HEIGHT],
            LowerThreshold=-1e300,
            UpperThreshold=1e300,
            ThresholdMethod="Between",
        )
        self._build_plane(simple, drawn)

    def _build_plane(self, simple, valued):
        faces = simple.ExtractSurface(registrationName=self.named("plane"), Input=valued)
        # Triangles, so that sampling interpolates exactly as the drawing does.
        self.flat = simple.Triangulate(registrationName=self.named("plane, triangles"), Input=faces)
        self.heights = simple.PassArrays(
            registrationName=self.named("plane, height alone"),
            Input=self.flat,
            PointDataArrays=[HEIGHT],
            CellDataArrays=[],
        )
