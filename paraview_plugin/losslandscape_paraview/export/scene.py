"""What a figure shows, as plain arrays: triangles, their colours, axes, colour bars and texts.

This is the one source of the files that leave ParaView (`gltf`, `web_page`). It reads what is
visible in a layout's views, so it works alike on a figure just built and on a state file loaded.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compatibility import std_format
from ..errors import LandscapeError
from ..sources.landscape_sources import fetch
from ..sources.provenance import plain
from .meshes import read_mesh

COLOUR_STEPS = 64
_AXIS_WORDS = re.compile(
    r"axes: (?P<of>title of (?:alpha|beta|the loss)|loss)(?: (?P<words>\S+))?(?: \(|$)"
)
_KEY = re.compile(r"key \((?P<name>.*)\)$")
_KEY_WORDS = re.compile(r"key: (?:name|words) \((?P<name>.*)\)$")


@dataclass
class PanelScene:
    """One view.

    Attributes:
        title: above it; may be empty.
        meshes: list of `Mesh`.
        bounds: xmin, xmax, ymin, ymax, zmin, zmax of the axes' box, or of the meshes.
        axes: for x, y, z a dict of `title` and `ticks`, pairs of words and coordinate; empty
            where the view has no axes.
        camera: dict of `direction` (from the centre to the camera), `up`, `centre` and
            `half_height`, in the view's space.
        texts: dicts of `words`, `position` in the view's space, `align` (`left`, `right`), and
            `light`, whether the letters are light.
        over_plane: whether it is a surface over a plane.
        notes: dicts of `words` and `place`, shares of the view's width and height from below left.
    """

    title: str = ""
    meshes: list = field(default_factory=list)
    bounds: list = field(default_factory=list)
    axes: list = field(default_factory=list)
    camera: dict = field(default_factory=dict)
    texts: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    over_plane: bool = False


@dataclass
class Scene:
    """A figure.

    Attributes:
        panels: list of `PanelScene`, from left to right.
        bars: dicts of `title`, `colours` (sRGB from 0 to 1, evenly along the bar) and `ticks`,
            pairs of words and place along the bar, 0 to 1.
        keys: dicts of `words` and `colour`.
    """

    panels: list
    bars: list
    keys: list


def read_scene(layout):
    """What a layout shows.

    Args:
        layout: ParaView's layout, of a `Figure` or a loaded state.

    Returns:
        Scene

    Raises:
        LandscapeError: a volume is shown, which has no surface, or there is nothing at all.
    """
    from paraview import simple

    names = {source.SMProxy.GetGlobalID(): key[0] for key, source in simple.GetSources().items()}
    panels, bars, keys = [], [], []
    for view in _views(layout):
        if view.GetXMLName() != "RenderView":  # a chart, or a table
            continue
        shown = [_Shown(proxy, names) for proxy in view.Representations if _is_shown(proxy)]
        view_bars = [proxy for proxy in view.Representations if _is_bar(proxy)]
        view_keys = _keys(shown)
        bars += [bar_of(proxy) for proxy in view_bars]
        keys += view_keys
        # a view of colour bars and keys alone is the legend
        if not view_keys and any(not item.text for item in shown):
            panels.append(_panel(view, shown))
    # lines alone, say, have no faces
    panels = [panel for panel in panels if panel.meshes]
    if not panels:
        raise LandscapeError("nothing is shown in this figure")
    return Scene(panels, bars, keys)


class _Shown:
    """A visible representation, its pipeline object's name, and its text where it is one."""

    def __init__(self, proxy, names):
        self.proxy = proxy
        source = proxy.Input
        port = source.SMProxy if hasattr(source, "SMProxy") else source
        self.name = names[port.GetGlobalID()]
        self.text = _text_of(source) if proxy.GetXMLName() == "TextSourceRepresentation" else ""


def _text_of(source):
    """What a source of text says: its output is a table with one text in it."""
    table = fetch(source)
    rows = table.GetNumberOfRows() if table is not None else 0
    return table.GetValue(0, 0).ToString() if rows and table.GetNumberOfColumns() else ""


def _views(layout):
    """The layout's views, as they lie in it from left to right and from above."""
    from paraview import servermanager

    found, cells = [], [0]
    while cells:
        cell = cells.pop(0)
        view = layout.GetView(cell)
        if view is not None:
            found.append(servermanager._getPyProxy(getattr(view, "SMProxy", view)))
        elif layout.SMProxy.GetSplitDirection(cell) != 0:
            cells = [2 * cell + 1, 2 * cell + 2, *cells]
    return found


def _is_shown(proxy):
    return bool(proxy.Visibility) and hasattr(proxy, "Input") and not _is_bar(proxy)


def _is_bar(proxy):
    return proxy.GetXMLName() == "ScalarBarWidgetRepresentation" and bool(proxy.Visibility)


def _panel(view, shown):
    panel, of_axes = PanelScene(), {}
    axes = view.AxesGrid
    of_a_plane = bool(axes and axes.Visibility and axes.ZLabelOpacity == 0 and axes.YAxisLabels)
    for item in shown:
        if not item.text:
            mesh = read_mesh(item.proxy, item.name)
            if mesh is not None:
                panel.meshes.append(mesh)
            continue
        place = getattr(item.proxy, "TextPropMode", "2D Text Widget")
        at_axis = _AXIS_WORDS.match(item.name) if of_a_plane else None
        if at_axis:
            of_axes[at_axis["of"], at_axis["words"] or ""] = plain(item.text)
        elif place == "Billboard 3D Text":
            align = "right" if item.proxy.Justification == "Right" else "left"
            position = [float(x) for x in item.proxy.BillboardPosition]
            light = min(item.proxy.Color) > 0.5  # on a surface, not on the page
            panel.texts.append(
                {"words": plain(item.text), "position": position, "align": align, "light": light}
            )
        elif item.proxy.WindowLocation in ("Any Location", "Lower Center"):
            where = [0.02, 0.02]
            if item.proxy.WindowLocation == "Any Location":
                where = [float(x) for x in item.proxy.Position]
            panel.notes.append({"words": plain(item.text), "place": where})
        else:
            panel.title = plain(item.text)
    if axes and axes.Visibility:
        panel.bounds = [float(x) for x in axes.CustomBounds]
        panel.axes = [_axis(axes, number) for number in range(3)]
        _add_words_of_a_plane(panel, of_axes)
    elif panel.meshes:
        points = np.concatenate([mesh.points for mesh in panel.meshes])
        low, high = points.min(axis=0), points.max(axis=0)
        panel.bounds = [float(x) for pair in zip(low, high) for x in pair]
    focus, camera = np.array(view.CameraFocalPoint), np.array(view.CameraPosition)
    panel.camera = {
        "direction": ((camera - focus) / np.linalg.norm(camera - focus)).tolist(),
        "up": [float(x) for x in view.CameraViewUp],
        "centre": focus.tolist(),
        "half_height": float(view.CameraParallelScale),
    }
    return panel


def _add_words_of_a_plane(panel, of_axes):
    """Titles of a plane's axes, and the values of the loss, which are texts in the view."""
    titles = ("title of alpha", "title of beta", "title of the loss")
    for axis, name in zip(panel.axes, titles):
        axis["title"] = of_axes.get((name, ""), axis["title"])
    values = [words for (name, _words), words in of_axes.items() if name == "loss"]
    ticks = panel.axes[2]["ticks"]
    if values:
        panel.over_plane = True
        panel.axes[2]["ticks"] = [
            [words, place] for words, (_none, place) in zip(_as_many(values, len(ticks)), ticks)
        ]


def _as_many(values, number):
    """The words of the uppermost ticks, where the lower ones had no room for theirs."""
    return [""] * (number - len(values)) + values


def _axis(axes, number):
    letter = "XYZ"[number]
    ticks = list(getattr(axes, f"{letter}AxisLabels"))
    if not getattr(axes, f"{letter}AxisUseCustomLabels"):
        ticks = []
    scale, position = axes.DataScale[number], axes.DataPosition[number]
    # labels that are not seen still have a line of the grid
    labelled = getattr(axes, f"{letter}LabelOpacity") > 0
    return {
        "title": plain(getattr(axes, f"{letter}Title")),
        "ticks": [[f"{tick:g}" if labelled else "", tick * scale + position] for tick in ticks],
    }


def bar_of(proxy):
    """A colour bar: its title, its colours along it, and its labels; see `Scene`."""
    table = proxy.LookupTable
    function, log = table.GetClientSideObject(), bool(table.UseLogScale)
    low, high = table.RGBPoints[0], table.RGBPoints[-4]
    places = np.linspace(0.0, 1.0, COLOUR_STEPS)
    values = low * (high / low) ** places if log else low + (high - low) * places
    values[[0, -1]] = low, high
    colours = []
    for value in values:
        rgb = [0.0, 0.0, 0.0]
        function.GetColor(float(value), rgb)
        colours.append([round(x, 4) for x in rgb])
    # a state's text: nothing but the digits is taken from it
    digits = re.match(r"\{:\.(\d{1,2})g\}$", std_format(str(proxy.LabelFormat)))
    label, ticks = "{:g}", []
    if digits and not proxy.AutomaticLabelFormat:
        label = f"{{:.{digits[1]}g}}"
    for tick in proxy.CustomLabels:
        span = np.log(high / low) if log else high - low
        place = (np.log(tick / low) if log else tick - low) / span if span else 0.5
        ticks.append([label.format(tick), float(min(max(place, 0.0), 1.0))])
    return {"title": plain(proxy.Title), "colours": colours, "ticks": ticks}


def _keys(shown):
    """What the legend's marks mean: their colour, and the words beside them."""
    words = {}
    for item in shown:
        match = _KEY_WORDS.match(item.name)
        if match:
            words[match["name"]] = plain(item.text)
    found: Any = []
    for item in shown:
        match = _KEY.match(item.name)
        if match and match["name"] in words:
            colour = [float(x) for x in item.proxy.DiffuseColor]
            found.append({"words": words[match["name"]], "colour": colour})
    return found
