"""Convexity maps of a deep network with and without skip connections.

``OMP_NUM_THREADS=1 python -m benchmarks.convexity`` writes results/convexity_shares.json,
results/convexity.json and docs/images/convexity.png. Finished maps stay in study_runs/convexity: a
run that was killed goes on there. Remove the folder after a change of the code.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LogNorm
from torch import Tensor, nn

from benchmarks import report, results
from benchmarks.studies import interval
from losslandscape import Grid, Landscape, Objective, Subspace, convexity, evaluate
from losslandscape.analysis.convexity import NEARLY_CONVEX, RATIO, RATIO_ERROR, SMALLEST
from losslandscape.study.datasets import load_samples

_SAMPLES, _STEPS, _TOLERANCE = 100, 300, 5e-3
_BLOCKS, _WIDTH = 6, 10
_NAMES = {True: "with", False: "without"}
_FOLDER = Path("study_runs/convexity")
_PICTURE = Path(__file__).parent.parent / "docs" / "images" / "convexity.png"


class Deep(nn.Module):
    """Blocks of two layers of ReLU units, each with a skip connection around it or without."""

    def __init__(self, skips: bool):
        super().__init__()
        self.skips = skips
        self.read = nn.Linear(64, _WIDTH)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH))
            for _ in range(_BLOCKS)
        )
        self.head = nn.Linear(_WIDTH, 10)
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):  # PyTorch's default lets the signal of a plain network die
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        found = self.read(images.flatten(1))
        for block in self.blocks:
            inside = block(torch.relu(found))
            found = found + inside if self.skips else inside
        return self.head(torch.relu(found))


def trained(skips: bool, seed: int) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A network after full-batch Adam on digits, and its samples."""
    torch.manual_seed(seed)
    model = Deep(skips)
    images, labels = load_samples("digits8")
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:_SAMPLES]
    images, labels = images[chosen], labels[chosen]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval(), (images, labels)


def mapped(skips: bool, seed: int, points: int) -> Landscape:
    """The convexity map on a random filter-normalized plane, by all weights without biases."""
    sizes = [_BLOCKS, _WIDTH, _SAMPLES, _STEPS, _TOLERANCE, points]
    path = _FOLDER / "_".join(map(str, sizes)) / f"{_NAMES[skips]}_{seed}.nc"
    if not path.exists():
        model, data = trained(skips, seed)
        objective = Objective(model, "cross_entropy", data)
        plane = Subspace.random(model, seed=seed)
        landscape = evaluate(objective, plane, Grid.square(points), quiet=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        convexity(
            landscape, objective, plane, parameters="*.weight", tolerance=_TOLERANCE,
            journal=path.with_suffix(".journal"),
        ).save(path)  # fmt: skip
    return Landscape.open(path)


def shares(ratio: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """Percentages of all points: surely above ``NEARLY_CONVEX``, and undecided.

    A point is undecided if its error leaves the side open, or if it has no ratio.

    >>> shares(np.array([0.5, 0.01, 0.11, np.nan]), np.array([0.1, 0.001, 0.02, np.nan]))
    (25.0, 50.0)
    """
    with np.errstate(invalid="ignore"):  # of an infinite ratio, whose error is infinite too
        above = ratio - error > NEARLY_CONVEX
        below = ratio + error < NEARLY_CONVEX
    return float(100 * above.mean()), float(100 * (~above & ~below).mean())


def by_kind(found: dict[bool, list[float]]) -> list[list[str | int]]:
    """Mean shares with 95% intervals over the seeds, and of the differences seed by seed."""
    differences = [without - skips for without, skips in zip(found[False], found[True])]
    rows: list[list[str | int]] = []
    kinds = {
        "with": (found[True], 0),
        "without": (found[False], 0),
        "without - with": (differences, -100),
    }
    for name, (values, least) in kinds.items():
        mean, half = interval(values)
        low, high = max(mean - half, least), min(mean + half, 100)  # what a share can be
        rows.append([
            name, len(values), f"{mean:.1f}", f"{low:.1f} to {high:.1f}",
            f"{min(values):.1f} to {max(values):.1f}",
        ])  # fmt: skip
    return rows


def row(skips: bool, seed: int, found: Landscape) -> list[str | int]:
    """A row of the table of maps."""
    ratio, loss, error = found.values(RATIO), found.values("loss"), found.values(RATIO_ERROR)
    above, undecided = shares(ratio, error)
    known = np.isfinite(ratio)
    center = tuple(n // 2 for n in ratio.shape)
    return [
        _NAMES[skips], seed, f"{loss[center]:.2g}",
        f"{ratio[center]:.4f} ± {error[center]:.1g}", f"{above:.1f}", f"{undecided:.1f}",
        int((~known).sum()), f"{error[known].max():.1g}", f"{np.median(ratio[known]):.2f}",
        f"{ratio[known].max():.2f}", f"{found.values(SMALLEST)[known].min():.3g}",
    ]  # fmt: skip


def draw(maps: dict[bool, Landscape]) -> None:
    """The loss above the convexity map, of each network."""
    picture, axes = plt.subplots(2, len(maps), figsize=(7.2, 6.2), constrained_layout=True)
    for column, (skips, found) in zip(axes.T, maps.items()):
        low, high = found.grid.bounds[0]
        half = found.grid.spacing[0] / 2  # a pixel is around its point
        ends = (low - half, high + half)
        how = {"origin": "lower", "extent": (*ends, *ends)}
        shown = column[0].imshow(np.log10(found.values("loss")), cmap="viridis", **how)
        picture.colorbar(shown, ax=column[0], label="log10 of the loss")
        shown = column[1].imshow(found.values(RATIO), cmap="magma", norm=LogNorm(1e-3, 1), **how)
        picture.colorbar(
            shown, ax=column[1], extend="both", label="|smallest / largest eigenvalue|"
        )
        column[0].set_title(f"{_NAMES[skips]} skip connections", fontsize=10)
        for axis in column:
            axis.set(xlabel="alpha", ylabel="beta")
    picture.savefig(_PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=7, help="along each axis")
    parser.add_argument("--seeds", type=int, default=3, help="2 or more")
    arguments = parser.parse_args()
    maps = {
        (skips, seed): mapped(skips, seed, arguments.points)
        for seed in range(arguments.seeds)  # first, so that a run that was killed has pairs
        for skips in (True, False)
    }
    seeds = range(arguments.seeds)
    rows = [row(skips, seed, maps[skips, seed]) for skips in (True, False) for seed in seeds]
    above = {
        skips: [
            shares(maps[skips, seed].values(RATIO), maps[skips, seed].values(RATIO_ERROR))[0]
            for seed in seeds
        ]
        for skips in (True, False)
    }
    results.write(
        "convexity_shares",
        f"Share of the plane with |smallest / largest eigenvalue| above {NEARLY_CONVEX:g}, in %",
        ["skip connections", "seeds", "mean", "95% interval", "smallest to largest"],
        by_kind(above),
        ["Intervals are Student's over the seeds. Networks of the same seed have the same samples, "
         "and their differences are taken seed by seed."],
        None,
    )  # fmt: skip
    results.write(
        "convexity",
        f"Convexity maps of a network of {2 * _BLOCKS + 2} layers",
        ["skip connections", "seed", "loss at the model", "ratio at the model",
         f"share above {NEARLY_CONVEX:g}, %", "undecided, %", "points without eigenvalues",
         "largest error", "median ratio", "largest ratio", "most negative eigenvalue"],
        rows,
        [f"{_BLOCKS} blocks of two layers of {_WIDTH} ReLU units, {_SAMPLES} digits of 8x8 pixels, "
         f"{_STEPS} steps of full-batch Adam. Random filter-normalized planes of -1 to 1, "
         f"{arguments.points} x {arguments.points} points; Hessian of all weights, without biases. "
         f"Ratio: |smallest / largest eigenvalue|, tolerance {_TOLERANCE:g}. Undecided points are "
         "not part of the share."],
    )  # fmt: skip
    draw({skips: maps[skips, 0] for skips in (True, False)})
    report.main()


if __name__ == "__main__":
    main()
