"""Peak memory and time that grow with the grid and with the model, without forward passes.

Run ``python -m benchmarks.scale``; ``--only grid`` or ``--only model`` selects a part, ``--quick``
does less. In the grid part a stub returns the losses of a point in microseconds, so that the time
is that of the journal, the file and the bookkeeping. The model part evaluates points of large
networks with random weights on a tiny input. Every result is from a new process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import results
from benchmarks.memory import MIB, reset_peak, status

GRIDS = ((51, 51), (401, 401), (101, 101, 101))
# five blocks of 8 width^2 parameters each: 42, 168, 514 and 1,000 million
WIDTHS = (1024, 2048, 3584, 5000)
LAYERS = 5


def grid(counts: list[int]) -> dict[str, float]:
    """An evaluation whose points take no time, with an output file."""
    import numpy as np
    import torch
    from torch import nn

    import losslandscape as ll
    from losslandscape.point.evaluator import Evaluator

    def stub(self: Evaluator, coordinates: np.ndarray, allotment: object = None) -> dict:
        losses = np.array([1.0 + np.square(coordinates).sum(), 1.0], np.float32)
        return {"train": {"loss": losses}}

    model = nn.Linear(2, 1)
    data = torch.zeros(2, 2), torch.zeros(2, 1)
    objective = ll.Objective(model, "mse", data, batch_size=2)
    plane = ll.Subspace.random(model, len(counts))
    Evaluator.measure = stub  # type: ignore[method-assign,assignment]
    bounds = ((-1.0, 1.0),) * len(counts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "landscape.nc"
        # one-time imports and allocations
        ll.evaluate(objective, plane, ll.Grid((3,) * len(counts), bounds), path=path, quiet=True)
        whole = ll.Grid(tuple(counts), bounds)
        start = status("VmRSS")
        reset_peak()
        began = time.perf_counter()
        ll.evaluate(objective, plane, whole, path=path, overwrite=True, quiet=True)
        seconds = time.perf_counter() - began
        peak = status("VmHWM") - start
        size = path.stat().st_size
    return {"points": whole.size, "seconds": seconds, "peak": peak, "file": size}


def network(width: int) -> dict[str, float]:
    """One direction through a network with random weights, and points on it."""
    import torch
    from torch import nn

    import losslandscape as ll
    from losslandscape.point.evaluator import Evaluator

    start = status("VmRSS")
    torch.manual_seed(0)
    blocks = [
        nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        for _ in range(LAYERS)
    ]
    model = nn.Sequential(*blocks, nn.Linear(width, 2))
    count = sum(p.numel() for p in model.parameters())
    data = torch.randn(2, width), torch.tensor([0, 1])
    objective = ll.Objective(model, "cross_entropy", data, batch_size=2)
    reset_peak()
    began = time.perf_counter()
    line = ll.Subspace.random(model, 1)
    drawn = time.perf_counter() - began
    with Evaluator(objective, line) as evaluator:
        opened = time.perf_counter() - began - drawn
        evaluator.measure((0.5,))
        began = time.perf_counter()
        evaluator.measure((0.25,))
        point = time.perf_counter() - began
        began = time.perf_counter()
        with torch.no_grad():
            model(data[0])
        forward = time.perf_counter() - began
    return {
        "parameters": count, "held": 3 * 4 * count, "peak": status("VmHWM") - start,
        "drawn": drawn, "opened": opened, "point": point, "forward": forward,
    }  # fmt: skip


def measured(task: str, *numbers: int) -> dict[str, float]:
    """Run a task in a new process."""
    command = [sys.executable, "-m", "benchmarks.scale", "--task", task, *map(str, numbers)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def grids(quick: bool) -> None:
    rows = []
    for counts in GRIDS[:2] if quick else GRIDS:
        found = measured("grid", *counts)
        rows.append([
            " x ".join(map(str, counts)), f"{found['points']:,}", f"{found['peak'] / MIB:.1f}",
            f"{found['peak'] / found['points']:.0f}", f"{found['seconds']:.1f}",
            f"{1e6 * found['seconds'] / found['points']:.0f}", f"{found['file'] / MIB:.1f}",
        ])  # fmt: skip
        print(*rows[-1], sep=" | ", flush=True)
    columns = ["grid", "points", "peak, MiB", "bytes per point", "s", "us per point", "file, MiB"]
    results.write(
        "scale",
        "Cost of the coordinating process, with points of no cost",
        columns,
        rows,
        ["Resident memory, minus that after a grid of 3 points per side. The time is that of "
         "everything except forward passes: records, journal, the unfinished and the finished "
         "file."],
    )  # fmt: skip


def networks(quick: bool) -> None:
    rows = []
    notes = ["The networks have random float32 weights."]
    for width in WIDTHS[:1] if quick else WIDTHS:
        needed = 1.1 * 3 * 4 * LAYERS * 8 * width**2
        if needed > available():
            notes.append(f"Width {width} was left out: it needs {needed / 2**30:.1f} GiB.")
            print(notes[-1], flush=True)
            continue
        found = measured("network", width)
        rows.append([
            f"{found['parameters'] / 1e6:.0f}", f"{found['held'] / MIB:.0f}",
            f"{found['peak'] / MIB:.0f}", f"{found['peak'] / found['held']:.2f}",
            *(f"{found[name]:.2f}" for name in ("drawn", "opened", "point", "forward")),
        ])  # fmt: skip
        print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "scale_models",
        "Large models: one direction, two samples",
        ["million parameters", "model, origin and direction, MiB", "peak, MiB", "ratio",
         "drawing the direction, s", "opening, s", "point, s", "forward pass, s"],
        rows,
        notes,
    )  # fmt: skip


def available() -> int:
    """Available memory in bytes; a process that exceeds it may be killed by the system."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("grid", "model"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        task, *numbers = arguments.task
        values = [int(number) for number in numbers]
        print(json.dumps(grid(values) if task == "grid" else network(*values)))
        return
    if arguments.only != "model":
        grids(arguments.quick)
    if arguments.only != "grid":
        networks(arguments.quick)


if __name__ == "__main__":
    main()
