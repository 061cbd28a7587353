"""Interpolation of scattered values with an error of its own: local intrinsic kriging.

A value is predicted from its nearest neighbours by the best linear unbiased predictor of an
intrinsic random function with generalised covariance ``(-1)^(p+1) h^(2p+1)`` and polynomial drift
of degree p (Matheron 1973). The predictor is the polyharmonic spline through the neighbours; the
kriging variance says how its error grows with the distance from them. The variance's scale is
estimated from the same neighbours, so that it is large where the field is rough and small where it
is smooth. With p = 2 that is the quintic spline, whose error falls as fast as the field is smooth;
where the neighbours do not determine a quadratic drift (all on a line, or too few), p = 1, then 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from losslandscape.errors import LossLandscapeError

NEIGHBOURS = {1: 7, 2: 15, 3: 34}  # by dimension: some more than the quadratic drift has terms
WIDE_NEIGHBOURS = {1: 14, 2: 36, 3: 80}
_RESIDUALS = 8  # of the nearest points tell how far off predictions are here
_BESIDE = 2  # nearest points whose own residuals bound the error from below
_RESIDUAL_SHARE = 1 / 3  # of the residual beside a kink or cusp that may remain next to it
_LEAST_DIFFERENCE = 0.3  # of the other two terms: two predictions may agree by chance
# How errors grow with the deviation is fitted to so many residuals at least, and to this share of
# them with the smallest deviations: residuals lie farther from other points than what is predicted.
_LEAST_FITTED, _FITTED_SHARE = 40, 0.67
_STEEPER = 0.1  # the fit is steeper by this than for what is predicted
_LEAST_POWER = 0.4
_BLOCK_BYTES = 64 << 20
_SINGULAR = 1e-9  # share of the largest eigenvalue under which a drift is not determined


@dataclass(frozen=True)
class Prediction:
    """Values predicted at some points.

    Attributes
    ----------
    value : float64 ndarray, shape (points,)
    spread : float64 ndarray, shape (points,)
        Square root of the kriging variance for a covariance of scale 1 in units of the
        neighbourhood's radius: 0 at a known point, larger the farther from all of them.
    scale : float64 ndarray, shape (points,)
        Standard deviation of the field in these units, from the neighbours' values alone; infinite
        where there is a single neighbour. ``spread * scale`` is the kriging standard deviation.
    """

    value: np.ndarray
    spread: np.ndarray
    scale: np.ndarray


def krige(
    points: np.ndarray, values: np.ndarray, targets: np.ndarray, neighbours: int | None = None
) -> Prediction:
    """Predict a field at ``targets`` from its values at ``points``.

    Parameters
    ----------
    points : ndarray, shape (n, dimensions)
        Distinct, in units in which the field varies alike along all axes.
    values : ndarray, shape (n,)
        Finite.
    targets : ndarray, shape (m, dimensions)
    neighbours : int, optional
        Points that a prediction rests on; ``NEIGHBOURS`` of the dimension by default.

    Raises
    ------
    LossLandscapeError
        If there are no points.

    Notes
    -----
    G. Matheron, "The intrinsic random functions and their applications", Advances in Applied
    Probability 5(3), 1973. J.-P. Chiles, P. Delfiner, Geostatistics, 2nd ed., 2012, chapter 4.

    Examples
    --------
    >>> x = np.linspace(0, 1, 12)[:, None]
    >>> found = krige(x, 3 * x[:, 0] ** 2 - x[:, 0], np.array([[0.37]]))
    >>> print(found.value.round(9), found.scale.round(6))
    [0.0407] [0.]
    """
    if len(points) == 0:
        raise LossLandscapeError("there is no value to interpolate from")
    return _local(points, values, targets, _nearest(points, targets, neighbours)[1])


class LocalInterpolation:
    """A field interpolated by local kriging, and the size of its errors.

    Parameters
    ----------
    points, values
        As of :func:`krige`; two points at least.

    Attributes
    ----------
    residuals : ndarray, shape (n,)
        |value - what the others predict|, leaving one out.
    residual_deviations : ndarray, shape (n,)
        What :meth:`predict` would have given as the deviation of each.

    Raises
    ------
    LossLandscapeError
        If there are fewer than two points: nothing is known of the field's variation then.
    """

    def __init__(self, points: np.ndarray, values: np.ndarray):
        if len(points) < 2:
            raise LossLandscapeError("one value cannot be interpolated: its variation is not known")
        self._points, self._values = points, values
        dimensions = points.shape[1]
        distance, nearest = _nearest(points, points, WIDE_NEIGHBOURS[dimensions] + 1)
        distance, nearest = distance[:, 1:], nearest[:, 1:]  # without the point itself
        others = _local(points, values, points, nearest[:, : NEIGHBOURS[dimensions]])
        self.residuals = np.abs(others.value - values)
        with np.errstate(invalid="ignore"):
            self._standardised = np.where(others.spread > 0, self.residuals / others.spread, 0.0)
        deviations = self._deviation(points, others, distance, nearest)
        self._power, self._typical = _growth(deviations, self.residuals)
        self.residual_deviations = self._flattened(deviations)

    def predict(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values at ``targets`` and the size of their errors, each of shape (m,).

        Returns
        -------
        value : float64 ndarray
        deviation : float64 ndarray
            Size of the error up to a factor that is alike everywhere.
        least : float64 ndarray
            No estimate of the error should be smaller: next to a kink or cusp the field is not the
            smooth one of the model, and a third of the nearest residuals is what remains there.

        Notes
        -----
        The deviation is the geometric mean of three estimates of the error: the kriging standard
        deviation; the errors that leaving one out leaves at the nearest points, scaled by the
        kriging variances there and here; and, counted twice, the difference from what a wider
        neighbourhood predicts. Where errors grow less than in proportion to it, because the field
        is rough at every scale, its power is taken that fits the residuals.
        """
        dimensions = self._points.shape[1]
        distance, nearest = _nearest(self._points, targets, WIDE_NEIGHBOURS[dimensions])
        found = _local(self._points, self._values, targets, nearest[:, : NEIGHBOURS[dimensions]])
        least = _RESIDUAL_SHARE * self.residuals[nearest[:, :_BESIDE]].max(axis=1)
        deviation = self._flattened(self._deviation(targets, found, distance, nearest))
        return found.value, deviation, least

    def _flattened(self, deviation: np.ndarray) -> np.ndarray:
        return deviation**self._power * self._typical ** (1 - self._power)

    def _deviation(
        self, targets: np.ndarray, found: Prediction, distance: np.ndarray, nearest: np.ndarray
    ) -> np.ndarray:
        wide = _local(self._points, self._values, targets, nearest)
        near = nearest[:, :_RESIDUALS]
        with np.errstate(divide="ignore"):
            weights = np.where(distance[:, :1] > 0, 1 / distance[:, :_RESIDUALS], 1.0)
        weights /= weights.sum(axis=1, keepdims=True)
        measured = np.sqrt((weights * self._standardised[near] ** 2).sum(axis=1))
        modelled = found.spread * np.sqrt(found.scale * measured)
        difference = np.abs(found.value - wide.value) + _LEAST_DIFFERENCE * modelled
        return np.sqrt(modelled * difference)


def _growth(deviations: np.ndarray, residuals: np.ndarray) -> tuple[float, float]:
    """The power of the deviation that residuals grow with, 1 at most, and a typical deviation.

    Examples
    --------
    >>> deviations = np.geomspace(1e-6, 1, 100)
    >>> power, typical = _growth(deviations, 3 * deviations**0.6)
    >>> print(round(power, 6), round(typical, 6))
    0.5 0.001
    """
    positive = (deviations > 0) & (residuals > 0)
    if positive.sum() < _LEAST_FITTED:
        return 1.0, 1.0
    x, y = np.log(deviations[positive]), np.log(residuals[positive])
    small = x <= np.quantile(x, _FITTED_SHARE)
    x_small = x[small] - x[small].mean()
    variance = float((x_small**2).sum())
    slope = float((x_small * y[small]).sum()) / variance if variance > 0 else 1.0
    return float(np.clip(slope - _STEEPER, _LEAST_POWER, 1.0)), float(np.exp(np.median(x)))


def _nearest(
    points: np.ndarray, targets: np.ndarray, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Distances and numbers of the nearest points, nearest first, each of shape (m, count)."""
    count = min(count or NEIGHBOURS[points.shape[1]], len(points))
    return cKDTree(points).query(targets, k=np.arange(1, count + 1))


def _local(
    points: np.ndarray, values: np.ndarray, targets: np.ndarray, nearest: np.ndarray
) -> Prediction:
    """Predictions from given neighbours, in blocks of bounded memory."""
    value, spread, scale = np.empty((3, len(targets)))
    step = max(1, _BLOCK_BYTES // (8 * 4 * (nearest.shape[1] + 10) ** 2))
    for start in range(0, len(targets), step):
        part = slice(start, start + step)
        value[part], spread[part], scale[part] = _predict(
            points[nearest[part]], values[nearest[part]], targets[part]
        )
    return Prediction(value, spread, scale)


def _predict(
    points: np.ndarray, values: np.ndarray, targets: np.ndarray, degree: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, spread and scale with a drift of the highest degree that the neighbours determine.

    Parameters
    ----------
    points : ndarray, shape (m, k, dimensions)
        Neighbours of each target; ``values`` (m, k) and ``targets`` (m, dimensions) likewise.
    """
    offsets = points - targets[:, None]
    radius = np.linalg.norm(offsets, axis=2).max(axis=1)
    offsets /= np.where(radius > 0, radius, 1.0)[:, None, None]
    drift = _monomials(offsets, degree)
    count, terms = drift.shape[1:]
    if degree == 0:
        determined = np.ones(len(targets), bool)
    elif count <= terms:
        determined = np.zeros(len(targets), bool)
    else:
        eigenvalues = np.linalg.eigvalsh(drift.transpose(0, 2, 1) @ drift)
        determined = eigenvalues[:, 0] > _SINGULAR * eigenvalues[:, -1]
    if determined.all():
        return _solve(offsets, drift, values, degree)
    found = np.empty((3, len(targets)))
    found[:, determined] = _solve(
        offsets[determined], drift[determined], values[determined], degree
    )
    rest = ~determined
    found[:, rest] = _predict(points[rest], values[rest], targets[rest], degree - 1)
    return found[0], found[1], found[2]


def _solve(
    offsets: np.ndarray, drift: np.ndarray, values: np.ndarray, degree: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The kriging systems, one a target, at the targets' common place 0."""
    sets, count, terms = drift.shape
    if count == 1:  # nothing is known of the field's variation
        return values[:, 0].copy(), np.ones(sets), np.full(sets, np.inf)
    system = np.zeros((sets, count + terms, count + terms))
    system[:, :count, :count] = _covariance(offsets[:, :, None] - offsets[:, None], degree)
    system[:, :count, count:] = drift
    system[:, count:, :count] = drift.transpose(0, 2, 1)
    to_target = np.zeros((sets, count + terms))
    to_target[:, :count] = _covariance(offsets, degree)
    to_target[:, count] = 1.0
    mean = values.mean(axis=1, keepdims=True)
    right = np.zeros((sets, count + terms, 2))
    right[:, :, 0] = to_target
    right[:, :count, 1] = values - mean
    solved = np.linalg.solve(system, right)
    weights, spline = solved[:, :, 0], solved[:, :count, 1]
    value = mean[:, 0] + ((values - mean) * weights[:, :count]).sum(axis=1)
    # kriging variance, and the scale of the covariance from the neighbours' own energy
    variance = np.maximum(-(to_target * weights).sum(axis=1), 0.0)
    scale = np.maximum(((values - mean) * spline).sum(axis=1), 0.0) / max(count - terms, 1)
    return value, np.sqrt(variance), np.sqrt(scale)


def _covariance(differences: np.ndarray, degree: int) -> np.ndarray:
    """(-1)^(degree+1) h^(2 degree+1) of vectors along the last axis."""
    # sums over two or three coordinates and powers by products: several times faster than norms
    square = differences[..., 0] * differences[..., 0]
    for i in range(1, differences.shape[-1]):
        square += differences[..., i] * differences[..., i]
    covariance = np.sqrt(square)
    for _ in range(degree):
        covariance *= square
    return covariance if degree % 2 else np.negative(covariance, out=covariance)


def _monomials(offsets: np.ndarray, degree: int) -> np.ndarray:
    """1, the coordinates and their products up to ``degree``; shape (m, k, terms)."""
    axes = [offsets[..., i] for i in range(offsets.shape[-1])]
    terms = [np.ones(offsets.shape[:-1])]
    if degree >= 1:
        terms += axes
    if degree >= 2:
        terms += [a * b for i, a in enumerate(axes) for b in axes[i:]]
    return np.stack(terms, axis=-1)
