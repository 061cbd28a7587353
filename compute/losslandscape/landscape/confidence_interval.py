"""What a confidence interval consists of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ConfidenceInterval(NamedTuple):
    """An interval at each point of a grid.

    Attributes
    ----------
    low, high : float64 ndarray, shape ``grid.shape``
        NaN without finite per-sample losses, as at interpolated points.
    trusted : bool ndarray, shape ``grid.shape``
        False where the coverage may be below the level, and where there is no interval.

    Examples
    --------
    >>> low, high, trusted = ConfidenceInterval(np.zeros(2), np.ones(2), np.array([True, False]))
    >>> (high - low)[trusted]
    array([1.])
    """

    low: np.ndarray
    high: np.ndarray
    trusted: np.ndarray
