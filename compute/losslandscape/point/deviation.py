"""How far losses in reduced precision are from those of plain arithmetic."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.grid import Grid
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.objective import Objective
from losslandscape.public_calls import users_line

Points = Sequence[tuple[float, ...]]
# losses of the first set at points, shape (points,)
Losses = Callable[[Points], Sequence[float]]


def deviation(
    objective: Objective, grid: Grid, own: Losses, plain: Losses, in_float32: Losses
) -> dict[str, Any] | None:
    """The differences at the origin and half way to the corners of the grid.

    Parameters
    ----------
    own, plain, in_float32 : callable
        Losses at points: as they are measured; by the model itself in plain arithmetic; by a copy
        of the model in float32.

    Returns
    -------
    dict or None
        ``points`` and, in their order, ``loss`` and ``reference_loss``; ``largest_absolute`` and
        ``largest_relative`` of their differences where both are finite; ``reference``, the type
        that the reference is computed in. None where there is no difference to expect, and for a
        model of 16 bits that does not run in float32.

    Warns
    -----
    UserWarning
        If the model's own parameters are of 16 bits: they move in steps.
    """
    arithmetic = objective.arithmetic
    coarse = objective.dtype in arithmetics.COARSE
    if not (coarse or objective.compile or (arithmetic and arithmetic.reduced)):
        return None
    ends = [(low / 2, high / 2) for low, high in grid.bounds]
    points = [(0.0,) * len(ends), *itertools.product(*ends)]
    if not coarse:
        return _differences(points, own(points), plain(points), objective.dtype)
    name = arithmetics.type_name(objective.dtype)
    advice = (
        f"{type(objective.model).__name__} has parameters of {name}, which move in steps: a fine "
        "surface is a staircase. precision='float32' (--precision float32) gives the surface "
        "itself, on a copy of the model"
    )
    losses = own(points)
    try:
        reference = in_float32(points)
    except LossLandscapeError as error:
        warnings.warn(f"{advice}, if the model could: {error}", stacklevel=users_line())
        return None
    found = _differences(points, losses, reference, torch.float32)
    finite = np.array(reference)[np.isfinite(reference)]
    spread = np.ptp(finite) if len(finite) else 0.0
    warnings.warn(
        f"{advice}. The loss is off by up to {found['largest_absolute']:.3g} here, where it "
        f"spans {spread:.3g}",
        stacklevel=users_line(),
    )
    return found


def _differences(
    points: Points, own: Sequence[float], plain: Sequence[float], reference: torch.dtype
) -> dict[str, Any]:
    losses = np.array([own, plain], np.float64)
    finite = np.isfinite(losses).all(axis=0)
    difference = np.abs(losses[0] - losses[1])[finite]
    size = np.abs(losses[1])[finite]
    relative = np.divide(difference, size, out=np.zeros_like(size), where=difference > 0)
    return {
        "reference": arithmetics.type_name(reference),
        "points": [[float(c) for c in point] for point in points],
        "loss": losses[0].tolist(),
        "reference_loss": losses[1].tolist(),
        "largest_absolute": float(difference.max(initial=0.0)),
        "largest_relative": float(relative.max(initial=0.0)),
    }
