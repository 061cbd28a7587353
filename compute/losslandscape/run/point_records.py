"""A measured point as a record of the journal, and the numbers it holds."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np

from losslandscape.adaptive.allotment import Allotment, GivenCount
from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import told
from losslandscape.planes.subspace import Subspace
from losslandscape.point.device_memory import BatchMemoryError
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import Measurement
from losslandscape.problem.configuration import Configuration
from losslandscape.problem.objective import Objective


class PointFailure(NamedTuple):
    """Why a point has no record: what its measurement raised, and where."""

    error: str
    worker: str
    too_large: bool = False  # whether memory did not hold the batch


class PointJob:
    """What a worker needs to measure points, and the conversion of a point to a journal record.

    A record is the float64 values of ``names`` followed by the float32 losses of the kept samples.
    The number after that of the last point is the origin's.
    """

    def __init__(
        self, objective, subspace, points, batch_size, threads, kept, names, allotment, computer,
        draws=False, configuration=None,
    ):  # fmt: skip
        self.objective: Objective = objective
        self.subspace: Subspace = subspace
        self.origin: int = len(points)
        self.points: np.ndarray = np.vstack([points, np.zeros(points.shape[1])])
        self.batch_size: int = batch_size
        self.threads: int = threads
        self.kept: list[str] = kept
        self.names: list[str] = names
        self.allotment: Allotment | None = allotment
        self.computer: dict[str, str] = computer
        self.configuration: Configuration | None = configuration
        self.counts: dict[int, int] = {}  # of samples, by the number of a point
        self.draws: bool = draws  # whether a point draws from the process's random generators

    def of(
        self, objective: Objective, batch_size: int, configuration: Configuration | None
    ) -> PointJob:
        """The same points of an objective in another type, for records of the same layout."""
        other = copy.copy(self)
        other.objective, other.batch_size = objective, batch_size
        other.configuration = configuration
        return other

    @property
    def record_bytes(self) -> int:
        kept = sum(self.objective.sizes[name] for name in self.kept)
        return 8 * len(self.names) + 4 * kept

    def record(self, evaluator: Evaluator, number: int) -> bytes:
        return self.packed(evaluator.measure(self.points[number], self._allotted(number)))

    def _allotted(self, number: int) -> Allotment | GivenCount | None:
        """How many samples a point takes: with an allotment, as many as in the fast type."""
        count = self.counts.get(number)
        return GivenCount(count) if count is not None else self.allotment

    def packed(self, measurement: Measurement) -> bytes:
        """What was measured, as a record."""
        values = summarised(measurement, self.objective.prefixes)
        numbers = np.array([values[name] for name in self.names])
        samples = [measurement[name]["loss"].astype(np.float32).tobytes() for name in self.kept]
        return numbers.tobytes() + b"".join(samples)

    def unpack(self, payload: bytes) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        values = np.frombuffer(payload, count=len(self.names))
        samples, start = {}, values.nbytes
        for name in self.kept:
            count = self.objective.sizes[name]
            samples[name] = np.frombuffer(payload, np.float32, count, start)
            start += 4 * count
        return values, samples


def attempt(job: PointJob, evaluator: Evaluator, number: int, worker: str) -> bytes | PointFailure:
    """The record of a point, or why there is none: a point that fails must not stop the others."""
    try:
        return job.record(evaluator, number)
    except BatchMemoryError as error:
        return PointFailure(str(error), worker, too_large=True)
    except LossLandscapeError as error:
        return PointFailure(str(error), worker)
    except (Exception, SystemExit) as error:  # whatever the user's model, or the arithmetic, raises
        return PointFailure(told(error), worker)


def summarised(measurement: Measurement, prefixes: dict[str, str]) -> dict[str, float]:
    """Means over the samples, and the standard error s / sqrt(n) of the mean loss, by variable.

    Raises
    ------
    LossLandscapeError
        If two sets have a variable of the same name.

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
                if f"{prefix}{quantity}" in values:
                    raise LossLandscapeError(
                        f"'{prefix}{quantity}' is a quantity of two sets of samples; rename "
                        "the metric or the set"
                    )
                values[f"{prefix}{quantity}"] = float(wide.mean())
                if quantity == "loss":
                    count = len(wide)
                    error = wide.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
                    values[f"{prefix}loss_standard_error"] = float(error)
                    values[f"{prefix}loss_sample_count"] = float(count)
    return values
