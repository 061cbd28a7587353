"""Intervals for the mean of few losses, most of which are small and a few large.

Trained networks have such losses, and mean +- 2 s / sqrt(n) then covers too seldom: s misses what
was not drawn, and is small whenever the mean is. ``docs/measurement.md`` has the found coverage.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.sampling_errors import finite_population_correction, row_blocks

LEVEL = 0.954  # that of two standard errors of a normal mean


def effective_samples(losses: np.ndarray) -> np.ndarray:
    """How many samples carry half of the variance of the losses along the last axis.

    With the squared deviations from the mean in descending order, this is the least k such that the
    first k sum to at least half of the sum of all. It is 0 if all losses are equal. Of n normal
    losses it is about n / 8. It is 1 if a single sample has half of the variance.

    Parameters
    ----------
    losses : ndarray, shape (..., n)

    Returns
    -------
    float64 ndarray, shape (...)
        NaN where a loss is not finite.

    Examples
    --------
    >>> effective_samples(np.array([[0.0, 0.0, 0.0, 9.0], [1.0, 3.0, 1.0, 3.0], [2.0] * 4]))
    array([1., 2., 0.])
    """
    rows = losses.reshape(-1, losses.shape[-1])
    found = np.full(len(rows), np.nan)
    for some in row_blocks(*rows.shape):
        wide = rows[some].astype(np.float64)
        with np.errstate(all="ignore"):
            squares = np.square(wide - wide.mean(axis=1, keepdims=True))
        squares.sort(axis=1)
        sums = squares[:, ::-1].cumsum(axis=1)
        count = (sums < 0.5 * sums[:, -1:]).sum(axis=1) + 1.0
        rounding = np.finfo(rows.dtype).eps * np.abs(wide).max(axis=1)
        count[sums[:, -1] <= wide.shape[1] * np.square(rounding)] = 0
        count[np.ptp(wide, axis=1) <= rounding] = 0  # their mean may be off by more
        count[~np.isfinite(sums[:, -1])] = np.nan
        found[some] = count
    return found.reshape(losses.shape[:-1])


def mean_interval(
    losses: np.ndarray,
    level: float = LEVEL,
    dataset_samples: int | None = None,
    hull: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Two-sided intervals for the means over the last axis, corrected for skewness.

    Student's t interval, transformed so that a skewed mean is covered equally often from both
    sides. With g the skewness of the losses, T = (mean - truth) sqrt(n) / s has the quantiles of

        T + A T^2 + A^2 T^3 / 3 + B,    A = g / (3 sqrt(n)),    B = g / (6 sqrt(n))

    which is monotone, so that it can be inverted for any skewness. It takes losses that are rare
    and large into account as soon as some were drawn, and nothing that was not drawn.

    Parameters
    ----------
    losses : ndarray, shape (..., n)
    level : float
        The nominal coverage.
    dataset_samples : int, optional
        N. The interval is then for the mean of the data set of N from which the n were drawn
        without replacement.
    hull : bool
        Whether to include Student's interval without the correction. Where large values have both
        signs, as differences have, the estimated skewness often has the wrong sign.

    Returns
    -------
    low, high : float64 ndarray, shape (...)
        NaN where a loss is not finite, or n is 1 and not all of the data set.

    Raises
    ------
    LossLandscapeError
        If the level is not between 0 and 1, or N is smaller than n.

    Notes
    -----
    P. Hall, "On the removal of skewness by transformation", JRSS B 54, 1992. N. J. Johnson,
    "Modified t tests and confidence intervals for asymmetrical populations", JASA 73, 1978, has the
    terms that are linear in g. Without replacement, with f = n/N, the expansions of mean and
    variance give A = g (2 - f) / (6 sqrt(n (1 - f))) and B = g (1 - 2f) / (6 sqrt(n (1 - f))), and
    s / sqrt(n) has the factor sqrt(1 - f).

    Examples
    --------
    >>> low, high = mean_interval(np.array([[0.0] * 95 + [2.0] * 5]))  # 0.1 +- 0.09 without skew
    >>> low.round(3), high.round(3)
    (array([0.031]), array([0.254]))
    """
    check_level(level)
    count = losses.shape[-1]
    share, correction = 0.0, 1.0
    if dataset_samples is not None:
        share = count / dataset_samples
        correction = finite_population_correction(count, dataset_samples)
    rows = losses.reshape(-1, count)
    low, high = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for some in row_blocks(*rows.shape):
        wide = rows[some].astype(np.float64)
        with np.errstate(all="ignore"):
            mean = wide.mean(axis=1)
            if share == 1:  # all of it was measured
                low[some] = high[some] = np.where(np.isfinite(mean), mean, np.nan)
                continue
            if count == 1:
                continue
            deviations = wide - mean[:, None]
            second = np.square(deviations).mean(axis=1)
            skewness = (deviations**3).mean(axis=1) / second**1.5
        skewness[second == 0] = 0.0
        error = np.sqrt(second / (count - 1)) * correction
        scaled = skewness / (6 * np.sqrt(count) * correction)
        quantile = stdtrit(count - 1, (1 + level) / 2)
        square, shift = scaled * (2 - share), scaled * (1 - 2 * share)
        below = _inverse(quantile, square, shift)
        above = _inverse(-quantile, square, shift)
        if hull:
            below, above = np.maximum(below, quantile), np.minimum(above, -quantile)
        low[some], high[some] = mean - error * below, mean - error * above
    shape = losses.shape[:-1]
    return low.reshape(shape), high.reshape(shape)


def _inverse(value: float, square: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """T such that T + A T^2 + A^2 T^3 / 3 + B is the value, for A ``square`` and B ``shift``."""
    offset = value - shift
    straight = np.abs(square) < 1e-8  # the cube root would cancel
    safe = np.where(straight, 1.0, square)
    return np.where(straight, offset, (np.cbrt(1 + 3 * safe * offset) - 1) / safe)


def undrawn_share(samples: int, level: float = LEVEL, dataset_samples: int | None = None) -> float:
    """Upper limit of the share of a kind of sample that was not drawn at all.

    If a share p of all samples is of a kind, n draws miss it with the chance (1 - p)^n. This is the
    p for which the chance is (1 - level) / 2, the upper side of a two-sided interval.

    Parameters
    ----------
    samples : int
        n.
    level : float
    dataset_samples : int, optional
        N, if the n were drawn without replacement from N. The limit is then smaller, and 0 for
        n = N.

    Raises
    ------
    LossLandscapeError
        If the level is not between 0 and 1.

    Notes
    -----
    J. A. Hanley and A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249,
    1983 (for 95% on one side, the "rule of three", 3 / n). Of D such samples among N, n draws
    without replacement miss all with a chance of at most (1 - n/N)^D.

    Examples
    --------
    >>> round(undrawn_share(200, level=0.9), 4), round(3 / 200, 4)
    (0.0149, 0.015)
    >>> undrawn_share(200, dataset_samples=200)
    0.0
    """
    check_level(level)
    missed = (1 - level) / 2
    if dataset_samples is None:
        return float(1 - missed ** (1 / samples))
    if samples >= dataset_samples:
        return 0.0
    return float(np.log(missed) / np.log1p(-samples / dataset_samples) / dataset_samples)


def check_level(level: float) -> None:
    """Raise a LossLandscapeError if a level is not between 0 and 1."""
    if not 0 < level < 1:
        raise LossLandscapeError(f"level {level}: give a number between 0 and 1, such as 0.954")
