"""How many samples a point of a landscape needs, for a sampling error that is small enough.

Away from a minimum the losses of single samples vary less, relative to their mean, than near it,
and of a large data set a small part tells the mean well enough. A point takes samples in an order
drawn once at random, and stops when two standard errors of the mean against the whole data set are
within the error allotted to sampling. All points take them in the same order, so that neighbours
share their samples and most of their sampling error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from losslandscape.landscape import scale_of

LEAST = 512  # samples of a point: fewer do not tell their own deviation
_WORTHWHILE_SIZE = 16 * LEAST  # samples of a data set that a pilot is spent on
_WORTHWHILE_SHARE = (
    0.45  # of the samples, expected: points at most half as dear are worth the noise
)
SHARE = 0.5  # of the tolerance that two standard errors may take; errors add up as squares


@dataclass(frozen=True)
class Allotment:
    """The sampling error that a point may have.

    Attributes
    ----------
    scale : "log" or "linear"
    error : float
        Of the mean loss, or of its log10: two standard errors against the data set stay within it.
    seed : int
        Of the order of the samples.

    Examples
    --------
    >>> allotment = Allotment("linear", error=0.1)
    >>> allotment.suffices(count=1000, mean=1.0, deviation=2.0, of=50_000)
    False
    >>> allotment.suffices(count=2000, mean=1.0, deviation=2.0, of=50_000)
    True
    """

    scale: str
    error: float
    seed: int = 0

    def suffices(self, count: int, mean: float, deviation: float, of: int) -> bool:
        """Whether the mean of ``count`` samples, of ``of``, is known well enough.

        A mean that is not finite stays so whatever else is drawn. Deviation is the samples'
        standard deviation; on the log scale the error is that of log10 to first order.
        """
        if count >= of or not np.isfinite(mean):
            return True
        if count < LEAST:
            return False
        return float(_needed(np.array([mean]), np.array([deviation]), self, of)[0]) <= count

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def worthwhile(
    means: Sequence[float],
    deviations: Sequence[float],
    of: int,
    tolerance: float,
    scale: str | None,
) -> Allotment | None:
    """The allotment for a tolerance, where it at least halves the cost of a point; else None.

    Parameters
    ----------
    means, deviations : sequences of float
        Of the losses of some samples at points all over the landscape (a pilot).
    of : int
        Samples of the data set.
    tolerance : float
        As of :class:`losslandscape.adaptive.Adaptive`; two standard errors may take half of it.
    """
    mean, deviation = np.asarray(means), np.asarray(deviations)
    finite = np.isfinite(mean) & np.isfinite(deviation)
    mean, deviation = mean[finite], deviation[finite]
    if not may_be_worthwhile(of) or mean.size < 2:
        return None
    scale = scale or scale_of(mean)
    if scale == "log":
        deviation, mean = deviation[mean > 0], mean[mean > 0]
        span = float(np.ptp(np.log10(mean))) if mean.size else 0.0
    else:
        span = float(np.ptp(mean))
    if span == 0:
        return None
    allotment = Allotment(scale, SHARE * tolerance * span)
    expected = float(_needed(mean, deviation, allotment, of).mean()) / of
    return allotment if expected < _WORTHWHILE_SHARE else None


def may_be_worthwhile(of: int) -> bool:
    """Whether a data set is so large that a pilot is spent on finding out."""
    return of >= _WORTHWHILE_SIZE


def _needed(mean: np.ndarray, deviation: np.ndarray, allotment: Allotment, of: int) -> np.ndarray:
    """Samples that each mean takes: n such that 2 s / sqrt(n) sqrt(1 - n/N) is the error."""
    unit = mean * np.log(10) if allotment.scale == "log" else np.ones_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        endless = (2 * deviation / (unit * allotment.error)) ** 2
    endless = np.where(unit > 0, endless, np.inf)
    return np.clip(of / (1 + of / np.maximum(endless, 1e-300)), LEAST, of)
