"""``losslandscape render``: draw a figure as a picture, glTF or web page, without a window."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path

from losslandscape.argument_checks import (
    CEILING,
    DPI,
    LEVELS,
    NON_NEGATIVE,
    POINTS,
    Real,
    refused_text,
)
from losslandscape.cli.arguments import add_state_trust
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, TEXT, Kind
from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.file_kinds import FOLDER
from losslandscape.files.inputs import input_file, input_kind
from losslandscape.files.outputs import OutputFile, claimed
from losslandscape.paraview.process import FIGURES

REPORT_FILE = "topology.json"  # of the results of ``losslandscape topology``
HELP = "draw a figure of a landscape with ParaView, as PNG, PDF, SVG, glTF or a web page"

PICTURES = (".png", ".pdf", ".svg")
OUTPUTS = (*PICTURES, ".html", ".glb", ".gltf")
# one and two columns of a journal, in mm
WIDTHS = {"column": 85.0, "page": 180.0}
# a figure's height in units of its width (losslandscape_paraview/figures/techniques.py)
_ONE_PANEL, _TWO_PANELS, _CURVE = 1200 / 1400, 1120 / 2000, 1000 / 1400
_OWN_SHAPES = {"curve": _CURVE, "curvature": 1400 / 2400, "trust": 1400 / 2400}
TECHNIQUES = ("curve", "surface", "contours", "isosurfaces", "volume", "trajectory")
COLOR_MAPS = ("viridis", "cividis", "magma", "inferno", "plasma", "gray")
DEFAULT_DPI = 300.0
# Smallest text size in a printed figure, in points; journals require five to eight.
MINIMUM_POINTS = 7.0
# The same of figures of several panels, which have less room, and of what has least room.
PANEL_POINTS, LEAST_POINTS = 5.5, 5.0
# The least width of figures of three parts side by side.
THREE_PARTS_MM = 130.0
# Default text size as a share of the picture's width (losslandscape_paraview/style/theme.py), and
# the largest factor at which the text still fits around the figure.
LETTER_SHARE, LARGEST_LETTERS = 0.020, 1.8

_INCHES = {"mm": 1 / 25.4, "cm": 1 / 2.54, "in": 1.0}
_LARGEST_PIXELS = 16384

_EPILOG = """\
figures:
  curve        1 direction: the loss as a line, with an error band (2 standard errors)
  surface      2 directions: the loss as color and height
  contours     2 directions: contours and height, with the levels in the legend
  isosurfaces  3 directions: nested surfaces of equal loss, with the levels in the legend
  volume       3 directions: regions of lower loss are more opaque
  trajectory   the training trajectory on the surface, colored by step, and the checkpoints'
               own losses where they differ from those on the plane
  topology     2 directions: critical points, separatrices, persistence diagram; those that
               'losslandscape topology' wrote to NAME_topology/ where that is there
  flatness     1 or 2 landscapes: the flat regions that 'losslandscape flatness' wrote to
               NAME_flatness/, or beside the landscape
  compare      two landscapes, or one by two --techniques, side by side, on the same scale
  panels       2 to 9 landscapes, each on a scale of its own, with its training trajectory
  curvature    2 directions: the convexity map of 'losslandscape convexity' beside the surface,
               and the spectrum that 'losslandscape curvature' wrote to NAME_curvature/
  trust        2 directions: random directions, shares and verdict of 'losslandscape trust'
All but topology, panels, curvature and trust also draw two landscapes side by side.

examples:
  losslandscape render vgg11.nc --output vgg11.png
  losslandscape render vgg11.nc --size column --output column.pdf
  losslandscape render vgg11.nc --figure trajectory --steps epoch --output vgg11.html
  losslandscape render figure4.pvsm --output figure4.glb
  losslandscape render cube.nc --figure volume --output cube.png
  losslandscape render vgg11_three.nc --figure topology --persistence 0.1 --output topology.png
  losslandscape render resnet50.nc vgg11.nc --figure compare --output pair.png --state pair.pvsm
  losslandscape render actor.nc critic.nc cost.nc --figure panels --output panels.png
  losslandscape render vgg11_convexity.nc --figure curvature --output curvature.png

ParaView is searched for on the PATH and in the usual folders; to use another one, set PVPYTHON to
the path of its pvpython.
"""


@dataclass(frozen=True)
class Size:
    """A width and a height in pixels, or in print."""

    words: str = (
        f"width x height, in pixels from 1 to {_LARGEST_PIXELS} (1600x1200), or in mm, cm or in "
        "(85x73mm), or column, or page"
    )

    def parse(self, option: str, text: str) -> str:
        if text in WIDTHS:
            return text
        try:
            lengths = _lengths(text)[0]
        except ValueError:
            raise refused_text(option, text, self.words) from None
        if not 0 < min(lengths) <= max(lengths) <= _LARGEST_PIXELS:  # more in any unit
            raise refused_text(option, text, self.words)
        return text


@dataclass(frozen=True)
class View:
    """From where the camera looks.

    >>> View().parse("--view", "30,45"), View().parse("--view", "top")
    ([30.0, 45.0], 'top')
    """

    words: str = (
        "top, side, or two angles in degrees joined by a comma: the azimuth from -360 to 360, and "
        "the elevation from 0 to 90"
    )

    def parse(self, option: str, text: str) -> str | list[float]:
        if text in ("top", "side"):
            return text
        try:
            azimuth, elevation = (Real().parse(option, part) for part in text.split(","))
        except (ValueError, LossLandscapeError):
            raise refused_text(option, text, self.words) from None
        if not (-360 <= azimuth <= 360 and 0 <= elevation <= 90):
            raise refused_text(option, text, self.words)
        return [azimuth, elevation]


def _lengths(text: str) -> tuple[list[float], str | None]:
    """The two lengths of a size, and their unit; None for pixels.

    >>> _lengths("85x73.5mm"), _lengths("1600x1200")
    (([85.0, 73.5], 'mm'), ([1600.0, 1200.0], None))
    """
    pattern = r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)(mm|cm|in)?"
    match = re.fullmatch(pattern, text.strip().lower(), re.ASCII)
    if match is None or (match[3] is None and "." in text):
        raise ValueError(text)
    return [float(match[1]), float(match[2])], match[3]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "landscapes",
        nargs="+",
        type=PATH,
        metavar="FILE",
        help="landscape files (.nc, .vti), or one ParaView state (.pvsm, or .png that carries one)",
    )
    parser.add_argument(
        "--figure",
        choices=FIGURES,
        help="figure to draw (default: curve, surface or isosurfaces for 1, 2 or 3 directions; "
        "compare for two files)",
    )
    parser.add_argument(
        "--output",
        type=PATH,
        required=True,
        metavar="FILE",
        help="file to write: a picture (.png), one with text as vectors (.pdf, .svg), an "
        "interactive web page (.html), or glTF (.glb, .gltf)",
    )
    parser.add_argument(
        "--state",
        type=PATH,
        metavar="FILE.pvsm",
        help="also write a state file, which ParaView can open",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    state = parser.add_argument_group("state (.pvsm, .png) as the input")
    state.add_argument(
        "--layout", type=TEXT, metavar="NAME", help="layout to draw, if the state has several"
    )
    add_state_trust(state, "draw")
    picture = parser.add_argument_group("picture (.png, .pdf, .svg)")
    picture.add_argument(
        "--size",
        type=Kind(Size()),
        metavar="WxH",
        help="size in pixels (1600x1200) or in print (85x73mm, 8.5x7.3cm, 3.3x2.9in; column is "
        f"{WIDTHS['column']:g} mm wide, page {WIDTHS['page']:g} mm); in print, text is at least "
        f"{LEAST_POINTS:g} pt (default: the figure's own size, in pixels)",
    )
    picture.add_argument(
        "--text-size",
        type=Kind(POINTS),
        metavar="PT",
        help=f"size of the labels in points (default: {MINIMUM_POINTS:g}, in figures of several "
        f"panels {PANEL_POINTS:g}, or larger in wide figures)",
    )
    picture.add_argument(
        "--caption",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write what to state beside the picture to NAME_caption.txt (default: yes)",
    )
    picture.add_argument(
        "--dpi",
        type=Kind(DPI),
        metavar="N",
        help="pixels per inch: the file states it, and a --size in print gets its number of pixels "
        f"by it (default: {DEFAULT_DPI:g})",
    )
    picture.add_argument("--transparent", action="store_true", help="draw no background")
    look = parser.add_argument_group("appearance (the data are not changed)")
    look.add_argument("--array", type=TEXT, metavar="NAME", help="array to draw (default: loss)")
    look.add_argument(
        "--log",
        action=argparse.BooleanOptionalAction,
        help="logarithmic scale (default: if the loss spans more than two decades)",
    )
    look.add_argument(
        "--ceiling",
        type=Kind(CEILING),
        metavar="VALUE",
        help="draw larger losses as this value (default: where an exploding corner would hide the "
        "rest; none: cut nothing)",
    )
    look.add_argument(
        "--levels", type=Kind(LEVELS), metavar="N", help="number of contours or isosurfaces"
    )
    look.add_argument(
        "--show-evaluated",
        action=argparse.BooleanOptionalAction,
        help="draw a dot at every point that was evaluated, not interpolated (default: only in "
        "curves)",
    )
    look.add_argument(
        "--persistence",
        type=Kind(NON_NEGATIVE),
        metavar="T",
        help="leave out pairs up to this persistence from the topology; in decades on a log scale, "
        "otherwise in units of the loss",
    )
    look.add_argument(
        "--topology",
        type=PATH,
        metavar="FOLDER",
        help="draw the topology that `losslandscape topology` wrote there, pairs that are not "
        "significant small, instead of computing it",
    )
    look.add_argument(
        "--titles", type=TEXT, nargs="+", metavar="TEXT", help="a title for each landscape"
    )
    look.add_argument("--no-titles", action="store_true", help="write no titles")
    look.add_argument(
        "--techniques",
        nargs=2,
        choices=TECHNIQUES,
        metavar="NAME",
        help=f"how to draw the left and the right panel: two of {', '.join(TECHNIQUES)}",
    )
    look.add_argument(
        "--steps",
        type=TEXT,
        metavar="TEXT",
        help="what the checkpoints' numbers count, such as epoch (default: step)",
    )
    look.add_argument(
        "--own-losses",
        action=argparse.BooleanOptionalAction,
        help="draw the checkpoints' own losses beside the trajectory (default: if one differs from "
        "the loss on the plane by more than a factor of 1.5)",
    )
    look.add_argument(
        "--view",
        type=Kind(View()),
        metavar="VIEW",
        help="direction of view: top, side, or azimuth and elevation in degrees (32,48)",
    )
    look.add_argument("--color-map", choices=COLOR_MAPS, help="colors of the loss")
    look.add_argument(
        "--equal-units",
        action=argparse.BooleanOptionalAction,
        help="draw both directions with equal units of length (default: if one is at most 1.6 "
        "times as long as the other)",
    )


def run(arguments: argparse.Namespace) -> int:
    ending = arguments.output.suffix.lower()
    if ending not in OUTPUTS:
        raise LossLandscapeError(
            f"--output {arguments.output}: the name must end in one of {', '.join(OUTPUTS)}"
        )
    if arguments.state is not None and arguments.state.suffix.lower() != ".pvsm":
        raise LossLandscapeError(f"--state {arguments.state}: the name must end in .pvsm")
    caption = None
    if arguments.caption and ending in PICTURES and not _is_state(arguments):
        caption = arguments.output.with_name(f"{arguments.output.stem}_caption.txt")
    for path in arguments.landscapes:
        if input_kind(path) != FOLDER:  # of an export
            input_file(path)
    outputs = [
        OutputFile(path, arguments.overwrite, option, ending=path.suffix)
        for option, path in (
            ("--output", arguments.output),
            ("--state", arguments.state),
            ("--caption", caption),
        )
        if path is not None
    ]
    with claimed(*outputs, inputs=inputs_of(arguments)):
        return _render(arguments, caption)


def _is_state(arguments: argparse.Namespace) -> bool:
    return any(path.suffix.lower() in (".pvsm", ".png") for path in arguments.landscapes)


def _render(arguments: argparse.Namespace, caption: Path | None) -> int:
    from losslandscape.paraview.process import fitting_figure, render, render_state

    dpi = DEFAULT_DPI if arguments.dpi is None else arguments.dpi
    points = arguments.text_size
    if points is None and arguments.figure == "panels":
        points = MINIMUM_POINTS  # a panel's text is a larger share of it than a figure's
    picture = {"dpi": dpi, "transparent": arguments.transparent}
    if _is_state(arguments):
        size, _letters = _size(_in_print(arguments), dpi, points)
        shown = {"layout": arguments.layout, "trust": arguments.trust_file}
        print(render_state(arguments.landscapes[0], arguments.output, size, **picture, **shown))
        return 0
    if arguments.techniques and len(arguments.landscapes) == 1:  # beside itself
        arguments.landscapes = arguments.landscapes * 2
    figure = fitting_figure(arguments.figure, arguments.landscapes)
    several = len(arguments.landscapes) > 1 or figure in ("topology", "curvature", "trust")
    least = PANEL_POINTS if several else MINIMUM_POINTS
    narrowest = THREE_PARTS_MM if figure in ("curvature", "trust") else 0.0
    size, letters = _size(_in_print(arguments), dpi, points, least, narrowest)
    drawn = letters * LETTER_SHARE * size[0] / dpi * 72 if letters and size else None
    options = {
        "array": arguments.array,
        "log": arguments.log,
        "ceiling": arguments.ceiling,
        "levels": arguments.levels,
        "evaluated": arguments.show_evaluated,
        "persistence": arguments.persistence,
        "folder": _topology_folder(arguments, figure),
        "letters": letters,
        "least": min(1.0, LEAST_POINTS / drawn) if drawn else None,
        "techniques": arguments.techniques,
        "steps": arguments.steps,
        "own_losses": arguments.own_losses,
        "view": arguments.view,
        "colours": arguments.color_map,
        "titled": False if arguments.no_titles else None,
        "equal_units": arguments.equal_units,
    }
    two = len(arguments.landscapes) > 1 or figure in ("compare", "flatness")
    if arguments.titles is not None and two:
        options["titles"] = arguments.titles
    elif arguments.titles is not None:
        (options["title"],) = arguments.titles
    report = render(
        arguments.landscapes,
        figure,
        arguments.output,
        size=size,
        options={name: value for name, value in options.items() if value is not None},
        state=arguments.state,
        **picture,
    )
    if caption is not None and report.get("caption"):
        with replace_file(caption, ".txt") as temporary:
            Path(temporary).write_text(report["caption"], encoding="utf-8")
        report["caption_file"] = str(caption)
    for path in (report.get("picture"), report.get("caption_file"), report.get("state")):
        if path:
            print(path)
    return 0


def _topology_folder(arguments: argparse.Namespace, figure: str | None) -> str | None:
    """The results of ``losslandscape topology`` to draw: those named, or those beside the file."""
    if arguments.topology is not None:
        return str(arguments.topology.absolute())
    landscape = arguments.landscapes[0]
    beside = landscape.with_name(f"{landscape.stem}_topology")
    plain = figure == "topology" and arguments.persistence is None and not arguments.array
    return str(beside.absolute()) if plain and (beside / REPORT_FILE).is_file() else None


def _in_print(arguments: argparse.Namespace) -> str | None:
    """The size as it was given, or in mm for a column or a page."""
    text = arguments.size
    if text not in WIDTHS:
        return text
    width = WIDTHS[text]
    two = len(arguments.landscapes) > 1 or arguments.figure in ("compare", "topology")
    shape = _TWO_PANELS if two else _OWN_SHAPES.get(arguments.figure, _ONE_PANEL)
    if arguments.figure == "panels":
        shape = panels_shape(len(arguments.landscapes))
    return f"{width:g}x{width * shape:.1f}mm"


def panels_shape(count: int) -> float:
    """The height of so many panels in units of their width, as the plugin draws them.

    >>> panels_shape(4)
    0.88
    """
    columns = 2 if count <= 4 else 3
    return (math.ceil(count / columns) * 820 + 120) / (columns * 1000)


def _size(
    text: str | None,
    dpi: float,
    points: float | None = None,
    least: float = MINIMUM_POINTS,
    narrowest: float = 0.0,
) -> tuple[tuple[int, int] | None, float | None]:
    """Width and height in pixels, and the factor by which the text must be enlarged.

    `points` is the text size in print; without it, that of the layout or `least`. A
    width below `narrowest`, in mm, is refused as well.

    Raises
    ------
    LossLandscapeError
        If it has too many pixels, or is too small for legible text.

    >>> _size("1600x1200", 300)
    ((1600, 1200), None)
    >>> _size("85x73mm", 300)[0]
    (1004, 862)
    >>> round(_size("85x73mm", 300)[1] * 0.020 * 85 / 25.4 * 72, 6)  # points
    7.0
    """
    if text is None:
        return None, None
    lengths, unit = _lengths(text)
    letters = None
    if unit:
        inches = [length * _INCHES[unit] for length in lengths]
        own, wanted = LETTER_SHARE * inches[0] * 72, points or least
        if own * LARGEST_LETTERS < wanted or 25.4 * inches[0] < narrowest:
            narrowest = max(narrowest, wanted / (LARGEST_LETTERS * LETTER_SHARE * 72) * 25.4)
            what = "legible text" if points is None else f"text of {points:g} pt"
            raise LossLandscapeError(
                f"--size {text}: too narrow for {what}; use at least {math.ceil(narrowest)} mm"
            )
        letters = wanted / own if points is not None else max(1.0, wanted / own)
        lengths = [length * dpi for length in inches]
    width, height = (round(length) for length in lengths)
    if not (0 < width <= _LARGEST_PIXELS and 0 < height <= _LARGEST_PIXELS):
        raise LossLandscapeError(
            f"--size {text}: is {width} x {height} pixels{f' at {dpi:g} dpi' if unit else ''}; "
            f"each must be from 1 to {_LARGEST_PIXELS}"
        )
    return (width, height), letters
