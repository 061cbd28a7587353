"""``precision="auto"``: whether a faster type than float32 pays, found by a trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from losslandscape.adaptive.refinement import coarse_points
from losslandscape.adaptive.two_precisions import SHARE, expected_share
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.scale import scale_of, to_scale
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import Measurement, mean_loss
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import narrower
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.settings import Settings
from losslandscape.run.task import Task

WORTHWHILE = 0.7  # of float32's cost; at more, its values are worth more than the time
_ADAPTIVE_SHARE = 0.1  # of a grid, which an adaptive evaluation is expected to measure
_SAMPLES = 4096  # of the trial, at most
_HOPELESS = 1.5  # times float32's time: the first pass in another type, with one-time costs


def find_fast(
    task: Task, settings: Settings, origin: Measurement, evaluators: OneEvaluator
) -> dict[str, Any] | None:
    """The type in which most points are measured, from a trial; None unless precision is "auto".

    Two points, half way to opposite corners of the grid, are measured in float32 and in each
    candidate, over a few thousand samples at most. The trial takes at most three passes in each.
    The times are the shortest ones; what else the machine does only adds to a time.

    Returns
    -------
    dict or None
        ``type`` of the faster type, or None with ``reason``, why everything is measured in
        float32. With a type also its ``batch_size`` and ``configuration``, its ``speed_up``, and
        ``seconds`` of a point.
    """
    if not task.objective.auto:
        return None
    if task.objective.dtype != torch.float32:
        name = str(task.objective.dtype).removeprefix("torch.")
        return _not(f"the model computes in {name}")
    points = [tuple(0.5 * end for end in ends) for ends in zip(*task.grid.bounds)]
    objective = task.objective
    size = len(next(iter(objective.sets.values())))
    most = _SAMPLES if objective.factors is None else size  # a sum needs all of its sets
    if size > most:
        objective = objective.limited(most)
        with_origin = [(0.0,) * task.grid.dimensions, *points]
        exact, losses = _measured(evaluators.of(objective, settings.batch_size), with_origin)
    else:
        exact, losses = _measured(evaluators.of(objective, settings.batch_size), points)
        losses = [mean_loss(origin), *losses]
    # with an allotment, a point takes whole batches, and as many samples in either type
    batch_size = settings.batch_size if settings.allotment is not None else task.batch_size
    found = []
    for name in narrower(objective.device):
        fast = task.in_precision(name)
        fast = fast.limited(most) if size > most else fast
        found.append(_tried(task, name, fast, batch_size, evaluators, points, exact, losses))
    usable = [one for one in found if one["type"] is not None]
    if usable:
        return max(usable, key=lambda one: one["speed_up"])
    return _not("; ".join(one["reason"] for one in found))


def _not(reason: str) -> dict[str, Any]:
    return {"type": None, "reason": reason}


def _tried(
    task: Task,
    name: str,
    objective: Objective,
    batch_size: int | None,
    evaluators: OneEvaluator,
    points: Sequence[tuple[float, ...]],
    exact: float,
    exact_losses: Sequence[float],
) -> dict[str, Any]:
    try:
        evaluator = evaluators.of(objective, batch_size)
        first, losses = _measured(evaluator, [(0.0,) * task.grid.dimensions])
        if first > _HOPELESS * exact:
            return _not(f"{name} is slower than float32 ({exact / first:.2g} times as fast)")
        fast, others = _measured(evaluator, points)
    except LossLandscapeError as error:
        return _not(f"the model does not run in {name} ({error})")
    speed_up = exact / fast
    expected = task.grid.size
    if task.adaptive is not None:
        least = coarse_points(task.grid).size
        most = min(task.adaptive.max_points or task.grid.size, task.grid.size)
        expected = min(max(least, round(_ADAPTIVE_SHARE * task.grid.size)), most)
    if expected_share(speed_up, expected) > WORTHWHILE:
        return _not(
            f"{name} is {speed_up:.2g} times as fast as float32, which does not pay for points in "
            f"both types at some {expected:,} points"
        )
    if differing := _too_different(task, [*losses, *others], exact_losses):
        return _not(f"losses in {name} {differing}")
    return {
        "type": name,
        "batch_size": evaluator.batch_size,
        "configuration": evaluator.configuration.to_json(),
        "speed_up": speed_up,
        "seconds": {"float32": exact, name: fast},
    }


def _measured(
    evaluator: Evaluator, points: Sequence[tuple[float, ...]]
) -> tuple[float, list[float]]:
    """Seconds of the fastest of some points, and their losses."""
    seconds, losses = [], []
    for point in points:
        start = time.perf_counter()
        losses.append(mean_loss(evaluator.measure(point)))
        seconds.append(time.perf_counter() - start)
    return min(seconds), losses


def _too_different(task: Task, fast: Sequence[float], exact: Sequence[float]) -> str:
    """How losses at the origin and two other points differ too much; empty if they do not."""
    ours, theirs = np.array(fast), np.array(exact)
    if (np.isfinite(ours) != np.isfinite(theirs)).any():
        return "are finite at other points than in float32"
    scale = (task.adaptive.scale if task.adaptive is not None else None) or scale_of(theirs)
    ours, theirs = to_scale(ours, scale), to_scale(theirs, scale)
    if not np.isfinite(theirs).all():
        return ""
    differences = np.abs(ours - theirs)[1:]
    span = float(np.ptp(theirs))
    allowed = SHARE * task.tolerance * span
    if differences.min() <= allowed:  # one such point may be rough, and is measured in both
        return ""
    return (
        f"differ from those in float32 by {100 * differences.min() / span:.2g}% of the range and "
        f"more, and the tolerance allows {100 * SHARE * task.tolerance:.2g}%"
        if span > 0
        else "differ, and the loss does not"
    )
