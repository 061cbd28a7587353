"""Points through any ``concurrent.futures.Executor``: threads, processes, Dask, MPI.

An executor takes a call and returns its result, from whichever worker took it. Workers may come and
go. The job (model, data, directions) is too large to be sent with every point, so a call names the
job by its hash. A worker that lacks the job says so, and the next calls carry it, as many as there
are such workers. The job thus reaches a worker once; sometimes a worker that already has it takes
such a call. It travels the way that the executor itself reaches its workers, so neither a shared
file system nor a port is needed. Dask keeps data at its workers itself: there, every call refers to
the job.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
)
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import Any, NamedTuple

import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import told
from losslandscape.point.evaluator import Evaluator
from losslandscape.run.computer import computer
from losslandscape.run.point_records import PointFailure, PointJob, attempt
from losslandscape.standard_streams import StandardStreams

_AHEAD = 64  # points submitted at a time, or two a worker: a worker that is done finds the next
_ATTEMPTS = 3

# a worker's reply to a call
_DONE, _WITHOUT_JOB, _UNOPENED = "done", "without job", "unopened"


class _Reply(NamedTuple):
    number: int
    worker: str
    kind: str
    outcome: bytes | PointFailure | None = None
    seconds: float = 0.0  # of measuring
    text: str = ""


@dataclass
class Use:
    """How the workers spent their time, in seconds, summed over the workers.

    Attributes
    ----------
    workers : int
        Workers that took part.
    measuring, ends, between : float
        Time measuring points; idle while other workers finish a round; idle between rounds, while
        the next one is chosen. The rest of ``total`` is transport and opening the job.
    sent : int
        Calls that carried the job.
    repeated : int
        Points that were measured again because a worker failed or was lost.
    """

    workers: int = 0
    measuring: float = 0.0
    ends: float = 0.0
    between: float = 0.0
    total: float = 0.0
    sent: int = 0
    repeated: int = 0

    def describe(self) -> str:
        """The use in one line.

        >>> Use(2, 9.0, 0.5, 0.25, 10.0, sent=2).describe()
        '2 workers: 90% of their time measuring, 5% idle at the ends of rounds, 2.5% between them'
        """
        share = [100 * part / (self.total or 1.0) for part in (self.measuring, self.ends)]
        between = 100 * self.between / (self.total or 1.0)
        again = f"; {self.repeated} points tried again" if self.repeated else ""
        return (
            f"{self.workers} workers: {share[0]:.3g}% of their time measuring, {share[1]:.2g}% "
            f"idle at the ends of rounds, {between:.2g}% between them{again}"
        )


class PointPool:
    """Measures points of a job through an executor; a context manager.

    Attributes
    ----------
    use : Use
        How the workers have spent their time so far.

    Raises
    ------
    LossLandscapeError
        If the job cannot be sent to other processes, a worker cannot open it (a module is missing),
        or the executor breaks down.
    """

    def __init__(self, executor: Executor, job: PointJob):
        self._executor = executor
        self._job = job
        self.use = Use()
        self._workers: set[str] = set()  # that have the job
        self._lacking: set[str] = set()
        self._ended: float | None = None

    def __enter__(self) -> PointPool:
        try:
            self._payload = _pickled(self._job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise LossLandscapeError(
                f"the model, the data or the loss cannot be sent to other processes: {error}; "
                "define them at the top level of a module, or evaluate without an executor"
            ) from error
        self._key = hashlib.sha256(self._payload).hexdigest()
        _over.discard(self._key)
        self._parcel, self._shared = _shared(self._executor, self._payload)
        return self

    def __exit__(self, *_: object) -> None:
        self._parcel = None
        _close(self._key)

    def records(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes | PointFailure]]:
        """(number, record or failure) of each point, in the order in which they finish.

        A point that fails is tried again after the others, and so most likely by another worker.
        """
        waiting = deque(numbers)
        running: dict[Future, tuple[int, bool]] = {}
        finished: SimpleQueue[Future] = SimpleQueue()
        attempts: Counter[int] = Counter()
        carrying = 0
        start = time.monotonic()
        last: dict[str, float] = {}
        if self._ended is not None:
            self.use.between += (start - self._ended) * len(self._workers)
            self.use.total += (start - self._ended) * len(self._workers)
        try:
            while waiting or running:
                # a few points ahead keep the workers busy; all points at once would fill the memory
                while waiting and len(running) < max(_AHEAD, 2 * len(self._workers)):
                    carries = carrying < len(self._lacking) + (not self._workers)
                    parcel = self._parcel if carries or self._shared else None
                    number = waiting.popleft()
                    future = self._submitted(number, parcel)
                    running[future] = number, carries
                    carrying += carries
                    self.use.sent += carries
                    future.add_done_callback(finished.put)
                future = finished.get()
                number, carried = running.pop(future)
                carrying -= carried
                reply = self._reply(future, number)
                if reply.kind == _WITHOUT_JOB:
                    self._lacking.add(reply.worker)
                    waiting.appendleft(number)
                    continue
                if reply.worker:
                    self._workers.add(reply.worker)
                    self._lacking.discard(reply.worker)
                    last[reply.worker] = time.monotonic()
                    self.use.measuring += reply.seconds
                if reply.text:
                    warnings.warn(reply.text, stacklevel=2)
                assert reply.outcome is not None
                if isinstance(reply.outcome, PointFailure):
                    attempts[number] += 1
                    if attempts[number] < _ATTEMPTS:
                        self.use.repeated += 1
                        waiting.append(number)
                        continue
                yield number, reply.outcome
        except BaseException as error:
            if not _ended_by_itself(self._executor, error):
                for future in list(running):
                    future.cancel()
            raise
        finally:
            self._account(start, last)

    def _submitted(self, number: int, parcel: Any) -> Future:
        try:
            return self._executor.submit(_work, self._key, number, parcel)
        except BrokenExecutor as error:
            raise _lost(error) from error
        except RuntimeError as error:  # what executors say after their shutdown
            raise LossLandscapeError(
                f"the executor accepts no more calls ({error}): was it shut down, or is its 'with' "
                "block over? Make a new one"
            ) from error

    def _reply(self, future: Future, number: int) -> _Reply:
        """The reply to a call; raises if the run cannot go on."""
        try:
            reply: _Reply = future.result()
        except (BrokenExecutor, CancelledError) as error:
            raise _lost(error) from error
        except (
            Exception
        ) as error:  # the executor gave up this point, as Dask does after some attempts
            failure = PointFailure(f"{type(error).__name__}: {error}", "lost with its worker")
            return _Reply(number, "", _DONE, failure)
        if reply.kind == _UNOPENED:
            raise LossLandscapeError(
                f"worker {reply.worker} cannot open the job: {reply.text}; workers need the same "
                "packages as this process, and your modules (start them in the same folder, or set "
                "PYTHONPATH). What was finished is kept"
            )
        return reply

    def _account(self, start: float, last: dict[str, float]) -> None:
        self._ended = time.monotonic()
        self.use.workers = len(self._workers)
        self.use.total += (self._ended - start) * len(self._workers)
        self.use.ends += sum(self._ended - last.get(worker, start) for worker in self._workers)


def _lost(error: BaseException) -> LossLandscapeError:
    return LossLandscapeError(
        f"the workers are lost ({error or type(error).__name__}): one ended by itself (out "
        "of memory?), or the connection broke. What was finished is kept: the same call with a new "
        "executor, perhaps of fewer workers, goes on from there"
    )


class _LocalPool(ProcessPoolExecutor):
    """Worker processes that no signal reaches while they start, and that end with an interruption.

    A worker that Ctrl-C reaches before :func:`_end_with_parent` would print a traceback.
    """

    def submit(self, *arguments: Any, **named: Any) -> Future:
        with _ctrl_c_waits():  # starts the workers, which inherit the mask
            return super().submit(*arguments, **named)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        if kind is not None and not issubclass(kind, Exception):  # do not wait for their points
            for worker in list((self._processes or {}).values()):
                worker.kill()
        return super().__exit__(kind, error, trace)


def _ended_by_itself(executor: Executor, error: BaseException) -> bool:
    """Whether the executor deals with its unfinished calls itself.

    A call that is canceled while a pool of processes breaks down would end the pool's own thread.
    """
    if isinstance(error.__cause__, BrokenExecutor):
        return True
    if not isinstance(executor, _LocalPool):
        return False
    return bool(getattr(executor, "_broken", False)) or isinstance(error, KeyboardInterrupt)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Inside the block, Ctrl-C is held back; it comes at the end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Worker processes on this machine that end with this process, however it ends.

    They are spawned: a fork of a process that has run torch's threads can hang.
    """
    context = multiprocessing.get_context("spawn")
    return _LocalPool(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Make a pool's worker end with its parent; if the parent is killed, it would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends the workers
    StandardStreams().__enter__()  # what the user's code prints must not end a point
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _pickled(job: PointJob) -> bytes:
    """The job, and the folders in which its modules were found.

    If cloudpickle is installed, also what was defined in a notebook or a script.

    Raises
    ------
    LossLandscapeError
        If the model, the loss or the data cannot be pickled, as modules with parametrizations.
    """
    try:
        from cloudpickle import dumps
    except ImportError:
        from pickle import dumps
    folders = [os.path.abspath(folder) for folder in sys.path]
    try:
        return pickle.dumps((folders, dumps(job)))
    except (Exception, SystemExit) as error:  # whatever the user's objects raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise LossLandscapeError(
            f"{type(job.objective.model).__name__}: cannot be sent to the workers of an executor "
            f"({reason}); evaluate without executor (--workers), or build it without what cannot "
            "be pickled"
        ) from error


def _shared(executor: Executor, payload: bytes) -> tuple[Any, bool]:
    """What a call carries as the job, and whether the executor itself keeps it at its workers.

    Dask does: it copies data that calls refer to once to each worker, also to one that joins later,
    from worker to worker.
    """
    client = getattr(executor, "_client", None)
    if client is not None and type(client).__module__.partition(".")[0] == "distributed":
        return client.scatter(payload, broadcast=True, hash=False), True
    return payload, False


# Workers may be threads of one process, even of this one. An evaluator changes settings of the
# whole process (generators, arithmetic) and restores them at the end.
_alone = threading.RLock()  # while a job is opened or closed, or a point draws random numbers
_open_here: list[_Opened] = []  # in the order in which they were opened
_over: set[str] = set()  # jobs of this process's finished runs


def _close(key: str) -> None:
    """Close a job in all workers of this process, the last one opened first."""
    with _alone:
        _over.add(key)  # a call that is still under way must not open it again
        for opened in [one for one in reversed(_open_here) if one.key == key]:
            opened.close()


class _Opened:
    """A job in a worker, with its evaluator."""

    def __init__(self, key: str, payload: bytes):
        folders, job = pickle.load(io.BytesIO(payload))
        for folder in folders:  # after the worker's own, if its machine has them as well
            if folder not in sys.path and os.path.isdir(folder):
                sys.path.append(folder)
        self.key = key
        self.job: PointJob = pickle.loads(job)
        torch.set_num_threads(self.job.threads)
        self.evaluator = Evaluator(
            self.job.objective, self.job.subspace, self.job.batch_size, self.job.configuration
        )
        self.evaluator.__enter__()
        # all threads share a generator: a point must not take the numbers of another
        self._measuring: Any = _alone if self.job.draws else threading.Lock()
        self.closed = False
        _open_here.append(self)

    def measure(self, number: int, worker: str) -> bytes | PointFailure | None:
        """A point's record; None if the job was closed in the meantime."""
        with self._measuring:
            return None if self.closed else attempt(self.job, self.evaluator, number, worker)

    def close(self) -> None:
        """Restore what the evaluator changed, once the present point is measured."""
        with self._measuring:
            self.closed = True
            _open_here.remove(self)
            self.evaluator.__exit__()
            del self.job, self.evaluator  # their memory

    def differences(self, worker: str) -> str:
        """How this machine differs from the run's in what the last bits depend on."""
        here = computer(self.job.objective.device)
        wanted = self.job.computer
        return "; ".join(
            f"worker {worker} has {name} {here[name]} and not {wanted[name]}: its values may "
            "differ in their last bits"
            for name in ("losslandscape", "torch", "processor")
            if here[name] != wanted[name]
        )


_local: Any = threading.local()  # a worker's job, opened once


def _work(key: str, number: int, payload: bytes | None) -> _Reply:
    worker = f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"
    opened: _Opened | None = getattr(_local, "opened", None)
    text = ""
    if opened is None or opened.key != key or opened.closed:
        if payload is None:
            return _Reply(number, worker, _WITHOUT_JOB)
        with _alone:
            if opened is not None:  # of an earlier run: its memory is needed
                del _local.opened
                if not opened.closed:
                    opened.close()
            if key in _over:
                return _Reply(number, worker, _WITHOUT_JOB)
            try:
                opened = _local.opened = _Opened(key, payload)
            except (Exception, SystemExit) as error:  # the user's modules are imported here too
                return _Reply(number, worker, _UNOPENED, text=told(error))
            text = opened.differences(worker)
    started = time.monotonic()
    outcome = opened.measure(number, worker)
    if outcome is None:
        return _Reply(number, worker, _WITHOUT_JOB)
    return _Reply(number, worker, _DONE, outcome, time.monotonic() - started, text)
