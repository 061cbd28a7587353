"""``losslandscape trajectory``: add a training trajectory to a landscape."""

from __future__ import annotations

import argparse
from typing import Any

from losslandscape.cli.arguments import add_run_arguments
from losslandscape.cli.kinds import PATH, PATH_TEXT, TEXT
from losslandscape.cli.recorded_problem import add_same_problem_arguments, problem_of
from losslandscape.cli.trajectories import (
    add_checkpoint_arguments,
    open_trajectory,
    recorded_trajectory,
)
from losslandscape.counted import counted
from losslandscape.files.file_kinds import LANDSCAPE_ENDINGS

HELP = "project a training trajectory onto a landscape, and measure the loss along it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    folder = parser.add_argument(
        "trajectory",
        type=PATH_TEXT,
        metavar="FOLDER",
        help="folder that TrajectoryRecorder or 'losslandscape train' recorded",
    )
    parser.add_argument(
        "--checkpoints",
        dest="files",
        type=PATH_TEXT,
        nargs="+",
        action=_instead_of(folder),
        metavar="PATTERN",
        help="checkpoints that a training script saved, instead of FOLDER: a pattern in quotes "
        "('run/epoch_*.pt'), a folder (of files, or of folders such as checkpoint-500), or a list "
        "of files",
    )
    add_checkpoint_arguments(parser)
    parser.add_argument(
        "--label",
        type=TEXT,
        metavar="TEXT",
        help="label in the file (default: the name of the run)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a trajectory with the same label"
    )
    add_same_problem_arguments(parser)
    add_run_arguments(parser)


def _instead_of(positional: argparse.Action) -> type[argparse.Action]:
    """The action of an option without which a positional argument is required."""

    class Instead(argparse.Action):
        def __call__(self, parser, namespace, values, option_string=None):
            # nargs="?" would take no FOLDER after another option
            positional.required = False
            setattr(namespace, self.dest, values)

    return Instead


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.files.inputs import input_file
    from losslandscape.files.outputs import claimed
    from losslandscape.run.projected_trajectory import trajectory_output

    where: Any = arguments.trajectory
    if arguments.files is not None:
        where = arguments.files[0] if len(arguments.files) == 1 else arguments.files
    input_file(arguments.landscape, endings=LANDSCAPE_ENDINGS)
    with claimed(trajectory_output(arguments.landscape)):
        return _add(arguments, where)


def _add(arguments: argparse.Namespace, where: Any) -> int:
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.open(arguments.landscape)
    options = arguments.checkpoints_key, arguments.steps
    recorded_trajectory(where, *options)  # a missing folder is found before the model is built
    objective, subspace = problem_of(landscape, arguments)
    trajectory = open_trajectory(where, objective.model, *options)
    projected = landscape.add_trajectory(
        trajectory,
        arguments.label,
        objective,
        subspace,
        arguments.quiet,
        arguments.overwrite,
    )
    print(
        f"{arguments.landscape}: added {counted(len(projected.step), 'checkpoint')} of "
        f"'{projected.label}'; their largest distance from the plane is "
        f"{projected.distance_to_plane.max():g}"
    )
    return 0
