"""The density of the eigenvalues of a symmetric matrix, by stochastic Lanczos quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


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
        Ends of the interval of Student's t over the probes, point by point. ``low`` may be
        negative. NaN for one probe.
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

    def by_probe(self, function) -> np.ndarray:
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

        def kernel(values: np.ndarray) -> np.ndarray:
            scaled = (points[:, None] - values[None, :]) / width
            return np.exp(-(scaled**2) / 2) / (width * np.sqrt(2 * np.pi))

        mean, error, factor = mean_error_factor(self.by_probe(kernel), confidence, self.exact)
        return SpectralDensity(
            points, mean, mean - factor * error, mean + factor * error, width, confidence
        )

    def moment(self, order: int, confidence: float) -> tuple[float, float, tuple[float, float]]:
        """Mean of eigenvalue**order, its standard error over the probes, and its interval."""
        values = self.by_probe(lambda eigenvalues: eigenvalues**order)
        mean, error, factor = mean_error_factor(values, confidence, self.exact)
        ends = float(mean - factor * error), float(mean + factor * error)
        return float(mean), float(error), ends

    @property
    def exact(self) -> bool:
        """Whether all eigenvalues are known."""
        return len(self.known) == self.size


def mean_error_factor(
    values: np.ndarray, confidence: float, exact: bool = False
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean over the first axis, its standard error, and Student's factor for an interval.

    Without error where the values are exact; NaN for one value that is not.

    Examples
    --------
    >>> mean, error, factor = mean_error_factor(np.array([1.0, 2.0, 3.0]), 0.95)
    >>> float(mean), round(float(error), 4), round(factor, 3)
    (2.0, 0.5774, 4.303)
    """
    mean = values.mean(axis=0)
    if exact:
        return mean, np.zeros_like(mean), 0.0
    if len(values) < 2:
        return mean, np.full_like(mean, np.nan), np.nan
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return mean, error, float(stdtrit(len(values) - 1, (1 + confidence) / 2))
