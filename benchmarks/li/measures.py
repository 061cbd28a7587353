"""What is measured at a network, with the package's public calls."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import losslandscape as ll
from benchmarks.li.networks import Data, Network, Pair
from benchmarks.li.presets import Preset
from benchmarks.studies import evaluated
from losslandscape.analysis.convexity import NEARLY_CONVEX, RATIO, RATIO_ERROR, SMALLEST
from losslandscape.analysis.roughness import roughness
from losslandscape.study.datasets import stratified_subset

EPSILON = 0.1  # height of a flat region
RAW_POINTS, RAW_BOUNDS = 101, (-2.0, 3.0)  # of the line through two minima, at 0 and 1
_BATCH = 500
_PATH_POINTS = 3
_TOLERANCE = 0.02  # of eigenvalues, relative to the width of the spectrum


def objective_of(model: nn.Module, samples: Pair, device: str = "cpu") -> ll.Objective:
    """The loss with the running statistics of the trained network, as Li et al. measure it."""
    return ll.Objective(
        model, "cross_entropy", samples,
        batch_norm="fixed", batch_size=min(_BATCH, len(samples[1])), device=device,
        execution="plain",
    )  # fmt: skip


def measured(
    network: Network,
    preset: Preset,
    data: Data,
    folder: Path,
    device: str = "cpu",
    executor: Executor | None = None,
) -> dict[str, Any]:
    """The numbers of a network. Its landscapes are in the folder, and finished ones stay."""
    model, recipe = network.model, network.recipe
    objective = objective_of(model, stratified_subset(*data.train, preset.samples), device)
    planes, surfaces = [], []
    for number in range(preset.planes):
        planes.append(plane_of(network, number))
        surfaces.append(
            evaluated(
                folder / f"plane{number}.nc", objective, planes[-1], ll.Grid.square(preset.points),
                executor=executor, title=recipe.name, quiet=True,
            )
        )  # fmt: skip
    wrong, count = errors(model, data.test, device)
    numbers = {
        "network": recipe.name,
        "seed": network.seed,
        **recipe.to_json(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_loss": float(surfaces[0].values()[(preset.points // 2,) * 2]),
        "training_error": errors(model, data.train, device)[0] / len(data.train[1]),
        "test_errors": wrong,
        "test_samples": count,
        "roughness": float(np.mean([roughness(np.log10(one.values())) for one in surfaces])),
        "minima": float(np.mean([_significant_minima(one) for one in surfaces])),
    }
    numbers.update(_flatness(surfaces[0], objective, planes[0], preset, network.seed))
    numbers.update(_path(network, objective, folder, executor))
    return numbers


def plane_of(network: Network, number: int) -> ll.Subspace:
    """The random planes of a network; those of two seeds are others."""
    return ll.Subspace.random(network.model, seed=1000 * (network.seed + 1) + number)


@torch.no_grad()
def errors(model: nn.Module, samples: Pair, device: str = "cpu") -> tuple[int, int]:
    """How many samples are classified wrongly, and of how many."""
    images, labels = samples
    found = [
        model(images[i : i + _BATCH].to(device)).argmax(1).cpu()
        for i in range(0, len(labels), _BATCH)
    ]
    return int((torch.cat(found) != labels).sum()), len(labels)


def _significant_minima(surface: ll.Landscape) -> int:
    found = ll.find_critical_points(surface, scale="log").counts["minimum"]
    return found["significant"] + found["boundary_significant"]


def _flatness(
    surface: ll.Landscape, objective: ll.Objective, plane: ll.Subspace, preset: Preset, seed: int
) -> dict[str, Any]:
    """The mean flat length along filter-normalized random directions."""
    lines = ll.trust(
        surface, objective, plane, spread=True, epsilon=EPSILON, width=0.01,
        most_directions=preset.lines, seed=1000 * (seed + 1) + 100,
    ).lines  # fmt: skip
    assert lines is not None
    flat = lines.quantities["flat length"]
    return {
        "flat_length": flat.mean,
        "flat_length_half_width": flat.half_width,
        "flat_lengths_at_edge": lines.at_edge,
        "directions": lines.count,
    }


def _path(
    network: Network, objective: ll.Objective, folder: Path, executor: Executor | None
) -> dict[str, Any]:
    """The share of the trajectory in the plane of its two principal components."""
    plane = ll.Subspace.pca(network.trajectory)
    surface = evaluated(
        folder / "path.nc", objective, plane, plane.default_grid(_PATH_POINTS),
        executor=executor, title=network.recipe.name, quiet=True,
    )  # fmt: skip
    (path,) = ll.trust(surface, objective, plane, network.trajectory).paths
    walk = path.walk_of_these_lengths or path.walk
    assert walk is not None
    return {
        "checkpoints": path.checkpoints,
        "path_variance": path.variance,
        "walk_variance": walk.variance,
        "walk_interval": walk.variance_interval,
    }


def weights_of(model: nn.Module) -> list[str]:
    """Names of the weights of convolutions and linear layers."""
    return [name for name, parameter in model.named_parameters() if parameter.dim() > 1]


def convexity(
    network: Network, preset: Preset, data: Data, folder: Path, device: str = "cpu"
) -> dict[str, Any]:
    """The share of the plane that is far from convex, and the ratio at the start.

    Of the Hessian by the weights of convolutions and linear layers, without biases and batch norm,
    over a part of the samples.
    """
    few = stratified_subset(*data.train, preset.map_samples)
    weights, plane = weights_of(network.model), plane_of(network, 0)
    path = folder / "convexity.nc"
    if not path.exists():
        objective = objective_of(network.model, few, device)
        surface = evaluated(
            folder / "convexity_loss.nc", objective, plane, ll.Grid.square(preset.map_points),
            title=network.recipe.name, quiet=True,
        )  # fmt: skip
        ll.convexity(
            surface, objective, plane, parameters=weights, tolerance=_TOLERANCE,
            journal=folder / "convexity.journal",
        ).save(path)  # fmt: skip
    mapped = ll.Landscape.open(path)
    ratio, error = mapped.values(RATIO), mapped.values(RATIO_ERROR)
    known = np.isfinite(ratio)
    # a smallest eigenvalue above 0 is convex whatever the ratio
    far = (ratio > NEARLY_CONVEX) & (mapped.values(SMALLEST) < 0)
    middle = (preset.map_points // 2,) * 2
    # the running statistics of the network before training are those of nothing
    update_bn([data.train[0].to(device)], network.start)
    start = ll.curvature(
        objective_of(network.start.eval(), few, device), 1,
        parameters=weights, tolerance=_TOLERANCE, probes=2, density_probes=0,
    )  # fmt: skip
    return {
        "not_convex": float(far[known].mean()) if known.any() else math.nan,
        "map_points_known": int(known.sum()),
        "map_points_unsure": int((abs(ratio - NEARLY_CONVEX)[known] <= error[known]).sum()),
        "map_points": ratio.size,
        "ratio_at_minimum": float(ratio[middle]),
        "ratio_at_start": float(abs(start.eigenvalues[-1]) / abs(start.eigenvalues[0])),
        "loss_at_start": start.loss,
    }


def raw_line(
    small: Network, large: Network, preset: Preset, data: Data, path: Path, device: str = "cpu"
) -> dict[str, Any]:
    """How flat the minima of two batch sizes look on the straight line through both.

    Each by the flat length on its outer side. The side toward the other minimum is left out: where
    no barrier is between them, that region goes on into the other one.
    """
    line = ll.Subspace.between(small.model, large.model, labels=["small batch", "large batch"])
    samples = stratified_subset(*data.train, preset.samples)
    objective = ll.Objective(
        small.model, "cross_entropy", samples,
        batch_norm="reestimated", batch_size=len(samples[1]), device=device,
        execution="plain",
    )  # fmt: skip
    surface = evaluated(
        path, objective, line, ll.Grid.rectangle((RAW_POINTS,), (RAW_BOUNDS,)), quiet=True
    )
    (small_length, small_cut), (large_length, large_cut) = (
        _outer_length(surface, end) for end in (0.0, 1.0)
    )
    return {
        "seed": small.seed,
        "optimizer": small.recipe.optimizer,
        "weight_decay": small.recipe.weight_decay,
        "small_batch": small.recipe.name,
        "large_batch": large.recipe.name,
        "raw_small": small_length,
        "raw_large": large_length,
        "raw_at_edge": small_cut or large_cut,
        "barrier": _barrier(surface.values(), surface.grid.axes()[0]),
    }


def _outer_length(line: ll.Landscape, end: float) -> tuple[float, bool]:
    """From a minimum at 0 or 1 away from the other one; and whether the line ends before it."""
    found = ll.flat_region(line, EPSILON, minimum=(end,), draws=2)
    lengths = (found.region.points.ravel() - end) * (1 if end else -1)
    outermost = int(lengths.argmax())
    below = found.minimum_loss + EPSILON - found.loss[outermost]
    return float(lengths[outermost]), bool(below > 1e-6 * EPSILON)


def _barrier(losses: np.ndarray, axis: np.ndarray) -> float:
    """The highest loss between the two minima, above the higher one."""
    between = losses[(axis >= 0) & (axis <= 1)]
    return float(between.max() - max(between[0], between[-1]))
