"""Evaluate an objective on a grid of a subspace: the whole story, from arguments to landscape.

Each step has a file of its own:

1. `losslandscape.run.task`: the arguments are checked.
2. `losslandscape.run.recipe`: what is measured becomes a recipe.
3. `losslandscape.run.resume`: an unfinished run of the recipe goes on, or the path must be free.
4. `losslandscape.run.settings`, `losslandscape.run.pilot`: what a new run finds out once.
5. `losslandscape.run.measuring`: the points, in `losslandscape.run.rounds`, to
   `losslandscape.run.storing`.
6. `losslandscape.run.finishing`: interpolation, failures, models, the trajectories, the file.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from losslandscape.adaptive.refinement import Adaptive
from losslandscape.argument_kinds import ANYTHING, FLAG, With
from losslandscape.files.file_kinds import LANDSCAPE_ENDINGS
from losslandscape.files.journal import JOURNAL, TRAJECTORY_JOURNAL
from losslandscape.files.outputs import OutputFile, claimed
from losslandscape.landscape.landscape import Landscape
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.point.device_memory import BatchMemoryError, release_memory
from losslandscape.point.measurement import Measurement
from losslandscape.problem.configuration import UNTRIED, Configuration
from losslandscape.problem.objective import Objective
from losslandscape.public_calls import TOLERANCE, public, users_line
from losslandscape.run.executors import PointPool
from losslandscape.run.fast_type import find_fast
from losslandscape.run.finishing import finish
from losslandscape.run.measuring import Points, Source, may_halve
from losslandscape.run.memory_needed import require_landscape_memory
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.pilot import find_allotment
from losslandscape.run.point_records import PointFailure, PointJob, attempt
from losslandscape.run.projected_trajectory import check_trajectory
from losslandscape.run.recipe import recipe_of
from losslandscape.run.resume import Begun, claim_output
from losslandscape.run.settings import Settings, find_settings
from losslandscape.run.task import Task, checked_task
from losslandscape.run.threads import using_threads
from losslandscape.training.trajectory import labeled_runs

if TYPE_CHECKING:
    from losslandscape.training.trajectory import Trajectory


@public(
    tolerance=TOLERANCE,
    executor=With("submit", "a concurrent.futures.Executor"),
    keep_samples=FLAG,
    trajectory=ANYTHING,
)
def evaluate(
    objective: Objective,
    subspace: Subspace,
    grid: Grid | None = None,
    *,
    tolerance: float | Adaptive | None = None,
    batch_size: int | None = None,
    executor: Executor | None = None,
    path: str | os.PathLike | None = None,
    overwrite: bool = False,
    keep_samples: bool | None = None,
    trajectory: Trajectory | Sequence[Trajectory] | Mapping[str, Trajectory] | None = None,
    title: str = "",
    provenance: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Landscape:
    """Measure the loss at every point of a grid.

    With ``path``, finished points go to a journal beside it as they come, the file itself is
    rewritten every second or less often, so that writing takes at most 2% of the time, and the same
    call goes on where an interrupted one stopped, with
    the batch size and the number of threads of the first: the result is the same to the bit.

    A batch size that was found by trial is halved while memory does not hold a batch. The points
    measured before are dropped then, with a warning: all points of a file have the size that is
    recorded in it. After ten points the size stays, and a point that does not fit is left out.

    A point whose measurement raises (three times, with an executor) is left out with a warning:
    its values are NaN, or interpolated with a ``tolerance``, its error is in
    ``provenance["failed_points"]``, and with ``path`` the same call tries it again.

    Parameters
    ----------
    grid : Grid, optional
        51 points a side: around the trajectory or the models of the subspace, else +-1.
    tolerance : float or Adaptive, optional
        Evaluate only as many points as it takes for the estimated error of the others, which are
        interpolated, to stay within this share of the loss's range; see ``docs/adaptive.md``. With
        an :class:`losslandscape.adaptive.refinement.Adaptive` also the scale, the seed and the
        size of a round. By default every point is evaluated.
    batch_size : int, optional
        Samples in a forward pass; by default the objective's, or the fastest by a short trial.
        Batch-norm statistics are gathered in batches of the objective's own.
    executor : concurrent.futures.Executor, optional
        Where points are computed; in this process by default. The objective must be picklable,
        and reaches each worker once; see ``docs/scaling.md``.
    path : str or os.PathLike, optional
        A netCDF file to write, ``.nc``.
    overwrite : bool
        Replace what is there; an unfinished run of the same recipe still goes on.
    keep_samples : bool, optional
        Keep the per-sample losses (needed to tell noise from structure); by default while they
        take under 64 MB.
    trajectory : Trajectory, or sequence or mapping of these, optional
        Projected and measured as well, as by :meth:`Landscape.add_trajectory`. Several as a list,
        or as a dictionary from label to trajectory.
    title : str
        For people.
    provenance : dict, optional
        Further entries for the file.
    quiet : bool
        Show no progress.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``overwrite`` is not set.
    LossLandscapeError
        If the subspace is not one of the model's, the grid has another dimension, the model cannot
        take the data, an unfinished run at ``path`` was of something else, another process is
        writing ``path``, a worker cannot open the objective, the first ten points all fail, or two
        trajectories share a label.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(model.weight, 2.0)
    >>> objective = Objective(model, "mse", (torch.ones(1, 1), torch.zeros(1, 1)))
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> evaluate(objective, line, Grid.line(3)).values("loss")
    array([1., 4., 9.])
    """
    task = checked_task(
        objective,
        subspace,
        grid,
        tolerance,
        batch_size,
        keep_samples,
        title,
        provenance,
        path,
        quiet,
    )
    runs = labeled_runs(trajectory) if trajectory is not None else {}
    for run in runs.values():
        check_trajectory(task.objective, subspace, run)
    return run_task(task, overwrite, executor, runs)


def run_task(
    task: Task,
    overwrite: bool = False,
    executor: Executor | None = None,
    runs: Mapping[str, Trajectory] = MappingProxyType({}),
    complete: Callable[[Landscape], None] | None = None,
    inputs: Sequence[str | os.PathLike[str]] = (),
) -> Landscape:
    """Measure the points of a task, and finish its landscape; see :func:`evaluate`.

    Parameters
    ----------
    runs : mapping from str to Trajectory
        Trajectories to measure, by their labels.
    complete : callable, optional
        Adds to the finished landscape before its file is written.
    inputs : sequence of path
        Files that the landscape is made from, which it must not replace.
    """
    outputs = [] if task.path is None else [run_output(task.path, overwrite)]
    with claimed(*outputs, inputs=inputs):
        recipe = recipe_of(task)
        kept = sum(task.objective.sizes[name] for name in recipe["keep_samples"])
        require_landscape_memory(task.grid, kept)
        begun = claim_output(task.path, recipe, overwrite)
        threads = begun.settings.threads if begun.settings else torch.get_num_threads()
        found = {}  # by a trial; a run that goes on has its own
        if begun.settings is not None:
            own = Configuration.from_json(begun.settings.configuration) or UNTRIED
            found[task.objective.precision_name] = own
            if (fast := begun.settings.fast_configuration) is not None:
                found[str(begun.settings.fast_type)] = fast
        with using_threads(threads), OneEvaluator(task.subspace, found) as evaluators:
            points = _measured_points(task, recipe, begun, evaluators, executor)
            with points.store.telling_what_is_kept():
                return finish(points, recipe, evaluators, runs, complete)


def run_output(path: Path, overwrite: bool, option: str = "", parents: bool = False) -> OutputFile:
    """The landscape file of a run, with the journals beside it."""
    journals = [JOURNAL, TRAJECTORY_JOURNAL]
    return OutputFile(path, overwrite, option, parents, journals, name_endings=LANDSCAPE_ENDINGS)


def _measured_points(
    task: Task,
    recipe: dict[str, Any],
    begun: Begun,
    evaluators: OneEvaluator,
    executor: Executor | None,
) -> Points:
    """All points, with a batch size that memory holds."""
    smaller: int | None = None  # than the size found by trial, which did not stay in memory
    while True:
        settings, origin, points = begun.settings, None, None
        try:
            if settings is None:
                size = task.batch_size or smaller
                settings, origin = find_settings(task, evaluators.of(task.objective, size))
                settings = _with_allotment(task, settings, origin, evaluators)
                settings = replace(settings, fast=find_fast(task, settings, origin, evaluators))
            points = Points(task, recipe, settings, begun, origin)
            with points.store.telling_what_is_kept(), points.store.journal or nullcontext():
                _measure(points, evaluators, executor)
            return points
        except BatchMemoryError:
            size = settings.batch_size if settings is not None else smaller
            if not may_halve(task, size, points.store.stored if points is not None else 0):
                raise
        # outside of the handler: the traceback holds the tensors of the failed pass
        assert size is not None
        smaller = size // 2
        warnings.warn(
            f"memory does not hold batches of {size} samples any more: the run begins anew with "
            f"{smaller}, since the last bits of the values depend on it (batch_size, --batch-size)",
            stacklevel=users_line(),
        )
        # the journal stays until the new one takes its place
        begun = Begun()
        evaluators.close()
        release_memory(task.objective.device)


def _with_allotment(
    task: Task, settings: Settings, origin: Measurement, evaluators: OneEvaluator
) -> Settings:
    """The settings, with an allotment where a part of the samples is enough at a point."""
    allotment = find_allotment(task, settings.batch_size, origin, evaluators)
    return replace(settings, allotment=allotment.to_json() if allotment is not None else None)


def _measure(points: Points, evaluators: OneEvaluator, executor: Executor | None) -> None:
    """Measure the points in this process, or by an executor's workers."""

    @contextmanager
    def opened(job: PointJob) -> Iterator[Source]:
        if executor is None:
            yield lambda numbers: _measured_here(job, evaluators, numbers)
            return
        evaluators.close()  # the workers get the model with its own parameters
        with PointPool(executor, job) as pool:
            yield pool.records
        if not points.task.quiet and pool.use.workers:
            print(pool.use.describe(), file=sys.stderr)

    points.measure(opened)


def _measured_here(
    job: PointJob, evaluators: OneEvaluator, numbers: Sequence[int]
) -> Iterator[tuple[int, bytes | PointFailure]]:
    for number in numbers:
        evaluator = evaluators.of(job.objective, job.batch_size)
        yield number, attempt(job, evaluator, number, "this process")
