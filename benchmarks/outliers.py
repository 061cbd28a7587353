"""Outliers of the spectrum of classifiers with 3, 5 and 10 classes.

``OMP_NUM_THREADS=1 python -m benchmarks.outliers`` writes results/curvature_outliers.json.

The rule is fixed before looking: among the 2 C largest eigenvalues of C classes, the outliers are
those above the widest relative gap.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import torch
from torch import nn

from benchmarks import report, results
from losslandscape import Objective, curvature
from losslandscape.study.datasets import load_samples

_CLASSES, _PER_CLASS, _STEPS = (3, 5, 10), 60, (10, 100)
_TOLERANCE = 1e-3


def networks(classes: int) -> dict[str, nn.Module]:
    return {
        "MLP (tanh)": nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(),
            nn.Linear(16, classes),
        ),
        "CNN (ReLU)": nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(64, classes),
        ),
    }  # fmt: skip


def trained(name: str, classes: int, steps: int, seed: int) -> tuple[Objective, float]:
    """A classifier of the first classes of digits after full-batch Adam, and its accuracy."""
    torch.manual_seed(seed)
    model = networks(classes)[name].double()
    images, labels = load_samples("digits8")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([order[labels[order] == c][:_PER_CLASS] for c in range(classes)])
    data = images[chosen].double(), labels[chosen]
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()
    right = float((model(data[0]).argmax(1) == data[1]).double().mean())
    return Objective(model.eval(), "cross_entropy", data), right


def outliers(values: np.ndarray, classes: int) -> tuple[int, float]:
    """How many are above the widest relative gap of the 2 C largest, and the ratio across it.

    Eigenvalues that are not positive end the search.

    >>> outliers(np.array([9.0, 8.0, 1.0, 0.9, 0.8, 0.7, 0.6]), 3)
    (2, 8.0)
    >>> outliers(np.array([9.0, 8.0, 0.5, -1.0, -2.0, -3.0, -4.0]), 3)
    (2, 16.0)
    """
    above = values[: 2 * classes + 1]
    above = above[above > 0]
    ratios = above[:-1] / above[1:]
    return int(ratios.argmax()) + 1, float(ratios.max())


def row(name: str, classes: int, steps: int, seeds: int) -> tuple[list, int]:
    """A row of the table, and how many eigenvalues did not converge."""
    counts, gaps, expected, right, missing = [], [], [], [], 0
    for seed in range(seeds):
        objective, accuracy = trained(name, classes, steps, seed)
        found = curvature(
            objective, 2 * classes + 1, tolerance=_TOLERANCE, density_probes=0, probes=2
        )
        top = slice(2 * classes + 1)
        missing += int((~found.converged[top]).sum())
        values = found.eigenvalues[top]
        count, gap = outliers(values, classes)
        counts.append(count)
        gaps.append(gap)
        expected.append(values[classes - 2] / values[classes - 1])
        right.append(accuracy)
    return [
        name, classes, steps,
        f"{100 * np.mean(right):.0f}",
        ", ".join(f"{n} ({k}x)" for n, k in sorted(Counter(counts).items())),
        f"{counts.count(classes - 1)} of {seeds}", f"{np.median(gaps):.2f}",
        f"{np.median(expected):.2f}",
    ], missing  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    rows, missing = [], 0
    for name in networks(2):
        for classes in _CLASSES:
            for steps in _STEPS:
                found, unconverged = row(name, classes, steps, seeds)
                rows.append(found)
                missing += unconverged
                print(found, unconverged, flush=True)
    results.write(
        "curvature_outliers",
        "Outliers of the Hessian of classifiers of C digits",
        ["network", "C", "steps of training", "training accuracy, %", "outliers",
         "C - 1 outliers", "ratio across the gap", "ratio of eigenvalues C - 1 and C"],
        rows,
        [f"Outliers are the eigenvalues above the widest relative gap among the 2 C largest; a gap "
         f"anywhere would be at C - 1 in 1 of 2 C. {seeds} seeds, {_PER_CLASS} samples of each "
         "class, full-batch Adam; ratios are medians. "
         + (f"{missing} eigenvalues did not converge." if missing else "All converged.")],
        None,
    )  # fmt: skip
    report.main()


if __name__ == "__main__":
    main()
