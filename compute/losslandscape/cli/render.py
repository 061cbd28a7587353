"""``losslandscape render``: draw a figure as a picture, glTF or web page, without a window."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from losslandscape.cli.arguments import add_state_trust, positive_int
from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.paraview.process import FIGURES

HELP = "draw a figure of a landscape with ParaView, as PNG, glTF or an interactive web page"

OUTPUTS = (".png", ".html", ".glb", ".gltf")
DEFAULT_DPI = 300.0
# Smallest text size in a printed figure, in points; journals require five to eight.
MINIMUM_POINTS = 7.0
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
  trajectory   the training trajectory on the surface, colored by step
  topology     2 directions: critical points, separatrices, persistence diagram
  flatness     1 or 2 landscapes: the flat regions that 'losslandscape flatness' wrote to
               NAME_flatness/, or beside the landscape
  compare      two landscapes side by side, on the same scale

examples:
  losslandscape render vgg11.nc --output vgg11.png
  losslandscape render vgg11.nc --size 85x73mm --output column.png
  losslandscape render vgg11.nc --figure trajectory --output vgg11.html
  losslandscape render figure4.pvsm --output figure4.glb
  losslandscape render cube.nc --figure volume --output cube.png
  losslandscape render vgg11_three.nc --figure topology --persistence 0.1 --output topology.png
  losslandscape render resnet50.nc vgg11.nc --figure compare --output pair.png --state pair.pvsm

ParaView is searched for on the PATH and in the usual folders; to use another one, set PVPYTHON to
the path of its pvpython.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "landscapes",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="landscape files (.nc, .vti), or one ParaView state (.pvsm)",
    )
    parser.add_argument(
        "--figure",
        choices=FIGURES,
        help="figure to draw (default: curve, surface or isosurfaces for 1, 2 or 3 directions; "
        "compare for two files)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="file to write: a picture (.png), an interactive web page (.html), or glTF (.glb, "
        ".gltf)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE.pvsm",
        help="also write a state file, which ParaView can open",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    state = parser.add_argument_group("state (.pvsm) as the input")
    state.add_argument("--layout", metavar="NAME", help="layout to draw, if the state has several")
    add_state_trust(state, "draw")
    picture = parser.add_argument_group("picture (.png)")
    picture.add_argument(
        "--size",
        metavar="WxH",
        help="size in pixels (1600x1200) or in print (85x73mm, 8.5x7.3cm, 3.3x2.9in); in print, "
        f"text is at least {MINIMUM_POINTS:g} pt (default: the figure's own size, in pixels)",
    )
    picture.add_argument(
        "--dpi", type=float, metavar="N", help=f"pixels per inch (default: {DEFAULT_DPI:g})"
    )
    picture.add_argument("--transparent", action="store_true", help="draw no background")
    look = parser.add_argument_group("appearance (the data are not changed)")
    look.add_argument("--array", metavar="NAME", help="array to draw (default: loss)")
    look.add_argument(
        "--log",
        action=argparse.BooleanOptionalAction,
        help="logarithmic scale (default: if the loss spans more than two decades)",
    )
    look.add_argument(
        "--ceiling", type=float, metavar="VALUE", help="draw larger losses as this value"
    )
    look.add_argument(
        "--levels", type=positive_int, metavar="N", help="number of contours or isosurfaces"
    )
    look.add_argument(
        "--show-evaluated",
        action=argparse.BooleanOptionalAction,
        help="draw a dot at every point that was evaluated, not interpolated (default: only in "
        "curves)",
    )
    look.add_argument(
        "--persistence",
        type=float,
        metavar="T",
        help="leave out pairs up to this persistence from the topology; in decades on a log scale, "
        "otherwise in units of the loss",
    )
    look.add_argument(
        "--topology",
        type=Path,
        metavar="FOLDER",
        help="draw the topology that `losslandscape topology` wrote there, pairs that are not "
        "significant small, instead of computing it",
    )
    look.add_argument("--titles", nargs="+", metavar="TEXT", help="a title for each landscape")


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.paraview.process import fitting_figure, render, render_state

    ending = arguments.output.suffix.lower()
    if ending not in OUTPUTS:
        raise LossLandscapeError(
            f"--output {arguments.output}: the name must end in one of {', '.join(OUTPUTS)}"
        )
    if ending != ".png":
        for option in ("size", "dpi", "transparent"):
            if getattr(arguments, option):
                raise LossLandscapeError(
                    f"--{option} is only for pictures (.png), not for {ending}; omit it"
                )
    for path in (arguments.output, arguments.state):
        if path is not None and not path.absolute().parent.is_dir():
            raise LossLandscapeError(f"{path}: the folder {path.parent} does not exist; create it")
        if path is not None and path.exists() and not arguments.overwrite:
            raise OutputExistsError(
                f"{path}: already exists; choose another name, or replace it (--overwrite)"
            )
    for path in arguments.landscapes:
        if not path.exists():
            raise LossLandscapeError(f"{path}: no such file")
    dpi = DEFAULT_DPI if arguments.dpi is None else arguments.dpi
    size, letters = _size(arguments.size, dpi)
    picture = {"dpi": dpi, "transparent": arguments.transparent}
    if any(path.suffix.lower() == ".pvsm" for path in arguments.landscapes):
        _refuse_for_state(arguments)
        shown = {"layout": arguments.layout, "trust": arguments.trust_file}
        print(render_state(arguments.landscapes[0], arguments.output, size, **picture, **shown))
        return 0
    if arguments.layout is not None or arguments.trust_file:
        raise LossLandscapeError("--layout and --trust-file are only for a state (.pvsm)")
    figure = fitting_figure(arguments.figure, arguments.landscapes)
    if figure is None:
        raise LossLandscapeError(
            f"{len(arguments.landscapes)} landscapes were given, but a figure shows at most two"
        )
    if arguments.topology is not None and figure != "topology":
        raise LossLandscapeError(
            f"--topology is only for the figure topology, not for {figure}; add --figure topology"
        )
    if arguments.topology is not None and arguments.persistence is not None:
        raise LossLandscapeError(
            "--persistence computes the topology, and --topology draws one that is there; give one"
        )
    options = {
        "array": arguments.array,
        "log": arguments.log,
        "ceiling": arguments.ceiling,
        "levels": arguments.levels,
        "evaluated": arguments.show_evaluated,
        "persistence": arguments.persistence,
        "folder": None if arguments.topology is None else str(arguments.topology.absolute()),
        "letters": letters,
    }
    if arguments.titles is not None and max(FIGURES.get(figure, (1,))) > 1:
        options["titles"] = arguments.titles
    elif arguments.titles is not None:
        options["title"] = " ".join(arguments.titles)
    report = render(
        arguments.landscapes,
        figure,
        arguments.output,
        size=size,
        options={name: value for name, value in options.items() if value is not None},
        state=arguments.state,
        **picture,
    )
    for path in (report.get("picture"), report.get("state")):
        if path:
            print(path)
    return 0


def _refuse_for_state(arguments: argparse.Namespace) -> None:
    """Refuse the options that build a figure, because a state is drawn as it is.

    Raises
    ------
    LossLandscapeError
        If such an option was given, or another file beside the state.
    """
    if len(arguments.landscapes) > 1:
        raise LossLandscapeError("a state (.pvsm) must be drawn alone; omit the other files")
    look = ("array", "log", "ceiling", "levels", "show_evaluated", "persistence", "titles")
    building = ("figure", "state", *look, "topology")
    for option in building:
        if getattr(arguments, option) is not None:
            raise LossLandscapeError(
                f"--{option.replace('_', '-')} is only for landscapes; {arguments.landscapes[0]} "
                "is a state, which is drawn as it is (edit it in ParaView)"
            )


def _size(text: str | None, dpi: float) -> tuple[tuple[int, int] | None, float | None]:
    """Width and height in pixels, and the factor by which the text must be enlarged.

    Raises
    ------
    LossLandscapeError
        If the size or the resolution is invalid, or too small for legible text.

    >>> _size("1600x1200", 300)
    ((1600, 1200), None)
    >>> _size("85x73mm", 300)[0]
    (1004, 862)
    >>> round(_size("85x73mm", 300)[1] * 0.020 * 85 / 25.4 * 72, 6)  # points
    7.0
    """
    if not 10 <= dpi <= 2400:
        raise LossLandscapeError(f"--dpi {dpi:g}: must be between 10 and 2400 pixels per inch")
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)(mm|cm|in)?", text.strip().lower())
    if match is None or (match[3] is None and "." in text):
        raise LossLandscapeError(f"--size {text}: not a size such as 1600x1200 or 85x73mm")
    letters = None
    lengths = [float(match[1]), float(match[2])]
    if match[3]:
        inches = [length * _INCHES[match[3]] for length in lengths]
        points = LETTER_SHARE * inches[0] * 72
        if points * LARGEST_LETTERS < MINIMUM_POINTS:
            least = MINIMUM_POINTS / (LARGEST_LETTERS * LETTER_SHARE * 72) * 25.4
            raise LossLandscapeError(
                f"--size {text}: too narrow for legible text; use at least {math.ceil(least)} mm"
            )
        letters = max(1.0, MINIMUM_POINTS / points)
        lengths = [length * dpi for length in inches]
    width, height = (round(length) for length in lengths)
    if not (0 < width <= _LARGEST_PIXELS and 0 < height <= _LARGEST_PIXELS):
        raise LossLandscapeError(
            f"--size {text}: is {width} x {height} pixels; each must be between 1 and "
            f"{_LARGEST_PIXELS}"
        )
    return (width, height), letters
