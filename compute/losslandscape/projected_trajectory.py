"""A training trajectory seen from a subspace: its projections and the losses there."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.grid import Grid
from losslandscape.landscape import ProjectedTrajectory
from losslandscape.objective import Evaluator, Measurement, Objective
from losslandscape.progress import Progress
from losslandscape.subspace import Subspace

if TYPE_CHECKING:
    from losslandscape.trajectory import Trajectory


def measure_trajectory(
    objective: Objective,
    subspace: Subspace,
    trajectory: Trajectory,
    label: str | None = None,
    quiet: bool = False,
    batch_size: int | None = None,
) -> ProjectedTrajectory:
    """Project a trajectory on a subspace; measure the loss at the projections and the checkpoints.

    Raises
    ------
    LossLandscapeError
        If the trajectory is of another model (the first differing tensor is named), or empty.
    """
    check_trajectory(objective, subspace, trajectory)
    projection = subspace.project_trajectory(trajectory)
    loss, checkpoint_loss = np.empty((2, len(trajectory)))
    with (
        Evaluator(objective, subspace, batch_size) as evaluator,
        Progress(len(trajectory), "trajectory", quiet=quiet) as progress,
    ):
        for i, coordinates in enumerate(projection.coordinates):
            loss[i] = mean_loss(evaluator.measure(coordinates))
            checkpoint_loss[i] = mean_loss(
                evaluator.measure_parameters(trajectory.parameters(i), trajectory.buffers(i))
            )
            progress.advance()
    return ProjectedTrajectory(
        label=label or trajectory_label(trajectory),
        step=np.asarray(trajectory.steps, dtype=np.float64),
        coordinates=projection.coordinates,
        loss=loss,
        checkpoint_loss=checkpoint_loss,
        distance_to_plane=projection.distance,
    )


def trajectory_label(trajectory: Trajectory) -> str:
    """The folder's name, or its parent's where that says more."""
    path = trajectory.path.resolve()
    return path.parent.name if path.name == "trajectory" and path.parent.name else path.name


def warn_outside(grid: Grid, trajectory: ProjectedTrajectory) -> None:
    """Warn of checkpoints outside the grid: figures cannot draw them on the surface."""
    low, high = np.array(grid.bounds).T
    slack = 1e-6 * (high - low)  # a projection on the edge is rounded
    low, high = low - slack, high + slack
    outside = ((trajectory.coordinates < low) | (trajectory.coordinates > high)).any(axis=1).sum()
    if outside:
        warnings.warn(
            f"{outside} of {len(trajectory.step)} checkpoints of '{trajectory.label}' lie outside "
            "the grid and are not drawn; subspace.default_grid() of a PCA plane holds them all",
            stacklevel=3,
        )


def check_trajectory(objective: Objective, subspace: Subspace, trajectory: Trajectory) -> None:
    """Raise a LossLandscapeError if a trajectory cannot be shown on a subspace.

    Its parameters must be the subspace's, and those that the subspace does not move the model's.
    """
    if not len(trajectory):
        raise LossLandscapeError(f"{trajectory.path}: no checkpoint was recorded")
    last = trajectory.parameters(-1)
    subspace.layout.check(last, str(trajectory.path))
    moving = {segment.name for segment in subspace.layout.segments}
    for name, parameter in objective.model.named_parameters():
        if name not in moving and name in last and not torch.equal(last[name], parameter.cpu()):
            raise LossLandscapeError(
                f"{trajectory.path}: '{name}' is frozen in the model (requires_grad=False) and has "
                "other values in the checkpoints, so the plane cannot show them"
            )


def mean_loss(measurement: Measurement) -> float:
    """Mean loss of the first set."""
    return float(np.mean(next(iter(measurement.values()))["loss"], dtype=np.float64))
