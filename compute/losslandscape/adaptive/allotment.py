"""How many samples a point of a landscape needs, for a sampling error that is small enough.

Away from a minimum the losses of single samples vary less, relative to their mean, than near it,
and of a large data set a small part tells the mean well enough. A point takes samples in an order
drawn once at random, and stops when two standard errors of the mean against the whole data set are
within the error allotted to sampling. All points take them in the same order, so that neighbours
share their samples and most of their sampling error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from losslandscape.landscape.scale import scale_of

PILOT = 512  # samples, to see whether an allotment is worthwhile
_LEAST = 2048  # samples of a point, and at least this share of the data set: a kind of sample that
_LEAST_SHARE = 1 / 16  # is rarer than one in 700 may be missed, and with it all that it contributes
_WORTHWHILE_SIZE = 4 * _LEAST  # samples of a data set that a pilot is spent on
_WORTHWHILE_SHARE = (
    0.45  # of the samples, expected: points at most half as dear are worth the noise
)
SHARE = 0.5  # of the tolerance that two standard errors may take; errors add up as squares
_ORDERS = 100  # of the origin's losses, in which the rule is tried
_WITHIN = 95  # of these orders in which the mean must be as near as is allotted
_FACTORS = (1.0, 1.5, 2.0, 3.0)


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
    factor : float
        That standard errors are multiplied by, see :func:`tried`.
    within : int or None
        Of 100 random orders of the origin's losses, in how many the mean was within the error.

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
        """Whether the mean of these losses, of ``of`` in all, is known well enough.

        Their variance is itself estimated: one standard error of it, sqrt((kurtosis - 1) / n), is
        added, so that a few large losses among many small ones do not end the drawing early. A mean
        that is not finite stays so whatever else is drawn. On the log scale the error is that of
        log10 to first order.
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
        """The same of sums of powers of the losses less their mean; arrays of one shape."""
        with np.errstate(all="ignore"):
            excess = count * fourth / np.square(second) - 1
            rise = 1 + np.sqrt(np.where(second > 0, np.maximum(excess, 0), 0) / count)
            deviation = self.factor * np.sqrt(second / np.maximum(count - 1, 1) * rise)
        return (count >= least(of)) & (_needed(mean, deviation, self, of) <= count)

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
        As of :class:`losslandscape.adaptive.refinement.Adaptive`; two standard errors may take
        half of it.
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
    """The allotment with the factor that makes it true of these losses; None where none does.

    The rule stops in 100 random orders of the losses, at the ends of batches, and the mean up to
    there is compared with that of all: it must be within the error in 95 orders. This rests on no
    distribution, but on these losses: those of the origin, which are known anyway and, at a
    minimum, spread more than any others.

    Parameters
    ----------
    losses : ndarray, shape (N,)
        Of the whole data set, at one point.
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
    shift = sums[:, 0] / count  # of the mean of the first ones from that of all
    second = sums[:, 1] - count * shift**2
    fourth = sums[:, 3] - 4 * shift * sums[:, 2] + 6 * shift**2 * sums[:, 1] - 3 * count * shift**4
    mean = whole + shift
    with np.errstate(all="ignore"):
        off = np.abs(np.log10(mean / whole) if allotment.scale == "log" else shift)
    for factor in _FACTORS:
        candidate = replace(allotment, factor=factor)
        enough = candidate._suffice(count, mean, np.maximum(second, 0), fourth, of) | (count == of)
        stop = enough.argmax(axis=1)
        # after the last batch the mean is that of all, but for rounding
        right = (off[np.arange(_ORDERS), stop] <= allotment.error) | (stop == parts - 1)
        if right.sum() >= _WITHIN:
            return replace(candidate, within=int(right.sum()))
    return None


def least(of: int) -> int:
    """The fewest samples that a point takes of a data set.

    >>> least(1000), least(10_000), least(160_000)
    (1000, 2048, 10000)
    """
    return min(of, max(_LEAST, round(of * _LEAST_SHARE)))


def may_be_worthwhile(of: int) -> bool:
    """Whether a data set is so large that a pilot is spent on finding out."""
    return of >= _WORTHWHILE_SIZE


def _needed(mean: np.ndarray, deviation: np.ndarray, allotment: Allotment, of: int) -> np.ndarray:
    """Samples that each mean takes: n such that 2 s / sqrt(n) sqrt(1 - n/N) is the error."""
    unit = mean * np.log(10) if allotment.scale == "log" else np.ones_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        endless = (2 * deviation / (unit * allotment.error)) ** 2
    endless = np.where(unit > 0, endless, np.inf)
    return np.clip(of / (1 + of / np.maximum(endless, 1e-300)), least(of), of)
