"""A figure: panels side by side under one camera, one scale and one legend."""

from pathlib import Path

import numpy as np

from . import provenance as words
from . import style
from .compatibility import restore_getargspec
from .curve_layers import band_ends, draw_curve_key, label_axes
from .display_scale import HEIGHT, DisplayScale
from .errors import LandscapeError
from .landscape_sources import open_landscape
from .layers import LAYERS
from .outputs import write_output
from .panel import Box, Panel
from .session import is_in_window
from .states import render_layout, save_state

DEFAULT_SIZE = (2000, 1000)


class Figure:
    """Panels of landscapes with one scale of colours and heights, as native ParaView pipelines.

    Args:
        landscapes: one path (or `LandscapeSources`) a panel; the same one twice is opened once.
        titles: one title a panel; None for those in the provenance.
        array: the quantity, a point array of the surfaces.
        log, floor, ceiling: see `DisplayScale.of`.
        size: width and height of the picture in pixels.
        charts: how many more views stand to the right of the panels, for diagrams.
        direction: from where the camera looks.
        error_band: the scale has room for the error bands of curves.
        letters: how many times larger than usual they are, for a picture printed small.

    Attributes:
        panels: list of `Panel`.
        charts: list of the views for diagrams.
        scale: `DisplayScale`.
        quantity_table: the colour table all panels share.
        has_bar: whether the legend has the quantity's colour bar.
        marks, curve_key: what layers add to the legend; see `add_minimum`, `add_curve`.
        letter_width: the layout's width whose shares the letters are (see `style`), in pixels.
        layout, legend: ParaView's layout and the view that holds the colour bars.

    Raises:
        LandscapeError: a file is no landscape or holds nothing to draw (see the message).
    """

    def __init__(
        self,
        landscapes,
        titles=None,
        array="loss",
        log=None,
        floor=None,
        ceiling=None,
        size=DEFAULT_SIZE,
        charts=0,
        direction=style.VIEW_DIRECTION,
        error_band=False,
        letters=1.0,
    ):
        restore_getargspec()
        from paraview import simple

        simple._DisableFirstRenderCameraReset()
        self.size = tuple(int(pixels) for pixels in size)
        self.layout_size = tuple(pixels // style.PICTURE_SCALE for pixels in self.size)
        self.letters = letters
        self.letter_width = letters * self.layout_size[0]
        opened = {}
        for landscape in landscapes:
            key = str(landscape) if isinstance(landscape, (str, Path)) else id(landscape)
            opened.setdefault(key, None)
            if opened[key] is None:
                opened[key] = open_landscape(landscape, short_name(landscape))
        sources = [
            opened[str(item) if isinstance(item, (str, Path)) else id(item)] for item in landscapes
        ]
        if len({source.dimensions for source in sources}) > 1:
            raise LandscapeError("the panels' landscapes have different numbers of directions")
        self.landscapes = sources
        self.provenances = [source.provenance for source in sources]
        self.scale = DisplayScale.of(
            np.concatenate([source.values(array) for source in sources]),
            array,
            log,
            floor,
            ceiling,
            _preferred_scale(self.provenances) if array == "loss" else None,
        )
        if error_band:
            ends = [band_ends(source, array) for source in sources]
            self.scale = self.scale.widened(np.concatenate(ends))
        self.bar_ticks = self.scale.ticks()
        self.has_bar, self.marks, self.curve_key = True, {}, {}
        self._steps = {}
        self._build_tables(simple)
        self._categories = {}
        self._direction = direction
        self._build_views(simple, len(sources) + charts)
        self.charts = self.views[len(sources) :]
        common = len({source.bounds for source in sources}) == 1
        titles = self._panel_titles(titles)
        self.panels = [
            Panel(
                self,
                view,
                source,
                title,
                self.scale,
                Box(source.bounds, self.scale, common, source.dimensions),
            )
            for view, source, title in zip(self.views, sources, titles)
        ]

    def draw(self, panel, *layers):
        """Draw layers in a panel, from the lowest up.

        Args:
            panel: its index.
            layers: names in `LAYERS`, or pairs of a name and its options.

        Raises:
            LandscapeError: a layer is unknown, or the landscape lacks what it needs.
        """
        for layer in layers:
            name, options = (layer, {}) if isinstance(layer, str) else layer
            if name not in LAYERS:
                raise LandscapeError(f"no layer '{name}'; there are {', '.join(LAYERS)}")
            LAYERS[name](self.panels[panel], **options)
        return self

    def step_table(self, array, steps):
        """The colour table of an array along trajectories, shared by all panels."""
        from paraview import simple

        table = simple.GetColorTransferFunction(array)
        low, high = self._steps.get(array, (np.inf, -np.inf))
        low, high = min(low, float(np.min(steps))), max(high, float(np.max(steps)))
        self._steps[array] = (low, high)
        span = (high - low) or 1.0
        table.AutomaticRescaleRangeMode = "Never"
        table.ColorSpace = "Lab"
        table.RGBPoints = [
            number
            for share, *colour in style.STEP_COLOURS
            for number in (low + share * span, *colour)
        ]
        return table

    def category_table(self, array, categories):
        """The colour table of an array of kinds, shown as a legend beside the colour bar.

        Args:
            array: the array's name; its values count from 0.
            categories: dict of each kind's name -> its colour.
        """
        from paraview import simple

        table = simple.GetColorTransferFunction(array)
        table.InterpretValuesAsCategories = 1
        table.AnnotationsInitialized = 1
        table.Annotations = [
            text for number, name in enumerate(categories) for text in (str(number), name)
        ]
        table.IndexedColors = [share for colour in categories.values() for share in colour]
        table.IndexedOpacities = [1.0] * len(categories)
        self._categories[array] = categories
        return table

    def height_tables(self):
        """The colour table and the opacities of a volume, both of the height."""
        from paraview import simple

        table = simple.GetColorTransferFunction(HEIGHT)
        table.AutomaticRescaleRangeMode = "Never"
        points = np.reshape(self._quantity_points, (-1, 4))
        points[:, 0] = self.scale.heights(points[:, 0])
        table.RGBPoints = points.ravel().tolist()
        opacity = simple.GetOpacityTransferFunction(HEIGHT)
        heights = self.scale.heights(
            np.concatenate([source.values(self.scale.array) for source in self.landscapes])
        )
        shares, values = zip(*style.VOLUME_OPACITY)
        # by quantiles: most of a landscape may lie in a small part of its range
        places = np.quantile(heights[np.isfinite(heights)], shares)
        opacity.Points = [
            number
            for place, value, before in zip(places, values, (-np.inf, *places))
            if place > before
            for number in (float(place), value, 0.5, 0.0)
        ]
        return table, opacity

    def pixel_size(self, panel):
        """The length of one pixel of the layout in a panel's view."""
        height = self.layout_size[1] * (1.0 - style.LEGEND_SHARE)
        return (
            2 * style.half_height(panel.box, self._direction, self._aspect, self.letters) / height
        )

    def finish(self):
        """Axes, titles, camera and colour bars; call it after the last layer. Returns self."""
        from paraview import simple

        for panel in self.panels:
            self._dress(simple, panel)
        self._reset_quantity_table()
        self._build_legend(simple)
        simple.SetActiveView(self.views[0])
        return self

    def save_picture(self, path):
        """Render the figure into a PNG of its size. Returns the path."""
        return render_layout(self.layout, path, self.size)

    def save(self, path, **options):
        """Write the figure as a picture (.png), glTF (.glb, .gltf) or a web page (.html).

        Args:
            path: its ending says what.
            options: of the picture; see `outputs.write_output`, which says what is returned.
        """
        return write_output(self.layout, path, **{"size": self.size, **options})

    def save_thumbnail(self, path):
        """Render the figure into a PNG of half its size, as its state file opens."""
        return render_layout(self.layout, path)

    def save_state(self, path):
        """Write a state file with file names relative to it. Returns the path."""
        return save_state(path)

    def report(self):
        """What a reader of the figure should know: dict, ready for JSON.

        `scale` (quantity, words, range), `bar_title`, and for each panel its title, its file, how
        many points are holes, and how far the exact values of what lies on the surface are from
        the drawn one (`drape.drape_difference`).
        """
        return {
            "size": list(self.size),
            "scale": {
                "array": self.scale.array,
                "words": self.scale.words,
                "expression": self.scale.expression,
                "lower": self.scale.lower,
                "upper": self.scale.upper,
            },
            "bar_title": self.bar_title,
            "panels": [panel.report for panel in self.panels],
        }

    @property
    def bar_title(self):
        """Quantity, scale, and which batch-norm statistics: the colour bar's title."""
        title = words.quantity_title(self.provenances[0], self.scale.array)
        parts = [title, self.scale.words, words.shared_statistics_note(self.provenances)]
        return ", ".join(part for part in parts if part)

    def _panel_titles(self, titles):
        titles = list(titles or [None] * len(self.provenances))
        if len(titles) != len(self.provenances):
            raise LandscapeError(f"{len(self.provenances)} panels need as many titles")
        notes = [words.statistics_note(provenance) for provenance in self.provenances]
        differ = len(set(notes) - {""}) > 1
        for index, provenance in enumerate(self.provenances):
            if titles[index] is None:
                titles[index] = provenance.get("title") or Path(self.landscapes[index].path).stem
            if differ and notes[index]:
                titles[index] += f", {notes[index]}"
        # The panels' names must differ in the pipeline browser.
        return [
            title if titles.count(title) == 1 else f"{title} {'abcdefgh'[index]}"
            for index, title in enumerate(titles)
        ]

    def _build_tables(self, simple):
        table = simple.GetColorTransferFunction(self.scale.array)
        table.AutomaticRescaleRangeMode = "Never"
        table.UseLogScale = 0  # of an earlier figure: the preset's points would follow it
        table.ApplyPreset(style.QUANTITY_COLOURS, True)
        table.NanColor = [1.0, 1.0, 1.0]
        points = np.reshape(table.RGBPoints, (-1, 4))
        share = (points[:, 0] - points[0, 0]) / (points[-1, 0] - points[0, 0])
        heights = self.scale.bottom + share * (self.scale.top - self.scale.bottom)
        points[:, 0] = self.scale.values(heights)
        points[[0, -1], 0] = self.scale.lower, self.scale.upper
        self._quantity_points = points.ravel().tolist()
        self.quantity_table = table
        self._reset_quantity_table()

    def _reset_quantity_table(self):
        # Showing a filter's output rescales the table of its array without asking.
        self.quantity_table.RGBPoints = self._quantity_points
        self.quantity_table.UseLogScale = int(self.scale.log)

    def _build_views(self, simple, count):
        if not any(is_in_window(view) for view in simple.GetRenderViews()):
            # the window would keep the palette in the user's settings; what is drawn does not
            # depend on it
            simple.LoadPalette("WhiteBackground")
        self.layout = simple.CreateLayout("Figure")
        below = self.layout.SplitVertical(0, 1.0 - style.LEGEND_SHARE)
        cell, self.views = below, []
        for index in range(count):
            view = simple.CreateView("RenderView")
            if index < count - 1:
                left = self.layout.SplitHorizontal(cell, 1.0 / (count - index))
                simple.AssignViewToLayout(view, self.layout, hint=left)
                cell = left + 1
            else:
                simple.AssignViewToLayout(view, self.layout, hint=cell)
            self.views.append(view)
        self.legend = simple.CreateView("RenderView")
        simple.AssignViewToLayout(self.legend, self.layout, hint=below + 1)
        for view in (*self.views, self.legend):
            style.dress_view(view)
        if not is_in_window(self.legend):  # there, the window gives views their sizes
            self.layout.SetSize(*self.layout_size)

    def _dress(self, simple, panel):
        view, box, width = panel.view, panel.box, self.layout_size[0]
        titles = words.axis_titles(panel.landscape.provenance)
        if panel.dimensions < 3:
            titles[2] = ""
        style.dress_axes(view, titles, self.letter_width, box)
        style.place_axes(view.AxesGrid, box, panel.scale.heights(panel.scale.ticks(5)))
        if panel.dimensions == 1:
            label_axes(panel)
        title = simple.Text(registrationName=panel.named("title"), Text=panel.name)
        shown = simple.Show(title, view)
        shown.WindowLocation = "Upper Center"
        letters = style.TITLE_LETTER_SHARE * self.letter_width
        shown.FontSize = style.fitted(letters, panel.name, 0.96 * width / len(self.views))
        shown.Color = style.INK
        style.place_camera(view, box, self._direction, self._aspect, self.letters)

    @property
    def _aspect(self):
        """A view's width in units of its height."""
        width, height = self.layout_size
        return width / len(self.views) / (height * (1.0 - style.LEGEND_SHARE))

    def _build_legend(self, simple):
        width, height = self.layout_size
        aspect = width / (height * style.LEGEND_SHARE)
        bars = [(self.quantity_table, self.bar_title, self.bar_ticks)] if self.has_bar else []
        for array, (low, high) in self._steps.items():
            table = simple.GetColorTransferFunction(array)
            bars.append((table, style.step_bar_title(array), style.step_ticks(low, high)))
        keys = [(categories, style.KEY_PLACES) for categories in self._categories.values()]
        if self.marks:
            keys.append((self.marks, style.KEY_PLACES))
        places = style.BAR_PLACES[min(max(len(bars) + len(keys), 1), 2) - 1]
        if len(bars) == 2 and keys:
            places = style.BAR_PLACES_NARROW
            keys = [(key, style.KEY_PLACES_NARROW) for key, _places in keys]
        if len(bars) == 1 and not keys and (len(self.views) == 1 or len(self.bar_ticks) > 7):
            places = style.BAR_PLACES_WIDE
        for (table, title, ticks), (centre, length) in zip(bars, places):
            bar = simple.GetScalarBar(table, self.legend)
            style.dress_colour_bar(bar, title, ticks, centre, length, width, self.letter_width)
            bar.Visibility = 1
        for key, where in keys:
            style.draw_key(self.legend, key, self.letter_width, aspect, where)
        if self.curve_key:
            draw_curve_key(self.legend, self.curve_key, self.letter_width, aspect, self.letters)


def short_name(landscape):
    """What a file is called in the pipeline browser: a folder's name, or a file's."""
    if not isinstance(landscape, (str, Path)):
        return None
    path = Path(landscape)
    return path.parent.name if path.name == "surface.vti" else path.stem


def _preferred_scale(provenances):
    """`log` where any of the landscapes asks for it, `linear` where all do, else None."""
    asked = [provenance.get("scale") for provenance in provenances]
    if "log" in asked:
        return "log"
    return "linear" if set(asked) == {"linear"} else None
