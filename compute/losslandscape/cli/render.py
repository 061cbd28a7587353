"""``losslandscape render``: a figure of a landscape as a picture, by ParaView without a window."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.cli.arguments import positive_int
from losslandscape.errors import LossLandscapeError, OutputExistsError

HELP = "draw a figure of a landscape with ParaView, as a PNG and on request as a state file"

FIGURES = ("curve", "surface", "contours", "trajectory", "isosurfaces", "volume", "compare")

_EPILOG = """\
figures:
  curve        1 direction: the loss as a line, with its error band (2 standard errors)
  surface      2 directions: colour and height
  contours     2 directions: contours and height, levels in the legend
  isosurfaces  3 directions: nested surfaces of equal loss, levels in the legend
  volume       3 directions: the lower the loss, the more opaque
  trajectory   the way of training on the surface, coloured by step
  compare      two landscapes side by side, on one scale

examples:
  losslandscape render vgg11.nc --output vgg11.png
  losslandscape render cube.nc --figure volume --output cube.png
  losslandscape render resnet50.nc vgg11.nc --figure compare --output pair.png --state pair.pvsm

ParaView is found on the PATH, or named with PVPYTHON=/where/it/is/pvpython.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "landscapes", nargs="+", type=Path, metavar="FILE", help="landscape files (.nc, .vti)"
    )
    parser.add_argument(
        "--figure",
        choices=FIGURES,
        help="what to draw (default: curve, surface or isosurfaces, as the number of directions "
        "asks for; compare for two files)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE.png", help="the picture"
    )
    parser.add_argument(
        "--state", type=Path, metavar="FILE.pvsm", help="also a state file that ParaView opens"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--size", metavar="WxH", help="size in pixels (default: the figure's own, 300 dpi in print)"
    )
    look = parser.add_argument_group("look (display only; the data stay as they are)")
    look.add_argument("--array", metavar="NAME", help="what to draw (default: loss)")
    look.add_argument(
        "--log",
        action=argparse.BooleanOptionalAction,
        help="logarithmic scale (default: where the loss spans over two decades)",
    )
    look.add_argument("--ceiling", type=float, metavar="VALUE", help="draw no higher than this")
    look.add_argument(
        "--levels", type=positive_int, metavar="N", help="number of contours or isosurfaces"
    )
    look.add_argument(
        "--show-evaluated",
        action=argparse.BooleanOptionalAction,
        help="a dot at every point that was evaluated, and not interpolated (default: in curves)",
    )
    look.add_argument("--titles", nargs="+", metavar="TEXT", help="one for each landscape")


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.paraview_process import render

    for path in (arguments.output, arguments.state):
        if path is not None and path.exists() and not arguments.overwrite:
            raise OutputExistsError(
                f"{path}: exists; choose another name or overwrite (--overwrite)"
            )
    for path in arguments.landscapes:
        if not path.exists():
            raise LossLandscapeError(f"{path}: there is no such file")
    figure = arguments.figure or ("compare" if len(arguments.landscapes) == 2 else None)
    panels = 2 if figure == "compare" else 1
    if len(arguments.landscapes) != panels:
        raise LossLandscapeError(
            f"--figure {figure or 'default'} draws {panels} landscape{'s' * (panels > 1)}; "
            f"{len(arguments.landscapes)} were given"
        )
    options = {
        "array": arguments.array,
        "log": arguments.log,
        "ceiling": arguments.ceiling,
        "levels": arguments.levels,
        "evaluated": arguments.show_evaluated,
    }
    if arguments.titles is not None and figure == "compare":
        options["titles"] = arguments.titles
    elif arguments.titles is not None:
        options["title"] = " ".join(arguments.titles)
    report = render(
        arguments.landscapes,
        figure,
        arguments.output,
        size=_size(arguments.size),
        options={name: value for name, value in options.items() if value is not None},
        state=arguments.state,
    )
    for path in (report.get("picture"), report.get("state")):
        if path:
            print(path)
    return 0


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        width, height = (int(number) for number in text.lower().split("x"))
    except ValueError:
        width = height = 0
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise LossLandscapeError(f"--size {text}: not a size such as 1600x1200")
    return width, height
