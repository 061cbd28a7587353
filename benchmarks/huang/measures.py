"""What is measured at a minimum: losses, accuracies, both volumes, the loss along lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import losslandscape as ll
from benchmarks.huang.minima import Minimum, accuracy, held_out_set, network_of, training_set
from losslandscape.analysis.basin_volume import BasinVolume

CUTOFF = 0.1
LINES, LINE_POINTS, HALF_WIDTH = 5, 61, 1.0


@dataclass(frozen=True)
class Measured:
    """A minimum and its numbers.

    Attributes
    ----------
    numbers : dict
        A row of the table.
    radii : dict of str to float64 ndarray, shape (directions,)
        By estimator.
    lines : float64 ndarray, shape (LINES, LINE_POINTS)
        Losses along filter-normalized random directions.
    """

    minimum: Minimum
    numbers: dict[str, Any]
    radii: dict[str, np.ndarray]
    lines: np.ndarray


def objective_of(model: torch.nn.Module) -> ll.Objective:
    """The loss on the training set."""
    return ll.Objective(model, torch.nn.BCEWithLogitsLoss(), training_set())


def measure(minimum: Minimum, directions: int) -> Measured:
    """Measure a minimum with the package's public calls."""
    model = network_of(minimum.weights)
    objective = objective_of(model)
    naive = ll.basin_volume(objective, CUTOFF, directions)
    preconditioned = ll.basin_volume(objective, CUTOFF, directions, "hessian")
    numbers = {
        "factor": minimum.factor,
        "seed": minimum.seed,
        "steps": minimum.steps,
        "loss": naive.loss,
        "training_accuracy": accuracy(model, training_set()),
        "test_accuracy": accuracy(model, held_out_set()),
        "norm": float(np.linalg.norm(minimum.weights.astype(np.float64))),
        "dimension": naive.dimension,
        "naive": _numbers(naive),
        "preconditioned": _numbers(preconditioned),
    }
    radii = {"naive": naive.radii, "preconditioned": preconditioned.radii}
    return Measured(minimum, numbers, radii, _lines(objective))


def _numbers(volume: BasinVolume) -> dict[str, Any]:
    return {
        "log10_volume": volume.log10_volume,
        "interval": list(volume.interval),
        "lower_bound": volume.lower_bound,
        "effective_samples": volume.effective_samples,
        "median_radius": float(np.median(volume.radii)),
        "not_crossed": int((~volume.crossed).sum()),
    }


def _lines(objective: ll.Objective) -> np.ndarray:
    grid = ll.Grid.line(LINE_POINTS, HALF_WIDTH)
    found = []
    for seed in range(LINES):
        line = ll.Subspace.random(objective.model, 1, seed=seed)
        found.append(ll.evaluate(objective, line, grid, quiet=True).values("loss"))
    return np.stack(found)
