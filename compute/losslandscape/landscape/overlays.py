"""Overlays of a landscape: training trajectories and labeled models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    arrays : dict of name to ndarray, shape (checkpoints,)
        Further numbers of the checkpoints, such as ``top_eigenvalue``.
    """

    label: str
    step: np.ndarray
    coordinates: np.ndarray
    loss: np.ndarray
    checkpoint_loss: np.ndarray
    distance_to_plane: np.ndarray
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str) -> np.ndarray:
        """Further numbers of this name; NaN at all checkpoints if there are none."""
        return self.arrays.get(name, np.full(len(self.step), np.nan))


def array_names(trajectories: Sequence[ProjectedTrajectory]) -> list[str]:
    """The names of the further numbers of some trajectories, in order of appearance."""
    return list(dict.fromkeys(name for one in trajectories for name in one.arrays))


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


def run_shares(plane: Mapping[str, Any], label: str) -> list[float] | None:
    """The share of a run's own variance along each direction of a joint plane, if it is known.

    Parameters
    ----------
    plane
        The subspace as its file describes it.

    Examples
    --------
    >>> plane = {"runs": [{"label": "SGD", "explained_variance": [0.75, 0.125]}]}
    >>> run_shares(plane, "SGD"), run_shares(plane, "Adam")
    ([0.75, 0.125], None)
    """
    runs = plane.get("runs")
    for run in runs if isinstance(runs, list) else ():
        if isinstance(run, Mapping) and run.get("label") == label:
            shares = run.get("explained_variance")
            if isinstance(shares, list) and all(isinstance(x, (int, float)) for x in shares):
                return [float(x) for x in shares]
    return None
