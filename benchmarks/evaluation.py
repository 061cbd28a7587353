"""Time per grid point: losslandscape, other programs, and the bare forward pass.

Run ``python -m benchmarks.evaluation``. ``--only resnet50 mlp`` selects models, ``--quick`` runs
one round, ``--device cuda`` uses a GPU. Every result is a ratio: contenders take turns, each
between two turns of losslandscape, and a ratio compares a turn with the mean of its neighbors.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import models, results
from benchmarks.peers import PEERS, Bare, Li, between
from losslandscape import Objective, Subspace
from losslandscape.point.batch_size import fastest_batch_size
from losslandscape.point.evaluator import Evaluator
from losslandscape.problem.precision import arithmetic

POINTS = ((0.0, 0.0), (0.5, -0.5), (-1.0, 1.0))  # points at which values are compared
TURN_SECONDS = 0.15
MATRIX = 2048
ROUNDS = 3


class Ours:
    name = "losslandscape"

    def __init__(self, evaluator: Evaluator):
        self.evaluator = evaluator

    def seconds(self, points: int) -> float:
        stamps = []
        for i in range(points + 1):
            self.evaluator.measure((1e-3 * i, 0.2))
            stamps.append(time.perf_counter())
        return between(stamps)


def matrix_rate(device: str) -> float:
    """Floating-point operations per second of a large float32 matrix product."""
    a = torch.randn(MATRIX, MATRIX, device=device)
    best = np.inf
    for _ in range(4):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        best = min(best, time.perf_counter() - start)
    return 2 * MATRIX**3 / best


def operations(model: nn.Module, images: Tensor) -> int:
    """Floating-point operations of a forward pass over all images, in 64-image passes."""
    count = FlopCounterMode(display=False)
    with count, torch.no_grad():
        model(images[:64])
    return count.get_total_flops() * len(images) // 64


@torch.no_grad()
def reference(
    model: nn.Module, plane: Subspace, point, images: Tensor, targets: Tensor, dtype: torch.dtype
) -> float:
    """The mean loss from copied parameters: forward passes in `dtype`, summed in float64."""
    moved = copy.deepcopy(model)
    for name, value in plane.parameters_at(point).items():
        moved.get_parameter(name).copy_(value)
    moved = moved.to(dtype)
    losses = [
        functional.cross_entropy(moved(x.to(dtype)), y, reduction="none").double()
        for x, y in zip(images.split(128), targets.split(128))
    ]
    return float(torch.cat(losses).mean())


def compare(name: str, rounds: int, device: str) -> dict[str, list]:
    """The row of a model in each table."""
    samples = models.SAMPLES[name]
    model = models.build(name, device)
    images, targets = models.data(samples, device)
    plain = copy.deepcopy(model)
    plane = Subspace.random(model, seed=0)
    objective = Objective(model, "cross_entropy", (images.clone(), targets))
    with Evaluator(objective, plane) as evaluator, arithmetic():
        ours = Ours(evaluator)
        size = evaluator.batch_size
        contenders: dict[str, Any] = {
            peer.name: peer(plain, images, targets, size) for peer in PEERS
        }
        convolutional = any(isinstance(m, nn.Conv2d) for m in model.modules())
        bare = []
        for channels_last in (False, True) if convolutional else (False,):
            probe = Bare(plain, images, targets, size, channels_last)
            bare_size = fastest_batch_size(probe.rate, samples)
            bare.append(Bare(plain, images, targets, bare_size, channels_last))
        contenders |= {one.name: one for one in bare}
        turns = {
            key: max(2, min(50, round(TURN_SECONDS / contender.seconds(1))))
            for key, contender in contenders.items()
        }
        mine = max(2, min(50, round(TURN_SECONDS / ours.seconds(1))))
        ratios: dict[str, list[float]] = {key: [] for key in contenders}
        fastest, times, shares, peaks = [], [], [], []
        work = operations(plain, images)
        for _ in range(rounds):
            peaks.append(matrix_rate(device))
            before = ours.seconds(mine)
            shares.append(work / before / peaks[-1])
            for key, contender in contenders.items():
                other = contender.seconds(turns[key])
                after = ours.seconds(mine)
                ratios[key].append(other / ((before + after) / 2))
                before = after
                times.append(after)
            fastest.append(min(ratios[peer.name][-1] for peer in PEERS))
        errors = {}
        for dtype in (torch.float32, torch.float64):
            found = [
                float(np.mean(evaluator.measure(p)["train"]["loss"], dtype=np.float64))
                for p in POINTS
            ]
            wanted = [reference(plain, plane, p, images, targets, dtype) for p in POINTS]
            errors[dtype] = max(abs(f / w - 1) for f, w in zip(found, wanted))
    # in each round, the format that is the faster one there
    over = [1 / min(times) for times in zip(*(ratios[one.name] for one in bare))]
    best = min(bare, key=lambda one: np.median(ratios[one.name]))
    of_formats = [results.spread([1 / r for r in ratios[one.name]]) for one in bare]
    return {
        "evaluation": [
            name,
            samples,
            size,
            f"{1e3 * np.median(times):.3g}",
            results.spread(fastest),
            *(results.spread(ratios[peer.name]) for peer in PEERS),
        ],
        "forward": [
            name,
            results.spread(over),
            len(best.batches[0]),
            *(of_formats if convolutional else [of_formats[0], ""]),
            f"{work / 1e9:.3g}",
            f"{1e-9 * work / np.median(times):.0f}",
            f"{1e-9 * np.median(peaks):.0f}",
            f"{100 * np.median(shares):.0f}% ({100 * min(shares):.0f} .. {100 * max(shares):.0f})",
        ],
        "values": [name, f"{errors[torch.float32]:.1e}", f"{errors[torch.float64]:.1e}"],
    }


COLUMNS = {
    "evaluation": (
        "Time of a point, as a multiple of losslandscape's",
        ["model", "images", "batch", "ms", "fastest peer", *(peer.name for peer in PEERS)],
        [
            "Medians over the rounds, with minimum and maximum in brackets. Only the ratios are "
            "comparable; the milliseconds depend on the machine's load.",
            "Every peer has the same batch size and threads, and its batches in memory. Only the "
            f"loop of {Li.name} reads a DataLoader, as the original does.",
        ],
    ),
    "forward": (
        "A point beside the bare forward pass and the machine's matrix products",
        [
            "model",
            "point / best bare pass",
            "its batch size",
            "point / row-major pass",
            "point / channels-last pass",
            "GFLOP",
            "GFLOP/s",
            "matrix GFLOP/s",
            "share",
        ],
        [
            "The bare pass is `model(x)` alone, at its own best batch size; the best one is in "
            "the memory format that is faster in that round.",
            f"The matrix product is in float32, {MATRIX} x {MATRIX}, in the same round. "
            "torch.utils.flop_counter counts operations, including zeros in a convolution's "
            "padding.",
        ],
    ),
    "values": (
        "Largest relative difference of the mean loss at three points",
        ["model", "from float32 passes", "from float64 passes"],
        ["Reference: parameters copied into the model, row-major, losses summed in float64."],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=models.SAMPLES, default=list(models.SAMPLES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--quick", action="store_const", const=1, dest="rounds", help="one round per model"
    )
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    tables: dict[str, list] = {table: [] for table in COLUMNS}
    for name in arguments.only:
        start = time.perf_counter()
        for table, row in compare(name, arguments.rounds, arguments.device).items():
            tables[table].append(row)
            print(table, *row, sep=" | ", flush=True)
        print(f"{time.perf_counter() - start:.0f} s\n")
    for table, (title, columns, notes) in COLUMNS.items():
        name = results.of_processor(table, arguments.device)
        results.write(name, title, columns, tables[table], notes, arguments.device)


if __name__ == "__main__":
    main()
