"""Interpolation of scattered values with an error estimate: local intrinsic kriging.

A value is predicted from its nearest neighbors by the best linear unbiased predictor of an
intrinsic random function with generalized covariance ``(-1)^(p+1) h^(2p+1)`` and polynomial drift
of degree p (Matheron 1973). The predictor is the polyharmonic spline through the neighbors; the
kriging variance describes how its error grows with the distance from them. The scale of the
variance is estimated from the same neighbors, so it is large where the field is rough and small
where it is smooth. With p = 2 this is the quintic spline, whose error falls as fast as the
smoothness of the field allows. If the neighbors do not determine a quadratic drift (too few, or all
on a line), p is 1, then 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from losslandscape.errors import LossLandscapeError

NEIGHBORS = {1: 7, 2: 15, 3: 34}  # by dimension: a few more than the quadratic drift has terms
WIDE_NEIGHBORS = {1: 14, 2: 36, 3: 80}
_RESIDUALS = 8  # nearest points whose residuals show how large errors are here
_BESIDE = 2  # nearest points whose residuals bound the error from below
_RESIDUAL_SHARE = 1 / 3  # share of the residual at a kink or cusp that may remain next to it
_LEAST_DIFFERENCE = 0.3  # of the other two terms: two predictions may agree by chance
# How errors grow with the deviation is fitted to at least 40 residuals, and to the 67% of them
# with the smallest deviations: residuals lie farther from other points than predicted points do.
_LEAST_FITTED, _FITTED_SHARE = 40, 0.67
_STEEPER = 0.1  # by how much the fit is steeper than it would be at predicted points
_LEAST_POWER = 0.4
_BLOCK_BYTES = 8 << 20
_SINGULAR = 1e-9  # share of the largest eigenvalue below which a drift is undetermined


@dataclass(frozen=True)
class Prediction:
    """Values predicted at some points.

    Attributes
    ----------
    value : float64 ndarray, shape (points,)
    spread : float64 ndarray, shape (points,)
        Square root of the kriging variance for a covariance of scale 1, in units of the
        neighborhood's radius: 0 at a known point, and larger with the distance from known points.
    scale : float64 ndarray, shape (points,)
        Standard deviation of the field in these units, from the neighbors' values alone; infinite
        if there is a single neighbor. ``spread * scale`` is the kriging standard deviation.
    """

    value: np.ndarray
    spread: np.ndarray
    scale: np.ndarray


def krige(
    points: np.ndarray, values: np.ndarray, targets: np.ndarray, neighbors: int | None = None
) -> Prediction:
    """Predict a field at ``targets`` from its values at ``points``.

    Parameters
    ----------
    points : ndarray, shape (n, dimensions)
        Distinct points, in units in which the field varies at a similar rate along all axes.
    values : ndarray, shape (n,)
        Finite values.
    targets : ndarray, shape (m, dimensions)
    neighbors : int, optional
        Number of points for each prediction; by default ``NEIGHBORS`` of the dimension.

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
        raise LossLandscapeError("there is no value to interpolate from; evaluate a point first")
    return _local(points, values, targets, _nearest(points, targets, neighbors)[1])


class LocalInterpolation:
    """A field interpolated by local kriging, with estimates of its errors.

    Parameters
    ----------
    points, values
        As in :func:`krige`; at least two points.

    Attributes
    ----------
    residuals : ndarray, shape (n,)
        Leave-one-out residuals: |value - prediction from the other points|.
    residual_deviations : ndarray, shape (n,)
        The deviation that :meth:`predict` would have returned for each.

    Raises
    ------
    LossLandscapeError
        If there are fewer than two points, so that the field's variation is unknown.
    """

    def __init__(self, points: np.ndarray, values: np.ndarray):
        if len(points) < 2:
            raise LossLandscapeError(
                "interpolation needs at least two values: the variation of one value is not known"
            )
        self._points, self._values = points, values
        dimensions = points.shape[1]
        distance, nearest = _nearest(points, points, WIDE_NEIGHBORS[dimensions] + 1)
        distance, nearest = distance[:, 1:], nearest[:, 1:]  # without the point itself
        others = _local(points, values, points, nearest[:, : NEIGHBORS[dimensions]])
        self.residuals = np.abs(others.value - values)
        with np.errstate(invalid="ignore"):
            self._standardized = np.where(others.spread > 0, self.residuals / others.spread, 0.0)
        deviations = self._deviation(points, others, distance, nearest)
        self._power, self._typical = _growth(deviations, self.residuals)
        self.residual_deviations = self._flattened(deviations)

    def predict(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values at ``targets`` and the size of their errors, each of shape (m,).

        Returns
        -------
        value : float64 ndarray
        deviation : float64 ndarray
            Size of the error, up to a factor that is the same everywhere.
        least : float64 ndarray
            Lower limit for an estimate of the error. Next to a kink or cusp the field is not as
            smooth as the model, and a third of the nearest residuals remains there.

        Notes
        -----
        The deviation is the geometric mean of three estimates of the error: the kriging standard
        deviation; the leave-one-out residuals of the nearest points, scaled by the kriging
        variances there and here; and, counted twice, the difference from the prediction of a wider
        neighborhood. If errors grow more slowly than this deviation, because the field is rough at
        every scale, the deviation is raised to the power that fits the residuals.
        """
        dimensions = self._points.shape[1]
        distance, nearest = _nearest(self._points, targets, WIDE_NEIGHBORS[dimensions])
        found = _local(self._points, self._values, targets, nearest[:, : NEIGHBORS[dimensions]])
        least = _RESIDUAL_SHARE * self.residuals[nearest[:, :_BESIDE]].max(axis=1)
        deviation = self._flattened(self._deviation(targets, found, distance, nearest))
        return found.value, deviation, least

    def nearest(self, targets: np.ndarray, count: int) -> np.ndarray:
        """Numbers of the known points nearest to each target, shape (m, count) or fewer."""
        return _nearest(self._points, targets, count)[1]

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
        measured = np.sqrt((weights * self._standardized[near] ** 2).sum(axis=1))
        modeled = found.spread * np.sqrt(found.scale * measured)
        difference = np.abs(found.value - wide.value) + _LEAST_DIFFERENCE * modeled
        return np.sqrt(modeled * difference)


def _growth(deviations: np.ndarray, residuals: np.ndarray) -> tuple[float, float]:
    """The power of the deviation with which residuals grow, at most 1, and a typical deviation.

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
    count = min(count or NEIGHBORS[points.shape[1]], len(points))
    return cKDTree(points).query(targets, k=np.arange(1, count + 1))


def _local(
    points: np.ndarray, values: np.ndarray, targets: np.ndarray, nearest: np.ndarray
) -> Prediction:
    """Predictions from given neighbors, in blocks of bounded memory."""
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
    """Value, spread and scale with a drift of the highest degree that the neighbors determine.

    Parameters
    ----------
    points : ndarray, shape (m, k, dimensions)
        Neighbors of each target.
    values : ndarray, shape (m, k)
    targets : ndarray, shape (m, dimensions)
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
    """Solve the kriging systems, one per target; each target is at 0 in its own offsets."""
    sets, count, terms = drift.shape
    if count == 1:  # the field's variation is unknown
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
    # kriging variance, and the scale of the covariance from the energy of the neighbors' values
    variance = np.maximum(-(to_target * weights).sum(axis=1), 0.0)
    scale = np.maximum(((values - mean) * spline).sum(axis=1), 0.0) / max(count - terms, 1)
    return value, np.sqrt(variance), np.sqrt(scale)


def _covariance(differences: np.ndarray, degree: int) -> np.ndarray:
    """(-1)^(degree+1) h^(2 degree+1), with the length h of vectors along the last axis."""
    # explicit sums and products are several times faster than norms and powers
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
