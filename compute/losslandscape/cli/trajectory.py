"""``losslandscape trajectory``: add a recorded training trajectory to a landscape."""

from __future__ import annotations

import argparse
from pathlib import Path

from losslandscape.cli.arguments import add_run_arguments
from losslandscape.cli.recorded_problem import add_same_problem_arguments, problem_of

HELP = "project a recorded training trajectory onto a landscape, and measure the loss along it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=Path, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "trajectory", type=Path, metavar="FOLDER", help="folder of the recorded checkpoints"
    )
    parser.add_argument(
        "--label", metavar="TEXT", help="label in the file (default: the name of the run)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a trajectory with the same label"
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
        f"{arguments.landscape}: added {len(projected.step)} checkpoints of '{projected.label}'; "
        f"their largest distance from the plane is {projected.distance_to_plane.max():g}"
    )
    return 0
