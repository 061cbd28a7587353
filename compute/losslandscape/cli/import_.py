"""``losslandscape import``: make a landscape file from another tool's file."""

from __future__ import annotations

import argparse

from losslandscape.argument_checks import FINITE, POSITIVE
from losslandscape.cli.arguments import add_output_arguments
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, TEXT, Intervals, Kind, OrNan, Text
from losslandscape.files.file_kinds import LANDSCAPE_ENDINGS
from losslandscape.files.outputs import OutputFile, claimed

HELP = "import a surface that another tool measured"

DESCRIPTION = """\
Make a landscape file from another tool's file: HDF5 surfaces of Li et al.'s loss-landscape and .vtp
files of its h52vtp, arrays of loss-landscapes, Landscaper files, .vti, .npz, .npy and text tables.
Values are not changed. The format is detected from the content, and printed.
"""

EPILOG = """\
examples:
  losslandscape import 'model_300.t7_weights.h5_[-1.0,1.0,51]x[-1.0,1.0,51].h5' --output li.nc
  losslandscape import surface.h5 --directions directions.h5 --trajectory \\
      directions.h5_proj_cos.h5 --output pca.nc
  losslandscape import plane.npy --format loss-landscapes --function random_plane --distance 1 \\
      --output plane.nc
  losslandscape import loss.npy --bounds -1,1,-1,1 --output loss.nc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=PATH, metavar="SOURCE", help="the other tool's file")
    parser.add_argument(
        "--format",
        type=TEXT,
        metavar="NAME",
        help="li-h5, li-vtp, landscaper, loss-landscapes, vti, npz, npy or csv (default: detected "
        "from the content; loss-landscapes must be named)",
    )
    parser.add_argument(
        "--bounds",
        type=Kind(Intervals()),
        metavar="LOW,HIGH,...",
        help="ends of each axis, alpha first, with commas or spaces; needed if the file has no "
        "coordinates, and otherwise used instead of them",
    )
    parser.add_argument(
        "--array", type=TEXT, metavar="NAME", help="name of the array that is the loss"
    )
    parser.add_argument(
        "--transposed",
        action="store_true",
        help="in an array without coordinates, the first index is alpha (default: the last is)",
    )
    parser.add_argument(
        "--not-evaluated",
        type=Kind(OrNan(FINITE)),
        metavar="VALUE",
        help="value that marks points that were not evaluated, a number or nan (default: -1 in "
        "Li et al.'s files, otherwise none)",
    )
    group = parser.add_argument_group("li-h5")
    group.add_argument(
        "--directions",
        type=PATH,
        metavar="FILE",
        help="the direction file, which gives lengths and areas in parameter space",
    )
    group.add_argument(
        "--trajectory", type=PATH, metavar="FILE", help="the file of the projected trajectory"
    )
    group = parser.add_argument_group("loss-landscapes")
    group.add_argument(
        "--function",
        type=TEXT,
        metavar="NAME",
        help="the function that returned the array: linear_interpolation, random_line, "
        "planar_interpolation or random_plane",
    )
    group.add_argument(
        "--distance", type=Kind(POSITIVE), metavar="D", help="the distance passed to the function"
    )
    parser.add_argument(
        "--title",
        type=Kind(Text(empty=True)),
        default="",
        metavar="TEXT",
        help="title of the landscape",
    )
    add_output_arguments(parser, "the landscape file, ending in .nc or .llnc")


def run(arguments: argparse.Namespace) -> int:
    output = arguments.output
    claim = OutputFile(output, arguments.overwrite, "--output", name_endings=LANDSCAPE_ENDINGS)
    with claimed(claim, inputs=inputs_of(arguments)):
        return _import(arguments)


def _import(arguments: argparse.Namespace) -> int:
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.imported(
        arguments.source,
        arguments.format,
        bounds=arguments.bounds,
        array=arguments.array,
        transposed=arguments.transposed,
        not_evaluated=arguments.not_evaluated,
        directions=arguments.directions,
        trajectory=arguments.trajectory,
        function=arguments.function,
        distance=arguments.distance,
        title=arguments.title,
    )
    landscape.provenance["command"] = arguments.command
    landscape.save(arguments.output, overwrite=arguments.overwrite)
    print("\n".join(_lines(landscape, found=arguments.format is None)))
    return 0


def _lines(landscape, found: bool):
    """Lines that tell what was imported, and how."""
    import numpy as np

    from losslandscape.landscape.landscape import NOT_EVALUATED, NOT_FINITE

    about, grid = landscape.provenance["imported"], landscape.grid
    how = " (detected from the content)" if found else ""
    yield f"{about['file']}: imported as {about['format']}{how}, {about['tool']}"
    axes = ", ".join(
        f"{name} {low:g} to {high:g}" for name, (low, high) in zip(grid.axis_names, grid.bounds)
    )
    yield f"  {' x '.join(map(str, grid.counts))} points, {axes}"
    loss = landscape.values("loss")
    finite = loss[np.isfinite(loss)]
    values = f"{finite.min():g} to {finite.max():g}" if finite.size else "no finite value"
    yield f"  loss, from '{about['array']}': {values}"
    for code, words in ((NOT_EVALUATED, "not evaluated"), (NOT_FINITE, "evaluated, NaN or inf")):
        count = int((landscape.status == code).sum())
        if count:
            yield f"  {count} points {words}"
    for note in about["notes"]:
        yield f"  {note}"
    yield f"  written to {landscape.path}"
