"""Where points are computed: ``--workers``, ``--dask`` and ``--mpi``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Optional

from losslandscape.cli.arguments import positive_int
from losslandscape.errors import LossLandscapeError

_DASK_SECONDS = 15


def add_executor_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "more than one process (the values are the same to the bit)"
    ).add_mutually_exclusive_group()
    group.add_argument(
        "--workers",
        type=positive_int,
        default=1,
        metavar="N",
        help="processes of this machine that share the points; CPU threads are divided among them "
        "(default: 1)",
    )
    group.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="workers of a Dask cluster: its scheduler's address (tcp://host:8786) or scheduler "
        "file; a worker uses one thread, or --threads",
    )
    group.add_argument(
        "--mpi",
        action="store_true",
        help="processes of an MPI job: start with 'mpirun -n N losslandscape ...'; one of them "
        "hands out the points; a process uses one thread, or --threads",
    )


@contextmanager
def serving(arguments: argparse.Namespace) -> Iterator[Optional[Executor]]:
    """In an MPI process that measures for another: serve, then give None; else the executor.

    Enter it before any work: a process that serves does none of its own.
    """
    if not arguments.mpi:
        with nullcontext() if arguments.dask is None else _dask(arguments.dask) as executor:
            yield executor
        return
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPICommExecutor
    except (ImportError, RuntimeError) as error:
        raise LossLandscapeError(
            f"--mpi needs mpi4py and an MPI library ({error}): pip install 'losslandscape[mpi]'"
        ) from error
    if MPI.COMM_WORLD.size < 2:
        raise LossLandscapeError(
            "--mpi: this is the only process; start with 'mpirun -n N losslandscape ...', N being "
            "one more than the processes that are to measure"
        )
    pool: Any = MPICommExecutor(MPI.COMM_WORLD, root=0)
    with pool as executor:
        yield executor


def is_served(arguments: argparse.Namespace, executor: Optional[Executor]) -> bool:
    """Whether this process was one that served and has nothing left to do."""
    return arguments.mpi and executor is None


@contextmanager
def process_workers(
    arguments: argparse.Namespace, executor: Optional[Executor]
) -> Iterator[Optional[Executor]]:
    """The executor, or processes of this machine; sets the number of threads a worker."""
    import torch

    from losslandscape.run.executors import process_pool

    if executor is not None:  # the cores of workers elsewhere are not this machine's
        torch.set_num_threads(arguments.threads or 1)
        yield executor
    elif arguments.workers == 1:
        yield None
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // arguments.workers))
        with process_pool(arguments.workers) as pool:
            yield pool


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise LossLandscapeError(
            f"--dask needs Dask ({error}): pip install 'losslandscape[dask]'"
        ) from error
    file = Path(address)
    if "://" not in address and file.suffix == ".json" and not file.is_file():
        raise LossLandscapeError(f"--dask {address}: there is no such scheduler file")
    try:
        where = {"scheduler_file": address} if file.is_file() else {"address": address}
        client = Client(**where, timeout=_DASK_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise LossLandscapeError(
            f"--dask {address}: no scheduler answers there ({error}); start one with 'dask "
            "scheduler' and workers with 'dask worker ADDRESS --nthreads 1'"
        ) from error
    with client, client.get_executor() as executor:
        yield executor
