"""What executors cost: efficiency on two workers, and points per second when points cost nothing.

For the efficiency, a point sleeps for 100 ms, so that the load of the machine does not matter. For
the rate, a point is a linear model of five inputs and one sample; its time is that of sending a
point to a worker and its result back. Times are of the points only: workers already have the job.

    python -m benchmarks.executors
    mpirun -n 3 python -m benchmarks.executors --mpi
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch

from benchmarks import results
from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.point.evaluator import Evaluator
from losslandscape.run.computer import computer
from losslandscape.run.executors import PointPool, Use, process_pool
from losslandscape.run.point_records import PointJob, summarised

SECONDS = 0.1
WORKERS = 2
ORDER = ["none, one process", "threads", "processes", "Dask", "MPI"]


class Sleep(torch.nn.Module):
    """A linear model that sleeps for some seconds in every forward pass."""

    def __init__(self, seconds: float):
        super().__init__()
        self.layer = torch.nn.Linear(5, 3)
        self.seconds = seconds

    def forward(self, inputs):
        if self.seconds:
            time.sleep(self.seconds)
        return self.layer(inputs)


def problem(seconds: float) -> tuple[Objective, Subspace]:
    torch.manual_seed(0)
    model = Sleep(seconds)
    data = torch.randn(1, 5), torch.zeros(1, dtype=torch.int64)
    return Objective(model, "cross_entropy", data, batch_size=1), Subspace.random(model)


def job(seconds: float, points: int) -> PointJob:
    objective, plane = problem(seconds)
    with Evaluator(objective, plane, 1) as evaluator:
        names = list(summarised(evaluator.measure((0.0, 0.0)), objective.prefixes))
    places = np.random.default_rng(0).uniform(-1, 1, (points, 2))
    return PointJob(objective, plane, places, 1, 1, [], names, None, computer(torch.device("cpu")))


def timed(executor: Executor, seconds: float, points: int, workers: int) -> dict[str, Any]:
    """Time of the points, in seconds, once every worker has the job."""
    with PointPool(executor, job(seconds, points)) as pool:
        while len(pool._workers) < workers:  # a worker may start late
            list(pool.records(range(4 * workers)))
        started = time.monotonic()
        count = sum(1 for _ in pool.records(range(points)))
        elapsed = time.monotonic() - started
        return {
            "points": count,
            "seconds": elapsed,
            "points_per_second": count / elapsed,
            "efficiency": count * seconds / (elapsed * workers),
        }


def adaptive(executor: Executor) -> Use:
    """The share of time that workers are busy in the rounds of an adaptive evaluation."""
    objective, plane = problem(SECONDS / 2)
    pools: list[PointPool] = []

    def kept(*arguments):
        pools.append(PointPool(*arguments))
        return pools[-1]

    from losslandscape.run import evaluation

    evaluation.PointPool = kept  # type: ignore[misc,assignment]
    try:
        evaluate(objective, plane, Grid.square(51), tolerance=0.005, executor=executor, quiet=True)
    finally:
        evaluation.PointPool = PointPool  # type: ignore[misc]
    return pools[0].use


@contextmanager
def dask(workers: int):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
        client.get_executor() as executor,
    ):
        yield executor


def measure(name: str, opened: AbstractContextManager, points: int) -> list[Any]:
    """A row of the table."""
    with opened as executor:
        sleeping = timed(executor, SECONDS, 100, WORKERS)
        nothing = timed(executor, 0.0, points, WORKERS)
        use = adaptive(executor)
    print(f"{name}: {use.describe()}", flush=True)
    parts = [100 * part / use.total for part in (use.measuring, use.ends, use.between)]
    efficiency = f"{100 * sleeping['efficiency']:.1f}%"
    rate = f"{nothing['points_per_second']:.0f}"
    return [name, efficiency, rate, *(f"{part:.1f}%" for part in parts)]


def alone(points: int) -> float:
    """Points per second when points cost nothing, without an executor."""
    here = job(0.0, points)
    with Evaluator(here.objective, here.subspace, 1) as evaluator:
        started = time.monotonic()
        for number in range(points):
            here.record(evaluator, number)
        return points / (time.monotonic() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mpi", action="store_true", help="run in a job of mpirun -n 3")
    parser.add_argument("--points", type=int, default=2000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.mpi:
        from mpi4py import MPI
        from mpi4py.futures import MPICommExecutor

        opened: Any = MPICommExecutor(MPI.COMM_WORLD, root=0)
        if MPI.COMM_WORLD.rank != 0:
            with opened:
                return 0
        rows = [measure("MPI", opened, arguments.points)]
    else:
        rows = [["none, one process", "", f"{alone(arguments.points):.0f}", "", "", ""]]
        rows.append(measure("threads", ThreadPoolExecutor(WORKERS), arguments.points))
        rows.append(measure("processes", process_pool(WORKERS), arguments.points))
        rows.append(measure("Dask", dask(WORKERS), arguments.points))
    file = results.FOLDER / "executors.json"
    known = json.loads(file.read_text())["rows"] if file.exists() else []
    measured = {row[0] for row in rows}
    rows = [*rows, *(row for row in known if row[0] not in measured)]
    results.write(
        "executors",
        "Executors on two workers",
        [
            "executor",
            "efficiency, points of 100 ms",
            "points of no cost, per s",
            "refinement: measuring",
            "idle at the ends of rounds",
            "idle between rounds",
        ],
        sorted(rows, key=lambda row: ORDER.index(row[0])),
        ["Efficiency is points x 100 ms / (workers x time). The refinement has points of 50 ms."],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
