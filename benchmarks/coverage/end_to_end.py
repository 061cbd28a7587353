"""``evaluate(tolerance=)`` with a large data set: sampling and interpolation together."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor, nn

import losslandscape as ll
from benchmarks.coverage.claim import Claim, Family, Outcome
from losslandscape.adaptive.refinement import Adaptive

SECTION = "Fewer points and fewer samples"
SIZE, TOLERANCE = 12_000, 0.02


class Sampled(nn.Module):
    """Per-sample losses in closed form of a place (alpha, beta), as one sample each."""

    def __init__(self, kind: str, numbers: Tensor):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.kind = kind
        self.register_buffer("numbers", numbers)

    def forward(self, samples: Tensor) -> Tensor:
        a, b = self.place
        center, width, height = self.numbers[samples].T
        radius = (a - 0.1 * center) ** 2 + 1.5 * (b + 0.1 * center) ** 2
        if self.kind == "bowl":
            return height * (0.02 + width * radius)
        if self.kind == "saturating":
            return height * (0.02 + width * radius / (0.3 + radius))
        return height * torch.relu(radius * width - 0.3 * width + 0.05 * center.abs()) + 0.02


KINDS = ("bowl", "saturating", "hinge")


def _by_sample(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
    return model(batch[0])


@lru_cache(maxsize=2)
def _measured(kind: str, seed: int):
    """The landscape with a tolerance, and the data set's mean at every grid point."""
    random = np.random.default_rng(seed)
    wrong = random.random(SIZE) < 0.02
    height = np.where(wrong, random.lognormal(1.0, 0.7, SIZE), random.gamma(4.0, 0.25, SIZE))
    numbers = np.stack([random.normal(size=SIZE), random.gamma(3.0, 1 / 3, SIZE), height], axis=1)
    model = Sampled(kind, torch.from_numpy(numbers))
    samples = torch.arange(SIZE)
    objective = ll.Objective(model, _by_sample, (samples,), batch_size=1024)
    axes = torch.eye(2, dtype=torch.float64)
    plane = ll.Subspace(
        {"place": torch.zeros(2, dtype=torch.float64)}, [{"place": a} for a in axes]
    )
    grid = ll.Grid.square(21)
    found = ll.evaluate(
        objective, plane, grid, tolerance=Adaptive(TOLERANCE, seed=seed, scale="linear"),
        keep_samples=False, quiet=True,
    )  # fmt: skip
    truth = np.empty(grid.size)
    with torch.no_grad():
        for i, place in enumerate(grid.points()):
            model.place.copy_(torch.from_numpy(place))
            truth[i] = model(samples).mean().item()
    return found, truth.reshape(grid.shape)


def within_tolerance(kind: str, seed: int) -> Outcome:
    """Whether the largest error of the surface is within the tolerance."""
    found, truth = _measured(kind, seed)
    off = float(abs(found.values() - truth).max() / np.ptp(truth) / TOLERANCE)
    return Outcome(off <= 1, off, f"{off:.2f} times the tolerance")


def stated_point(kind: str, seed: int) -> Outcome:
    """Whether one point, drawn at random, is within its stated errors of both causes."""
    found, truth = _measured(kind, seed)
    interpolation = found.fields["loss_interpolation_error"]
    sampling = np.nan_to_num(found.standard_error(against="dataset", dataset_samples=SIZE))
    point = np.random.default_rng(seed).integers(truth.size)
    near = np.where(found.status == 1, sampling, sampling.max())
    stated = np.hypot(interpolation, 2 * near).ravel()[point]
    off = float(abs(found.values() - truth).ravel()[point])
    return Outcome(off <= stated, off / stated if stated else None)


def claims() -> tuple[Claim, ...]:
    return (
        Claim(
            "tolerance",
            SECTION,
            "With `tolerance=0.02` and 12,000 samples, the largest error of the whole surface is "
            "within the tolerance.",
            0.95,
            tuple(Family(name, partial(within_tolerance, name), 12) for name in KINDS),
            number="largest error / tolerance",
        ),
        Claim(
            "stated errors together",
            SECTION,
            "A random point is within its stated errors of interpolation and sampling.",
            0.95,
            tuple(Family(name, partial(stated_point, name), 12) for name in KINDS),
            number="error / stated",
        ),
    )
