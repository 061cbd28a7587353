"""``losslandscape convexity``: the Hessian's extreme eigenvalues at each point of a landscape."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.argument_checks import SHARE
from losslandscape.cli.arguments import add_output_arguments, add_run_arguments, add_seed_argument
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import COUNTED, PATH, TEXT, Kind
from losslandscape.cli.recorded_problem import add_same_problem_arguments, problem_of
from losslandscape.files.journal import JOURNAL
from losslandscape.files.outputs import OutputFile, claimed

HELP = "add a convexity map to a landscape: |smallest / largest eigenvalue| at each point"

DESCRIPTION = """\
Seek the largest and the smallest eigenvalue of the Hessian of the loss at each point of a
landscape, and write a copy of it with their ratio (Li et al. 2018, section 6) and the errors. Where
the ratio is small, the loss is nearly convex there.
"""

EPILOG = """\
examples:
  losslandscape convexity vgg11.nc --output vgg11_convexity.nc
  losslandscape convexity vgg11.nc --parameters '*.weight' --output vgg11_convexity.nc
  losslandscape render vgg11_convexity.nc --figure contours --array convexity --output map.png

To continue an interrupted run, give the same command again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "--parameters",
        type=TEXT,
        nargs="+",
        metavar="PATTERN",
        help="the Hessian of a part of the network: patterns of parameter names, such as "
        "'layer3.*', or names of modules (default: all trainable parameters)",
    )
    parser.add_argument(
        "--tolerance",
        type=Kind(SHARE),
        default=1e-3,
        metavar="SHARE",
        help="largest residual of an eigenvalue, as a share of the width of the spectrum "
        "(default: 0.001)",
    )
    add_seed_argument(parser, "seed of the starting vector")
    parser.add_argument(
        "--precision",
        choices=("float32", "float64"),
        help="precision of the computation (default: the surface's)",
    )
    parser.add_argument(
        "--batch-size",
        type=COUNTED,
        metavar="N",
        help="samples per pass; use fewer if memory is short (default: the surface's)",
    )
    add_same_problem_arguments(parser)
    add_output_arguments(parser, "the new landscape file, ending in .nc or .llnc")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.run.evaluation import LANDSCAPE_ENDINGS

    output = OutputFile(
        arguments.output, arguments.overwrite, "--output", True, [JOURNAL],
        name_endings=LANDSCAPE_ENDINGS,
    )  # fmt: skip
    with claimed(output, inputs=inputs_of(arguments)):
        return _measure(arguments, Path(f"{arguments.output}{JOURNAL}"))


def _measure(arguments: argparse.Namespace, journal: Path) -> int:
    from losslandscape.analysis.convexity import convexity, summary
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.open(arguments.landscape)
    objective, subspace = problem_of(landscape, arguments)
    found = convexity(
        landscape,
        objective,
        subspace,
        parameters=arguments.parameters,
        tolerance=arguments.tolerance,
        seed=arguments.seed,
        precision=arguments.precision,
        batch_size=arguments.batch_size,
        quiet=arguments.quiet,
        journal=journal,
    )
    found.save(arguments.output, overwrite=arguments.overwrite)
    print("\n  ".join([f"{arguments.output}: {summary(found)[0]}", *summary(found)[1:]]))
    return 0
