"""Directions that span what they should: none is zero, not finite, or parallel to the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.grid import AXIS_NAMES
from losslandscape.planes.parameters import blocks

# Two directions that are parallel, each with its values rounded, make an angle of about the
# rounding, eps / 2 of each value. With this many times eps, what is left of a direction beside the
# others is its rounding, not a direction.
_ROUNDINGS = 4.0


def check_directions(directions: Sequence[Tensor]) -> None:
    """Raise a LossLandscapeError if flat directions do not span as many dimensions as they are.

    Directions are parallel if the sine of the angle between them is at most 4 eps of their type:
    5e-7 in float32, 0.03 in bfloat16. The third is compared with the plane of the others.

    Examples
    --------
    >>> check_directions([torch.ones(3), torch.zeros(3)])
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: direction 1 (beta) is zero: nothing moves along it, ...
    """
    for i, direction in enumerate(directions):
        bad = int(direction.numel() - torch.isfinite(direction).sum())
        if bad:
            raise LossLandscapeError(
                f"{_title(i)} has {bad} of {direction.numel()} values that are NaN or infinite; "
                "pass finite ones"
            )
        if not direction.any():
            raise LossLandscapeError(
                f"{_title(i)} is zero: nothing moves along it, and all points are the same; pass "
                "another direction"
            )
    limit = _ROUNDINGS * torch.finfo(directions[0].dtype).eps
    for i in range(1, len(directions)):
        sine = _sine(directions[i], directions[:i])
        if sine <= limit:
            kind = str(directions[0].dtype).removeprefix("torch.")
            how = "is parallel to" if i == 1 else "lies in the plane of"
            others = " and ".join(map(_title, range(i)))
            raise LossLandscapeError(
                f"{_title(i)} {how} {others}: the sine of the angle, {sine:.2g}, is within the "
                f"rounding of {kind}, {limit:.2g}; pass directions that differ, such as those of "
                "Subspace.random"
            )


def _title(i: int) -> str:
    return f"direction {i} ({AXIS_NAMES[i]})"


def _sine(vector: Tensor, others: Sequence[Tensor]) -> float:
    """Sine of the angle between a vector and the space of others, which are independent."""
    scales = [1 / float(torch.linalg.vector_norm(one, torch.inf)) for one in (vector, *others)]
    shares = np.zeros(len(others))
    length = np.sqrt(_rest(vector, others, scales, shares)[1])
    for _ in range(2):  # the second time takes away what the rounding of the first one left
        along, _, gram = _rest(vector, others, scales, shares)
        shares = shares + np.linalg.lstsq(gram, along, rcond=None)[0]
    return float(np.sqrt(_rest(vector, others, scales, shares)[1]) / length)


def _rest(
    vector: Tensor, others: Sequence[Tensor], scales: Sequence[float], shares: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Of a vector minus shares of others: its products with these, its square, and their Gram."""
    along, square = np.zeros(len(others)), 0.0
    gram = np.zeros((len(others),) * 2)
    for part in blocks(vector.numel()):  # in float64, without a copy of the whole
        first, *rest = [
            one[part].cpu().double() * scale for one, scale in zip((vector, *others), scales)
        ]
        for share, one in zip(shares, rest):
            first -= float(share) * one
        stacked = torch.stack(rest)
        along += (stacked @ first).numpy()
        square += float(first @ first)
        gram += (stacked @ stacked.T).numpy()
    return along, square, gram
