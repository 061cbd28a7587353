"""``losslandscape trajectory``: put a recorded trajectory on a landscape."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.cli.arguments import add_run_arguments
from losslandscape.cli.recorded_problem import add_same_problem_arguments, problem_of

HELP = "project a recorded training trajectory on a landscape and measure the loss along it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=Path, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "trajectory", type=Path, metavar="FOLDER", help="the checkpoints that were recorded"
    )
    parser.add_argument("--label", metavar="TEXT", help="its name in the file (default: the run's)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a trajectory of the same name"
    )
    add_same_problem_arguments(parser)
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.landscape.landscape import Landscape
    from losslandscape.training.trajectory import Trajectory

    landscape = Landscape.open(arguments.landscape)
    trajectory = Trajectory.open(arguments.trajectory)
    objective, subspace = problem_of(landscape, arguments)
    projected = landscape.add_trajectory(
        trajectory,
        arguments.label,
        objective,
        subspace,
        arguments.quiet,
        arguments.overwrite,
    )
    print(
        f"{arguments.landscape}: {len(projected.step)} checkpoints of '{projected.label}', "
        f"at most {projected.distance_to_plane.max():g} off the plane"
    )
    return 0
