"""``losslandscape surface``: measure a landscape, and write its file."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import Executor

from losslandscape.argument_checks import AXIS_POINTS, SHARE
from losslandscape.cli.arguments import (
    add_output_arguments,
    add_run_arguments,
    axis_bounds,
)
from losslandscape.cli.executors import (
    add_executor_arguments,
    is_served,
    process_workers,
    serving,
)
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import COUNTED, POSITIVE_KIND, Counts, Intervals, Kind, Text
from losslandscape.cli.problem import (
    add_problem_arguments,
    build_problem,
    built_weights,
    kept_arguments,
)
from losslandscape.cli.trajectories import check_trajectories, runs_from
from losslandscape.errors import LossLandscapeError
from losslandscape.files.outputs import claimed

HELP = "measure the loss on a grid around a model, and write a landscape file (.nc)"

_EPILOG = """\
examples:
  losslandscape surface --model vgg11 --weights run --output vgg11.nc
  losslandscape surface --model mypackage.nets:build --weights w.safetensors \\
      --data mypackage.nets:load --grid 51 --half-width 1 --output mine.nc
  losslandscape surface --model vgg11 --weights run --directions pca \\
      --trajectory run/trajectory --output descent.nc
  losslandscape surface --model vgg11 --weights sgd --directions pca \\
      --trajectory sgd/trajectory adam/trajectory --output both.nc

To continue an interrupted run, give the same command again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_problem_arguments(parser)
    grid = parser.add_argument_group("grid")
    grid.add_argument(
        "--grid",
        type=Kind(Counts(AXIS_POINTS)),
        default="51",
        metavar="N",
        help="number of points along each direction, or for each: 61x41, alpha x beta "
        "(default: 51)",
    )
    grid.add_argument(
        "--half-width",
        type=POSITIVE_KIND,
        metavar="W",
        help="measure from -W to W along each direction (default: 1, or a window around the "
        "trajectory or models)",
    )
    grid.add_argument(
        "--bounds",
        type=Kind(Intervals()),
        metavar="A0,A1,B0,B1",
        help="ends of each axis, alpha first, instead of --half-width, for example -1,1,-1,1; "
        "spaces may stand for the commas",
    )
    adaptive = parser.add_argument_group("adaptive evaluation (default: evaluate every point)")
    adaptive.add_argument(
        "--tolerance",
        type=Kind(SHARE),
        metavar="SHARE",
        help="evaluate only as many points as needed to interpolate the others with a largest "
        "estimated error of this share of the loss's range, for example 0.01",
    )
    adaptive.add_argument(
        "--tolerance-scale",
        choices=("log", "linear"),
        help="take range and error of the logarithm of the loss (log) or of the loss (linear) "
        "(default: log if the losses span more than two decades)",
    )
    adaptive.add_argument(
        "--max-points",
        type=COUNTED,
        metavar="N",
        help="evaluate at most N points; the remaining error is stated",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="measure a few points for about 10 seconds, print the cost of the whole landscape, "
        "and write nothing",
    )
    add_output_arguments(
        parser, "the landscape file, ending in .nc or .llnc; not needed with --plan", required=False
    )
    parser.add_argument(
        "--title",
        type=Kind(Text(empty=True)),
        default="",
        metavar="TEXT",
        help="title of the landscape",
    )
    parser.add_argument(
        "--keep-samples",
        action=argparse.BooleanOptionalAction,
        help="store the per-sample losses, which are needed to tell noise from structure "
        "(default: if they take less than 64 MB)",
    )
    add_executor_arguments(parser)
    add_run_arguments(parser)
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    with serving(arguments) as executor:
        return 0 if is_served(arguments, executor) else _measure(arguments, executor)


def _measure(arguments: argparse.Namespace, executor: Executor | None) -> int:
    from losslandscape.run.evaluation import run_output

    check_trajectories(arguments)
    if not arguments.plan and arguments.output is None:
        arguments.usage_error("the following arguments are required: --output")
    outputs = []
    if not arguments.plan:
        outputs.append(run_output(arguments.output, arguments.overwrite, "--output", parents=True))
    with claimed(*outputs, inputs=inputs_of(arguments)):
        return _measure_claimed(arguments, executor)


def _measure_claimed(arguments: argparse.Namespace, executor: Executor | None) -> int:
    from losslandscape.adaptive.refinement import describe
    from losslandscape.adaptive.two_precisions import describe as describe_precision
    from losslandscape.landscape.places import describe_places
    from losslandscape.point.determinism import stated
    from losslandscape.run.evaluation import evaluate
    from losslandscape.run.plan import plan

    objective, subspace = build_problem(arguments)
    weights = built_weights(vars(arguments))
    if weights is not None:
        print(f"losslandscape surface: weights: {weights}", file=sys.stderr)
    if arguments.batch_norm == "reestimated" and objective.batch_norm == "none":
        print(
            f"losslandscape surface: --batch-norm reestimated: {arguments.model} has no batch-norm "
            "statistics, so there is nothing to re-estimate",
            file=sys.stderr,
        )
    runs = runs_from(arguments, objective.model)
    grid = _grid(arguments, subspace)
    if arguments.plan:
        print(plan(objective, subspace, grid, _tolerance(arguments)).describe())
        return 0
    kept = kept_arguments(arguments, arguments.output)
    arguments.workers = min(arguments.workers, grid.size)  # more would find no point to measure
    with process_workers(arguments, executor) as executor:
        landscape = evaluate(
            objective,
            subspace,
            grid,
            tolerance=_tolerance(arguments),
            executor=executor,
            path=arguments.output,
            overwrite=arguments.overwrite,
            keep_samples=arguments.keep_samples,
            trajectory=runs or None,
            title=arguments.title,
            provenance={
                "command": arguments.command,
                "arguments": kept,
                **({"weights": weights} if weights is not None else {}),
            },
            quiet=arguments.quiet,
        )
    print(f"{arguments.output}: {landscape.grid.size} points, {_range(landscape.values('loss'))}")
    for line in describe_places(landscape):
        print(f"  {line}")
    for line in stated(landscape.provenance["determinism"]):
        print(line)
    if "adaptive" in landscape.provenance:
        print(describe(landscape.provenance["adaptive"]))
    if "precision" in landscape.provenance:
        print(f"precision: {describe_precision(landscape.provenance['precision'])}")
    failed = landscape.provenance.get("failed_points", [])
    if failed:
        raise LossLandscapeError(
            f"{arguments.output}: {len(failed)} points could not be measured and are missing; the "
            f"first, at {tuple(failed[0]['coordinates'])}: {failed[0]['error']}. To try them "
            "again, run the same command"
        )
    return 0


def _tolerance(arguments: argparse.Namespace):
    from losslandscape.adaptive.refinement import Adaptive

    if arguments.tolerance is None:
        return None
    return Adaptive(arguments.tolerance, arguments.tolerance_scale, max_points=arguments.max_points)


def _range(loss) -> str:
    """The range of the finite values, and the number of others."""
    import numpy as np

    finite = loss[np.isfinite(loss)]
    words = f"loss {finite.min():g} to {finite.max():g}" if finite.size else "no finite loss"
    missing = loss.size - finite.size
    return f"{words}, {missing} not finite" if missing and finite.size else words


def _grid(arguments: argparse.Namespace, subspace):
    from losslandscape.planes.grid import Grid

    counts = list(arguments.grid)
    if len(counts) == 1:
        counts *= subspace.dimensions
    if len(counts) != subspace.dimensions:
        raise LossLandscapeError(
            f"--grid {'x'.join(map(str, counts))}: has {len(counts)} axes, but there are "
            f"{subspace.dimensions} directions; give one number, or one for each direction"
        )
    if arguments.bounds is not None:
        return Grid.rectangle(counts, axis_bounds(arguments, len(counts)))
    if arguments.half_width is not None:
        width = arguments.half_width
        return Grid.rectangle(counts, [(-width, width)] * len(counts))
    return Grid.rectangle(counts, subspace.default_grid().bounds)
