"""How many samples a point of a landscape needs for a sufficiently small sampling error.

Away from a minimum, per-sample losses vary less relative to their mean than near it, and a small
part of a large data set determines the mean well enough. Each point uses samples in a random order
that is drawn once. It stops when two standard errors of the mean, against the whole data set, are
within the error allotted to sampling. All points use the same order, so neighboring points share
their samples and most of their sampling error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from losslandscape.landscape.scale import scale_of

PILOT = 512  # samples of the pilot, which finds whether an allotment is worthwhile
# Fewest samples of a point, as a number and as a share of the data set. A kind of sample that is
# rarer than one in 700 may be missed, together with its whole contribution to the mean.
_LEAST = 2048
_LEAST_SHARE = 1 / 16
_WORTHWHILE_SIZE = 4 * _LEAST  # samples of the smallest data set for which a pilot is run
_WORTHWHILE_SHARE = 0.45  # of the samples: noise is worth it only at less than half the cost
SHARE = 0.5  # share of the tolerance for two standard errors; errors add in quadrature
_ORDERS = 100  # random orders of the origin's losses in which the rule is tried
_WITHIN = 95  # of these orders, those in which the mean must be within the allotted error
_FACTORS = (1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Allotment:
    """The sampling error that a point may have.

    Attributes
    ----------
    scale : "log" or "linear"
    error : float
        Limit of two standard errors, against the data set, of the mean loss or of its log10.
    seed : int
        Seed for the order of the samples.
    factor : float
        Multiplies the standard errors; see :func:`tried`.
    within : int or None
        In how many of 100 random orders of the origin's losses the mean was within the error.

    Examples
    --------
    >>> losses = np.array([1.0, 5.0] * 2000)
    >>> Allotment("linear", error=0.05).suffices(losses, of=50_000)
    False
    >>> Allotment("linear", error=0.1).suffices(losses, of=50_000)
    True
    """

    scale: str
    error: float
    seed: int = 0
    factor: float = 1.0
    within: int | None = None

    def suffices(self, losses: np.ndarray, of: int) -> bool:
        """Whether the mean of these losses, out of ``of`` in all, is known well enough.

        The variance is itself an estimate. Its relative standard error, sqrt((kurtosis - 1) / n),
        is added, so that drawing does not end early if a few losses are large and most are small. A
        mean that is not finite suffices, because no further sample can make it finite. On the log
        scale, the error is that of log10 to first order.
        """
        count = len(losses)
        if count >= of:
            return True
        with np.errstate(all="ignore"):
            mean = float(losses.mean())
        if not np.isfinite(mean):
            return True
        if count < least(of):
            return False
        with np.errstate(all="ignore"):
            squares = np.square(losses - mean)
            second, fourth = float(squares.sum()), float(np.square(squares).sum())
        return bool(self._suffice(count, mean, second, fourth, of))

    def _suffice(self, count, mean, second, fourth, of):
        """As :meth:`suffices`, from sums of powers of losses minus their mean; arrays broadcast."""
        with np.errstate(all="ignore"):
            excess = count * fourth / np.square(second) - 1
            rise = 1 + np.sqrt(np.where(second > 0, np.maximum(excess, 0), 0) / count)
            deviation = self.factor * np.sqrt(second / np.maximum(count - 1, 1) * rise)
        return (count >= least(of)) & (_needed(mean, deviation, self, of) <= count)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class GivenCount:
    """As many samples as another measurement of the point took, in place of an allotment.

    Examples
    --------
    >>> GivenCount(64).suffices(np.zeros(32), of=100), GivenCount(64).suffices(np.zeros(64), of=100)
    (False, True)
    """

    count: int

    def suffices(self, losses: np.ndarray, of: int) -> bool:
        """Whether these are as many losses."""
        return len(losses) >= self.count


def worthwhile(
    means: Sequence[float],
    deviations: Sequence[float],
    of: int,
    tolerance: float,
    scale: str | None,
) -> Allotment | None:
    """The allotment for a tolerance if it at least halves the cost of a point, else None.

    Parameters
    ----------
    means, deviations : sequences of float
        Means and standard deviations of the losses of some samples, at points all over the
        landscape (a pilot).
    of : int
        Number of samples of the data set.
    tolerance : float
        As in :class:`losslandscape.adaptive.refinement.Adaptive`; two standard errors may take
        half of it.
    scale : "log", "linear" or None
        As in the same class.
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


def tried(allotment: Allotment, losses: np.ndarray, batch_size: int) -> Allotment | None:
    """The allotment with the smallest factor that holds for these losses; None if none does.

    The stopping rule is tried in 100 random orders of the losses. It stops at the end of a batch,
    and the mean up to there must be within the error of the mean of all, in 95 of the orders. The
    trial assumes no distribution, only these losses: those at the origin, which are known anyway
    and, at a minimum, spread more than any others.

    Parameters
    ----------
    losses : ndarray, shape (N,)
        Losses of the whole data set at one point.
    batch_size : int
        Upper limit of the samples per batch.
    """
    losses = np.asarray(losses, np.float64)
    of, whole = len(losses), float(losses.mean())
    if not np.isfinite(whole) or (allotment.scale == "log" and whole <= 0):
        return None
    parts = -(-of // batch_size)
    starts = np.cumsum([0, *(len(part) for part in np.array_split(np.empty(of), parts))])
    powers = np.stack([(losses - whole) ** k for k in (1, 2, 3, 4)])
    random = np.random.default_rng(allotment.seed)
    sums = np.stack(
        [
            np.add.reduceat(powers[:, random.permutation(of)], starts[:-1], axis=1).cumsum(axis=1)
            for _ in range(_ORDERS)
        ]
    )  # (orders, powers, batches)
    count = starts[1:]
    shift = sums[:, 0] / count  # mean of the first samples minus the mean of all
    second = sums[:, 1] - count * shift**2
    fourth = sums[:, 3] - 4 * shift * sums[:, 2] + 6 * shift**2 * sums[:, 1] - 3 * count * shift**4
    mean = whole + shift
    with np.errstate(all="ignore"):
        off = np.abs(np.log10(mean / whole) if allotment.scale == "log" else shift)
    for factor in _FACTORS:
        candidate = replace(allotment, factor=factor)
        enough = candidate._suffice(count, mean, np.maximum(second, 0), fourth, of) | (count == of)
        stop = enough.argmax(axis=1)
        # after the last batch the mean is that of all, up to rounding
        right = (off[np.arange(_ORDERS), stop] <= allotment.error) | (stop == parts - 1)
        if right.sum() >= _WITHIN:
            return replace(candidate, within=int(right.sum()))
    return None


def least(of: int) -> int:
    """The fewest samples that a point uses from a data set of ``of`` samples.

    Examples
    --------
    >>> least(1000), least(10_000), least(160_000)
    (1000, 2048, 10000)
    """
    return min(of, max(_LEAST, round(of * _LEAST_SHARE)))


def may_be_worthwhile(of: int) -> bool:
    """Whether a data set is large enough to run a pilot."""
    return of >= _WORTHWHILE_SIZE


def _needed(mean: np.ndarray, deviation: np.ndarray, allotment: Allotment, of: int) -> np.ndarray:
    """Samples needed for each mean: n such that 2 s / sqrt(n) sqrt(1 - n/N) equals the error."""
    unit = mean * np.log(10) if allotment.scale == "log" else np.ones_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        endless = (2 * deviation / (unit * allotment.error)) ** 2
    endless = np.where(unit > 0, endless, np.inf)
    return np.clip(of / (1 + of / np.maximum(endless, 1e-300)), least(of), of)
