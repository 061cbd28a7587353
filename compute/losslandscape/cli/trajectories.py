"""Training trajectories named on the command line: recorded folders, or checkpoints on disk."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.cli.kinds import TEXT
from losslandscape.counted import counted
from losslandscape.errors import LossLandscapeError

if TYPE_CHECKING:
    from torch import nn

    from losslandscape.training.trajectory import Trajectory

STEPS = ("name", "global_step", "epoch", "step")


def add_checkpoint_arguments(group) -> None:
    """Add the options of checkpoints that a training script saved."""
    group.add_argument(
        "--steps",
        choices=STEPS,
        help="where the steps of checkpoints on disk are: in their names, or in an entry of the "
        "files (default: in the names, or else in the first entry that differs)",
    )
    group.add_argument(
        "--checkpoints-key",
        type=TEXT,
        metavar="KEY",
        help="entry of the checkpoints that holds the weights, such as ema, if there are several",
    )


def check_trajectories(arguments: argparse.Namespace) -> None:
    """Check ``--trajectory`` before anything is built: recorded folders exist, labels fit.

    Raises
    ------
    LossLandscapeError
        If a folder is missing, no recorded trajectory and no checkpoint; or the number of labels is
        wrong.
    """
    runs = _separate_runs(arguments.trajectory)
    for where in runs:
        recorded_trajectory(where, *_options(arguments))
    labels = arguments.labels if arguments.directions != "between" else None
    if labels is not None and len(labels) != len(runs):
        raise LossLandscapeError(
            f"{len(labels)} --labels were given for {len(runs)} runs after --trajectory; give one "
            "for each"
        )


def runs_from(arguments: argparse.Namespace, model: nn.Module) -> dict[str, Trajectory]:
    """The trajectories after ``--trajectory`` by their labels; opened once.

    Raises
    ------
    LossLandscapeError
        As :func:`open_trajectory`, or if two have the same label.
    """
    from losslandscape.training.trajectory import labeled_runs

    if getattr(arguments, "opened_runs", None) is None:
        opened = [
            open_trajectory(where, model, *_options(arguments))
            for where in _separate_runs(arguments.trajectory)
        ]
        labels = arguments.labels if arguments.directions != "between" else None
        if labels is not None and len(set(labels)) < len(labels):
            raise LossLandscapeError("two --labels are the same; give each run its own")
        given = dict(zip(labels, opened)) if labels is not None else opened
        arguments.opened_runs = labeled_runs(given) if opened else {}
    return arguments.opened_runs


def _separate_runs(given: str | Sequence[str] | None) -> list[str | Sequence[str]]:
    """What ``--trajectory`` names, one entry a run: files are the checkpoints of one run."""
    paths = [given] if isinstance(given, str) else list(given or ())
    if len(paths) > 1 and all(Path(path).is_file() for path in paths):
        return [paths]  # a pattern that the shell expanded
    return list(paths)


def _options(arguments: argparse.Namespace) -> tuple[str | None, str | None]:
    return getattr(arguments, "checkpoints_key", None), getattr(arguments, "steps", None)


def open_trajectory(
    where: str | Sequence[str], model: nn.Module, key: str | None = None, steps: str | None = None
) -> Trajectory:
    """A recorded trajectory, or that of checkpoints; says on standard error which steps it has.

    Raises
    ------
    LossLandscapeError
        If there is nothing, it does not fit the model, or options of checkpoints are given for a
        recorded trajectory.
    """
    from losslandscape.training.trajectory import Trajectory

    if (recorded := recorded_trajectory(where, key, steps)) is not None:
        return recorded
    trajectory = Trajectory.of_checkpoints(where, model, key, steps)
    print(
        f"{trajectory.path}: {counted(len(trajectory), 'checkpoint')}, steps "
        f"{trajectory.steps[0]:g} to {trajectory.steps[-1]:g} ({trajectory.step_source})",
        file=sys.stderr,
    )
    return trajectory


def recorded_trajectory(
    where: str | Sequence[str], key: str | None = None, steps: str | None = None
) -> Trajectory | None:
    """The recorded trajectory in a folder; None for checkpoints on disk, which need the model.

    Raises
    ------
    LossLandscapeError
        As :func:`open_trajectory`.
    """
    from losslandscape.training.manifest import MANIFEST
    from losslandscape.training.trajectory import Trajectory

    if not isinstance(where, str):
        return None
    listed = os.path.lexists(Path(where) / MANIFEST)
    inside = Path(where) / "trajectory"  # of the folder that 'losslandscape train' wrote
    if not listed and os.path.lexists(inside / MANIFEST):
        where, listed = str(inside), True
    if not listed and (Path(where).exists() or glob.has_magic(where)):
        return None
    trajectory = Trajectory.open(where)  # where there is nothing, it says what is expected
    if key is not None or steps is not None:
        raise LossLandscapeError(
            f"{where}: is a recorded trajectory, which knows its steps and has no keys; leave "
            "out --steps and --checkpoints-key"
        )
    return trajectory
