"""What lies on a landscape: trajectories and labelled models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class ProjectedTrajectory:
    """A training trajectory seen from a subspace; all arrays have one row a checkpoint.

    Attributes
    ----------
    coordinates : ndarray, shape (checkpoints, dimensions)
        Of the orthogonal projections.
    loss : ndarray, shape (checkpoints,)
        Evaluated exactly at the projections.
    checkpoint_loss : ndarray, shape (checkpoints,)
        Of the checkpoints themselves; where batch-norm statistics are re-estimated, with statistics
        re-estimated at the checkpoint, else with its own.
    distance_to_plane : ndarray, shape (checkpoints,)
        Euclidean, in parameter space.
    """

    label: str
    step: np.ndarray
    coordinates: np.ndarray
    loss: np.ndarray
    checkpoint_loss: np.ndarray
    distance_to_plane: np.ndarray


@dataclass
class ModelPoint:
    """A labelled model on the subspace and the loss there."""

    label: str
    coordinates: tuple[float, ...]
    loss: float
