"""After the last point: interpolation, failures, models, the trajectories, the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from losslandscape.adaptive.refinement import Refinement, interpolate, nearest
from losslandscape.errors import OutputExistsError
from losslandscape.files.journal import trajectory_journal_path
from losslandscape.landscape.landscape import INTERPOLATED, NOT_EVALUATED, Landscape
from losslandscape.landscape.overlays import ModelPoint
from losslandscape.planes.subspace import Subspace
from losslandscape.point.determinism import shortened
from losslandscape.point.measurement import mean_loss
from losslandscape.public_calls import users_line
from losslandscape.run.measuring import Points
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.precision_fields import BITS, add_precision, add_precision_errors
from losslandscape.run.projected_trajectory import measure_trajectories, warn_outside
from losslandscape.run.task import Task

if TYPE_CHECKING:
    from losslandscape.training.trajectory import Trajectory

# of the model's own loss, and of the surface's range: differences that are passed over
_FAR, _SMALL = 0.1, 1e-3


def finish(
    points: Points,
    recipe: dict[str, Any],
    evaluators: OneEvaluator,
    runs: Mapping[str, Trajectory],
    complete: Callable[[Landscape], None] | None = None,
) -> Landscape:
    """The finished landscape; with a path it is also the file, and the journal is removed.

    The journal stays if a point failed: the same call tries the point again. What `complete` adds
    to the landscape is in the file from the first.
    """
    task, landscape = points.task, points.store.landscape
    add_precision(points)
    if points.refinement is not None:
        done = fill_by_interpolation(landscape, points.refinement)
        landscape.provenance["adaptive"] = _with_whole_tolerance(done, points)
    add_precision_errors(points)
    warn_constant(task, landscape)
    points.failures.state(landscape, tried_again=task.path is not None)
    batch_size = points.settings.batch_size
    if task.subspace.points:
        landscape.models = _measured_models(task, batch_size, evaluators)
        warn_models(landscape)
    if runs:
        opened = evaluators.of(task.objective, batch_size), recipe["objective"]
        landscape.trajectories = measure_trajectories(
            task.objective,
            task.subspace,
            runs,
            quiet=task.quiet,
            batch_size=batch_size,
            journal=trajectory_journal_path(task.path) if task.path is not None else None,
            opened=opened,
        )
        for measured in landscape.trajectories:
            warn_outside(task.grid, measured)
    if complete is not None:
        complete(landscape)
    try:
        if task.path is not None:
            landscape.save(task.path, overwrite=True)
    except OutputExistsError:  # the finished landscape has another name
        _remove_journal(points)
        raise
    _remove_journal(points)
    return landscape


def _remove_journal(points: Points) -> None:
    if points.store.journal is not None and not points.failures:
        points.store.journal.remove()


def fill_by_interpolation(landscape: Landscape, refinement: Refinement) -> dict[str, Any]:
    """Interpolate the points that were not evaluated; returns what was done, for the file.

    Each field but a standard error also gets a field of its estimated interpolation error.
    """
    grid, shape = landscape.grid, landscape.grid.shape
    evaluated = (landscape.status != NOT_EVALUATED).ravel()
    # another SciPy may have led the first part of a resumed run to other points, and some may have
    # been measured again, in float32
    refinement.absorb(landscape.fields["loss"].ravel(), evaluated)
    titles = landscape.provenance["quantities"]
    for name in list(landscape.fields):
        if name == BITS:
            continue
        values = landscape.fields[name].ravel()
        if name.endswith("sample_count"):
            whole, error = nearest(grid, values, evaluated), None
        elif name == "loss":
            whole, error = refinement.interpolated(values)
        else:
            whole, error = interpolate(grid, values, evaluated)
        landscape.fields[name] = whole.reshape(shape)
        if error is not None and not name.endswith("standard_error"):
            error_name = f"{name}_interpolation_error"
            landscape.fields[error_name] = error.reshape(shape)
            titles[error_name] = f"estimated interpolation error of the {titles[name] or name}"
    landscape.status[landscape.status == NOT_EVALUATED] = INTERPOLATED
    return refinement.to_json()


def _with_whole_tolerance(done: dict[str, Any], points: Points) -> dict[str, Any]:
    """What a refinement did, and with an allotment what share of the samples it took."""
    task, allotment, landscape = points.task, points.job.allotment, points.store.landscape
    assert task.adaptive is not None
    if done["tolerance"] != task.adaptive.tolerance:
        done["interpolation_tolerance"] = done["tolerance"]
        done["tolerance"] = task.adaptive.tolerance
    if allotment is None:
        return done
    counts = landscape.fields["loss_sample_count"][landscape.status != INTERPOLATED]
    size = len(next(iter(task.objective.sets.values())))
    done["allotment"] = {
        **allotment.to_json(),
        "passes": float(counts.sum()) / size,
        "largest_share": float(counts.max()) / size,
    }
    return done


def _measured_models(task: Task, batch_size: int, evaluators: OneEvaluator) -> list[ModelPoint]:
    """The losses of the models that span the subspace, at their places in it, and their own."""
    evaluator = evaluators.of(task.objective, batch_size)
    found = []
    for point, buffers in zip(task.subspace.points, task.subspace.model_buffers):
        on_plane = mean_loss(evaluator.measure(point.coordinates))
        parameters = task.subspace.parameters_at(point.coordinates)
        itself = evaluator.measure_parameters(parameters, buffers, own_statistics=True)
        found.append(ModelPoint(point.label, point.coordinates, on_plane, mean_loss(itself)))
    return found


def warn_constant(task: Task, landscape: Landscape) -> None:
    """Warn of weights that do not move because they are 0, and of a surface that is constant."""
    if still := without_norm(task.subspace):
        warnings.warn(
            f"{shortened(still)}: all values are 0, and normalization by filter keeps a direction "
            "of norm 0 there, so this part does not move. Train first, or pass "
            "normalization='none' (--normalization none)",
            stacklevel=users_line(),
        )
    losses = landscape.fields["loss"]
    if losses.size > 1 and (losses == losses.flat[0]).all():
        warnings.warn(
            f"the loss is exactly constant, {losses.flat[0]:.6g} at all points: nothing that moves "
            "changes it",
            stacklevel=users_line(),
        )


def without_norm(subspace: Subspace) -> list[str]:
    """Names of weights that are 0 and that no random direction moves, because it is normalized.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    >>> _ = torch.nn.init.zeros_(model[1].weight)
    >>> without_norm(Subspace.random(model))
    ['1.weight']
    """
    if subspace.recipe["kind"] != "random":
        return []
    vectors = [subspace.layout.views(v) for v in (subspace.origin, *subspace.directions)]
    return [
        segment.name
        for segment in subspace.layout.segments
        if len(segment.shape) > 1 and not any(v[segment.name].any() for v in vectors)
    ]


def warn_models(landscape: Landscape) -> None:
    """Warn where the plane's loss at a labeled model is far from the model's own."""
    losses = landscape.fields["loss"][np.isfinite(landscape.fields["loss"])]
    small = _SMALL * float(np.ptp(losses)) if losses.size else 0.0
    far = [
        f"{model.label} ({model.loss:.4g} on the plane, {model.own_loss:.4g} by itself)"
        for model in landscape.models
        if model.own_loss is not None
        and not abs(model.loss - model.own_loss) <= max(small, _FAR * abs(model.own_loss))
        and not (np.isnan(model.loss) and np.isnan(model.own_loss))
    ]
    if far:
        warnings.warn(
            f"the plane differs from the models' own loss at {', '.join(far)}: their buffers are "
            "re-estimated, recomputed or interpolated on it, see docs/measurement.md; both losses "
            "are in the file",
            stacklevel=users_line(),
        )
