"""The density of the eigenvalues of a symmetric matrix, by stochastic Lanczos quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

_BLOCK = 4096  # points of a density at a time, which bounds the memory

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SpectralDensity:
    """A density at some points, with a band over the probes.

    Attributes
    ----------
    points : ndarray, shape (points,)
        Eigenvalues.
    density : ndarray, shape (points,)
        Per unit of the eigenvalue; its integral over all eigenvalues is 1.
    low, high : ndarray, shape (points,)
        Ends of the interval over the probes, point by point; see :meth:`Quadrature.estimate`.
        ``low`` may be negative. NaN for one probe.
    width : float
        Standard deviation of the Gaussian that each eigenvalue is drawn as.
    confidence : float
    """

    points: np.ndarray
    density: np.ndarray
    low: np.ndarray
    high: np.ndarray
    width: float
    confidence: float


@dataclass(frozen=True)
class Quadrature:
    """Eigenvalues that are known one by one, and quadratures of the others.

    Attributes
    ----------
    size : int
        Of the matrix.
    known : ndarray, shape (k,)
    nodes, weights : list of ndarray, one of each for a probe
        The weights of a probe sum to 1.
    """

    size: int
    known: np.ndarray
    nodes: list[np.ndarray]
    weights: list[np.ndarray]

    def by_probe(self, function: Function) -> np.ndarray:
        """The mean over all eigenvalues of a function, probe by probe, shape (probes, ...).

        ``function`` takes eigenvalues of shape (m,) and returns values of shape (..., m).
        """
        rest = self.size - len(self.known)
        known = function(self.known).sum(axis=-1) if len(self.known) else 0.0
        if not self.nodes:
            return np.asarray(known / self.size)[None]
        found = [function(nodes) @ weights for nodes, weights in zip(self.nodes, self.weights)]
        return (known + rest * np.stack(found)) / self.size

    def density(self, points: np.ndarray, width: float, confidence: float) -> SpectralDensity:
        """The density smoothed by a Gaussian."""
        blocks = np.split(points, range(_BLOCK, len(points), _BLOCK))
        found = [self._smoothed(block, width, confidence) for block in blocks]
        mean, error = (np.concatenate([one[part] for one in found]) for part in (0, 1))
        factor = found[0][2]
        return SpectralDensity(
            points, mean, mean - factor * error, mean + factor * error, width, confidence
        )

    def _smoothed(
        self, points: np.ndarray, width: float, confidence: float
    ) -> tuple[np.ndarray, np.ndarray, float]:
        def kernel(values: np.ndarray) -> np.ndarray:
            scaled = (points[:, None] - values[None, :]) / width
            return np.exp(-(scaled**2) / 2) / (width * np.sqrt(2 * np.pi))

        return self.estimate(kernel, confidence)

    def moment(self, order: int, confidence: float) -> tuple[float, float, tuple[float, float]]:
        """Mean of eigenvalue**order, its standard error over the probes, and its interval."""
        mean, error, factor = self.estimate(lambda eigenvalues: eigenvalues**order, confidence)
        ends = float(mean - factor * error), float(mean + factor * error)
        return float(mean), float(error), ends

    def estimate(
        self, function: Function, confidence: float
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Mean over all eigenvalues of a function, its standard error, and a factor for intervals.

        The standard error is not the scatter of the probes, which a few of them hardly show where
        few eigenvalues have most of the mean. v^T f(A) v of a random unit vector v in n dimensions
        has the variance 2 / (n + 2) times the variance of f over the eigenvalues, which the same
        quadrature has.

        Student's factor has as many degrees of freedom as probes. That is right where a single
        eigenvalue has all, and the interval is longer than necessary where many have a part.

        Returns
        -------
        mean, error, factor
            The error is 0 where all eigenvalues are known, and NaN for one probe.

        Examples
        --------
        >>> probes = [np.array([0.25, 0.75]), np.array([0.5, 0.5])]
        >>> found = Quadrature(4, np.empty(0), [np.array([1.0, 3.0])] * 2, probes)
        >>> [round(float(value), 4) for value in found.estimate(lambda x: x, 0.95)]
        [2.25, 0.3953, 4.3027]
        """
        mean = self.by_probe(function).mean(axis=0)
        count, rest = len(self.nodes), self.size - len(self.known)
        if self.exact:
            return mean, np.zeros_like(mean), 0.0
        if count < 2:
            return mean, np.full_like(mean, np.nan), np.nan
        weights = np.concatenate(self.weights) / count
        values = function(np.concatenate(self.nodes))
        away = values - (values @ weights)[..., None]
        largest = abs(away).max(axis=-1)
        away = away / np.where(largest > 0, largest, 1)[..., None]  # so that squares are finite
        error = rest / self.size * largest * np.sqrt(2 / (rest + 2) * (away**2 @ weights) / count)
        return mean, error, float(stdtrit(count, (1 + confidence) / 2))

    @property
    def exact(self) -> bool:
        """Whether all eigenvalues are known."""
        return len(self.known) == self.size
