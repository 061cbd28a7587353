"""Sample allocation by variance on large data sets: passes over the data, and the true error.

``python -m benchmarks.allotment study_runs/dense/mlp_random.nc ...`` reads dense landscapes with
per-sample losses, and draws 50,000 samples from them with replacement: means, deviations and tails
are those of a real network. A model then looks up the loss of a sample at the nearest grid point,
so that :func:`losslandscape.evaluate` runs as it does with a real model.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import losslandscape as ll
from benchmarks import results
from losslandscape.adaptive.refinement import Adaptive
from losslandscape.landscape.landscape import Landscape

SIZE = 50_000
TOLERANCE = 0.01


class LookedUp(nn.Module):
    """The stored per-sample losses at the grid point nearest to its parameters (alpha, beta)."""

    def __init__(self, landscape: Landscape):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2))
        self.table = torch.from_numpy(landscape.samples["loss_samples"])  # (beta, alpha, sample)
        self.axes = landscape.grid.axes()

    def forward(self, samples: Tensor) -> Tensor:
        column, row = (
            int(np.abs(axis - float(at)).argmin()) for axis, at in zip(self.axes, self.place)
        )
        return self.table[row, column][samples]


def by_sample(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
    return model(batch[0])


def run(path: Path, allot: bool, seed: int) -> dict[str, float]:
    landscape = Landscape.open(path)
    kept = landscape.samples["loss_samples"]
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randint(kept.shape[-1], (SIZE,), generator=generator)
    weight = np.bincount(samples.numpy(), minlength=kept.shape[-1]) / SIZE
    truth = kept.astype(np.float64) @ weight
    model = LookedUp(landscape)
    objective = ll.Objective(model, by_sample, (samples,), batch_size=512)
    axes = [{"place": torch.tensor([1.0, 0.0])}, {"place": torch.tensor([0.0, 1.0])}]
    plane = ll.Subspace({"place": torch.zeros(2)}, axes)
    began = time.perf_counter()
    found = ll.evaluate(
        objective,
        plane,
        landscape.grid,
        tolerance=Adaptive(TOLERANCE, seed=seed),
        keep_samples=not allot,
        quiet=True,
    )
    seconds = time.perf_counter() - began
    done = found.provenance["adaptive"]
    scale = np.log10 if done["scale"] == "log" else np.asarray
    error = np.abs(scale(found.values()) - scale(truth)).max() / np.ptp(scale(truth))
    allotted = done.get("allotment", {})
    return {
        "points": done["evaluated"],
        "passes": allotted.get("passes", done["evaluated"]),
        "within": allotted.get("within"),
        "factor": allotted.get("factor"),
        "error": float(error),
        "seconds": seconds,
        "size": landscape.grid.size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("landscapes", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for path in arguments.landscapes:
        plain = run(path, False, 0)
        found = [run(path, True, seed) for seed in range(arguments.seeds)]
        passes = [f["passes"] for f in found]
        rows.append(
            [
                path.stem,
                plain["points"],
                f"{100 * plain['points'] / plain['size']:.1f}%",
                f"{np.median(passes):.0f}",
                f"{100 * np.median(passes) / plain['size']:.2g}%",
                f"{100 * max(f['error'] for f in found):.2f}%",
                ", ".join("whole" if f["factor"] is None else f"{f['factor']:g}" for f in found),
            ]
        )
        print(*rows[-1], sep="  ", flush=True)
    results.write(
        "allotment",
        f"A tolerance of {100 * TOLERANCE:g}% of 51x51 with {SIZE:,} samples",
        [
            "surface",
            "points alone: passes over the data",
            "of the dense cost",
            "samples by variance: passes",
            "of the dense cost",
            "largest true error",
            "factors",
        ],
        rows,
        [
            f"Medians over {arguments.seeds} random draws of the samples; the error is the largest "
            "of them. The factors are those of the trial at the origin."
        ],
    )


if __name__ == "__main__":
    main()
