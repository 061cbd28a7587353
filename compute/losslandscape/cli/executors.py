"""The processes that compute points: ``--workers``, ``--dask`` and ``--mpi``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Optional

from losslandscape.argument_checks import THREADS
from losslandscape.cli.kinds import TEXT, Kind
from losslandscape.errors import LossLandscapeError

_DASK_SECONDS = 15


def add_executor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``, ``--dask`` and ``--mpi``, which exclude each other."""
    group = parser.add_argument_group(
        "several processes (the values are identical, bit for bit)"
    ).add_mutually_exclusive_group()
    group.add_argument(
        "--workers",
        type=Kind(THREADS),
        default=1,
        metavar="N",
        help="number of processes on this machine that share the points; they divide the CPU "
        "threads among them (default: 1)",
    )
    group.add_argument(
        "--dask",
        type=TEXT,
        metavar="ADDRESS",
        help="use the workers of a Dask cluster, given the address of its scheduler "
        "(tcp://host:8786) or its scheduler file; each worker uses one thread, or --threads",
    )
    group.add_argument(
        "--mpi",
        action="store_true",
        help="use the processes of an MPI job, started with 'mpirun -n N losslandscape ...'; one "
        "process distributes the points; each of the others uses one thread, or --threads",
    )


@contextmanager
def serving(arguments: argparse.Namespace) -> Iterator[Optional[Executor]]:
    """The executor of ``--dask`` or ``--mpi``; None in an MPI process that computes for another.

    Such a process serves the executor until the work is done. Enter this block before any work,
    because a serving process has none of its own.

    Raises
    ------
    LossLandscapeError
        If a library is missing, the MPI job has one process, or no Dask scheduler answers.
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
            f"--mpi needs mpi4py and an MPI library ({error}): pip install mpi4py"
        ) from error
    if MPI.COMM_WORLD.size < 2:
        raise LossLandscapeError(
            "--mpi: the job has only this process; start it with 'mpirun -n N losslandscape ...', "
            "where N is one more than the number of processes that measure"
        )
    pool: Any = MPICommExecutor(MPI.COMM_WORLD, root=0)
    with pool as executor:
        yield executor


def is_served(arguments: argparse.Namespace, executor: Optional[Executor]) -> bool:
    """Whether this process served another one, and has nothing left to do."""
    return arguments.mpi and executor is None


@contextmanager
def process_workers(
    arguments: argparse.Namespace, executor: Optional[Executor]
) -> Iterator[Optional[Executor]]:
    """The given executor, or one of ``--workers`` processes; sets the threads of each worker."""
    import torch

    from losslandscape.run.executors import process_pool

    if executor is not None:  # remote workers do not share this machine's cores
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
        raise LossLandscapeError(f"--dask needs Dask ({error}): pip install distributed") from error
    file = Path(address)
    if "://" not in address and file.suffix == ".json" and not file.is_file():
        raise LossLandscapeError(f"--dask {address}: no such scheduler file")
    try:
        where = {"scheduler_file": address} if file.is_file() else {"address": address}
        client = Client(**where, timeout=_DASK_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise LossLandscapeError(
            f"--dask {address}: no scheduler answers at this address ({error}); start one with "
            "'dask scheduler', and workers with 'dask worker ADDRESS --nthreads 1'"
        ) from error
    with client, client.get_executor() as executor:
        yield executor
