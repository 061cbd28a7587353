"""Training trajectories named on the command line: recorded folders, or checkpoints on disk."""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
        metavar="KEY",
        help="entry of the checkpoints that holds the weights, such as ema, if there are several",
    )


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
        f"{trajectory.path}: {len(trajectory)} checkpoints, steps {trajectory.steps[0]:g} to "
        f"{trajectory.steps[-1]:g} ({trajectory.step_source})",
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
    if not (Path(where) / MANIFEST).is_file() and (Path(where).exists() or glob.has_magic(where)):
        return None
    trajectory = Trajectory.open(where)  # where there is nothing, it says what is expected
    if key is not None or steps is not None:
        raise LossLandscapeError(
            f"{where}: is a recorded trajectory, which knows its steps and has no keys; leave "
            "out --steps and --checkpoints-key"
        )
    return trajectory
