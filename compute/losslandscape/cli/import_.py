"""``losslandscape import``: a landscape file from what another tool measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.cli.arguments import add_output_arguments
from losslandscape.errors import LossLandscapeError

HELP = "read a surface that another tool measured"

DESCRIPTION = """\
Make a landscape file of another tool's: surfaces (HDF5) of Li et al.'s loss-landscape and the .vtp
of its h52vtp, arrays of loss-landscapes, files of Landscaper, .vti, .npz, .npy and tables of text.
Values are kept as they are. The format is found from the content and stated.
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
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the other tool's file")
    parser.add_argument(
        "--format",
        metavar="NAME",
        help="li-h5, li-vtp, landscaper, loss-landscapes, vti, npz, npy or csv (default: found "
        "from the content; loss-landscapes has to be named)",
    )
    parser.add_argument(
        "--bounds",
        metavar="LOW,HIGH,...",
        help="ends of each axis, alpha first, where the file has no coordinates, or in their place",
    )
    parser.add_argument("--array", metavar="NAME", help="which of the file's arrays is the loss")
    parser.add_argument(
        "--transposed",
        action="store_true",
        help="the first index of a bare array is alpha's (default: the last one is)",
    )
    parser.add_argument(
        "--not-evaluated",
        type=float,
        metavar="VALUE",
        help="the value of points that were not evaluated, a number or nan (default: -1 in Li et "
        "al.'s files, else none)",
    )
    group = parser.add_argument_group("li-h5")
    group.add_argument(
        "--directions", type=Path, metavar="FILE", help="its directions, for lengths and areas"
    )
    group.add_argument("--trajectory", type=Path, metavar="FILE", help="its projected trajectory")
    group = parser.add_argument_group("loss-landscapes")
    group.add_argument(
        "--function",
        metavar="NAME",
        help="which returned the array: linear_interpolation, random_line, planar_interpolation "
        "or random_plane",
    )
    group.add_argument("--distance", type=float, metavar="D", help="that it was called with")
    parser.add_argument("--title", default="", metavar="TEXT", help="title, for people")
    add_output_arguments(parser, "the landscape file, ending in .nc or .llnc")


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.landscape.landscape import Landscape

    output = arguments.output
    if output.suffix not in (".nc", ".llnc"):
        raise LossLandscapeError(f"--output {output}: the name must end in .nc or .llnc")
    if output.exists() and output.samefile(arguments.source):
        raise LossLandscapeError(f"--output {output}: is the file to import; give another name")
    landscape = Landscape.imported(
        arguments.source,
        arguments.format,
        bounds=_bounds(arguments.bounds),
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
    landscape.save(output, overwrite=arguments.overwrite)
    print("\n".join(_lines(landscape, found=arguments.format is None)))
    return 0


def _bounds(text: str | None) -> list[tuple[float, float]] | None:
    if text is None:
        return None
    try:
        ends = [float(end) for end in text.split(",")]
    except ValueError:
        ends = []
    if not ends or len(ends) % 2:
        raise LossLandscapeError(
            f"--bounds {text}: a pair of numbers for each axis needed, joined by commas"
        )
    return list(zip(ends[::2], ends[1::2]))


def _lines(landscape, found: bool):
    """What was read and how, for people."""
    import numpy as np

    from losslandscape.landscape.landscape import NOT_EVALUATED, NOT_FINITE

    about, grid = landscape.provenance["imported"], landscape.grid
    how = " (found from the content)" if found else ""
    yield f"{about['file']}: format {about['format']}{how}, {about['tool']}"
    axes = ", ".join(
        f"{name} {low:g} to {high:g}" for name, (low, high) in zip(grid.axis_names, grid.bounds)
    )
    yield f"  {' x '.join(map(str, grid.counts))} points, {axes}"
    loss = landscape.values("loss")
    finite = loss[np.isfinite(loss)]
    values = f"{finite.min():g} to {finite.max():g}" if finite.size else "nowhere finite"
    yield f"  loss, from '{about['array']}': {values}"
    for code, words in ((NOT_EVALUATED, "not evaluated"), (NOT_FINITE, "evaluated, not finite")):
        count = int((landscape.status == code).sum())
        if count:
            yield f"  {count} points {words}"
    for note in about["notes"]:
        yield f"  {note}"
    yield f"  written to {landscape.path}"
