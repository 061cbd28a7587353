"""The plane of the minima: principal components of their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MinimaPlane:
    """Minima and a trajectory on the plane of the minima's two principal components.

    Attributes
    ----------
    places : float64 ndarray, shape (minima, 2)
    way : float64 ndarray, shape (checkpoints, 2)
        Of the trajectory.
    shares : float64 ndarray, shape (2,)
        Of the variance of the minima.
    away, away_on_way : float64 ndarray, shape (minima,), (checkpoints,)
        Distances from the plane.
    nearest : float
        Least distance of two minima.
    """

    places: np.ndarray
    way: np.ndarray
    shares: np.ndarray
    away: np.ndarray
    away_on_way: np.ndarray
    nearest: float

    def axis_titles(self) -> list[str]:
        """Names of the two axes, with their shares."""
        return [
            f"principal component {i + 1} ({100 * self.shares[i]:.0f}% of variance)" for i in (0, 1)
        ]


def minima_plane(weights: np.ndarray, path: np.ndarray) -> MinimaPlane:
    """Project weights, shape (minima, parameters), and a path, shape (checkpoints, parameters).

    >>> plane = minima_plane(np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]]), np.array([[1.0, 0, 3]]))
    >>> plane.away.round(6).tolist(), plane.away_on_way.round(6).tolist(), plane.nearest
    ([0.0, 0.0, 0.0], [3.0], 1.0)
    """
    center = weights.mean(0)
    _, sizes, axes = np.linalg.svd(weights - center, full_matrices=False)
    places, way = (weights - center) @ axes[:2].T, (path - center) @ axes[:2].T
    distances = np.linalg.norm(weights[:, None] - weights[None], axis=-1)
    return MinimaPlane(
        places,
        way,
        (sizes**2 / (sizes**2).sum())[:2],
        np.linalg.norm(weights - center - places @ axes[:2], axis=1),
        np.linalg.norm(path - center - way @ axes[:2], axis=1),
        float(distances[np.triu_indices(len(weights), 1)].min()),
    )
