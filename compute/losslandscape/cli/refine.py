"""``losslandscape refine``: evaluate a box of a landscape on a finer grid."""

from __future__ import annotations

import argparse

from losslandscape.argument_checks import AXIS_POINTS, FACTOR
from losslandscape.cli.arguments import add_output_arguments, add_run_arguments, axis_bounds
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, Intervals, Kind
from losslandscape.cli.recorded_problem import (
    add_same_problem_arguments,
    build_recorded,
    recorded_problem,
)
from losslandscape.files.outputs import claimed

HELP = "evaluate a box of a landscape on a finer grid, with the same model, data and plane"

DESCRIPTION = """\
The model, weights, data, loss and directions are those of the file; their hashes are compared
before anything is evaluated. A file cannot decide which code runs: if the model, data or loss is
your own code, name it again, or trust the file.
"""

EPILOG = """\
examples:
  losslandscape refine vgg11.nc --bounds -0.2 0.2 -0.1 0.3 --output near.nc
  losslandscape refine mine.nc --bounds -0.2 0.2 -0.1 0.3 --factor 8 --trust-file --output near.nc
  losslandscape refine mine.nc --bounds 0 1 0 1 --grid 101 --model mypackage.nets:build \\
      --data mypackage.nets:load --output near.nc

To continue an interrupted run, give the same command again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "--bounds",
        type=Kind(Intervals()),
        required=True,
        metavar="A0,A1,B0,B1",
        help="ends of the box along each axis, alpha first, with commas or spaces",
    )
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument(
        "--factor",
        type=Kind(FACTOR),
        metavar="F",
        help="divide each interval of the old grid into F; the box is enlarged to points of the "
        "old grid (default: 4)",
    )
    grid.add_argument(
        "--grid",
        type=Kind(AXIS_POINTS),
        metavar="N",
        help="instead, N points along each axis of exactly this box",
    )
    add_same_problem_arguments(parser, trust=True)
    add_output_arguments(parser, "the new landscape file, ending in .nc or .llnc")
    add_run_arguments(parser)
    parser.add_argument(
        "--end-with-input",
        action="store_true",
        help="stop and keep the finished points when standard input closes (for programs that "
        "start this one)",
    )


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.run.evaluation import run_output

    if arguments.end_with_input:
        _end_with_input()
    output = arguments.output
    claim = run_output(output, arguments.overwrite, "--output", parents=True)
    with claimed(claim, inputs=inputs_of(arguments)):
        return _refine(arguments)


def _refine(arguments: argparse.Namespace) -> int:
    from losslandscape.landscape.landscape import Landscape

    output = arguments.output
    landscape = Landscape.open(arguments.landscape)
    bounds = axis_bounds(arguments, landscape.grid.dimensions)
    problem = recorded_problem(landscape, arguments)

    from losslandscape.run.box_refinement import describe, finer_grid, refine

    grid = finer_grid(landscape.grid, bounds, arguments.factor, arguments.grid)
    if not arguments.quiet:
        print(f"{output}: {' x '.join(map(str, grid.counts))} points", flush=True)
    objective, subspace = build_recorded(landscape, problem)
    finer = refine(
        landscape,
        objective,
        subspace,
        bounds,
        factor=arguments.factor,
        points=arguments.grid,
        path=output,
        overwrite=arguments.overwrite,
        threads=arguments.threads,
        provenance={"command": arguments.command, "arguments": problem.kept(output)},
        quiet=arguments.quiet,
    )
    print(f"{output}: {finer.grid.size} points; {describe(finer.provenance['refined'])}")
    return 0


def _end_with_input() -> None:
    """Interrupt this process when standard input closes, as when the starting process ends.

    Finished points are in the journal. If the process does not react within some seconds, it is
    therefore ended.
    """
    import _thread
    import os
    import threading
    import time

    from losslandscape.cli import EXIT_INTERRUPTED

    def watch() -> None:
        # os.read and not sys.stdin, whose lock a thread must not hold when the interpreter ends
        while os.read(0, 4096):
            pass
        _thread.interrupt_main()
        time.sleep(_PATIENCE_SECONDS)
        os._exit(EXIT_INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


_PATIENCE_SECONDS = 10.0
