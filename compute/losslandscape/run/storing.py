"""Where a finished point goes: the journal, the landscape, and now and then the unfinished file."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.files.claims import claim_of
from losslandscape.files.journal import Journal
from losslandscape.landscape.landscape import EVALUATED, NOT_EVALUATED, NOT_FINITE, Landscape
from losslandscape.run.point_records import PointJob

REWRITE_SECONDS = 1.0  # at least, between two writings of the unfinished file
REWRITE_SHARE = 0.02  # of the run's time that these writings may take


class Store:
    """The records of one run.

    Parameters
    ----------
    job : PointJob
        Unpacks the records.
    landscape : Landscape
        Receives the values.
    journal : Journal, optional
        Receives the records, so that the run can be resumed.
    path : path, optional
        Of the file that shows the unfinished landscape.

    Attributes
    ----------
    stored : int
        Points in the landscape.
    """

    def __init__(
        self,
        job: PointJob,
        landscape: Landscape,
        journal: Journal | None = None,
        path: Path | None = None,
    ):
        self.job = job
        self.landscape = landscape
        self.journal = journal
        self.path = path
        self.stored = 0
        self._started = self._written = time.monotonic()
        self._writing = 0.0  # seconds that the unfinished file has taken

    def add(self, number: int, record: bytes, under: int | None = None) -> None:
        """Store a point that was just measured; in the journal ``under`` another number."""
        if self.journal is not None:
            self.journal.append(number if under is None else under, record)
        self.put(number, record)
        now = time.monotonic()
        cheap = self._writing <= REWRITE_SHARE * (now - self._started)
        if self.path is not None and cheap and now - self._written > REWRITE_SECONDS:
            self._save_unfinished(self.path)
            self._written = time.monotonic()
            self._writing += self._written - now

    def put(self, number: int, record: bytes) -> None:
        """Store a point in the landscape alone: its record is from the journal."""
        # flat views: a grid may have millions of points, and indexing by axes takes longer
        self.stored += int(self.landscape.status.reshape(-1)[number] == NOT_EVALUATED)
        values, samples = self.job.unpack(record)
        by_name = dict(zip(self.job.names, values.tolist()))
        for name, value in by_name.items():
            self.landscape.fields[name].reshape(-1)[number] = value
        for name, losses in samples.items():
            kept = self.landscape.samples[f"{self.job.objective.prefixes[name]}loss_samples"]
            kept.reshape(self.landscape.grid.size, -1)[number] = losses
        finite = math.isfinite(by_name["loss"])
        self.landscape.status.reshape(-1)[number] = EVALUATED if finite else NOT_FINITE

    def clear(self) -> None:
        """Take all points out of the landscape; the journal keeps them."""
        for values in (*self.landscape.fields.values(), *self.landscape.samples.values()):
            values.fill(np.nan)
        self.landscape.status.fill(NOT_EVALUATED)
        self.stored = 0

    def _save_unfinished(self, path: Path) -> None:
        """Write what there is, for people to look at; per-sample losses are in the journal."""
        claim = claim_of(path)
        if claim is not None and claim.is_lost():
            warnings.warn(
                f"{path}: a file appeared there, and is not replaced; the run continues",
                stacklevel=2,
            )
            self.path = None
            return
        try:
            dataclasses.replace(self.landscape, samples={}).save(path, overwrite=True)
        except LossLandscapeError as error:  # the journal has everything; the run goes on
            warnings.warn(f"the unfinished landscape was not written: {error}", stacklevel=2)

    @contextmanager
    def telling_what_is_kept(self) -> Iterator[None]:
        """Make what an interruption leaves the last line of its traceback."""
        try:
            yield
        except KeyboardInterrupt as error:
            error.args = self.kept()
            raise

    def kept(self) -> tuple[str, ...]:
        """What an interrupted run leaves, as a sentence; nothing if it leaves nothing."""
        if self.journal is None or not self.stored or not self.journal.path.exists():
            return ()
        return (
            f"{self.stored:,} of {self.landscape.grid.size:,} points are in {self.journal.path}, "
            "and the same call continues",
        )
