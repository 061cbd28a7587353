"""Convexity maps of a deep network with and without skip connections.

``python -m benchmarks.convexity`` writes results/convexity.json and docs/images/convexity.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import report, results
from losslandscape import Grid, Landscape, Objective, Subspace, convexity, evaluate
from losslandscape.study.datasets import load_samples

_SAMPLES = 200
_PICTURE = Path(__file__).parent.parent / "docs" / "images" / "convexity.png"


class Deep(nn.Module):
    """Blocks of two layers of ReLU units, each with a skip connection around it or without."""

    def __init__(self, skips: bool, blocks: int = 10, width: int = 12) -> None:
        super().__init__()
        self.skips = skips
        self.read = nn.Linear(64, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        found = self.read(images.flatten(1))
        for block in self.blocks:
            inside = block(torch.relu(found))
            found = found + inside if self.skips else inside
        return self.head(torch.relu(found))


def trained(skips: bool, seed: int, steps: int = 400) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A network after full-batch Adam on digits, and its samples."""
    torch.manual_seed(seed)
    model = Deep(skips)
    images, labels = load_samples("digits8")
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:_SAMPLES]
    images, labels = images[chosen], labels[chosen]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval(), (images, labels)


def mapped(skips: bool, seed: int, points: int) -> Landscape:
    """The convexity map on a random filter-normalized plane, over weights with several axes."""
    model, data = trained(skips, seed)
    objective = Objective(model, "cross_entropy", data)
    plane = Subspace.random(model, seed=seed)
    landscape = evaluate(objective, plane, Grid.square(points), quiet=True)
    return convexity(landscape, objective, plane, parameters="*.weight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=15, help="along each axis")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows, first = [], {}
    for skips in (True, False):
        for seed in range(arguments.seeds):
            found = mapped(skips, seed, arguments.points)
            ratio, loss = found.values("convexity"), found.values("loss")
            known = np.isfinite(ratio)
            center = tuple(n // 2 for n in ratio.shape)
            negative = found.values("hessian_eigenvalue_min")[known]
            rows.append([
                "with" if skips else "without", seed, f"{loss[center]:.3g}",
                f"{ratio[center]:.3g}", f"{100 * (ratio[known] > 0.1).mean():.1f}",
                f"{np.median(ratio[known]):.3g}", f"{ratio[known].max():.3g}",
                f"{negative.min():.3g}", f"{found.values('convexity_error')[known].max():.1e}",
                int((~known).sum()),
            ])  # fmt: skip
            print(rows[-1], flush=True)
            first.setdefault(skips, found)
    results.write(
        "convexity",
        "Convexity maps of a network of 22 layers with and without skip connections",
        ["skip connections", "seed", "loss at the model", "ratio at the model",
         "share of the plane with a ratio above 0.1, %", "median ratio", "largest ratio",
         "most negative eigenvalue", "largest error of the ratio", "points without"],
        rows,
        [f"10 blocks of two layers of 12 ReLU units, {_SAMPLES} digits of 8x8 pixels, 400 steps of "
         "full-batch Adam. Random filter-normalized planes of -1 to 1, "
         f"{arguments.points} x {arguments.points} points; Hessian of all weights, without biases. "
         "Ratio: |smallest / largest eigenvalue|."],
    )  # fmt: skip
    picture, axes = plt.subplots(2, 2, figsize=(7.2, 6.2), constrained_layout=True)
    for column, (skips, found) in zip(axes.T, first.items()):
        low, high = found.grid.bounds[0]
        how = {"origin": "lower", "extent": (low, high, low, high)}
        shown = column[0].imshow(np.log10(found.values("loss")), cmap="viridis", **how)
        picture.colorbar(shown, ax=column[0], label="log10 of the loss")
        shown = column[1].imshow(found.values("convexity"), cmap="magma", vmin=0, vmax=1, **how)
        picture.colorbar(shown, ax=column[1], extend="max", label="|smallest / largest eigenvalue|")
        column[0].set_title(f"{'with' if skips else 'without'} skip connections", fontsize=10)
        for axis in column:
            axis.set_xlabel("alpha")
            axis.set_ylabel("beta")
    picture.savefig(_PICTURE, dpi=110)
    report.main()


if __name__ == "__main__":
    main()
