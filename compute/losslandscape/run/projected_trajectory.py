"""The projection of a training trajectory on a subspace, and the losses there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from losslandscape.counted import counted
from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.files.finished_parts import finished_parts
from losslandscape.files.journal import TRAJECTORY_JOURNAL, trajectory_journal_path
from losslandscape.files.outputs import OutputFile, claimed
from losslandscape.formats import netcdf
from losslandscape.landscape.identity import check_objective, check_plane
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.overlays import ProjectedTrajectory
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.point.determinism import check_origin_loss
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss
from losslandscape.problem.objective import Objective
from losslandscape.progress import Progress
from losslandscape.public_calls import users_line
from losslandscape.training.trajectory import labeled_runs

if TYPE_CHECKING:
    from losslandscape.training.trajectory import Trajectory


def measure_trajectory(
    objective: Objective,
    subspace: Subspace,
    trajectory: Trajectory,
    label: str | None = None,
    quiet: bool = False,
    batch_size: int | None = None,
    journal: Path | None = None,
    opened: tuple[Evaluator, dict[str, Any]] | None = None,
) -> ProjectedTrajectory:
    """Project a trajectory on a subspace; measure the loss at the projections and the checkpoints.

    Parameters
    ----------
    label : str, optional
        By default the trajectory's folder.
    batch_size : int, optional
        Samples in a forward pass.
    journal : path, optional
        A file for the finished checkpoints: an interrupted call goes on where it stopped.
    opened : (Evaluator, dict), optional
        An open evaluator of the objective, the subspace and the batch size, and
        ``objective.to_json()`` from before it was opened, when the model was as it is described.

    Raises
    ------
    LossLandscapeError
        If the trajectory is of another model (the first differing tensor is named), or empty.
    """
    (found,) = measure_trajectories(
        objective,
        subspace,
        {label or trajectory.label: trajectory},
        quiet,
        batch_size,
        journal,
        opened,
    )
    return found


def measure_trajectories(
    objective: Objective,
    subspace: Subspace,
    runs: Mapping[str, Trajectory],
    quiet: bool = False,
    batch_size: int | None = None,
    journal: Path | None = None,
    opened: tuple[Evaluator, dict[str, Any]] | None = None,
) -> list[ProjectedTrajectory]:
    """As :func:`measure_trajectory`, of trajectories by their labels."""
    for one in runs.values():
        check_trajectory(objective, subspace, one)
    runs = {label: _named_as(one, objective) for label, one in runs.items()}
    projections = [subspace.project_trajectory(one) for one in runs.values()]
    distances = [
        np.hypot(projection.distance, _frozen_distances(objective, subspace, one))
        for projection, one in zip(projections, runs.values())
    ]
    # the checkpoints of all, one after the other
    rows = [(one, i) for one in runs.values() for i in range(len(one))]
    coordinates = np.concatenate([projection.coordinates for projection in projections])
    losses = np.empty((len(rows), 2))  # at the projection, of the checkpoint
    identities = [one.identity for one in runs.values()]
    recipe = {
        "trajectory": identities if len(identities) > 1 else identities[0],
        "subspace": subspace.identity,
        "objective": opened[1] if opened is not None else objective.to_json(),
        "batch_size": batch_size,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    samples = counted(len(next(iter(objective.sets.values()))), "sample")
    with (
        finished_parts(journal, recipe, losses[0].nbytes, "checkpoints") as (records, keep),
        (
            nullcontext(opened[0])
            if opened is not None
            else Evaluator(objective, subspace, batch_size)
        ) as evaluator,
        Progress(
            len(rows),
            "trajectory" if len(runs) == 1 else "trajectories",
            done=len(records),
            quiet=quiet,
            work=f"{counted(len(rows), 'checkpoint')}, each at its projection and where it is; "
            f"{samples}, {counted(evaluator.passes, 'forward pass', 'forward passes')} each time",
            unit="checkpoints",
        ) as progress,
    ):
        for number, (trajectory, i) in enumerate(rows):
            if number in records:
                losses[number] = np.frombuffer(records[number])
                continue
            losses[number, 0] = mean_loss(evaluator.measure(coordinates[number]))
            losses[number, 1] = mean_loss(
                evaluator.measure_parameters(trajectory.parameters(i), trajectory.buffers(i))
            )
            keep(number, losses[number].tobytes())
            progress.advance()
    ends = np.cumsum([0, *map(len, runs.values())])
    return [
        ProjectedTrajectory(
            label=label,
            step=np.asarray(one.steps, dtype=np.float64),
            coordinates=projection.coordinates,
            loss=losses[start:stop, 0].copy(),
            checkpoint_loss=losses[start:stop, 1].copy(),
            distance_to_plane=distance,
        )
        for (label, one), projection, distance, start, stop in zip(
            runs.items(), projections, distances, ends, ends[1:]
        )
    ]


def _frozen_distances(
    objective: Objective, subspace: Subspace, trajectory: Trajectory
) -> np.ndarray:
    """How far the checkpoints' parameters that the plane does not move are from the model's."""
    moving = {segment.name for segment in subspace.layout.segments}
    frozen = {
        name: parameter.detach().double().cpu()
        for name, parameter in objective.model.named_parameters()
        if name not in moving and name in trajectory.shapes
    }

    def squared(index: int, names: set[str]) -> float:
        there = trajectory.parameters(index, names)
        return sum(float((there[n].double() - frozen[n]).square().sum()) for n in names)

    same = frozen.keys() & trajectory.frozen  # everywhere: read once
    others = frozen.keys() - same
    found = np.full(len(trajectory), squared(0, same) if same else 0.0)
    for i in range(len(trajectory) if others else 0):
        found[i] += squared(i, others)
    return np.sqrt(found)


def warn_outside(grid: Grid, trajectory: ProjectedTrajectory) -> None:
    """Warn of checkpoints outside the grid: figures cannot draw them on the surface."""
    low, high = np.array(grid.bounds).T
    slack = 1e-6 * (high - low)  # a projection on the edge is rounded
    low, high = low - slack, high + slack
    outside = ((trajectory.coordinates < low) | (trajectory.coordinates > high)).any(axis=1).sum()
    if outside:
        warnings.warn(
            f"{outside} of {len(trajectory.step)} checkpoints of '{trajectory.label}' lie outside "
            "the grid and are not drawn; subspace.default_grid() of a PCA plane contains them all",
            stacklevel=users_line(),
        )


def check_trajectory(objective: Objective, subspace: Subspace, trajectory: Trajectory) -> None:
    """Raise a LossLandscapeError if a trajectory cannot be shown on a subspace.

    Its parameters must be those of the subspace; parameters that the subspace does not move must
    have the model's values.
    """
    if not len(trajectory):
        raise LossLandscapeError(f"{trajectory.path}: no checkpoint was recorded")
    trajectory, subspace = _named_as(trajectory, objective), subspace.fitted_to(objective.model)
    last = trajectory.parameters(-1)
    subspace.layout.check(last, str(trajectory.path))
    moving = {segment.name for segment in subspace.layout.segments}
    for name, parameter in objective.model.named_parameters():
        if name not in moving and name in last and not torch.equal(last[name], parameter.cpu()):
            raise LossLandscapeError(
                f"{trajectory.path}: '{name}' is frozen in the model (requires_grad=False) and has "
                "other values in the checkpoints, so the plane cannot show them"
            )


def _named_as(trajectory: Trajectory, objective: Objective) -> Trajectory:
    """A trajectory with the model's names, whether the one or the other is wrapped."""
    model = objective.model
    return trajectory.named_as(dict(model.named_parameters()), dict(model.named_buffers()))


def add_trajectory(
    landscape: Landscape,
    trajectory: Trajectory,
    label: str | None = None,
    objective: Objective | None = None,
    subspace: Subspace | None = None,
    quiet: bool = False,
    overwrite: bool = False,
) -> ProjectedTrajectory:
    """Measure a trajectory and add it; see :meth:`losslandscape.Landscape.add_trajectory`."""
    (own_label,) = labeled_runs([trajectory])
    label = label or own_label
    _check_label(landscape, label, overwrite)
    if objective is None or subspace is None:
        if landscape._measured is None:
            raise LossLandscapeError(
                f"{landscape._where()}a landscape read from a file does not hold its model; "
                "give objective= and subspace= as they were"
            )
        objective, subspace = landscape._measured
    check_plane(landscape, subspace)
    check_objective(landscape, objective)
    with claimed(*([] if landscape.path is None else [trajectory_output(landscape.path)])):
        target = _as_it_lies(landscape)
        _check_label(target, label, overwrite)
        check_origin_loss(landscape, objective, subspace)
        measured = landscape.provenance.get("objective", {})
        projected = measure_trajectory(
            objective.with_execution(measured.get("configuration")),
            subspace,
            trajectory,
            label,
            quiet,
            measured.get("batch_size"),
            trajectory_journal_path(landscape.path) if landscape.path is not None else None,
        )
        warn_outside(landscape.grid, projected)
        others = [t for t in target.trajectories if t.label != projected.label]
        target.trajectories = [*others, projected]
        if landscape.path is not None:
            netcdf.save(target, landscape.path, overwrite=True)
        landscape.trajectories = list(target.trajectories)
    return projected


def trajectory_output(path: Path, option: str = "") -> OutputFile:
    """A landscape file to which a trajectory is added, with the journal beside it."""
    return OutputFile(path, option=option, journals=[TRAJECTORY_JOURNAL], changed=True)


def _check_label(landscape: Landscape, label: str, overwrite: bool) -> None:
    if any(t.label == label for t in landscape.trajectories) and not overwrite:
        raise OutputExistsError(
            f"{landscape._where()}there is a trajectory '{label}' already; "
            "give another label (--label) or overwrite it (--overwrite)"
        )


def _as_it_lies(landscape: Landscape) -> Landscape:
    """The landscape that its file holds now; the landscape itself if there is no file."""
    if landscape.path is None or not landscape.path.exists():
        return landscape
    there = netcdf.read(landscape.path)
    if _identity(there) != _identity(landscape):
        raise LossLandscapeError(
            f"{landscape.path}: holds another landscape by now than when it was read or written "
            "here; open it again"
        )
    return there


def _identity(landscape: Landscape) -> str:
    """What was measured and where."""
    parts = [landscape.provenance.get(name) for name in ("subspace", "objective")]
    return json.dumps([landscape.grid.to_json(), *parts], sort_keys=True)
