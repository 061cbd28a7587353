"""What a plane of principal components shows of a random walk."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

_DRAWN_STEPS = 256  # of a walk, above which only the limit of many parameters is given


@dataclass(frozen=True)
class WalkShares:
    """The share of a random walk that its own principal components show.

    Attributes
    ----------
    steps : int
    variance, length : float
        Shares of the squared distances from the center and of the length of the path, in the limit
        of many parameters.
    variance_interval, length_interval : (low, high) or None
        95% of random walks with this number of parameters lie in it. None if none were drawn.
    """

    steps: int
    variance: float
    length: float
    variance_interval: tuple[float, float] | None
    length_interval: tuple[float, float] | None

    def to_json(self) -> dict:
        return asdict(self)


def random_walk_shares(
    steps: int,
    parameters: int,
    dimensions: int = 2,
    *,
    center: str = "mean",
    step_lengths: np.ndarray | None = None,
    draws: int = 100,
    seed: int = 0,
) -> WalkShares:
    """The share of a random walk in the plane of its own principal components.

    In many dimensions the k-th component about the mean of a walk of n points has the share
    ``3 / ((n^2 - 1) (1 - cos(pi k / n)))`` of the variance: 61%, 15%, 7%, ... for many steps. About
    the last point, where a training trajectory usually has its origin, it is 81%, 9%, 3%, ...

    Parameters
    ----------
    steps : int
        Number of independent Gaussian steps, one less than checkpoints.
    parameters : int
        Number of coordinates of each step.
    dimensions : 1, 2 or 3
    center : "mean" or "origin"
        Distances are from the mean of the points, or from the last point.
    step_lengths : ndarray, shape (steps,), optional
        Expected length of each step; all are equal by default.
    draws, seed : int
        Walks for the intervals. Walks of more than 256 steps have no interval.

    Notes
    -----
    J. Antognini, J. Sohl-Dickstein, "PCA of high dimensional random walks with comparison to neural
    network training", NeurIPS 2018 (arXiv:1806.08805).

    Examples
    --------
    >>> walk = random_walk_shares(200, 10**6, draws=0)
    >>> round(walk.variance, 3), round(walk.length, 3)
    (0.76, 0.094)
    >>> round(random_walk_shares(200, 10**6, center="origin", draws=0).variance, 3)
    0.901
    """
    lengths = np.ones(steps) if step_lengths is None else np.asarray(step_lengths, np.float64)
    # rows: positions relative to the center, as sums of steps
    sums = np.tril(np.ones((steps + 1, steps)), -1)
    sums -= sums.mean(axis=0) if center == "mean" else sums[-1].copy()
    variance, length = _shares(sums, np.diag(lengths**2), dimensions)
    drawn = []
    if steps <= _DRAWN_STEPS:
        generator = np.random.default_rng(seed)
        for _ in range(draws):
            products = _wishart(steps, parameters, generator)
            drawn.append(_shares(sums, lengths[:, None] * products * lengths, dimensions))
    if not drawn:
        return WalkShares(steps, variance, length, None, None)
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    intervals = [(float(a), float(b)) for a, b in zip(low, high)]
    return WalkShares(steps, variance, length, intervals[0], intervals[1])


def _shares(sums: np.ndarray, products: np.ndarray, dimensions: int) -> tuple[float, float]:
    """Shares of variance and length, from the inner products of the steps."""
    positions = sums @ products @ sums.T
    values, vectors = np.linalg.eigh((positions + positions.T) / 2)
    values, vectors = values[::-1][:dimensions], vectors[:, ::-1][:, :dimensions]
    values = np.maximum(values, 0.0)
    moved = np.diff(vectors, axis=0) * np.sqrt(values)
    whole = np.sqrt(np.diag(products)).sum()
    total = np.trace(positions)
    if not total > 0:
        return float("nan"), float("nan")
    return float(values.sum() / total), float(np.sqrt((moved**2).sum(axis=1)).sum() / whole)


def _wishart(size: int, freedom: int, generator: np.random.Generator) -> np.ndarray:
    """Inner products of Gaussian vectors of expected squared length 1 (Bartlett)."""
    if freedom < size:
        vectors = generator.standard_normal((size, freedom))
        return vectors @ vectors.T / freedom
    root = np.tril(generator.standard_normal((size, size)), -1)
    root[np.diag_indices(size)] = np.sqrt(generator.chisquare(freedom - np.arange(size)))
    return root @ root.T / freedom
