"""Measuring the points of a run with one batch size: the origin, round after round, the origin.

With a fast type (``precision="auto"``), the rounds are measured in it first. Then the points that
:class:`losslandscape.adaptive.two_precisions.TwoPrecisions` asks for are measured in float32, and
their records take the place of the fast ones. If it gives up, the rounds begin again in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from losslandscape.adaptive.allotment import Allotment
from losslandscape.adaptive.refinement import Refinement
from losslandscape.adaptive.two_precisions import FastField, TwoPrecisions
from losslandscape.counted import counted
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import Journal, journal_path
from losslandscape.point import determinism
from losslandscape.point.device_memory import BatchMemoryError
from losslandscape.point.measurement import Measurement
from losslandscape.problem.configuration import Configuration
from losslandscape.progress import Progress
from losslandscape.run.empty_landscape import empty_landscape
from losslandscape.run.failures import Failures
from losslandscape.run.pilot import for_interpolation
from losslandscape.run.point_records import PointFailure, PointJob
from losslandscape.run.resume import Begun
from losslandscape.run.rounds import rounds
from losslandscape.run.settings import Settings
from losslandscape.run.storing import Store
from losslandscape.run.task import Task

# numbers of points -> (number, record or failure) of each
Source = Callable[[list[int]], Iterator[tuple[int, bytes | PointFailure]]]
# makes whoever measures the points of a job ready
Opened = Callable[[PointJob], AbstractContextManager[Source]]
Add = Callable[[int, bytes], None]
_FAILURES_AT_FIRST = 10
_FIXED_AFTER = 10  # points whose batches fitted into memory: then they will fit again


class Points:
    """The points of one run.

    Parameters
    ----------
    task, recipe, settings
        What is measured, and how.
    begun : Begun
        What an earlier run left; its records are not measured again.
    origin : Measurement, optional
        Of the origin on all samples, if it was measured just now.

    Attributes
    ----------
    job : PointJob
        For whoever measures.
    fast_job : PointJob or None
        The same points in a faster type.
    fast_values : ndarray, shape (points, names) or (0, names)
        What was measured in that type; NaN elsewhere.
    both : TwoPrecisions or None
        What was measured in both types, once all points are measured.
    refinement : Refinement or None
    store : Store
    failures : Failures
    """

    def __init__(
        self,
        task: Task,
        recipe: dict[str, Any],
        settings: Settings,
        begun: Begun,
        origin: Measurement | None = None,
    ):
        self.task = task
        self.settings = settings
        allotment = Allotment(**settings.allotment) if settings.allotment else None
        self.refinement = self._new_refinement(allotment, settings.fast_type is not None)
        self.job = PointJob(
            objective=task.objective.shuffled(allotment.seed) if allotment else task.objective,
            subspace=task.subspace,
            points=task.grid.points(),
            batch_size=settings.batch_size,
            threads=settings.threads,
            # with an allotment, points have different numbers of samples
            kept=[] if allotment else recipe["keep_samples"],
            names=settings.names,
            allotment=allotment,
            computer=recipe["computer"],
            draws=settings.draws,
            configuration=Configuration.from_json(settings.configuration),
        )
        self.fast_job: PointJob | None = None
        self.both: TwoPrecisions | None = None
        if settings.fast is not None and settings.fast_type is not None:
            narrower = task.in_precision(settings.fast_type)
            if allotment is not None:
                narrower = narrower.shuffled(allotment.seed)
            self.fast_job = self.job.of(
                narrower, settings.fast["batch_size"], settings.fast_configuration
            )
        count = task.grid.size if self.fast_job is not None else 0
        self.fast_values = np.full((count, len(settings.names)), np.nan)
        self.failures = Failures(self.job.points)
        self._known, self._known_fast = {}, {}
        for number, record in begun.records.items():
            if number <= self.job.origin:
                self._known[number] = record
            else:
                self._known_fast[number - self._first_fast] = record
        self._origin = self._known.pop(self.job.origin, None)
        if origin is not None and allotment is None:
            self._origin = self.job.packed(origin)
        landscape = empty_landscape(task, recipe, settings, self.job)
        self.store = Store(self.job, landscape, begun.journal, task.path)
        for known in (self._known_fast, self._known):
            for number, record in known.items():
                self.store.put(number, record)
        if task.path is not None and begun.journal is None:
            header = {
                "recipe": recipe,
                "settings": settings.to_json(),
                "record_bytes": self.job.record_bytes,
            }
            self.store.journal = Journal.create(journal_path(task.path), header)
            if self._origin is not None:
                self.store.journal.append(self.job.origin, self._origin)

    @property
    def _first_fast(self) -> int:
        """Number in the journal of the first point in the fast type."""
        return self.job.origin + 1

    def _new_refinement(self, allotment: Allotment | None, two_types: bool) -> Refinement | None:
        if self.task.adaptive is None:
            return None
        adaptive = for_interpolation(self.task.adaptive, allotment, two_types)
        return Refinement(self.task.grid, adaptive)

    def measure(self, opened: Opened) -> None:
        """Measure all points that the run needs, and the origin before and after them.

        Raises
        ------
        BatchMemoryError
            If memory does not hold a batch, and the run may begin anew with a smaller one.
        LossLandscapeError
            If the origin or the first ten points fail, or the origin's value has changed.
        """
        fast = None
        if self.fast_job is not None:
            with opened(self.fast_job) as source:
                fast = self._measure_fast(source)
        with opened(self.job) as source:
            if self._origin is None:  # with an allotment it is not what was measured at first
                self._origin = self._measured_origin(source)
                if self.store.journal is not None:
                    self.store.journal.append(self.job.origin, self._origin)
            self._check_origin(self._origin)
            if fast is None or not self._measure_in_both(source, fast):
                # a view, which the store fills
                losses = self.store.landscape.fields["loss"].reshape(-1)
                self._measure_rounds(losses, source, self._known, self.store.add)
            self._compare_origin(self._origin, self._measured_origin(source))

    def _measure_fast(self, source: Source) -> FastField:
        """All points that the run needs, in the fast type."""
        losses, errors = (
            self.fast_values[:, self.job.names.index(name)]
            for name in ("loss", "loss_standard_error")
        )

        def put(number: int, record: bytes) -> None:
            self.fast_values[number] = self.job.unpack(record)[0]

        def add(number: int, record: bytes) -> None:
            self.store.add(number, record, under=self._first_fast + number)
            put(number, record)

        measured = np.zeros(self.task.grid.size, bool)
        for number, record in self._known_fast.items():
            put(number, record)
        for numbers in self._measure_rounds(losses, source, self._known_fast, add):
            measured[numbers] = True
        whole = losses if self.refinement is None else self.refinement.interpolated(losses)[0]
        return FastField(losses, errors, measured, self.task.grid.shape, whole)

    def _measure_in_both(self, source: Source, fast: FastField) -> bool:
        """Points in float32, in place of the fast ones; False if all have to be measured in it."""
        adaptive = self.task.adaptive
        scale = self.refinement.model.scale if self.refinement and self.refinement.model else None
        seed = adaptive.seed if adaptive is not None else 0
        self.both = TwoPrecisions(fast, self.task.tolerance, scale, seed)
        losses = np.full(self.task.grid.size, np.nan)
        place = self.job.names.index("loss")

        def put(number: int, record: bytes) -> None:
            losses[number] = self.job.unpack(record)[0][place]

        def add(number: int, record: bytes) -> None:
            self.store.add(number, record)
            self._known[number] = record
            put(number, record)

        for number, record in self._known.items():
            put(number, record)
        if self.job.allotment is not None:
            # a difference between means over other samples would be one of sampling
            taken = self.fast_values[:, self.job.names.index("loss_sample_count")]
            self.job.counts = {int(n): int(taken[n]) for n in np.flatnonzero(np.isfinite(taken))}
        most = int(fast.measured.sum())
        with self._progress("points in float32", most, len(self._known)) as progress:
            while (numbers := self.both.next_round(losses)).size:
                progress.total = int(self.both.in_both.sum())
                self._measure_missing(numbers, source, self._known, add, progress)
        if not self.both.fallen_back:
            return True
        self.store.clear()
        self.job.counts = {}
        for number, record in self._known.items():
            self.store.put(number, record)
        self.refinement = self._new_refinement(self.job.allotment, two_types=False)
        return False

    def _check_origin(self, record: bytes) -> None:
        """Of a journal that an older version wrote, or of the samples in another order."""
        loss = float(self._numbers(record)[0][self.job.names.index("loss")])
        if not math.isfinite(loss):
            raise LossLandscapeError(
                f"the loss at the center, at the model's own weights, is {loss}: there is no "
                "landscape around it. Give other weights or data, and another output"
            )

    def _measured_origin(self, source: Source) -> bytes:
        number = self.job.origin
        record = next(iter(source([number])))[1]
        if isinstance(record, PointFailure):
            self.failures[number] = record
            kind = BatchMemoryError if record.too_large else LossLandscapeError
            raise kind(f"the origin cannot be measured: {self.failures.describe(number)}")
        return record

    def _measure_rounds(
        self, losses: np.ndarray, source: Source, known: dict[int, bytes], add: Add
    ) -> list[np.ndarray]:
        """Measure all rounds, and return their points; ``add`` puts losses into ``losses``."""
        found = []
        name = "loss surface"
        if known is self._known_fast:
            name += f" in {self.settings.fast_type}"
        with self._progress(name, self.task.grid.size, len(known)) as progress:
            for numbers in rounds(losses, self.refinement, progress):
                self._measure_missing(numbers, source, known, add, progress)
                found.append(numbers)
        return found

    def _progress(self, name: str, most: int, done: int) -> Progress:
        return Progress(
            most,
            name,
            done=done,
            quiet=self.task.quiet,
            work=self._work(),
            unit="points",
            at_most=most,
        )

    def _measure_missing(
        self,
        numbers: np.ndarray,
        source: Source,
        known: dict[int, bytes],
        add: Add,
        progress: Progress,
    ) -> None:
        missing = [int(n) for n in numbers if int(n) not in known]
        for number, record in source(missing):
            if isinstance(record, PointFailure):
                self._fail(number, record)
            else:
                self.failures.pop(number, None)
                add(number, record)
                progress.advance()

    def _fail(self, number: int, failure: PointFailure) -> None:
        self.failures[number] = failure
        if failure.too_large and may_halve(self.task, self.settings.batch_size, self.store.stored):
            raise BatchMemoryError(failure.error)
        if len(self.failures) >= _FAILURES_AT_FIRST and not self.store.stored:
            raise LossLandscapeError(
                f"the first {len(self.failures)} points all failed; "
                f"{self.failures.describe(number)}"
            )

    def _compare_origin(self, first: bytes, last: bytes) -> None:
        """Whether the origin's values are the same as before; the file states it."""
        one, other = (np.concatenate(self._numbers(record)) for record in (first, last))
        found = determinism.difference(self.job.names, one, other)
        journal = self.store.journal.path if self.store.journal is not None else None
        determinism.refuse_difference(self.task.objective, found, journal)
        self.store.landscape.provenance["determinism"] = {
            "origin_loss": float(one[self.job.names.index("loss")]),
            **found,
            **{key: value for key, value in self.settings.observed.items() if key != "weights"},
        }

    def _numbers(self, record: bytes) -> list[np.ndarray]:
        """A record's values, and the per-sample losses of each kept set."""
        values, samples = self.job.unpack(record)
        return [values, *samples.values()]

    def _work(self) -> str:
        """What will be measured, for the progress display."""
        grid, passes = self.task.grid, self.settings.passes
        counts = " x ".join(map(str, grid.counts))
        sizes = " and ".join(
            f"{len(samples):,} samples of '{name}'"
            for name, samples in self.task.objective.sets.items()
        )
        words = f"{counts} = {grid.size:,} points"
        if self.refinement is not None:
            words = f"at most {words}, interpolated where the tolerance allows it"
        part = "at most " if self.job.allotment is not None else ""
        each = f"{sizes}, {counted(passes, 'forward pass', 'forward passes')}"
        return f"{words}; {part}{each} each"


def may_halve(task: Task, batch_size: int | None, stored: int) -> bool:
    """Whether a smaller batch size may be taken: the caller gave none, and few points have one.

    ``batch_size`` is the present one, if it is known, and ``stored`` the number of its points.
    """
    return (
        task.batch_size is None
        and batch_size is not None
        and batch_size > 1
        and stored < _FIXED_AFTER
    )
