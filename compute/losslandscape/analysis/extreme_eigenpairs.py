"""The largest and the smallest eigenvalues of a symmetric matrix known by its products."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from losslandscape.analysis.lanczos import Product, quadrature

_VECTORS = 20  # of the Lanczos method, at least
_BOUND_STEPS = 12
_RESTARTS = 100


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues in descending order, with their unit eigenvectors as rows.

    Attributes
    ----------
    residuals : ndarray, shape (m,)
        ||A v - value v||: an eigenvalue lies within this distance of ``value``.
    converged : bool ndarray, shape (m,)
        Whether the residual is within the tolerance.
    width : float
        Largest eigenvalue minus smallest, about.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray
    width: float


def krylov_vectors(top: int, size: int) -> int:
    """How many vectors the Lanczos method keeps at once.

    >>> krylov_vectors(5, 1000), krylov_vectors(30, 1000)
    (20, 61)
    """
    return min(size, max(_VECTORS, 2 * top + 1))


def extreme_eigenpairs(
    product: Product, size: int, top: int, tolerance: float, seed: int, rounding: float
) -> Eigenpairs:
    """``top`` eigenvalues from each end of the spectrum, by ARPACK.

    Each end is sought as the largest eigenvalues of a shifted matrix that is not indefinite, so
    ``tolerance`` means the same at both ends: a residual, relative to the width of the spectrum.

    Parameters
    ----------
    rounding : float
        Relative rounding of the products; a smaller tolerance is raised to 10 times that.
    """
    generator = np.random.default_rng(seed)
    start = generator.standard_normal(size)
    nodes, _ = quadrature(product, start, min(_BOUND_STEPS, size))
    low, high = float(nodes[0]), float(nodes[-1])
    width = high - low
    scale = max(width, abs(low), abs(high))
    if scale == 0:  # the zero matrix: each vector is an eigenvector
        vectors = np.linalg.qr(generator.standard_normal((size, 2 * top)))[0].T
        nothing = np.zeros(2 * top)
        return Eigenpairs(nothing, vectors, nothing, np.ones(2 * top, bool), 0.0)
    tolerance = max(tolerance, 10 * rounding)
    # the ends of so few steps are inside of the spectrum
    upper = _largest(lambda v: product(v) - (low - width) * v, size, top, tolerance / 3, start)
    lower = _largest(lambda v: (high + width) * v - product(v), size, top, tolerance / 3, start)
    vectors = np.concatenate([upper, lower[::-1]])
    images = np.stack([product(vector) for vector in vectors])
    values = np.einsum("ij,ij->i", vectors, images)
    residuals = np.linalg.norm(images - values[:, None] * vectors, axis=1)
    order = np.argsort(-values, kind="stable")
    values, vectors, residuals = values[order], vectors[order], residuals[order]
    width = max(float(values[0] - values[-1]), width)
    return Eigenpairs(values, _signed(vectors), residuals, residuals <= tolerance * width, width)


def dense_eigenpairs(matrix: np.ndarray) -> Eigenpairs:
    """All eigenpairs of a symmetric matrix.

    >>> dense_eigenpairs(np.diag([1.0, 3.0])).values
    array([3., 1.])
    """
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], np.ascontiguousarray(vectors.T[::-1])
    residuals = np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1)
    width = float(values[0] - values[-1])
    return Eigenpairs(values, _signed(vectors), residuals, np.ones(len(values), bool), width)


def _largest(
    product: Product, size: int, top: int, tolerance: float, start: np.ndarray
) -> np.ndarray:
    """Eigenvectors of the largest eigenvalues of a positive matrix, descending, as rows.

    A Krylov space has one vector of each eigenspace, so copies of an eigenvalue can be missed.
    Therefore the largest eigenvalue that is left, orthogonal to all that was found, is sought until
    it is no larger than they are.
    """
    found = _krylov(product, size, top, tolerance, start)
    values = np.array([vector @ product(vector) for vector in found])
    generator = np.random.default_rng(0)
    for _ in range(2 * top):

        def rest(vector: np.ndarray, basis: np.ndarray = found) -> np.ndarray:
            image = product(_without(vector, basis))
            return _without(image, basis)

        begin = _without(generator.standard_normal(size), found)
        (other,) = _krylov(rest, size, 1, tolerance, begin)
        other = _without(_without(other, found), found)
        other /= np.linalg.norm(other)
        value = other @ product(other)
        if value <= values.min() + tolerance * values.max():
            break
        keep = np.arange(len(values)) != values.argmin()
        found = np.concatenate([found[keep], other[None]])
        values = np.append(values[keep], value)
    return found[np.argsort(-values, kind="stable")]


def _without(vector: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return vector - basis.T @ (basis @ vector)


def _krylov(
    product: Product, size: int, top: int, tolerance: float, start: np.ndarray
) -> np.ndarray:
    """ARPACK's eigenvectors of the largest eigenvalues; of what was reached in time."""
    operator = LinearOperator((size, size), matvec=lambda v: product(v.ravel()), dtype=np.float64)
    options: dict[str, Any] = {
        "which": "LA", "v0": start, "tol": tolerance, "ncv": krylov_vectors(top, size),
        "maxiter": _RESTARTS,
    }  # fmt: skip
    if "rng" in inspect.signature(eigsh).parameters:  # for a restart after a breakdown
        options["rng"] = np.random.default_rng(0)
    try:
        values, vectors = eigsh(operator, top, **options)
        return vectors.T[np.argsort(-values)]
    except ArpackNoConvergence as error:
        found = error.eigenvectors.T[np.argsort(-error.eigenvalues)]
    return np.concatenate([found, _ritz_vectors(product, size, top - len(found), start, found)])


def _ritz_vectors(
    product: Product, size: int, count: int, start: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """The best that a Krylov space orthogonal to what is known has, converged or not."""
    steps = min(size - len(known), 3 * krylov_vectors(count, size))
    basis = np.empty((steps, size))
    images = np.empty((steps, size))
    vector = start
    for step in range(steps):
        for _ in range(2):
            vector = vector - known.T @ (known @ vector) if len(known) else vector
            vector = vector - basis[:step].T @ (basis[:step] @ vector)
            vector = vector / np.linalg.norm(vector)
        basis[step] = vector
        images[step] = product(basis[step])
        vector = images[step]
    small = basis @ images.T
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    return (vectors[:, np.argsort(-values)[:count]].T) @ basis


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Each vector, of the two, whose largest component is positive."""
    largest = abs(vectors).argmax(axis=1)
    return vectors * np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
