"""Evaluate an objective on a grid of a subspace."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import platform
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from losslandscape import __version__
from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.grid import Grid
from losslandscape.journal import Journal, journal_path
from losslandscape.landscape import (
    EVALUATED,
    NOT_EVALUATED,
    NOT_FINITE,
    Landscape,
    ModelPoint,
    ProjectedTrajectory,
)
from losslandscape.objective import Evaluator, Measurement, Objective
from losslandscape.progress import Progress
from losslandscape.subspace import Subspace

if TYPE_CHECKING:
    from losslandscape.trajectory import Trajectory

KEEP_SAMPLES_BYTES = 64 << 20
_REWRITE_SECONDS = 30.0


def evaluate(
    objective: Objective,
    subspace: Subspace,
    grid: Grid | None = None,
    *,
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
    rewritten every half minute, and the same call goes on where an interrupted one stopped, with
    the batch size and the number of threads of the first: the result is the same to the bit.

    Parameters
    ----------
    grid : Grid, optional
        51 points a side: around the trajectory or the models of the subspace, else +-1.
    executor : concurrent.futures.Executor, optional
        Where points are computed; in this process by default. The objective must be picklable.
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
        take the data, or an unfinished run at ``path`` was of something else.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(model.weight, 2.0)
    >>> objective = Objective(model, "mse", (torch.ones(1, 1), torch.zeros(1, 1)))
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> evaluate(objective, line, Grid.line(3)).values("loss")
    array([1., 4., 9.])
    """
    grid = grid or subspace.default_grid()
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
    run = _Run(objective, subspace, grid, path, overwrite, keep_samples, title, provenance, quiet)
    return run.finish(executor, trajectory)


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
            loss[i] = _mean(evaluator.measure(coordinates))
            checkpoint_loss[i] = _mean(
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


def _mean(measurement: Measurement) -> float:
    """Mean loss of the first set."""
    return float(np.mean(next(iter(measurement.values()))["loss"], dtype=np.float64))


class _Job:
    """What a worker needs to measure points, and how a point becomes a record of the journal.

    A record is the float64 values of ``names`` followed by the float32 losses of the kept samples.
    """

    def __init__(self, objective, subspace, points, batch_size, threads, kept, names):
        self.objective: Objective = objective
        self.subspace: Subspace = subspace
        self.points: np.ndarray = points
        self.batch_size: int = batch_size
        self.threads: int = threads
        self.kept: list[str] = kept
        self.names: list[str] = names

    @property
    def record_bytes(self) -> int:
        kept = sum(len(self.objective.sets[name]) for name in self.kept)
        return 8 * len(self.names) + 4 * kept

    def record(self, evaluator: Evaluator, number: int) -> bytes:
        measurement = evaluator.measure(self.points[number])
        values = summarised(measurement, self.objective.prefixes)
        numbers = np.array([values[name] for name in self.names])
        samples = [measurement[name]["loss"].astype(np.float32).tobytes() for name in self.kept]
        return numbers.tobytes() + b"".join(samples)

    def unpack(self, payload: bytes) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        split = 8 * len(self.names)
        flat = np.frombuffer(payload[split:], dtype=np.float32)
        ends = np.cumsum([len(self.objective.sets[name]) for name in self.kept])[:-1]
        return np.frombuffer(payload[:split]), dict(zip(self.kept, np.split(flat, ends)))


def summarised(measurement: Measurement, prefixes: dict[str, str]) -> dict[str, float]:
    """Means over the samples, and the standard error s / sqrt(n) of the mean loss, by variable.

    Examples
    --------
    >>> summarised({"train": {"loss": np.array([1.0, 3.0])}}, {"train": ""})
    {'loss': 2.0, 'loss_standard_error': 1.0, 'loss_sample_count': 2.0}
    """
    values: dict[str, float] = {}
    with np.errstate(all="ignore"):  # losses may be infinite; that is a result
        for name, quantities in measurement.items():
            prefix = prefixes[name]
            for quantity, by_sample in quantities.items():
                wide = by_sample.astype(np.float64)
                values[f"{prefix}{quantity}"] = float(wide.mean())
                if quantity == "loss":
                    count = len(wide)
                    error = wide.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
                    values[f"{prefix}loss_standard_error"] = float(error)
                    values[f"{prefix}loss_sample_count"] = float(count)
    return values


class _Run:
    """One evaluation from its recipe to the finished landscape."""

    def __init__(
        self, objective, subspace, grid, path, overwrite, keep_samples, title, provenance, quiet
    ):
        self.objective: Objective = objective
        self.subspace: Subspace = subspace
        self.grid: Grid = grid
        self.path = Path(path) if path is not None else None
        self.quiet = quiet
        self.recipe: dict[str, Any] = {
            "subspace": {**subspace.recipe, "sha256": subspace.identity},
            "grid": grid.to_json(),
            "objective": objective.to_json(),
            "keep_samples": self._kept_sets(keep_samples),
        }
        self.recipe["computer"] = _computer(objective)
        self.labels = {"title": title, **(provenance or {})}
        try:
            json.dumps(self.labels)
        except (TypeError, ValueError) as error:
            raise LossLandscapeError(f"title and provenance must be JSON: {error}") from error
        self.journal: Journal | None = None
        self.records: dict[int, bytes] = {}
        self.settings: dict[str, Any] = {}
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
                    "is not the same; give the same arguments to go on, another output, or "
                    "overwrite it (--overwrite)"
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
        with ExitStack() as stack:
            stack.enter_context(_threads(threads))
            with Evaluator(
                self.objective, self.subspace, self.settings.get("batch_size")
            ) as evaluator:
                if not self.settings:
                    names = list(
                        summarised(
                            evaluator.measure((0.0,) * self.subspace.dimensions),
                            self.objective.prefixes,
                        )
                    )
                    self.settings = {
                        "batch_size": evaluator.batch_size,
                        "threads": threads,
                        "names": names,
                    }
                self.job = _Job(
                    self.objective,
                    self.subspace,
                    self.grid.points(),
                    self.settings["batch_size"],
                    threads,
                    self.recipe["keep_samples"],
                    self.settings["names"],
                )
                self.result = self._empty()
                for number, payload in self.records.items():
                    self._store(number, payload)
                if self.path is not None and self.journal is None:
                    header = {
                        "recipe": self.recipe,
                        "settings": self.settings,
                        "record_bytes": self.job.record_bytes,
                    }
                    self.journal = Journal.create(journal_path(self.path), header)
                if self.journal is not None:
                    stack.enter_context(self.journal)
                todo = [n for n in range(self.grid.size) if n not in self.records]
                if executor is None:
                    source = ((n, self.job.record(evaluator, n)) for n in todo)
                    self._collect(source)
            if executor is not None:
                self._collect(_through(executor, self.job, todo))
            self._measure_models()
            if trajectory is not None:
                self.result.trajectories = [
                    measure_trajectory(
                        self.objective,
                        self.subspace,
                        trajectory,
                        quiet=self.quiet,
                        batch_size=self.settings["batch_size"],
                    )
                ]
                warn_outside(self.grid, self.result.trajectories[0])
            if self.path is not None:
                self.result.save(self.path, overwrite=True)
            if self.journal is not None:
                self.journal.remove()
        return self.result

    def _collect(self, source: Iterator[tuple[int, bytes]]) -> None:
        written = time.monotonic()
        done = len(self.records)
        with Progress(self.grid.size, "loss surface", done=done, quiet=self.quiet) as progress:
            for number, payload in source:
                if self.journal is not None:
                    self.journal.append(number, payload)
                self._store(number, payload)
                progress.advance()
                if self.path is not None and time.monotonic() - written > _REWRITE_SECONDS:
                    self._save_unfinished(self.path)
                    written = time.monotonic()

    def _empty(self) -> Landscape:
        shape = self.grid.shape
        samples = {
            f"{self.objective.prefixes[name]}loss_samples": np.full(
                (*shape, len(self.objective.sets[name])), np.nan, np.float32
            )
            for name in self.job.kept
        }
        names = self.settings["names"]
        provenance = {
            **self.labels,
            **{key: value for key, value in self.recipe.items() if key != "computer"},
            "objective": {
                **self.recipe["objective"],
                "batch_size": self.settings["batch_size"],
                "threads": self.settings["threads"],
            },
            "direction_names": list(self.subspace.direction_names),
            "quantities": {**dict.fromkeys(names, ""), **_titles(names, self.objective)},
            "versions": self.recipe["computer"],
        }
        return Landscape(
            grid=self.grid,
            fields={name: np.full(shape, np.nan) for name in names},
            status=np.full(shape, NOT_EVALUATED, np.int8),
            gram_matrix=self.subspace.gram_matrix,
            provenance=provenance,
            samples=samples,
            _measured=(self.objective, self.subspace),
        )

    def _store(self, number: int, payload: bytes) -> None:
        values, samples = self.job.unpack(payload)
        index = np.unravel_index(number, self.grid.shape)
        for name, value in zip(self.job.names, values):
            self.result.fields[name][index] = value
        for name, losses in samples.items():
            self.result.samples[f"{self.objective.prefixes[name]}loss_samples"][index] = losses
        finite = np.isfinite(self.result.fields["loss"][index])
        self.result.status[index] = EVALUATED if finite else NOT_FINITE

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
                ModelPoint(p.label, p.coordinates, _mean(evaluator.measure(p.coordinates)))
                for p in self.subspace.points
            ]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _computer(objective: Objective) -> dict[str, str]:
    """What else the last bits of a value depend on."""
    if objective.device.type == "cuda":
        processor = torch.cuda.get_device_name(objective.device)
    else:
        processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "losslandscape": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
        "processor": processor,
    }


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


def _through(executor: Executor, job: _Job, todo: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Records of points computed by an executor, as they come."""
    with tempfile.TemporaryDirectory(prefix="losslandscape-") as folder:
        file = Path(folder) / "job.pickle"
        try:
            file.write_bytes(pickle.dumps(job))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise LossLandscapeError(
                f"the model, the data or the loss cannot be sent to other processes: {error}; "
                "define them at the top level of a module, or evaluate without an executor"
            ) from error
        waiting = iter(todo)
        running = set()
        try:
            while True:
                # a few points ahead keep the workers busy; all at once would be held in memory
                for number in waiting:
                    running.add(executor.submit(_work, str(file), number))
                    if len(running) >= 64:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenExecutor as error:
            raise LossLandscapeError(
                "a worker process ended by itself (out of memory?); what was finished is kept: "
                "the same call with fewer workers goes on from there"
            ) from error
        finally:
            for future in running:
                future.cancel()


_local = threading.local()  # a worker's job and evaluator, opened once


def _work(file: str, number: int) -> tuple[int, bytes]:
    if getattr(_local, "file", None) != file:
        job: _Job = pickle.loads(Path(file).read_bytes())
        torch.set_num_threads(job.threads)
        _local.evaluator = Evaluator(job.objective, job.subspace, job.batch_size).__enter__()
        _local.job, _local.file = job, file
    return number, _local.job.record(_local.evaluator, number)
