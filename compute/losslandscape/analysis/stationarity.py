"""Does the gradient vanish at a point? Judged by the gradients around it.

Lengths are in spacings of the grid, gradients in loss per spacing. A point is *smooth stationary*
where its gradient is small against the gradients one spacing away, direction by direction. It is
*non-smooth stationary* where the gradients on its sides jump and 0 lies in their convex hull: the
generalized gradient of F. H. Clarke, "Optimization and Nonsmooth Analysis", 1983, chapter 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy.optimize import nnls

from losslandscape.analysis.resampling import bootstrap_counts

Gradient = Callable[[np.ndarray], np.ndarray]

# distance in spacings between a point and the zero of the gradient's linear model around it
VANISHES = 0.01
NEAR, NEARER = 1e-2, 1e-3  # spacings to either side
# of the change of the gradient over two spacings, how much may happen at the point itself
_JUMP_SHARE = 0.25
# a kink changes the gradient as much over NEARER as over NEAR, a smooth bend ten times less
_JUMP_STAYS = 0.5
# an eigenvalue below this share of the change of curvature over a spacing tells no kind
_DEGENERATE = 1e-3
_AGREES = 0.1
_SUM_WEIGHT = 1e4  # of the hull's condition that the weights sum to 1


def shortest_in_hull(gradients: np.ndarray) -> np.ndarray:
    """The vector of least norm in the convex hull of some vectors.

    Parameters
    ----------
    gradients : ndarray, shape (vectors, dimensions)

    Returns
    -------
    ndarray, shape (dimensions,)

    Notes
    -----
    Least squares with non-negative weights: C. L. Lawson, R. J. Hanson, "Solving Least Squares
    Problems", 1974, chapter 23. That the weights sum to 1 is one more equation of large weight.

    Examples
    --------
    >>> shortest_in_hull(np.array([[1.0, 0.5], [-1.0, 0.5]])).round(6) + 0.0
    array([0. , 0.5])
    >>> shortest_in_hull(np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])).round(6) + 0.0
    array([0., 0.])
    """
    size = np.linalg.norm(gradients, axis=1).max()
    if not (np.isfinite(size) and size > 0):
        return gradients[0] * 0.0 if size == 0 else gradients[0]
    sums = np.full((1, len(gradients)), _SUM_WEIGHT)
    target = np.zeros(gradients.shape[1] + 1)
    target[-1] = _SUM_WEIGHT
    weights, _ = nnls(np.vstack([gradients.T / size, sums]), target)
    return weights @ gradients / weights.sum()


class Surroundings:
    """The gradients around a point.

    Parameters
    ----------
    gradient : callable
        Position in spacings, shape (dimensions,) -> gradient in loss per spacing.
    position : ndarray, shape (dimensions,)
    relative_rounding : float
        An eigenvalue below this share of the largest has no sign.
    """

    def __init__(self, gradient: Gradient, position: np.ndarray, relative_rounding: float = 1e-8):
        self._gradient = gradient
        self._relative_rounding = relative_rounding
        self.position = position
        self.here = gradient(position)

    def _sides(self, direction: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
        step = distance * direction
        return self._gradient(self.position - step), self._gradient(self.position + step)

    def _on_axes(self, distance: float) -> np.ndarray:
        """Gradients to both sides along each axis, shape (dimensions, 2, dimensions)."""
        axes = np.eye(len(self.position))
        return np.array([self._sides(axis, distance) for axis in axes])

    @cached_property
    def _one_spacing(self) -> np.ndarray:
        return self._on_axes(1.0)

    @cached_property
    def _near(self) -> np.ndarray:
        return self._on_axes(NEAR)

    @cached_property
    def _nearer(self) -> np.ndarray:
        return self._on_axes(NEARER)

    @cached_property
    def secant(self) -> np.ndarray:
        """The Hessian as the gradients one spacing away have it, shape (dimensions, dimensions).

        It holds the curvature that kinks add up to, which the Hessian of a smooth piece does not.
        """
        change = (self._one_spacing[:, 1] - self._one_spacing[:, 0]) / 2
        return (change + change.T) / 2

    def offset(self, gradient: np.ndarray) -> float:
        """How far, in spacings, the secant model with this gradient has its critical point.

        Infinite where the gradient has a part along which the gradients around do not change.
        """
        curvature, axes = np.linalg.eigh(self.secant)
        slope = axes.T @ gradient
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.where(slope == 0, 0.0, slope / curvature)
        return float(np.linalg.norm(steps)) if np.isfinite(steps).all() else np.inf

    @property
    def vanishes(self) -> bool:
        """Whether the gradient at the point is small against those around it."""
        return bool(self.offset(self.here) <= VANISHES)

    def _jumps(self, sides: np.ndarray) -> np.ndarray:
        return np.linalg.norm(sides[:, 1] - sides[:, 0], axis=1)

    @cached_property
    def kinked(self) -> bool:
        """Whether a large part of the gradient's change around the point happens at the point."""
        whole, near = self._jumps(self._one_spacing), self._jumps(self._near)
        suspicious = ~(near <= _JUMP_SHARE * whole)  # NaN is suspicious
        if not suspicious.any():
            return False
        return bool((suspicious & self._stays).any())

    @cached_property
    def _stays(self) -> np.ndarray:
        """Along which axes the gradients on the two sides do not approach each other."""
        return ~(self._jumps(self._nearer) <= _JUMP_STAYS * self._jumps(self._near))

    @cached_property
    def shortest(self) -> np.ndarray:
        """The shortest vector in the hull of the gradients around the point, at ``NEARER``."""
        corners = np.array(list(itertools.product((-1.0, 1.0), repeat=len(self.position))))
        diagonal = [self._gradient(self.position + NEARER * corner) for corner in corners]
        around = np.concatenate([self._nearer.reshape(-1, len(self.position)), diagonal])
        around = around[np.isfinite(around).all(axis=1)]
        if not len(around):
            return np.full(len(self.position), np.nan)
        return shortest_in_hull(around)

    @property
    def non_smooth(self) -> bool:
        """Whether the gradients jump here, and 0 lies in their convex hull."""
        return bool((self.kinked or self._stays.any()) and self.offset(self.shortest) <= VANISHES)

    def is_smooth(self, hessian: np.ndarray) -> bool:
        """Whether the gradients close to the point change as its Hessian says."""
        change = (self._near[:, 1] - self._near[:, 0]) / (2 * NEAR)
        apart = np.linalg.norm(change - hessian)
        return bool(apart <= _AGREES * max(np.linalg.norm(hessian), np.linalg.norm(self.secant)))

    def degenerate(self, eigenvalues: np.ndarray, eigenvectors: np.ndarray) -> bool:
        """Whether an eigenvalue vanishes against the change of curvature over a spacing.

        The third and fourth derivatives along an eigenvector are those of the gradients one spacing
        to either side: their mean less the gradient here, and half their difference less the
        eigenvalue.
        """
        if abs(eigenvalues).min() <= self._relative_rounding * abs(eigenvalues).max():
            return True
        for eigenvalue, vector in zip(eigenvalues, eigenvectors.T):
            one, other = self._sides(vector, 1.0)
            third = abs((one + other - 2 * self.here) @ vector) / 2
            fourth = abs((other - one) @ vector / 2 - eigenvalue)
            if abs(eigenvalue) <= _DEGENERATE * max(third, fourth):
                return True
        return False

    @property
    def rounding(self) -> float:
        """Standard deviation of the gradient's rounding, loss per spacing.

        Second differences of the gradient over ``NEARER``, of which what grows with the square of
        the step is no rounding.
        """
        nearer, near = (sides.sum(axis=1) - 2 * self.here for sides in (self._nearer, self._near))
        smooth = np.linalg.norm(near) * (NEARER / NEAR) ** 2
        variance = np.linalg.norm(nearer) ** 2 - smooth**2
        return float(np.sqrt(max(variance, 0.0) / (6 * nearer.size)))


def displacement(curvature: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Steps that make up for gradients, shape (n, dimensions); infinite without curvature."""
    values, axes = np.linalg.eigh(curvature)
    slopes = gradients @ axes
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(slopes == 0, 0.0, -slopes / values)
    known = np.isfinite(steps).all(axis=1, keepdims=True)
    return np.where(known, np.where(known, steps, 0.0) @ axes.T, np.inf)


def sampling_radius(
    curvature: np.ndarray, gradients: np.ndarray, draws: int = 1000, seed: int = 0
) -> float:
    """The radius that holds the critical point of the population with 95%, in spacings.

    The critical point of another draw of as many samples is within 1.41 times that radius: both
    draws are off.

    Parameters
    ----------
    curvature : ndarray, shape (dimensions, dimensions)
        Of the mean loss at the point.
    gradients : ndarray, shape (samples, dimensions)
        Of each sample's loss at the point.

    Notes
    -----
    Bootstrap over samples to first order: of each draw the critical point is one Newton step away.
    B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 6.

    Examples
    --------
    >>> gradients = np.random.default_rng(0).normal(size=(400, 1))
    >>> round(sampling_radius(np.eye(1), gradients), 2)  # 1.96 / sqrt(400) = 0.098
    0.1
    """
    count = len(gradients)
    centered = gradients - gradients.mean(axis=0)
    means = [counts @ centered / count for _, counts in bootstrap_counts(draws, count, seed)]
    steps = displacement(curvature, np.concatenate(means))
    if not np.isfinite(steps).all():
        return np.inf
    return float(np.quantile(np.linalg.norm(steps, axis=1), 0.95))
