"""``losslandscape verify``: check whether the grid's critical points are those of the loss."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.cli.arguments import add_run_arguments
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH
from losslandscape.cli.recorded_problem import (
    add_computation_arguments,
    add_same_problem_arguments,
    problem_of,
)
from losslandscape.cli.results import add_array_argument, add_result_arguments, result_folder
from losslandscape.cli.topology import add_noise_arguments, check_noise_arguments
from losslandscape.files.journal import JOURNAL
from losslandscape.files.outputs import claimed, complete_results

HELP = "check the critical points of a landscape with the network's own gradients"

DESCRIPTION = """\
Start Newton's method in the plane at each critical point of the grid, with the gradient and Hessian
of the loss from autograd. The outcome for each point is verified, moved, boundary, non-smooth or
not converged.
"""

EPILOG = """\
examples:
  losslandscape verify vgg11.nc
  losslandscape verify vgg11.nc --significant --precision float64
"""

REPORT_FILE = "verification.json"
POINTS_FILE = "verified_points.vtp"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    add_array_argument(parser)
    parser.add_argument(
        "--significant",
        action="store_true",
        help="check only the points above the noise threshold (default: all points)",
    )
    add_computation_arguments(parser)
    add_noise_arguments(parser)
    add_same_problem_arguments(parser)
    add_result_arguments(parser, "verification")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    output = result_folder(arguments, "verification", (REPORT_FILE, POINTS_FILE), [JOURNAL])
    with claimed(output, inputs=inputs_of(arguments)):
        return _verify(arguments, output.path, output.journal())


def _verify(arguments: argparse.Namespace, folder: Path, journal: Path) -> int:
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    from losslandscape.analysis.critical_points import find_critical_points
    from losslandscape.analysis.verification import verify
    from losslandscape.formats.report import table_lines, write_json
    from losslandscape.formats.topology_data import critical_point_data
    from losslandscape.formats.vtk_xml import write_xml
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.open(arguments.landscape)
    check_noise_arguments(arguments, [landscape])
    found = find_critical_points(
        landscape,
        scale=arguments.scale,
        method=arguments.noise,
        draws=arguments.draws,
        seed=arguments.seed,
        confidence=arguments.confidence,
        quiet=arguments.quiet,
    )
    objective, subspace = problem_of(landscape, arguments)
    result = verify(
        landscape,
        found,
        objective,
        subspace,
        precision=arguments.precision,
        batch_size=arguments.batch_size,
        significant_only=arguments.significant,
        quiet=arguments.quiet,
        journal=journal,
    )
    report = {"landscape": landscape.path, "command": arguments.command, **result.to_json()}
    with complete_results(folder) as place:
        write_xml(vtkXMLPolyDataWriter(), critical_point_data(result.arrays), place / POINTS_FILE)
        write_json(place / REPORT_FILE, report)
    outcome, *rest = result.summary()
    print(f"{arguments.landscape}: {outcome}")
    print("\n".join(f"  {line}" for line in (*rest, found.summary()[0])))
    columns = (
        "kind", "position", "verification", "verified_kind", "refined_position",
        "in_plane_gradient_norm", "full_gradient_norm", "eigenvalue_min", "eigenvalue_max",
        "position_rounding", "position_sampling",
    )  # fmt: skip
    titles = [
        "kind", "position", "outcome", "verified kind", "refined position",
        "gradient norm in the plane", "full gradient norm", "smallest eigenvalue",
        "largest eigenvalue", "rounding [spacings]", "sampling [spacings]",
    ]  # fmt: skip
    rows = [[row[name] for name in columns] for row in result.table()]
    print("\n".join(f"  {line}" for line in table_lines(titles, rows)))
    confusion = result.confusion
    header = ["on the grid \\ of the loss", *next(iter(confusion.values()))]
    matrix = [[kind, *row.values()] for kind, row in confusion.items()]
    print("\n".join(f"  {line}" for line in table_lines(header, matrix)))
    print(f"  written to {folder}")
    return 0
