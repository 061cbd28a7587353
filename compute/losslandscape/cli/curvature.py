"""``losslandscape curvature``: the spectrum of the Hessian at the origin of a landscape's plane."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.argument_checks import PROBES, SHARE, Whole
from losslandscape.cli.arguments import add_run_arguments, add_seed_argument
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import COUNTED, PATH, TEXT, Kind
from losslandscape.cli.recorded_problem import (
    add_computation_arguments,
    add_same_problem_arguments,
    problem_of,
)
from losslandscape.cli.results import add_result_arguments, result_folder
from losslandscape.files.outputs import claimed, complete_results

HELP = "measure the largest and smallest eigenvalues, the trace and the density of the Hessian"

DESCRIPTION = """\
Measure the curvature of the network at the origin of a landscape's plane: the largest and smallest
eigenvalues of the Hessian of the loss, each with its residual and its standard error over the
samples, its trace and its spectral density. Samples, batch-norm mode and precision are the
landscape's.
"""

EPILOG = """\
examples:
  losslandscape curvature vgg11.nc
  losslandscape curvature vgg11.nc --top 10 --precision float64 --matrix gauss_newton
  losslandscape surface --model vgg11 --weights run --directions eigenvectors \\
      --curvature vgg11_curvature --output vgg11_eigenvectors.nc
"""

REPORT_FILE = "curvature.json"
VECTORS_FILE = "eigenvectors.safetensors"


def add_spectrum_arguments(parser: argparse.ArgumentParser, tolerance: float) -> None:
    """Add ``--parameters`` and ``--tolerance`` of the eigenvalues, with its default."""
    parser.add_argument(
        "--parameters",
        type=TEXT,
        nargs="+",
        metavar="PATTERN",
        help="the Hessian of a part of the network: patterns of parameter names, such as "
        "'layer3.*', or names of modules (default: all trainable parameters)",
    )
    add_tolerance_argument(parser, tolerance)


def add_tolerance_argument(parser: argparse.ArgumentParser, tolerance: float) -> None:
    """Add ``--tolerance`` of the eigenvalues, with its default."""
    parser.add_argument(
        "--tolerance",
        type=Kind(SHARE),
        default=tolerance,
        metavar="SHARE",
        help="largest residual of an eigenvalue, as a share of the width of the spectrum "
        f"(default: {tolerance:g})",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "--top",
        type=COUNTED,
        default=5,
        metavar="N",
        help="number of eigenvalues at each end of the spectrum (default: 5)",
    )
    parser.add_argument(
        "--matrix",
        choices=("hessian", "gauss_newton"),
        default="hessian",
        help="the Hessian of the loss, or Gauss-Newton, which has no negative eigenvalue for a "
        "loss that is convex in the outputs (default: hessian)",
    )
    add_spectrum_arguments(parser, tolerance=1e-4)
    parser.add_argument(
        "--probes",
        type=Kind(Whole(2, PROBES.most)),
        default=20,
        metavar="N",
        help="number of random vectors for the trace (default: 20)",
    )
    parser.add_argument(
        "--density-probes",
        type=Kind(Whole(0, PROBES.most)),
        default=5,
        metavar="N",
        help="number of random vectors for the spectral density; 0 leaves it out (default: 5)",
    )
    parser.add_argument(
        "--density-steps",
        type=Kind(Whole(2, 10_000)),
        default=50,
        metavar="N",
        help="Lanczos steps of each of these (default: 50)",
    )
    add_seed_argument(parser, "seed of the random vectors")
    add_computation_arguments(parser)
    add_same_problem_arguments(parser)
    add_result_arguments(parser, "curvature")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    output = result_folder(arguments, "curvature", (REPORT_FILE, VECTORS_FILE))
    with claimed(output, inputs=inputs_of(arguments)):
        return _measure(arguments, output.path)


def _measure(arguments: argparse.Namespace, folder: Path) -> int:
    from losslandscape.analysis.curvature import curvature
    from losslandscape.formats.curvature_data import write_vectors
    from losslandscape.formats.report import table_lines, write_json
    from losslandscape.landscape.as_measured import as_measured
    from losslandscape.landscape.landscape import Landscape
    from losslandscape.point.determinism import require_one_value

    landscape = Landscape.open(arguments.landscape)
    require_one_value(landscape)
    objective, subspace = problem_of(landscape, arguments)
    found = curvature(
        as_measured(landscape, objective),
        arguments.top,
        kind=arguments.matrix,
        parameters=arguments.parameters,
        tolerance=arguments.tolerance,
        probes=arguments.probes,
        density_probes=arguments.density_probes,
        density_steps=arguments.density_steps,
        seed=arguments.seed,
        precision=arguments.precision,
        batch_size=arguments.batch_size or landscape.provenance["objective"].get("batch_size"),
        subspace=subspace,
        quiet=arguments.quiet,
    )
    report = {"landscape": landscape.path, "command": arguments.command, **found.to_json()}
    with complete_results(folder) as place:
        write_vectors(found, place / VECTORS_FILE)
        write_json(place / REPORT_FILE, report)
    first, *others = found.summary()
    print(f"{arguments.landscape}: {first}")
    print("\n".join(f"  {line}" for line in others))
    header = ("eigenvalue", "residual", "standard error", "converged")
    rows = [list(row.values()) for row in found.table()]
    print("\n".join(f"  {line}" for line in table_lines(header, rows)))
    columns = ("layer", "parameters", "trace", "standard error", "share of the first eigenvector")
    rows = [
        [
            row["layer"], row["parameters"], row["trace"], row["trace_standard_error"],
            row["eigenvector_shares"][0],
        ]
        for row in found.by_layer
    ]  # fmt: skip
    print("\n".join(f"  {line}" for line in table_lines(columns, rows)))
    print(f"  written to {folder}")
    return 0
