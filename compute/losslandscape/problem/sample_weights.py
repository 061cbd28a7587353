"""Samples that weigh differently: the mean is a ratio, sum(w l) / sum(w).

PyTorch's own mean is one wherever class weights or ``ignore_index`` are given, or a sample has
several targets, such as the tokens of a text. A batch's values then hold the numerators w l under
the loss's name, and the weights w beside them, under the name with :data:`WEIGHT` after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError

WEIGHT = "/weight"  # no name of a metric has a slash


class Weighted(NamedTuple):
    """The sums and the weights of samples, each of shape (n,); a sample's value is their ratio."""

    numerators: Tensor
    weights: Tensor


def split_weights(name: str, value: Any) -> dict[str, Any]:
    """A value by sample, or a pair (values, weights), as the entries of a batch's values.

    A sample of weight 0 has the numerator 0, whatever its value: 0 / 0 is the mean of no targets.
    """
    if isinstance(value, Weighted):
        return {name: value.numerators, f"{name}{WEIGHT}": value.weights}
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        return {name: value}
    values, weights = value
    tensors = isinstance(values, Tensor) and isinstance(weights, Tensor)
    if not tensors or values.shape != weights.shape:  # refused by the caller
        return {name: values, f"{name}{WEIGHT}": weights}
    numerators = torch.where(weights == 0, torch.zeros_like(values), values * weights)
    return {name: numerators, f"{name}{WEIGHT}": weights}


def linearized(numerators: np.ndarray, weights: np.ndarray, name: str = "loss") -> np.ndarray:
    """Values by sample whose plain mean is the ratio R = sum(w l) / sum(w).

    They are R + w (l - R) / mean(w). Their s / sqrt(n) is the standard error of the ratio to first
    order, and the differences of two points' values have that of the difference of two ratios. So
    whatever treats per-sample losses as draws of a mean is right for them. If all weights are
    equal, they are the losses themselves.

    Parameters
    ----------
    numerators : ndarray, shape (n,)
        w l, 0 where w is 0.
    weights : ndarray, shape (n,)
    name : str
        For messages.

    Returns
    -------
    ndarray, shape (n,)
        float64, or of the type of ``numerators`` if all weights are equal. If R is not finite:
        w l / mean(w), with the same mean.

    Raises
    ------
    LossLandscapeError
        If a weight is negative or not finite, or all are 0.

    Notes
    -----
    W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, section 6.4.

    Examples
    --------
    >>> found = linearized(np.array([2.0, 6.0]), np.array([1.0, 3.0]))
    >>> found, found.mean()
    (array([2., 2.]), np.float64(2.0))
    >>> linearized(np.array([0.0, 3.0, 8.0]), np.array([0.0, 1.0, 2.0])).mean()
    np.float64(3.6666666666666665)
    """
    wide = weights.astype(np.float64)
    wrong = ~(np.isfinite(wide) & (wide >= 0))
    if wrong.any():
        first = int(wrong.argmax())
        raise LossLandscapeError(
            f"{name}: the weight of sample {first} is {wide[first]:g}; weights are finite numbers "
            "of 0 or more"
        )
    total = wide.sum()
    if total == 0:
        raise LossLandscapeError(
            f"{name}: the weights of all {len(wide)} samples are 0, so there is no mean; are all "
            "targets ignored?"
        )
    if (weights == weights[0]).all():
        return numerators / weights[:1].astype(numerators.dtype)
    with np.errstate(all="ignore"):
        sums = numerators.astype(np.float64)
        ratio = sums.sum() / total
        mean = total / len(wide)
        if not np.isfinite(ratio):
            return sums / mean
        return ratio + (sums - ratio * wide) / mean


def described(weights: np.ndarray) -> dict[str, float]:
    """What a file says about the weights of a set.

    Examples
    --------
    >>> described(np.array([0.0, 1.0, 5.0]))
    {'mean': 2.0, 'smallest': 0.0, 'largest': 5.0, 'zero': 1}
    """
    wide = weights.astype(np.float64)
    return {
        "mean": float(wide.mean()),
        "smallest": float(wide.min()),
        "largest": float(wide.max()),
        "zero": int((wide == 0).sum()),
    }


class VaryingWeightsError(LossLandscapeError):
    """The weights of samples depend on the parameters."""


def check_same(first: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], loss: str) -> None:
    """Raise a VaryingWeightsError if the weights of two points differ.

    Where one of the points took fewer samples, they are the first ones.
    """
    for name in {**first, **other}:
        one, two = (weights.get(name, np.empty(0)) for weights in (first, other))
        count = min(len(one), len(two))
        differing = one[:count] != two[:count]
        if not count or differing.any():
            which = f" (sample {int(differing.argmax())})" if count else ""
            raise VaryingWeightsError(
                f"loss {loss}: the weights of the samples depend on the model's parameters{which}, "
                "so the points of a landscape would be means over different populations. Return "
                "weights that depend on the data alone, or make them part of the loss itself"
            )
