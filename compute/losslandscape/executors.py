"""Records of points through any ``concurrent.futures.Executor``."""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, wait
from pathlib import Path

import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.objective import Evaluator
from losslandscape.point_records import PointJob

_AHEAD = 64


class PointPool:
    """Measures points of a job through an executor; a context manager.

    The job (model, data, directions) is written once and each worker opens it once, however many
    rounds of points follow.

    Raises
    ------
    LossLandscapeError
        If the job cannot be sent to other processes, or a worker ends by itself.
    """

    def __init__(self, executor: Executor, job: PointJob):
        self._executor = executor
        self._job = job

    def __enter__(self) -> PointPool:
        self._folder = tempfile.TemporaryDirectory(prefix="losslandscape-")
        self._file = Path(self._folder.name) / "job.pickle"
        try:
            self._file.write_bytes(pickle.dumps(self._job))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self._folder.cleanup()
            raise LossLandscapeError(
                f"the model, the data or the loss cannot be sent to other processes: {error}; "
                "define them at the top level of a module, or evaluate without an executor"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def records(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """(number, record) of each point, as they come."""
        waiting = iter(numbers)
        running = set()
        try:
            while True:
                # a few points ahead keep the workers busy; all at once would be held in memory
                for number in waiting:
                    running.add(self._executor.submit(_work, str(self._file), number))
                    if len(running) >= _AHEAD:
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
        job: PointJob = pickle.loads(Path(file).read_bytes())
        torch.set_num_threads(job.threads)
        _local.evaluator = Evaluator(job.objective, job.subspace, job.batch_size).__enter__()
        _local.job, _local.file = job, file
    return number, _local.job.record(_local.evaluator, number)
