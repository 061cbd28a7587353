"""``losslandscape flatness``: size of the region where the loss stays near its minimum."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.argument_checks import DIRECTIONS, FINITE
from losslandscape.cli.arguments import add_run_arguments
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, POSITIVE_KIND, TEXT, Kind, Numbers
from losslandscape.cli.recorded_problem import add_same_problem_arguments, problem_of
from losslandscape.cli.results import add_array_argument, add_result_arguments, result_folder
from losslandscape.files.outputs import claimed, complete_results

if TYPE_CHECKING:
    from losslandscape.analysis.basin_volume import BasinVolume
    from losslandscape.analysis.flatness import FlatRegion
    from losslandscape.analysis.part_sharpness import SharpnessByPart
    from losslandscape.analysis.sharpness import Sharpness
    from losslandscape.landscape.landscape import Landscape

HELP = "measure the flat region around a minimum, and its sharpness"

DESCRIPTION = """\
Measure the flat region: the part of the window around the minimum where the loss is at most epsilon
above the minimum (Hochreiter and Schmidhuber 1997). Its length, area or volume is printed for one
epsilon, and for a series of values from 0.001 to 10.
"""

EPILOG = """\
examples:
  losslandscape flatness vgg11.nc
  losslandscape flatness vgg11.nc --epsilon 0.05 --sharpness
"""

REPORT_FILE = "flatness.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    add_array_argument(parser)
    tolerance = parser.add_mutually_exclusive_group()
    tolerance.add_argument(
        "--epsilon",
        type=POSITIVE_KIND,
        default=0.1,
        metavar="E",
        help="height above the minimum, in units of the loss; use the same for all networks that "
        "you compare (default: 0.1)",
    )
    tolerance.add_argument(
        "--factor",
        type=POSITIVE_KIND,
        metavar="F",
        help="instead of --epsilon, include losses up to F times the minimum's loss; note that "
        "this favors badly trained networks",
    )
    parser.add_argument(
        "--scale",
        choices=("log", "linear"),
        help="interpolate log10 of the loss (log) or the loss (linear) between grid points "
        "(default: the file's scale)",
    )
    parser.add_argument(
        "--minimum",
        type=Kind(Numbers(FINITE)),
        metavar="A,B",
        help="coordinates of the minimum, for example -1,2 (default: the lowest grid point)",
    )
    group = parser.add_argument_group("sharpness, measured with the model")
    group.add_argument(
        "--sharpness",
        action="store_true",
        help="measure epsilon-sharpness (Keskar et al. 2017) and the Hessian in the plane",
    )
    group.add_argument(
        "--box",
        type=POSITIVE_KIND,
        default=1e-3,
        metavar="E",
        help="epsilon of the sharpness, which sets the size of its box (default: 0.001)",
    )
    group.add_argument(
        "--parts",
        type=TEXT,
        nargs="*",
        metavar="PATTERN",
        help="measure which part of the network is sharpest at the origin of the plane: the "
        "outermost modules, or the parts of these patterns, such as 'layer3.*'",
    )
    group.add_argument(
        "--volume",
        type=Kind(DIRECTIONS),
        nargs="?",
        const=1000,
        metavar="N",
        help="measure the volume of the basin at the origin of the plane, in all parameters, from "
        "N random directions (default: 1000), isotropic and preconditioned; it ends where the loss "
        "is epsilon above the model's",
    )
    group.add_argument(
        "--precision",
        choices=("float32", "float64"),
        help="precision of the computation (default: the surface's)",
    )
    add_same_problem_arguments(parser)
    add_result_arguments(parser, "flatness")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.formats import flat_region_data

    output = result_folder(arguments, "flatness", (REPORT_FILE, *flat_region_data.FILES))
    with claimed(output, inputs=inputs_of(arguments)):
        return _analyze(arguments, output.path)


def _analyze(arguments: argparse.Namespace, folder: Path) -> int:
    from losslandscape.analysis.flatness import BasinOfMinimum, flat_region
    from losslandscape.formats import flat_region_data
    from losslandscape.formats.report import loss_sha256, table_lines, write_json
    from losslandscape.landscape.arrays import of_array
    from losslandscape.landscape.landscape import Landscape

    array = arguments.array or "loss"
    landscape = of_array(Landscape.open(arguments.landscape), array)
    minimum = arguments.minimum
    found = flat_region(
        landscape,
        arguments.epsilon,
        factor=arguments.factor,
        scale=arguments.scale,
        minimum=minimum,
    )
    curve = BasinOfMinimum(landscape, arguments.scale, minimum).curve()
    sharpness, by_part, volumes = None, None, None
    if arguments.sharpness or arguments.parts is not None or arguments.volume:
        sharpness, by_part, volumes = _measured(arguments, landscape, found)
    report = {
        "landscape": landscape.path,
        "array": array,
        "loss_sha256": loss_sha256(landscape),
        "command": arguments.command,
        **found.to_json(),
        "curve": curve,
        "sharpness": sharpness.to_json() if sharpness else None,
        **({"sharpness_by_part": by_part.to_json()} if by_part else {}),
        **({"basin_volumes": [one.to_json() for one in volumes]} if volumes else {}),
    }
    with complete_results(folder) as place:
        flat_region_data.write(landscape, found, place)
        write_json(place / REPORT_FILE, report)
    position = ", ".join(f"{c:.4g}" for c in found.minimum)
    at_least = "at least " if found.lower_bound else ""
    of = "" if array == "loss" else f" of '{array}'"
    print(
        f"{arguments.landscape}: around the minimum{of} at ({position}), the flat region has "
        f"{'an' if found.measure == 'area' else 'a'} {found.measure} of {at_least}{found.size:.4g}"
    )
    print("\n".join(f"  {line}" for line in found.summary()))
    header = (
        "epsilon", f"{found.measure} in coordinates", f"{found.measure} in parameter space",
        "lower bound", "resolved",
    )  # fmt: skip
    rows = [list(row.values()) for row in curve]
    print("\n".join(f"  {line}" for line in table_lines(header, rows)))
    if sharpness:
        curvature = ", ".join(f"{value:.4g}" for value in sharpness.hessian_eigenvalues)
        print(
            f"  sharpness: {sharpness.value:.4g}%; in the box of epsilon {sharpness.epsilon:g} the "
            f"loss rises from {sharpness.loss:.4g} to {sharpness.highest_loss:.4g}\n"
            f"  eigenvalues of the Hessian in the plane: {curvature} "
            f"(norm of the gradient: {sharpness.gradient_norm:.2g}; {sharpness.derivatives})"
        )
    if by_part:
        print("\n".join(f"  {line}" for line in str(by_part).splitlines()))
    for volume in volumes or ():
        print("\n".join(f"  {line}" for line in volume.summary()))
    print(f"  written to {folder}")
    return 0


def _measured(
    arguments: argparse.Namespace, landscape: Landscape, found: FlatRegion
) -> tuple[Sharpness | None, SharpnessByPart | None, list[BasinVolume] | None]:
    """What --sharpness, --parts and --volume ask for, with the model built once."""
    from losslandscape.analysis.basin_volume import basin_volume
    from losslandscape.analysis.part_sharpness import sharpness_by_part
    from losslandscape.analysis.sharpness import epsilon_sharpness
    from losslandscape.landscape.as_measured import as_measured
    from losslandscape.point.determinism import require_one_value

    require_one_value(landscape)
    objective, subspace = problem_of(landscape, arguments)
    objective = as_measured(landscape, objective)
    how = {
        "precision": arguments.precision,
        "batch_size": landscape.provenance["objective"]["batch_size"],
        "quiet": arguments.quiet,
    }
    sharpness, by_part, volumes = None, None, None
    if arguments.sharpness:
        sharpness = epsilon_sharpness(
            objective,
            subspace,
            found.minimum.tolist(),
            epsilon=arguments.box,
            **how,
        )
    if arguments.parts is not None:
        by_part = sharpness_by_part(objective, arguments.parts or None, **how)
    if arguments.volume:
        if arguments.precision:
            objective = objective.in_precision(arguments.precision)
        volumes = [
            basin_volume(
                objective, found.epsilon, arguments.volume, preconditioner, quiet=arguments.quiet
            )
            for preconditioner in (None, "hessian")
        ]
    return sharpness, by_part, volumes
