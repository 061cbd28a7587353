"""``losslandscape convexity``: the Hessian's extreme eigenvalues at each point of a landscape."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.cli.arguments import add_output_arguments, add_run_arguments, add_seed_argument
from losslandscape.cli.curvature import add_spectrum_arguments
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH
from losslandscape.cli.recorded_problem import (
    add_computation_arguments,
    add_same_problem_arguments,
    problem_of,
)
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
    add_spectrum_arguments(parser, tolerance=1e-3)
    add_seed_argument(parser, "seed of the starting vector")
    add_computation_arguments(parser)
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
