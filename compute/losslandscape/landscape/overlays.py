"""Overlays of a landscape: training trajectories and labeled models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class ProjectedTrajectory:
    """A training trajectory projected onto a subspace; each array has one row per checkpoint.

    Attributes
    ----------
    label : str
    step : ndarray, shape (checkpoints,)
        Training step of each checkpoint.
    coordinates : ndarray, shape (checkpoints, dimensions)
        Coordinates of the orthogonal projections.
    loss : ndarray, shape (checkpoints,)
        Loss at the projections, evaluated there, not interpolated.
    checkpoint_loss : ndarray, shape (checkpoints,)
        Loss of the checkpoints themselves, with their own batch-norm statistics or, if the
        objective re-estimates statistics, with statistics re-estimated at the checkpoint.
    distance_to_plane : ndarray, shape (checkpoints,)
        Euclidean distance in parameter space.
    """

    label: str
    step: np.ndarray
    coordinates: np.ndarray
    loss: np.ndarray
    checkpoint_loss: np.ndarray
    distance_to_plane: np.ndarray


@dataclass
class ModelPoint:
    """A labeled model in the subspace.

    Attributes
    ----------
    label : str
    coordinates : tuple of float
    loss : float
        Of the plane at these coordinates.
    own_loss : float or None
        Of the model itself, with all its own parameters, buffers and statistics. None in files of
        versions that did not measure it.
    """

    label: str
    coordinates: tuple[float, ...]
    loss: float
    own_loss: float | None = None
