"""A figure as PDF or SVG: texts, axes and colour bars as vectors over the rendered scene.

ParaView draws everything but the words, and matplotlib, which ParaView's Python has for its
formulas, lays the words over that picture where ParaView would have drawn them.
"""

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LandscapeError
from ..sources.landscape_sources import fetch
from ..sources.provenance import plain
from ..style import theme
from ..style.screen import screen_axes
from .output_files import replaced
from .scene import bar_of
from .states import render_layout

VECTOR = (".pdf", ".svg")
_FONTS = ["Liberation Sans", "Arial", "Helvetica", "DejaVu Sans"]


def write_vector(figure, path, size, dpi=None):
    """Write a figure as a PDF or an SVG.

    Args:
        figure: a `Figure` that is finished.
        path: ends in one of `VECTOR`.
        size: width and height of the rendered scene in pixels.
        dpi: its pixels an inch, which give the page its size; None for 300.

    Returns:
        dict: `path`.

    Raises:
        LandscapeError: this ParaView's Python has no matplotlib, or the file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib import font_manager
        from matplotlib.figure import Figure as Page
    except ImportError as error:
        raise LandscapeError(
            f"{path}: this ParaView's Python has no matplotlib ({error}), which PDF and SVG need; "
            "write a .png"
        ) from error
    dpi = 300.0 if dpi is None else float(dpi)
    width, height = (int(x) for x in size)
    page = Page(figsize=(width / dpi, height / dpi), dpi=dpi)
    axes = page.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    scale = width / figure.layout_size[0]
    known = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [name for name in _FONTS if name in known]
    style: Any = {
        "font.family": fonts or ["sans-serif"],
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "losslandscape",
    }
    with matplotlib.rc_context(style):
        drawer = _Drawer(axes, scale, dpi)
        with _without_words(figure) as shown, tempfile.TemporaryDirectory() as folder:
            picture = Path(folder, "scene.png")
            for view, place, texts, bars in shown:
                drawer.draw_view(view, place, texts, bars, (width, height))
            for panel in figure.panels:
                place = next(place for view, place, *_rest in shown if view is panel.view)
                drawer.draw_axes(panel.figure, panel, place, (width, height))
            render_layout(figure.layout, picture, (width, height), carries_state=False)
            from matplotlib.image import imread

            extent = (0, width, 0, height)
            axes.imshow(imread(str(picture)), extent=extent, aspect="auto", zorder=0)
        with replaced(path) as temporary:
            # no date: the same figure gives the same file
            kind = Path(path).suffix.lower()[1:]
            dated = {"CreationDate": None} if kind == "pdf" else {"Date": None}
            page.savefig(temporary, format=kind, dpi=dpi, metadata=dated)
    return {"path": str(path)}


@contextmanager
def _without_words(figure):
    """Hide texts, bars and labels; gives `(view, place, texts, bars)` of each view."""
    shown, hidden, faded = [], [], []
    for view, place in figure.view_places():
        texts: list = []
        bars: list = []
        for one in view.Representations:
            kind = one.GetXMLName()
            if kind not in ("TextSourceRepresentation", "ScalarBarWidgetRepresentation"):
                continue
            if one.Visibility:
                (texts if kind == "TextSourceRepresentation" else bars).append(one)
                hidden.append(one)
        shown.append((view, place, texts, bars))
        axes = view.AxesGrid
        if any(panel.view is view and panel.dimensions == 2 for panel in figure.panels):
            faded.append((axes, axes.XLabelOpacity, axes.YLabelOpacity))
    for one in hidden:
        one.Visibility = 0
    for axes, _x, _y in faded:
        axes.XLabelOpacity = axes.YLabelOpacity = 0.0
    try:
        yield shown
    finally:
        for one in hidden:
            one.Visibility = 1
        for axes, across, along in faded:
            axes.XLabelOpacity, axes.YLabelOpacity = across, along


class _Drawer:
    """Writes on a page of matplotlib whose unit is a pixel.

    Args:
        axes: matplotlib's, over the whole page.
        scale: pixels of the page a pixel of the layout.
        dpi: pixels an inch.
    """

    def __init__(self, axes, scale, dpi):
        self._axes, self._scale, self._dpi = axes, scale, dpi

    def draw_view(self, view, place, texts, bars, size):
        """The texts and the colour bars of a view."""
        left, bottom = place[0] * size[0], place[1] * size[1]
        width, height = place[2] * size[0], place[3] * size[1]
        for one in texts:
            words = _words_of(one)
            kind = {"ha": "left", "va": "bottom"}
            if one.TextPropMode == "Billboard 3D Text":
                x, y = on_screen(view, one.BillboardPosition, (width, height))
                kind["ha"] = "right" if one.Justification == "Right" else "left"
            elif one.WindowLocation == "Upper Center":
                x, y, kind = width / 2, height - 4, {"ha": "center", "va": "top"}
            elif one.WindowLocation == "Lower Center":
                x, y, kind["ha"] = width / 2, 4, "center"
            else:
                x, y = one.Position[0] * width, one.Position[1] * height
            self.write(left + x, bottom + y, words, one.FontSize, list(one.Color), one, **kind)
        for one in bars:
            self._bar(one, left, bottom, width, height)

    def write(self, x, y, words, letters, colour, written=None, **kind):
        """Words at a pixel; `letters` is their height in the layout's pixels."""
        points = letters * self._scale * 72 / self._dpi
        text = self._axes.text(
            x, y, words, fontsize=points, color=colour, zorder=5, linespacing=1.1, **kind
        )
        if written is not None and written.Bold:
            text.set_fontweight("bold")
        if written is not None and written.Shadow:
            from matplotlib import patheffects

            other = theme.INK if min(colour) > 0.5 else theme.WHITE
            stroke = patheffects.withStroke(linewidth=0.12 * points, foreground=other)
            text.set_path_effects([stroke])

    def draw_axes(self, figure, panel, place, size):
        """What ParaView's axes write at a plane, and the edges of the box that carry it."""
        left, bottom = place[0] * size[0], place[1] * size[1]
        inside = (place[2] * size[0], place[3] * size[1])
        for one in figure.axes_words(panel):
            x, y = on_screen(panel.view, one.place, inside)
            if one.drawn_by_axes:
                middle = np.array(one.shift) + np.array(one.size) / 2
                self.write(
                    left + x + self._scale * middle[0],
                    bottom + y + self._scale * middle[1],
                    one.text,
                    one.letters,
                    theme.INK,
                    ha="center",
                    va="center",
                )
        for ends in figure.axis_edges(panel):
            line = [on_screen(panel.view, end, inside) for end in ends]
            x, y = np.transpose(line)
            self._line(left + x, bottom + y, [0.35] * 3)

    def _line(self, x, y, colour):
        self._axes.plot(x, y, color=colour, linewidth=0.5, zorder=4, solid_capstyle="butt")

    def _bar(self, proxy, left, bottom, width, height):
        bar = bar_of(proxy)
        x = left + proxy.Position[0] * width
        y = bottom + proxy.Position[1] * height
        long = proxy.ScalarBarLength * width
        thick = proxy.ScalarBarThickness * self._scale
        colours = np.array(bar["colours"])[None]
        self._axes.imshow(
            colours, extent=(x, x + long, y, y + thick), aspect="auto", zorder=3,
            interpolation="bilinear",
        )  # fmt: skip
        self._line([x, x + long, x + long, x, x], [y, y, y + thick, y + thick, y], [0.35] * 3)
        letters = proxy.LabelFontSize
        for words, share in bar["ticks"]:
            at = x + share * long
            self._line([at, at], [y + thick, y + thick + 0.35 * letters * self._scale], theme.INK)
            above = y + thick + 0.45 * letters * self._scale
            self.write(at, above, words, letters, theme.INK, ha="center", va="bottom")
        above = y + thick + 1.75 * letters * self._scale
        title = str(proxy.Title)
        self.write(
            x + long / 2, above, title, proxy.TitleFontSize, theme.INK, ha="center", va="bottom"
        )


def on_screen(view, point, size):
    """Where a point of a view's space is in its picture, in pixels from below left.

    Args:
        view: a render view with parallel projection.
        point: three numbers.
        size: width and height of the picture.
    """
    focus, camera = np.array(view.CameraFocalPoint), np.array(view.CameraPosition)
    right, up = screen_axes(camera - focus, view.CameraViewUp)
    pixel = 2 * view.CameraParallelScale / size[1]
    away = np.array([float(x) for x in point]) - focus
    return size[0] / 2 + away @ right / pixel, size[1] / 2 + away @ up / pixel


def _words_of(shown):
    """The text of a representation as matplotlib writes it."""
    table = fetch(shown.Input)
    text = table.GetValue(0, 0).ToString()
    # a formula stays one; other words are written as they are
    return text if "$\\" in text else plain(text).replace("$", "\\$")
