"""The Lanczos method with full reorthogonalization, for quadrature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh_tridiagonal

Product = Callable[[np.ndarray], np.ndarray]

_BREAKDOWN = 1e-12  # of the size of the matrix: below, the Krylov space is complete


def quadrature(
    product: Product, start: np.ndarray, steps: int, without: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss quadrature for v^T f(A) v, v a unit vector.

    It is exact for polynomials f of degree 2 steps - 1.

    Parameters
    ----------
    product : callable
        A v for a symmetric matrix A.
    start : ndarray, shape (n,)
        v; it is scaled to unit length.
    steps : int
        Products.
    without : ndarray, shape (k, n), optional
        Orthonormal vectors that span an invariant subspace, to which everything is kept orthogonal.

    Returns
    -------
    nodes, weights : ndarray, shape (at most steps,)
        The weights sum to 1. There are fewer where the Krylov space is complete before.

    Notes
    -----
    G. H. Golub, G. Meurant, "Matrices, Moments and Quadrature with Applications", 2010, chapter 4.

    Examples
    --------
    >>> matrix = np.diag([0.0, 1.0, 2.0, 5.0])
    >>> nodes, weights = quadrature(lambda v: matrix @ v, np.ones(4), 3)
    >>> round(float(weights @ nodes**5), 9), (0 + 1 + 2**5 + 5**5) / 4
    (789.5, 789.5)
    """
    basis = np.empty((steps, len(start)))
    diagonal, off = np.zeros(steps), np.zeros(steps)
    vector = _orthogonal(np.asarray(start, float), without)
    vector /= np.linalg.norm(vector)
    size, done = 0.0, 0
    for step in range(steps):
        basis[step] = vector
        done = step + 1
        image = product(vector)
        diagonal[step] = vector @ image
        rest = _orthogonal(_orthogonal(image, basis[:done]), basis[:done])
        rest = _orthogonal(rest, without)
        off[step] = np.linalg.norm(rest)
        size = max(size, abs(diagonal[step]), off[step])
        if off[step] <= _BREAKDOWN * size:
            break
        vector = rest / off[step]
    nodes, vectors = eigh_tridiagonal(diagonal[:done], off[: done - 1])
    return nodes, vectors[0] ** 2


def _orthogonal(vector: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    """The part of a vector that is orthogonal to orthonormal rows."""
    if basis is None or not len(basis):
        return vector
    return vector - basis.T @ (basis @ vector)
