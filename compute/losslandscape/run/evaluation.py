"""Evaluate an objective on a grid of a subspace."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from losslandscape.adaptive.allotment import (
    PILOT,
    SHARE,
    Allotment,
    may_be_worthwhile,
    tried,
    worthwhile,
)
from losslandscape.adaptive.refinement import (
    Adaptive,
    Refinement,
    coarse_points,
    interpolate,
    nearest,
)
from losslandscape.argument_checks import check_kind, whole_number
from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.journal import Journal, journal_path, trajectory_journal_path
from losslandscape.files.output_lock import OutputLock
from losslandscape.files.relative_paths import seen_from
from losslandscape.landscape.identity import described_plane, meaning
from losslandscape.landscape.landscape import (
    EVALUATED,
    INTERPOLATED,
    NOT_EVALUATED,
    NOT_FINITE,
    Landscape,
)
from losslandscape.landscape.overlays import ModelPoint
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.point import determinism
from losslandscape.point.batch_size import BatchMemoryError, release_memory
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import Measurement, mean_loss
from losslandscape.problem.objective import Objective
from losslandscape.progress import Progress
from losslandscape.run.computer import computer
from losslandscape.run.executors import PointPool
from losslandscape.run.point_records import PointFailure, PointJob, attempt, summarised
from losslandscape.run.projected_trajectory import (
    check_trajectory,
    measure_trajectory,
    warn_outside,
)

if TYPE_CHECKING:
    from losslandscape.training.trajectory import Trajectory

KEEP_SAMPLES_BYTES = 64 << 20
# numbers of points -> (number, record or failure) of each
Source = Callable[[list[int]], Iterator[tuple[int, bytes | PointFailure]]]
_REWRITE_SECONDS = 1.0  # at least, between two writings of the unfinished file
_REWRITE_SHARE = 0.02  # of the time that the writings may take
_FAILURES_AT_FIRST = 10
_ORDER = "evaluate(objective, subspace, grid)"
_FIXED_AFTER = 10  # points whose batches fitted into memory: then they will fit again


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
    trajectory: Trajectory | None = None,
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
    path : path, optional
        A netCDF file to write, ``.nc``.
    overwrite : bool
        Replace what is there; an unfinished run of the same recipe still goes on.
    keep_samples : bool, optional
        Keep the per-sample losses (needed to tell noise from structure); by default while they
        take under 64 MB.
    trajectory : Trajectory, optional
        Projected and measured as well, as by :meth:`Landscape.add_trajectory`.
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
        writing ``path``, a worker cannot open the objective, or the first ten points all fail.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(model.weight, 2.0)
    >>> objective = Objective(model, "mse", (torch.ones(1, 1), torch.zeros(1, 1)))
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> evaluate(objective, line, Grid.line(3)).values("loss")
    array([1., 4., 9.])
    """
    check_kind("objective", objective, Objective, _ORDER)
    check_kind("subspace", subspace, Subspace, _ORDER)
    grid = subspace.default_grid() if grid is None else grid
    check_kind("grid", grid, Grid, "Grid.square(51), or Grid.rectangle((61, 41), bounds)")
    if batch_size is not None:
        batch_size = whole_number("batch_size", batch_size)
    if grid.dimensions != subspace.dimensions:
        raise LossLandscapeError(
            f"the grid has {grid.dimensions} dimensions and the subspace {subspace.dimensions}"
        )
    if subspace.recipe["kind"] == "between" and objective.batch_norm == "fixed":
        warnings.warn(
            "between models there is no one set of batch-norm statistics to keep: "
            "they are re-estimated at each point (batch_norm='reestimated')",
            stacklevel=2,
        )
        objective = objective.with_batch_norm("reestimated")
    if trajectory is not None:
        check_trajectory(objective, subspace, trajectory)
    if tolerance is not None and not isinstance(tolerance, Adaptive):
        tolerance = Adaptive(tolerance)
    with OutputLock(path) if path is not None else nullcontext():
        run = _Run(
            objective, subspace, grid, tolerance, batch_size, path, overwrite, keep_samples, title,
            provenance, quiet,
        )  # fmt: skip
        try:
            return run.finish(executor, trajectory)
        except KeyboardInterrupt as error:
            error.args = run.kept()  # the last line of the traceback
            raise


class _Run:
    """One evaluation from its recipe to the finished landscape."""

    def __init__(
        self, objective, subspace, grid, adaptive, batch_size, path, overwrite, keep_samples, title,
        provenance, quiet,
    ):  # fmt: skip
        self.objective: Objective = objective
        self.subspace: Subspace = subspace
        self.grid: Grid = grid
        self.adaptive: Adaptive | None = adaptive
        self.batch_size: int | None = batch_size
        self.refinement: Refinement | None = None
        self.allotment: Allotment | None = None
        self.may_allot = adaptive is not None and keep_samples is not True
        self.path = Path(path) if path is not None else None
        self.quiet = quiet
        self.recipe: dict[str, Any] = {
            "subspace": described_plane(subspace),
            "grid": grid.to_json(),
            "objective": objective.to_json(),
            "keep_samples": self._kept_sets(keep_samples),
        }
        if adaptive is not None:
            self.recipe["adaptive"] = adaptive.to_json()
        self.recipe["computer"] = computer(objective.device)
        self.labels = {"title": title, **(provenance or {})}
        try:
            json.dumps(self.labels)
        except (TypeError, ValueError) as error:
            raise LossLandscapeError(f"title and provenance must be JSON: {error}") from error
        self.journal: Journal | None = None
        self.records: dict[int, bytes] = {}
        self.failures: dict[int, PointFailure] = {}
        self.origin: bytes | None = None  # the record of its first evaluation
        self.measured_origin: Measurement | None = None
        self.settings: dict[str, Any] = {}
        self.halved: int | None = None  # the batch size, where the one found did not stay in memory
        self.stored = 0  # points
        if self.path is not None:
            self._claim(self.path, overwrite)

    def _kept_sets(self, keep: bool | None) -> list[str]:
        """The sets whose per-sample losses are kept, in order, within the budget."""
        kept, used = [], 0
        for name, samples in self.objective.sets.items():
            needed = 4 * self.grid.size * len(samples)
            if keep or (keep is None and used + needed < KEEP_SAMPLES_BYTES):
                kept.append(name)
                used += needed
        return kept

    def _claim(self, path: Path, overwrite: bool) -> None:
        """Find an unfinished run at the path, or make sure that the path is free."""
        journal = journal_path(path)
        if journal.exists():
            difference = None
            try:
                difference = _difference(Journal.header_of(journal)["recipe"], self.recipe)
            except FileFormatError:
                if not overwrite:
                    raise
                difference = "journal"
            if difference is None:
                self.journal, self.records = Journal.resume(journal)
                self.settings = self.journal.header["settings"]
                return
            if not overwrite:
                raise LossLandscapeError(
                    f"{path}: an unfinished run lies there ({journal.name}), and its {difference} "
                    f"is not the same{meaning(difference)}; give the same arguments to go on, "
                    "another output, or overwrite it (--overwrite)"
                )
            journal.unlink()
        if path.exists() and not overwrite:
            raise OutputExistsError(
                f"{path}: exists; choose another name or overwrite it (overwrite=True, --overwrite)"
            )
        elif not path.parent.is_dir():
            raise LossLandscapeError(f"{path}: the folder {path.parent} does not exist; create it")

    def finish(self, executor: Executor | None, trajectory: Trajectory | None) -> Landscape:
        threads = self.settings.get("threads", torch.get_num_threads())
        with using_threads(threads):
            while True:
                try:
                    self._measure_points(executor, threads)
                    break
                except BatchMemoryError:
                    if not self._may_halve():
                        raise
                self._begin_anew()
            if self.refinement is not None:
                self._interpolate(self.refinement)
            self._tell_failures()
            self._measure_models()
            if trajectory is not None:
                self.result.trajectories = [
                    measure_trajectory(
                        self.objective,
                        self.subspace,
                        trajectory,
                        quiet=self.quiet,
                        batch_size=self.settings["batch_size"],
                        journal=trajectory_journal_path(self.path) if self.path else None,
                    )
                ]
                warn_outside(self.grid, self.result.trajectories[0])
            if self.path is not None:
                self.result.save(self.path, overwrite=True)
            if self.journal is not None and not self.failures:
                self.journal.remove()
        return self.result

    def kept(self) -> tuple[str, ...]:
        """What an interrupted run leaves, for people; nothing where it leaves nothing."""
        if self.journal is None or not self.stored or not self.journal.path.exists():
            return ()
        return (
            f"{self.stored:,} of {self.grid.size:,} points are in {self.journal.path}, and the "
            "same call goes on",
        )

    def _measure_points(self, executor: Executor | None, threads: int) -> None:
        if not self.settings:
            size = self.batch_size or self.halved
            with Evaluator(self.objective, self.subspace, size) as evaluator:
                self.settings = self._new_settings(evaluator, threads)
            self.settings["allotment"] = self._pilot(self.settings["batch_size"])
        self._prepare()
        with self.journal or nullcontext():
            if executor is None:
                batch_size = self.settings["batch_size"]
                with Evaluator(self.job.objective, self.subspace, batch_size) as evaluator:
                    self._collect_and_check(
                        lambda numbers: (
                            (n, attempt(self.job, evaluator, n, "this process")) for n in numbers
                        )
                    )
            else:
                with PointPool(executor, self.job) as pool:
                    self._collect_and_check(pool.records)
                if not self.quiet and pool.use.workers:
                    print(pool.use.describe(), file=sys.stderr)

    def _may_halve(self) -> bool:
        """Whether a smaller batch size may be taken: one that nobody gave, and few points have."""
        given = self.batch_size or self.objective.batch_size
        size = self.settings.get("batch_size", self.halved)
        return given is None and size is not None and size > 1 and self.stored < _FIXED_AFTER

    def _begin_anew(self) -> None:
        """Drop what was measured and go on with half the batch size: a file has one size."""
        size = self.settings.get("batch_size", self.halved)
        assert size is not None
        self.halved = size // 2
        warnings.warn(
            f"memory does not hold batches of {size} samples any more: the run begins anew with "
            f"{self.halved}, since the last bits of the values depend on it (batch_size, "
            "--batch-size)",
            stacklevel=4,
        )
        # the journal stays until the new one takes its place
        self.journal, self.records, self.failures = None, {}, {}
        self.settings, self.origin, self.measured_origin, self.stored = {}, None, None, 0
        release_memory(self.objective.device)

    def _new_settings(self, evaluator: Evaluator, threads: int) -> dict[str, Any]:
        """What is found out once and kept in the journal."""
        origin, observed = determinism.observe(evaluator)
        determinism.refuse_observed(self.objective, observed)
        self.measured_origin = origin
        return {
            "batch_size": evaluator.batch_size,
            "threads": threads,
            "names": list(summarised(origin, self.objective.prefixes)),
            "deviation": evaluator.deviation_on(self.grid),
            "observed": observed,
            "passes": evaluator.passes,
        }

    def _pilot(self, batch_size: int) -> dict[str, Any] | None:
        """Whether a part of the samples will do, found from a few of them at the coarse grid."""
        main = next(iter(self.objective.sets.values()))
        ragged = any(samples.ragged for samples in self.objective.sets.values())
        if not self.may_allot or ragged or not may_be_worthwhile(len(main)):
            return None
        if coarse_points(self.grid).size == self.grid.size:
            return None
        assert self.adaptive is not None
        few = self.objective.shuffled(self.adaptive.seed).limited(PILOT)
        points = self.grid.points()[coarse_points(self.grid)]
        means, deviations = [], []
        with (
            Evaluator(few, self.subspace, min(batch_size, PILOT)) as evaluator,
            Progress(
                len(points),
                "pilot",
                quiet=self.quiet,
                work=f"{len(points):,} points of {PILOT} samples, to see whether a part will do",
                unit="points",
            ) as progress,
        ):
            for point in points:
                losses = next(iter(evaluator.measure(point).values()))["loss"].astype(np.float64)
                with np.errstate(all="ignore"):
                    means.append(float(losses.mean()))
                    deviations.append(float(losses.std(ddof=1)))
                progress.advance()
        found = worthwhile(
            means, deviations, len(main), self.adaptive.tolerance, self.adaptive.scale
        )
        if found is None:
            return None
        assert self.measured_origin is not None
        losses = next(iter(self.measured_origin.values()))["loss"]
        checked = tried(replace(found, seed=self.adaptive.seed), losses, batch_size)
        return checked.to_json() if checked else None

    def _prepare(self) -> None:
        """The job, the landscape with what is there already, and the journal."""
        allotted = self.settings.get("allotment")
        self.allotment = Allotment(**allotted) if allotted else None
        if self.adaptive is not None:
            self.refinement = Refinement(self.grid, self._interpolation(self.adaptive))
        self.job = PointJob(
            self.objective.shuffled(self.allotment.seed) if self.allotment else self.objective,
            self.subspace,
            self.grid.points(),
            self.settings["batch_size"],
            self.settings["threads"],
            [] if self.allotment else self.recipe["keep_samples"],  # else of different numbers
            self.settings["names"],
            self.allotment,
            self.recipe["computer"],
            bool(self.settings.get("observed", {}).get("random_numbers")),
        )
        self.result = self._empty()
        self.origin = self.records.pop(self.job.origin, None)
        if self.measured_origin is not None and self.allotment is None:
            self.origin = self.job.packed(self.measured_origin)
        self.measured_origin = None
        for number, payload in self.records.items():
            self._store(number, payload)
        if self.path is not None and self.journal is None:
            header = {
                "recipe": self.recipe,
                "settings": self.settings,
                "record_bytes": self.job.record_bytes,
            }
            self.journal = Journal.create(journal_path(self.path), header)
            if self.origin is not None:
                self.journal.append(self.job.origin, self.origin)

    def _interpolation(self, adaptive: Adaptive) -> Adaptive:
        """What sampling leaves of the tolerance; the two errors are independent."""
        if self.allotment is None:
            return adaptive
        return replace(adaptive, tolerance=adaptive.tolerance * float(np.sqrt(1 - SHARE**2)))

    def _collect_and_check(self, source: Source) -> None:
        """All points, and the origin before and after them: is it the same?"""

        def origin() -> bytes:
            record = next(iter(source([self.job.origin])))[1]
            if isinstance(record, PointFailure):
                self.failures[self.job.origin] = record
                kind = BatchMemoryError if record.too_large else LossLandscapeError
                raise kind(f"the origin cannot be measured: {self._failed_point(self.job.origin)}")
            return record

        if self.origin is None:  # with an allotment it is not what was measured at first
            self.origin = origin()
            if self.journal is not None:
                self.journal.append(self.job.origin, self.origin)
        self._collect(source)
        first, last = (self._values_of(record) for record in (self.origin, origin()))
        found = determinism.difference(self.job.names, first, last)
        journal = self.journal.path if self.journal is not None else None
        determinism.refuse_difference(self.objective, found, journal)
        observed = self.settings.get("observed", {})
        self.result.provenance["determinism"] = {
            "origin_loss": float(first[self.job.names.index("loss")]),
            **found,
            **observed,
        }

    def _values_of(self, record: bytes) -> np.ndarray:
        """A record's values and losses by sample, one after the other."""
        values, samples = self.job.unpack(record)
        return np.concatenate([values, *samples.values()])

    def _collect(self, source: Source) -> None:
        started = written = time.monotonic()
        writing = 0.0  # seconds that the unfinished file has taken
        done = len(self.records)
        with Progress(
            self.grid.size,
            "loss surface",
            done=done,
            quiet=self.quiet,
            work=self._work(),
            unit="points",
            at_most=self.grid.size,
        ) as progress:
            for numbers in self._rounds(progress):
                missing = [int(n) for n in numbers if int(n) not in self.records]
                for number, payload in source(missing):
                    if isinstance(payload, PointFailure):
                        self._fail(number, payload)
                        continue
                    if self.journal is not None:
                        self.journal.append(number, payload)
                    self._store(number, payload)
                    progress.advance()
                    now = time.monotonic()
                    cheap = writing <= _REWRITE_SHARE * (now - started)
                    if self.path is not None and cheap and now - written > _REWRITE_SECONDS:
                        self._save_unfinished(self.path)
                        written = time.monotonic()
                        writing += written - now

    def _work(self) -> str:
        """What will be evaluated, for people."""
        counts = " x ".join(map(str, self.grid.counts))
        sizes = " and ".join(
            f"{len(samples):,} samples of '{name}'" for name, samples in self.objective.sets.items()
        )
        words = f"{counts} = {self.grid.size:,} points"
        if self.refinement is not None:
            words = f"at most {words}, interpolated where the tolerance allows it"
        part = "at most " if self.allotment is not None else ""
        passes = self.settings.get("passes", 0)
        each = f"{sizes}, {passes:,} forward pass{'' if passes == 1 else 'es'}"
        return f"{words}; {part}{each} each"

    def _fail(self, number: int, failure: PointFailure) -> None:
        self.failures[number] = failure
        if failure.too_large and self._may_halve():
            raise BatchMemoryError(failure.error)
        if len(self.failures) >= _FAILURES_AT_FIRST and not self.stored:
            raise LossLandscapeError(
                f"the first {len(self.failures)} points all failed; {self._failed_point(number)}"
            )

    def _failed_point(self, number: int) -> str:
        failure = self.failures[number]
        place = ", ".join(f"{x:g}" for x in self.job.points[number])
        return f"at ({place}), on {failure.worker}: {failure.error}"

    def _tell_failures(self) -> None:
        """What failed goes into the file and is said."""
        if not self.failures:
            return
        self.result.provenance["failed_points"] = [
            {"coordinates": [float(x) for x in self.job.points[number]], "error": failure.error}
            for number, failure in sorted(self.failures.items())
        ]
        again = "; the same call tries them again" if self.path is not None else ""
        warnings.warn(
            f"{len(self.failures)} points could not be measured and are left out; the first "
            f"{self._failed_point(min(self.failures))}{again}",
            stacklevel=4,
        )

    def _rounds(self, progress: Progress) -> Iterator[np.ndarray]:
        """Numbers of the points to evaluate, a round at a time.

        A resumed refinement goes through its first rounds again: they follow from the values.
        """
        if self.refinement is None:
            yield np.arange(self.grid.size)
            return
        evaluated = np.zeros(self.grid.size, bool)
        while True:
            loss = self.result.fields["loss"].ravel()
            numbers = self.refinement.next_round(loss, evaluated)
            progress.total = int(evaluated.sum()) + numbers.size
            progress.note = self.refinement.describe()
            if not numbers.size:
                return
            yield numbers
            evaluated[numbers] = True

    def _interpolate(self, refinement: Refinement) -> None:
        """Fill the points that were not evaluated, and say how well."""
        shape = self.grid.shape
        evaluated = (self.result.status != NOT_EVALUATED).ravel()
        # another SciPy may have led the first part of a resumed run to other points
        refinement.absorb(self.result.fields["loss"].ravel(), evaluated)
        for name in list(self.result.fields):
            values = self.result.fields[name].ravel()
            if name.endswith("sample_count"):
                whole, error = nearest(self.grid, values, evaluated), None
            elif name == "loss":
                whole, error = refinement.interpolated(values)
            else:
                whole, error = interpolate(self.grid, values, evaluated)
            self.result.fields[name] = whole.reshape(shape)
            if error is not None and not name.endswith("standard_error"):
                error_name = f"{name}_interpolation_error"
                self.result.fields[error_name] = error.reshape(shape)
                titles = self.result.provenance["quantities"]
                titles[error_name] = f"estimated interpolation error of the {titles[name] or name}"
        self.result.status[self.result.status == NOT_EVALUATED] = INTERPOLATED
        done = refinement.to_json()
        if self.allotment is not None:
            assert self.adaptive is not None
            counts = self.result.fields["loss_sample_count"].ravel()[evaluated]
            size = len(next(iter(self.objective.sets.values())))
            done["interpolation_tolerance"] = done["tolerance"]
            done["tolerance"] = self.adaptive.tolerance
            done["allotment"] = {
                **self.allotment.to_json(),
                "passes": float(counts.sum()) / size,
                "largest_share": float(counts.max()) / size,
            }
        self.result.provenance["adaptive"] = done

    def _empty(self) -> Landscape:
        shape = self.grid.shape
        samples = {
            f"{self.objective.prefixes[name]}loss_samples": np.full(
                (*shape, len(self.objective.sets[name])), np.nan, np.float32
            )
            for name in self.job.kept
        }
        names = self.settings["names"]
        deviation = self.settings.get("deviation")  # of a faster arithmetic from the plain one
        provenance = {
            **self.labels,
            **{key: value for key, value in self.recipe.items() if key != "computer"},
            "subspace": self.recipe["subspace"],
            "objective": {
                **self.recipe["objective"],
                "sets": self._described_sets(),
                "batch_size": self.settings["batch_size"],
                "threads": self.settings["threads"],
                **({"deviation": deviation} if deviation is not None else {}),
            },
            "keep_samples": self.job.kept,
            "direction_names": list(self.subspace.direction_names),
            "quantities": {**dict.fromkeys(names, ""), **_titles(names, self.objective)},
            "versions": self.recipe["computer"],
        }
        checkpoints = self.subspace.trajectory_folder
        if checkpoints is not None and self.path is not None:
            place = self.path.absolute().parent
            provenance["trajectory_folder"] = seen_from(place, checkpoints)
        return Landscape(
            grid=self.grid,
            fields={name: np.full(shape, np.nan) for name in names},
            status=np.full(shape, NOT_EVALUATED, np.int8),
            gram_matrix=self.subspace.gram_matrix,
            provenance=provenance,
            samples=samples,
            _measured=(self.objective, self.subspace),
        )

    def _described_sets(self) -> dict[str, dict]:
        """The sets of samples; for error bars also the size of the data they are from."""
        sets = {}
        for name, described in self.recipe["objective"]["sets"].items():
            size = self.objective.dataset_samples.get(name)
            if self.allotment is not None:
                size = size or described["samples"]
            sets[name] = {**described, **({"dataset_samples": size} if size else {})}
        return sets

    def _store(self, number: int, payload: bytes) -> None:
        # views by number: a grid has up to millions of points, and each index by axes takes longer
        self.stored += 1
        values, samples = self.job.unpack(payload)
        by_name = dict(zip(self.job.names, values.tolist()))
        for name, value in by_name.items():
            self.result.fields[name].reshape(-1)[number] = value
        for name, losses in samples.items():
            kept = self.result.samples[f"{self.objective.prefixes[name]}loss_samples"]
            kept.reshape(self.grid.size, -1)[number] = losses
        finite = math.isfinite(by_name["loss"])
        self.result.status.reshape(-1)[number] = EVALUATED if finite else NOT_FINITE

    def _save_unfinished(self, path: Path) -> None:
        """Write what there is, for people to look at; the samples are in the journal."""
        try:
            dataclasses.replace(self.result, samples={}).save(path, overwrite=True)
        except LossLandscapeError as error:  # the journal has everything; the run goes on
            warnings.warn(f"the unfinished landscape was not written: {error}", stacklevel=2)

    def _measure_models(self) -> None:
        if not self.subspace.points:
            return
        with Evaluator(self.objective, self.subspace, self.settings["batch_size"]) as evaluator:
            self.result.models = [
                ModelPoint(p.label, p.coordinates, mean_loss(evaluator.measure(p.coordinates)))
                for p in self.subspace.points
            ]


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """PyTorch's number of CPU threads, for the while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _difference(found: Any, wanted: Any, name: str = "") -> str | None:
    """Where two recipes first differ, such as ``objective.loss``; None where they do not."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            inner = f"{name}.{key}" if name else str(key)
            if key not in found or key not in wanted:
                return inner
            difference = _difference(found[key], wanted[key], inner)
            if difference is not None:
                return difference
        return None
    return None if found == wanted else name


def _titles(names: Sequence[str], objective: Objective) -> dict[str, str]:
    """What each variable is called in figures."""
    titles = {}
    for prefix, loss_title in zip(objective.prefixes.values(), objective.quantities.values()):
        for name in names:
            if not name.startswith(prefix):
                continue
            quantity = name.removeprefix(prefix)
            if quantity == "loss":
                titles[name] = loss_title
            elif quantity == "loss_standard_error":
                titles[name] = f"standard error of the {loss_title}"
            elif quantity == "loss_sample_count":
                titles[name] = "number of samples"
            else:
                titles[name] = f"{prefix}{quantity}".replace("_", " ")
    return titles
