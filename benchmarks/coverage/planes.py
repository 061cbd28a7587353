"""Planes: principal components, projections and Gram matrices against SVD and least squares."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

import losslandscape as ll
from benchmarks.coverage.claim import Claim, Family, Outcome
from losslandscape.errors import LossLandscapeError

SECTION = "Planes and trajectories"


def _random_walk(random: np.random.Generator, steps: int, size: int) -> np.ndarray:
    return random.normal(size=(steps, size)).cumsum(axis=0)


def _converging(random: np.random.Generator, steps: int, size: int) -> np.ndarray:
    """Steps that shrink, along few directions, and noise: as training converges."""
    few = random.normal(size=(3, size))
    rates = random.uniform(0.02, 0.5, 3)
    path = np.exp(-rates * np.arange(steps)[:, None]) @ few
    return path + 1e-3 * random.normal(size=(steps, size))


def _line_and_noise(random: np.random.Generator, steps: int, size: int) -> np.ndarray:
    """One direction with nearly all of the variance."""
    along = np.linspace(-5, 0, steps)[:, None] * random.normal(size=size)
    return along + 1e-4 * random.normal(size=(steps, size))


PATHS = {
    "random walks": _random_walk,
    "converging trajectories": _converging,
    "nearly straight trajectories": _line_and_noise,
}


def principal(name: str, seed: int) -> Outcome:
    """Shares, coordinates and distances of a recorded trajectory against NumPy's SVD."""
    random = np.random.default_rng(seed)
    steps, size = int(random.integers(4, 30)), int(random.integers(20, 200))
    path = PATHS[name](random, steps, size)
    model = nn.Linear(size, 1, bias=False).double()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "trajectory"
        with ll.TrajectoryRecorder(model, place) as recorder:
            for step, row in enumerate(path):
                with torch.no_grad():
                    model.weight.copy_(torch.from_numpy(row)[None])
                recorder.record(step)
        trajectory = ll.Trajectory.open(place)
        plane = ll.Subspace.pca(trajectory)
        found = plane.project_trajectory(trajectory)
    away = path - path[-1]
    _, values, axes = np.linalg.svd(away, full_matrices=False)
    coordinates = away @ axes[:2].T
    distance = np.linalg.norm(away - coordinates @ axes[:2], axis=1)
    shares = values[:2] ** 2 / (values**2).sum()
    scale = values[0]
    off = max(
        abs(np.array(plane.recipe["explained_variance"]) - shares).max(),
        abs(abs(found.coordinates) - abs(coordinates)).max() / scale,
        abs(found.distance - distance).max() / scale,
    )
    return Outcome(bool(off <= 1e-9), float(off), f"{off:.2g} off")


def projected(dtype: torch.dtype, seed: int) -> Outcome:
    """Coordinates on a plane whose directions are nearly parallel, or a refusal.

    The angle is anything from 1 to 1e-9. The point is in the plane, as far as its type has it.
    """
    random = np.random.default_rng(seed)
    size = int(random.integers(10, 2000))
    first, second = random.normal(size=(2, size))
    second = first + 10 ** random.uniform(-9, 0) * second
    origin = random.normal(size=size) * 10 ** random.uniform(-1, 3)
    vectors = [torch.from_numpy(v).to(dtype) for v in (origin, first, second)]
    truth = random.uniform(-2, 2, 2)
    try:
        plane = ll.Subspace({"w": vectors[0]}, [{"w": vectors[1]}, {"w": vectors[2]}])
        point = plane.parameters_at(truth.tolist())
        found = plane.project(point)
    except LossLandscapeError:
        return Outcome(None)
    off = float(abs(found - truth).max())
    return Outcome(off <= 1e-3, off, f"{off:.2g} off")


def off_plane(seed: int) -> Outcome:
    """Coordinates and distance of a point off an oblique plane against NumPy's least squares."""
    random = np.random.default_rng(seed)
    size, dimensions = int(random.integers(10, 500)), int(random.integers(1, 4))
    directions = (
        random.normal(size=(dimensions, size)) * 10 ** random.uniform(-2, 2, dimensions)[:, None]
    )
    away = random.normal(size=size) * 10 ** random.uniform(-3, 3)
    plane = ll.Subspace(
        {"w": torch.zeros(size, dtype=torch.float64)},
        [{"w": torch.from_numpy(row)} for row in directions],
    )
    found = plane.project({"w": torch.from_numpy(away)})
    truth = np.linalg.lstsq(directions.T, away, rcond=None)[0]
    off = float(np.linalg.norm((found - truth) @ directions) / np.linalg.norm(away))
    return Outcome(off <= 1e-12, off, f"{off:.2g} off")


def claims() -> tuple[Claim, ...]:
    return (
        Claim(
            "principal components",
            SECTION,
            "Explained shares, coordinates and distances are those of an SVD, within 1e-9 of the "
            "largest singular value.",
            1.0,
            tuple(Family(name, partial(principal, name), 40) for name in PATHS),
            number="off",
        ),
        Claim(
            "oblique directions",
            SECTION,
            "Projections onto oblique directions are those of least squares, within 1e-12 of the "
            "point's distance from the origin.",
            1.0,
            (Family("1 to 3 directions", off_plane, 300),),
            number="off",
        ),
        Claim(
            "near-parallel directions",
            SECTION,
            "Where the projection of a point of the plane is not refused, its coordinates are "
            "within 0.001.",
            1.0,
            (
                Family("float32", partial(projected, torch.float32), 1000),
                Family("float64", partial(projected, torch.float64), 1000),
            ),
            number="off",
            why="Angles between the directions are 1 to 1e-9. About half of the planes are "
            "refused.",
        ),
    )
