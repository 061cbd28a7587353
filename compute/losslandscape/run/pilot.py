"""Whether a part of the samples is enough at each point, and what that leaves of the tolerance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from losslandscape.adaptive import two_precisions
from losslandscape.adaptive.allotment import (
    PILOT,
    SHARE,
    Allotment,
    may_be_worthwhile,
    tried,
    worthwhile,
)
from losslandscape.adaptive.refinement import Adaptive, coarse_points
from losslandscape.point.measurement import Measurement
from losslandscape.progress import Progress
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.task import Task


def find_allotment(
    task: Task, batch_size: int, origin: Measurement, evaluators: OneEvaluator
) -> Allotment | None:
    """The allotment of a task, from a pilot of a few samples on the coarse grid; usually None.

    The rule is then tried on the losses of the origin, see
    :func:`losslandscape.adaptive.allotment.tried`.
    """
    if not may_allot(task):
        return None
    assert task.adaptive is not None
    means, deviations = _pilot(task, task.adaptive.seed, batch_size, evaluators)
    samples = len(next(iter(task.objective.sets.values())))
    found = worthwhile(means, deviations, samples, task.adaptive.tolerance, task.adaptive.scale)
    if found is None:
        return None
    losses = next(iter(origin.values()))["loss"]
    return tried(replace(found, seed=task.adaptive.seed), losses, batch_size)


def may_allot(task: Task) -> bool:
    """Whether a pilot is worth its cost.

    It is not where every point is evaluated on all samples anyway: without a tolerance, if the
    per-sample losses are to be kept, for ragged or few samples, and on a grid that is no finer than
    the coarse one.
    """
    if task.adaptive is None or task.keep_samples is True:
        return False
    if task.objective.factors is not None:
        return False  # how many samples of which term a point needs is another question
    if any(samples.ragged for samples in task.objective.sets.values()):
        return False
    if not may_be_worthwhile(len(next(iter(task.objective.sets.values())))):
        return False
    return coarse_points(task.grid).size < task.grid.size


def _pilot(
    task: Task, seed: int, batch_size: int, evaluators: OneEvaluator
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of a few samples' losses at each point of the coarse grid."""
    few = task.objective.shuffled(seed).limited(PILOT)
    points = task.grid.points()[coarse_points(task.grid)]
    means, deviations = [], []
    evaluator = evaluators.of(few, min(batch_size, PILOT))
    with Progress(
        len(points),
        "pilot",
        quiet=task.quiet,
        work=f"{len(points):,} points of {PILOT} samples, to see whether a part will do",
        unit="points",
    ) as progress:
        for point in points:
            losses = next(iter(evaluator.measure(point).values()))["loss"].astype(np.float64)
            with np.errstate(all="ignore"):
                means.append(float(losses.mean()))
                deviations.append(float(losses.std(ddof=1)))
            progress.advance()
    return means, deviations


def for_interpolation(
    adaptive: Adaptive, allotment: Allotment | None, two_types: bool = False
) -> Adaptive:
    """The tolerance that is left for interpolation: its error, that of sampling and that of a fast
    type are independent.

    Examples
    --------
    >>> round(for_interpolation(Adaptive(0.01), Allotment("log", 0.005)).tolerance, 5)
    0.00866
    >>> round(for_interpolation(Adaptive(0.01), None, two_types=True).tolerance, 5)
    0.00943
    >>> for_interpolation(Adaptive(0.01), None).tolerance
    0.01
    """
    taken = (SHARE**2 if allotment is not None else 0.0) + (
        two_precisions.SHARE**2 if two_types else 0.0
    )
    if not taken:
        return adaptive
    return replace(adaptive, tolerance=adaptive.tolerance * float(np.sqrt(1 - taken)))
