"""``python -m benchmarks.basin_volume``: volumes of ellipsoids, against the formula.

Prints the table of docs/basin_volume.md. Each ellipsoid is {half sum c_i w_i^2 <= 0.1}, with
curvatures c_i from 1 to 1,000, evenly spaced on a log scale.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor, nn

import losslandscape as ll

DIMENSIONS = (10, 100, 1000)
CUTOFF, DIRECTIONS = 0.1, 1000


class Bowl(nn.Module):
    """half sum c_i w_i^2, for every sample."""

    def __init__(self, curvatures: np.ndarray):
        super().__init__()
        self.register_buffer("curvatures", torch.from_numpy(curvatures))
        self.w = nn.Parameter(torch.zeros(len(curvatures), dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        return (0.5 * (self.curvatures * self.w.square()).sum()).expand(len(inputs))


def own(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss is what the model returns."""
    return outputs


def true_log10(curvatures: np.ndarray) -> float:
    """log10 of the ellipsoid's volume.

    >>> round(10 ** true_log10(np.array([0.2, 0.2])), 4)  # the unit circle
    3.1416
    """
    n = len(curvatures)
    ball = n / 2 * math.log(math.pi) - gammaln(n / 2 + 1)
    return float(ball + 0.5 * np.log(2 * CUTOFF / curvatures).sum()) / math.log(10)


def main() -> None:
    for n in DIMENSIONS:
        curvatures = np.logspace(0, 3, n)
        samples = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        objective = ll.Objective(Bowl(curvatures), own, samples)
        naive, exact = (
            ll.basin_volume(objective, CUTOFF, DIRECTIONS, preconditioner)
            for preconditioner in (None, "hessian")
        )
        low, high = naive.interval
        print(
            f"| {n:,} | {true_log10(curvatures):.2f} | {naive.log10_volume:.2f} ({low:.2f} to "
            f"{high:.2f}) | {naive.effective_samples:.1f} | {exact.log10_volume:.2f} | "
            f"{exact.effective_samples:.0f} |"
        )


if __name__ == "__main__":
    main()
