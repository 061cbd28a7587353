"""Peak memory of an evaluation, compared with the sum of what it must hold.

Run ``python -m benchmarks.memory``; ``--only resnet50`` selects models. Each result is from a new
process: its peak resident memory, as counted by the kernel, minus that after the imports.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import models, results

MODELS = ("resnet50", "vgg11", "mlp")
MIB = 1 << 20
# numbers of checkpoints, of 250,000 parameters each; the block is 16 MiB
CHECKPOINTS = (50, 400)
BLOCK = 16 * MIB


def status(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise KeyError(field)


def reset_peak() -> None:
    """Reset the kernel's record of the peak."""
    Path("/proc/self/clear_refs").write_text("5")


def warm_up() -> None:
    """Make one-time allocations, such as threads and library code."""
    import torch
    import torchvision  # noqa: F401  (some networks import it)

    with torch.no_grad():
        torch.nn.Conv2d(3, 8, 3)(torch.zeros(2, 3, 8, 8))
        torch.nn.Linear(8, 8)(torch.zeros(2, 8))


def give_back() -> None:
    """Return freed memory to the system, because its reuse would not be counted."""
    import torch

    from losslandscape.point.device_memory import release_memory

    release_memory(torch.device("cpu"))


class AnonymousPeak(threading.Thread):
    """The peak of anonymous memory (not of mapped files), sampled every millisecond."""

    def __enter__(self) -> AnonymousPeak:
        self.start_bytes = self.bytes = status("RssAnon")
        self.running = True
        self.start()
        return self

    def run(self) -> None:
        while self.running:
            self.bytes = max(self.bytes, status("RssAnon"))
            time.sleep(1e-3)

    def __exit__(self, *_: object) -> None:
        self.running = False
        self.join()

    @property
    def peak(self) -> int:
        return self.bytes - self.start_bytes


def evaluation(name: str, batch_size: int) -> dict[str, int]:
    """Peak of opening an evaluator and measuring points, in bytes."""
    from losslandscape import Objective, Subspace
    from losslandscape.point.evaluator import Evaluator

    warm_up()
    give_back()
    start = status("VmRSS")
    model = models.build(name)
    objective = Objective(
        model, "cross_entropy", models.data(models.SAMPLES[name]), batch_size=batch_size or None
    )
    subspace = Subspace.random(model, seed=0)
    give_back()
    reset_peak()
    with Evaluator(objective, subspace) as evaluator:
        opened = status("VmHWM")
        for point in ((0.0, 0.0), (0.5, 0.5)):
            evaluator.measure(point)
        size = evaluator.batch_size
    return {"peak": status("VmHWM") - start, "opened": opened - start, "batch": size}


def forward(name: str, batch_size: int) -> dict[str, int]:
    """Peak of one bare forward pass of a batch, without the model and the batch, in bytes."""
    import torch

    model = models.build(name).to(memory_format=torch.channels_last)
    images = models.data(batch_size)[0].contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        warm_up()
        give_back()
        start = status("VmRSS")
        reset_peak()
        model(images)
    return {"peak": status("VmHWM") - start}


def components(_: str, checkpoints: int) -> dict[str, int]:
    """Peak of the principal components of a trajectory, in bytes."""
    import torch
    from torch import nn

    from losslandscape import Trajectory, TrajectoryRecorder
    from losslandscape.planes.directions import principal_directions
    from losslandscape.planes.parameters import ParameterLayout

    model = nn.Linear(500, 500)
    with tempfile.TemporaryDirectory() as folder:
        with TrajectoryRecorder(model, Path(folder) / "trajectory") as recorder:
            for step in range(checkpoints):
                with torch.no_grad():
                    model.weight.add_(torch.randn(500, 500))
                recorder.record(step)
        trajectory = Trajectory.open(Path(folder) / "trajectory")
        layout = ParameterLayout.of(model)
        principal_directions(trajectory, layout, 2, block_bytes=MIB)  # libraries, threads
        # the kernel also counts pages of mapped files, which are not held
        with AnonymousPeak() as memory:
            principal_directions(trajectory, layout, 2, block_bytes=BLOCK)
        return {"peak": memory.peak}


def measured(task: str, name: str, number: int) -> dict[str, int]:
    """Run a task in a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--task", task, name, str(number)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def terms(name: str) -> list:
    """The row of a model: the terms of the bound in MiB, and the peak."""
    model = models.build(name)
    parameters = sum(p.numel() * p.element_size() for p in model.parameters()) / MIB
    buffers = sum(b.numel() * b.element_size() for b in model.buffers()) / MIB
    images = sum(t.numel() * t.element_size() for t in models.data(models.SAMPLES[name])) / MIB
    found = measured("evaluation", name, 0)
    size, tried = found["batch"], found["peak"] / MIB
    found = measured("evaluation", name, size)
    passes = measured("forward", name, size)["peak"] / MIB
    bound = parameters + buffers + 3 * parameters + images + passes
    peak = found["peak"] / MIB
    return [
        name,
        size,
        *(f"{term:.1f}" for term in (parameters + buffers, 3 * parameters, images, passes)),
        f"{bound:.1f}",
        f"{peak:.1f}",
        f"{peak / bound:.2f}",
        f"{tried:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--quick", action="store_true", help="only the smallest model")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        task, name, number = arguments.task
        functions = {"evaluation": evaluation, "forward": forward, "components": components}
        print(json.dumps(functions[task](name, int(number))))
        return
    rows = []
    for name in ["mlp"] if arguments.quick else arguments.only:
        rows.append(terms(name))
        print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "memory",
        "Peak memory of an evaluation on a plane, MiB",
        [
            "model",
            "batch",
            "model",
            "origin and 2 directions",
            "data",
            "bare forward pass",
            "sum",
            "peak",
            "peak / sum",
            "peak with the trial of sizes",
        ],
        rows,
        ["Resident memory of a fresh process, minus that after the imports. Opening and leaving "
         "are included. The batch size is given, except in the last column, where larger batches "
         "are tried once."],
    )  # fmt: skip
    rows = []
    for checkpoints in CHECKPOINTS:
        peak = measured("components", "-", checkpoints)["peak"] / MIB
        whole = checkpoints * 250_500 * 8 / MIB
        rows.append([checkpoints, f"{whole:.0f}", f"{BLOCK / MIB:.0f}", f"{peak:.1f}"])
        print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "trajectory_memory",
        "Peak memory of the principal components of a trajectory, MiB",
        ["checkpoints", "the trajectory in float64", "stated block", "peak"],
        rows,
        ["250,500 parameters; memory of the process without mapped files."],
    )


if __name__ == "__main__":
    main()
