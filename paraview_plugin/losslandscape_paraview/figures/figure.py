"""A figure: panels side by side under one camera, one scale and one legend."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..compatibility import restore_getargspec
from ..errors import LandscapeError
from ..layers.curve import band_ends
from ..layers.notes import room_for_notes, write_notes
from ..layers.own_losses import checkpoint_losses
from ..layers.registry import LAYERS
from ..session import is_in_window
from ..sources import provenance as words
from ..sources.landscape_sources import open_landscape, renamed
from ..style import theme
from ..style.robust_ceiling import robust_ceiling
from ..style.scale import DisplayScale
from ..style.screen import screen_axes
from ..style.text import in_letters, in_lines
from .axes import dress_axes, label_axes, label_plane, place_axes
from .box import Box
from .camera import direction_of, dress_view, half_height, place_camera
from .caption import caption
from .cells import new_layout, split
from .chart import wrapped, write_block
from .colour_tables import ColourTables
from .fit import fit_planes, loss_corner, near_corner, view_up
from .legend import draw_legend, write_bar
from .live_legend import follow_sliders
from .panel import Panel
from .written import Written

DEFAULT_SIZE = (2000, 1120)
# the letters of sentences below a figure, in units of the others, and the height of a line of them
SENTENCE_LETTERS, SENTENCE_LINE = 0.8, 1.0
MOST_SENTENCES = 0.35  # of a figure's height
# how long lines of notes are, about
NOTE_LETTERS = 45


class Figure(Written):
    """Panels of landscapes with one scale of colours and heights, as native ParaView pipelines.

    Args:
        landscapes: one path (or `LandscapeSources`) a panel; the same one twice is opened once.
        titles: one title a panel; None for those in the provenance.
        array: the quantity, a point array of the surfaces.
        log, floor, ceiling: see `DisplayScale.of`. Without one, a plane of losses alone, in
            which a corner explodes, gets a ceiling (see `style.robust_ceiling`); infinity cuts
            nothing.
        size: width and height of the picture in pixels.
        charts: how many more views stand to the right of the panels, for diagrams.
        direction: from where the camera looks.
        error_band: the scale has room for the error bands of curves.
        letters: scale of all texts; above 1 for a picture that is printed small.
        steps: what the steps of trajectories are, such as `"epoch"`; files have only the number
            that was given to `record`.
        notes: how many lines of notes the panels have room for, below a plane.
        own_losses: the scale has room for the checkpoints' own losses.
        view: `"top"`, `"side"`, or azimuth and elevation in degrees, in place of `direction`; see
            `camera.direction_of`.
        colours: the quantity's colour map, a name of `colour_maps.NAMES`; None for this project's.
        titled: write the panels' titles.
        equal_units: of both axes of a plane; see `Box`.
        beside: more landscapes whose values the scale has room for.
        cell: the `Cell` of a `Sheet` to draw in; None for a layout of its own.
        keys: its legend has the bars and keys of trajectories and marks, not only the bar of the
            quantity.
        bar: draw the quantity's colour bar; without it, the figure has no legend.
        sentences: in a strip below the legend.
        least: the smallest texts where there is little room, in units of the others; None for
            `theme.LEAST_LETTERS`, and smaller at an upright axis that is too short.

    Attributes:
        panels: list of `Panel`.
        charts: list of the views for diagrams.
        scale: `DisplayScale`.
        tables: `ColourTables`, which all panels share.
        quantity_table: the one of the quantity.
        has_bar: whether the legend has the quantity's colour bar.
        bar_ticks: the values that it labels.
        cut_words: what its title says of ceilings on sliders; see `live_legend`.
        marks, curve_key: what layers add to the legend; see `add_minimum`, `add_curve`.
        runs: dict of each training run's label -> its colour; see `add_trajectory`.
        legend_share, words_share: the heights of the legend and of the strip of sentences below it,
            of the layout's.
        chart_words: list of sentences about the charts, for the caption.
        letter_width: the width in pixels that text sizes are shares of (see `style.theme`).
        least_letters: the smallest size of texts in the layout's pixels.
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
        direction=theme.VIEW_DIRECTION,
        error_band=False,
        letters=1.0,
        steps="step",
        notes=1,
        own_losses=False,
        view=None,
        colours=None,
        titled=True,
        equal_units=None,
        beside=(),
        cell=None,
        keys=True,
        bar=True,
        sentences=(),
        least=None,
    ):
        restore_getargspec()
        from paraview import simple

        simple._DisableFirstRenderCameraReset()
        self.cell, self.keys, self.shows_bar = cell, keys, bar
        self.size = tuple(int(pixels) for pixels in (cell.size if cell else size))
        self.layout_size = tuple(pixels // theme.PICTURE_SCALE for pixels in self.size)
        self.letters = letters
        self.steps = steps
        self.letter_width = letters * self.layout_size[0]
        self._least = least
        least = theme.LEAST_LETTERS if least is None else least
        self.least_letters = math.ceil(least * theme.LETTER_SHARE * self.letter_width)
        # large letters need a higher legend
        high = theme.LEGEND_LETTERS * theme.LETTER_SHARE * self.letter_width
        self.legend_share = max(theme.LEGEND_SHARE, high / self.layout_size[1])
        if not bar:
            self.legend_share = theme.NO_LEGEND_SHARE
        height = height_of(sentences, self.size[0], letters) / self.size[1]
        # most is left to the panels, whatever a file has to say
        small = SENTENCE_LETTERS * min(1.0, (MOST_SENTENCES / height) ** 0.5 if height else 1.0)
        small = max(small, least)
        self.words_share = min(height, MOST_SENTENCES)
        self._sentences, self._small = sentences, small
        opened = {}
        for landscape in landscapes:
            key = _key(landscape)
            if key not in opened:
                opened[key] = open_named(landscape)
        sources = [opened[_key(landscape)] for landscape in landscapes]
        if len({source.dimensions for source in sources}) > 1:
            raise LandscapeError("the panels' landscapes have different numbers of directions")
        values = np.concatenate([source.values(array) for source in [*sources, *beside]])
        is_loss = array == "loss" or array.endswith("_loss")
        fit = {id(source): renamed(source, array) for source in sources}
        sources, array = [fit[id(source)][0] for source in sources], fit[id(sources[0])][1]
        self.landscapes = sources
        self.provenances = [source.provenance for source in sources]
        preferred = _preferred_scale(self.provenances) if array == "loss" else None
        self.scale = DisplayScale.of(
            values, array, log, floor, None if ceiling == math.inf else ceiling, preferred
        )
        if ceiling is None and floor is None and is_loss:
            found = _own_ceiling([*sources, *beside], array, self.scale.log)
            if found is not None:
                self.scale = DisplayScale.of(values, array, log, floor, found, preferred)
        if error_band:
            ends = [band_ends(source, array) for source in sources]
            self.scale = self.scale.widened(np.concatenate(ends))
        if own_losses:
            own = [checkpoint_losses(source, array)[1] for source in sources]
            self.scale = self.scale.widened(np.concatenate(own))
        self.bar_ticks = self.scale.ticks()
        self.has_bar, self.marks, self.curve_key = True, {}, {}
        self.runs, self.chart_words = {}, []
        self.cut_words, self._quantity_bar = "", None
        self.tables = ColourTables(self.scale, colours)
        self.quantity_table = self.tables.quantity
        self._direction = tuple(float(x) for x in direction_of(view, direction))
        self._titled = titled
        self._build_views(simple, len(sources) + charts, len(sources))
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
                Box(source.bounds, self.scale, common, source.dimensions, equal_units),
            )
            for view, source, title in zip(self.views, sources, titles)
        ]
        for panel in self.panels:
            if panel.dimensions == 2 and not panel.box.equal_units:
                panel.notes.append("the axes have different units of length")
                panel.report["equal_units"] = False
        self._fit(notes + any(panel.notes for panel in self.panels))

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
        """The colour table of an array along trajectories; see `ColourTables.of_steps`."""
        return self.tables.of_steps(array, steps)

    def other_table(self, array):
        """The colour table of another array of the surfaces; see `ColourTables.of_other`."""
        values = np.concatenate([source.values(array) for source in self.landscapes])
        return self.tables.of_other(DisplayScale.of(values, array))

    def category_table(self, array, categories, in_legend=None):
        """The colour table of an array of kinds; see `ColourTables.of_categories`."""
        return self.tables.of_categories(array, categories, in_legend)

    def height_tables(self):
        """The colours and the opacities of a volume; see `ColourTables.of_heights`."""
        values = [source.values(self.scale.array) for source in self.landscapes]
        return self.tables.of_heights(np.concatenate(values))

    def pixel_size(self, panel):
        """The length of one pixel of the layout in a panel's view."""
        if self._fitted is not None:
            return self._fitted[0]
        height = self._panel_size[1]
        return 2 * half_height(panel.box, self._direction, self._aspect, self.letters) / height

    def screen_axes(self):
        """The directions in a view's space that point right and up on the screen."""
        return screen_axes(self._direction, view_up(self._direction))

    def towards_reader(self):
        """The direction in a view's space that points from the screen to the reader."""
        return np.cross(*self.screen_axes())

    def words_on_screen(self, panel):
        """Where a panel's axes have words: tuples of left, right, below, above on the screen."""
        if self._fitted is None:
            return []
        right, up = self.screen_axes()
        pixel, found = self._fitted[0], []
        for one in self._at_axes[self.panels.index(panel)]:
            x = float(one.place @ right) + pixel * one.shift[0]
            y = float(one.place @ up) + pixel * one.shift[1]
            found.append((x, x + pixel * one.size[0], y, y + pixel * one.size[1]))
        return found

    def view_size(self, view):
        """The width and the height of one of the `views`, in the layout's pixels."""
        share = self._shares[self.views.index(view)]
        return self.layout_size[0] * share, self._panel_size[1]

    def view_places(self):
        """Each view with its left, bottom, width and height, as shares of the figure's size."""
        found, left = [], 0.0
        words, legend = self.words_share, self.legend_share
        for view, share in zip(self.views, self._shares):
            found.append((view, (left, words + legend, share, 1.0 - words - legend)))
            left += share
        if words:
            found.append((self.words_view, (0.0, 0.0, 1.0, words)))
        return [*found, (self.legend, (0.0, words, 1.0, legend))]

    def axis_edges(self, panel):
        """The edges of a panel's box that carry axes, and their ticks: pairs of points."""
        if panel.dimensions != 2:
            return []
        ends = np.reshape(panel.box.bounds, (3, 2))
        x, y = near_corner(self._direction)
        left = loss_corner(self._direction)
        edges = [
            ([ends[0, 0], ends[1, y], ends[2, 0]], [ends[0, 1], ends[1, y], ends[2, 0]]),
            ([ends[0, x], ends[1, 0], ends[2, 0]], [ends[0, x], ends[1, 1], ends[2, 0]]),
            (
                [ends[0, left[0]], ends[1, left[1]], ends[2, 0]],
                [ends[0, left[0]], ends[1, left[1]], ends[2, 1]],
            ),
        ]
        right, up = self.screen_axes()
        for one in self.axes_words(panel):
            if not one.what.startswith("title"):
                towards = one.shift + one.size / 2
                towards = 0.35 * one.letters * towards / np.linalg.norm(towards)
                shift = self.pixel_size(panel) * (towards[0] * right + towards[1] * up)
                edges.append((one.place, one.place + shift))
        return edges

    def axes_words(self, panel):
        """The `fit.Words` at the axes of a panel's plane, ParaView's own among them."""
        return self._at_axes[self.panels.index(panel)]

    def _fit(self, notes):
        """Make the box of planes as large as the words around it leave room for."""
        self._fitted: Any = None
        self._at_axes: list = [[] for _panel in self.panels]
        self._loss_ticks: list = []
        if self.panels[0].dimensions != 2:
            return
        letter = theme.LETTER_SHARE * self.letter_width
        lines = max(len(self._title_of(panel)[0]) for panel in self.panels)
        above = 1.45 * theme.TITLE_LETTER_SHARE * self.letter_width
        above += 1.25 * (lines - 1) * self.least_letters
        if not self._titled:
            above = 0.0
        below = (1.25 * notes + 0.3) * letter
        room = min(room_for_notes(self, panel.view) for panel in self.panels)
        rows = math.ceil(in_letters(NOTE_LETTERS, self.least_letters) / room)
        if rows > 1:  # the longest is broken
            lines = notes + rows - 1
            below = max(below, 1.35 * lines * self.least_letters + 0.5 * letter)
        fitted = fit_planes(
            [panel.box for panel in self.panels],
            self.scale,
            self.provenances,
            self._direction,
            self.letter_width,
            self._panel_size,
            above,
            below,
            self.least_letters / letter if self._least else 0.0,
        )
        for panel, box in zip(self.panels, fitted.boxes):
            panel.box = box
        self._at_axes, self._loss_ticks = fitted.words, fitted.loss_ticks
        self._fitted = (fitted.pixels, fitted.shift)

    def finish(self):
        """Axes, titles, camera and colour bars; call it after the last layer. Returns self."""
        from paraview import simple

        for panel in self.panels:
            self._dress(simple, panel)
        self._quantity_bar = draw_legend(self)
        if self._sentences:
            letters = self._small * theme.LETTER_SHARE * self.letter_width
            lines = wrapped(self._sentences, letters, 0.96 * self.layout_size[0])
            write_block(self.panels[0], self.words_view, "sentences", lines, self._small)
        follow_sliders(self)
        simple.SetActiveView(self.views[0])
        return self

    def report(self):
        """What a reader of the figure should know: dict, ready for JSON.

        `scale` (quantity, words, range), `bar_title`, and for each panel its title, its file, its
        number of holes, and the difference between exact and drawn values on the surface
        (`drape.drape_difference`).
        """
        return {
            "size": list(self.size),
            "scale": {
                "array": self.scale.array,
                "words": self.scale.words,
                "expression": self.scale.expression,
                "lower": self.scale.lower,
                "upper": self.scale.upper,
                "ceiling": self.scale.ceiling,
            },
            "bar_title": self.bar_title,
            "panels": [panel.report for panel in self.panels],
            "caption": caption(self),
        }

    @property
    def bar_title(self):
        """Quantity, scale, and which batch-norm statistics: the colour bar's title."""
        title = words.quantity_title(self.provenances[0], self.scale.array)
        note = words.shared_statistics_note(self.provenances)
        parts = [title, self.scale.words, self.cut_words, note]
        return ", ".join(part for part in parts if part)

    def _panel_titles(self, titles):
        titles = list(titles or [None] * len(self.provenances))
        if len(titles) != len(self.provenances):
            raise LandscapeError(f"{len(self.provenances)} panels need as many titles")
        notes = [words.statistics_note(provenance) for provenance in self.provenances]
        differ = len(set(notes)) > 1
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

    def _build_views(self, simple, count, panels):
        # a chart needs less width than a plane
        shares = [1.0 if n < panels else theme.CHART_SHARE for n in range(count)]
        self._shares = [share / sum(shares) for share in shares]
        if self.cell is None:
            self.layout, place = new_layout(simple), 0
        else:
            self.layout, place = self.cell.layout, self.cell.place
        if self.words_share:
            shares = [1.0 - self.words_share, self.words_share]
            place, strip = split(self.layout, place, shares, True)
            self.words_view = simple.CreateView("RenderView")
            simple.AssignViewToLayout(self.words_view, self.layout, hint=strip)
            dress_view(self.words_view)
        shares = [1.0 - self.legend_share - self.words_share, self.legend_share]
        above, below = split(self.layout, place, shares, True)
        self.views = []
        for part in split(self.layout, above, self._shares):
            view = simple.CreateView("RenderView")
            simple.AssignViewToLayout(view, self.layout, hint=part)
            self.views.append(view)
        self.legend = simple.CreateView("RenderView")
        simple.AssignViewToLayout(self.legend, self.layout, hint=below)
        for view in (*self.views, self.legend):
            dress_view(view)
        if self.cell is None and not is_in_window(self.legend):
            # in the window, it gives views their sizes
            self.layout.SetSize(*self.layout_size)

    def _dress(self, simple, panel):
        view, box = panel.view, panel.box
        titles = words.axis_titles(panel.landscape.provenance)
        if panel.dimensions < 3:
            titles[2] = ""
        dress_axes(view, titles, self.letter_width, box)
        at_axes = self._at_axes[self.panels.index(panel)]
        ticks = panel.scale.ticks(5) if box.dimensions == 1 else self._loss_ticks
        place_axes(view.AxesGrid, box, panel.scale.heights(ticks), self._direction)
        if panel.dimensions == 1:
            label_axes(panel)
        label_plane(panel, at_axes)
        fitted_to = None
        if self._fitted is not None:
            fitted_to = self._fitted[0] * self._panel_size[1] / 2, self._fitted[1]
        place_camera(view, box, self._direction, self._aspect, self.letters, fitted_to)
        write_notes(panel)
        if not self._titled:
            return
        lines, size = self._title_of(panel)
        title = words.literal("\n".join(lines))
        text = simple.Text(registrationName=panel.named("title"), Text=title)
        written = simple.Show(text, view)
        written.WindowLocation = "Upper Center"
        written.FontSize = size
        written.Color = theme.INK

    def _title_of(self, panel):
        """The lines of a panel's title, and the size of their letters."""
        letters = theme.TITLE_LETTER_SHARE * self.letter_width
        room = 0.96 * self._panel_size[0]
        return in_lines([panel.name], letters, room, self.least_letters)

    def refresh_bar(self):
        """Write the title and the labels of the quantity's colour bar as they are now."""
        if self._quantity_bar:
            bar, place = self._quantity_bar
            write_bar(self, bar, place, self.bar_title, self.bar_ticks)

    @property
    def _panel_size(self):
        """Width and height of a panel in the layout's pixels."""
        width, height = self.layout_size
        return width * self._shares[0], height * (1.0 - self.legend_share - self.words_share)

    @property
    def _aspect(self):
        """A panel's width in units of its height."""
        width, height = self._panel_size
        return width / height


def height_of(sentences, width, letters=1.0):
    """The height of the strip of sentences below a figure, in pixels of its picture.

    Args:
        sentences: list of str.
        width: of the picture in pixels.
        letters: scale of all texts.
    """
    if not sentences:
        return 0
    letter = SENTENCE_LETTERS * theme.LETTER_SHARE * letters * width
    return round((len(wrapped(sentences, letter, 0.96 * width)) + 1) * SENTENCE_LINE * letter)


def _key(landscape):
    """A key that is equal for the same landscape, given as a path or as sources."""
    return str(landscape) if isinstance(landscape, (str, Path)) else id(landscape)


def open_named(landscape):
    """Open a landscape under its `short_name`; see `open_landscape`."""
    restore_getargspec()
    return open_landscape(landscape, short_name(landscape))


def short_name(landscape):
    """The name of a landscape in the pipeline browser: that of its folder or file."""
    if not isinstance(landscape, (str, Path)):
        return None
    path = Path(landscape)
    return path.parent.name if path.name == "surface.vti" else path.stem


def _own_ceiling(sources, array, log):
    """The robust ceiling of a plane that is drawn alone; None of others.

    That of one panel would hide another, and cut the losses of trajectories and models.
    """
    first = sources[0]
    drawn_with = len(sources) > 1 or first.trajectories is not None or first.models is not None
    if drawn_with or first.dimensions != 2:
        return None
    return robust_ceiling(first.plane(array), log)


def _preferred_scale(provenances):
    """`log` where any of the landscapes asks for it, `linear` where all do, else None."""
    asked = [provenance.get("scale") for provenance in provenances]
    if "log" in asked:
        return "log"
    return "linear" if set(asked) == {"linear"} else None
