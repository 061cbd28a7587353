"""Trace and Frobenius norm of a symmetric matrix by Hutch++, in total and by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from losslandscape.analysis.lanczos import Product

# v^T A_i v by sample, whose mean over the samples is v^T A v
SampleForms = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class TraceEstimate:
    """Trace, its share of each block, and the Frobenius norm, with errors over the probes.

    Attributes
    ----------
    trace, trace_error : float
    trace_interval, frobenius_interval : tuple of float
        By Student's t with as many degrees of freedom as probes.
    sample_error : float
        Standard error of the trace over the samples, for the same probes; NaN for one sample.
    blocks, block_errors : ndarray, shape (blocks,)
        Trace of each diagonal block; they sum to ``trace``.
    frobenius, frobenius_error : float
    probes : int
        Random vectors that the errors are over; 0 where everything is exact.
    """

    trace: float
    trace_error: float
    trace_interval: tuple[float, float]
    sample_error: float
    blocks: np.ndarray
    block_errors: np.ndarray
    frobenius: float
    frobenius_error: float
    frobenius_interval: tuple[float, float]
    probes: int


def hutch_plus_plus(
    product: Product,
    forms: SampleForms,
    size: int,
    known: np.ndarray,
    blocks: Sequence[slice],
    sketch: int,
    probes: int,
    seed: int,
    confidence: float,
) -> TraceEstimate:
    """Estimate the trace of A with 2 ``sketch`` + ``probes`` products, and as many by sample.

    Q spans eigenvectors that are known and A times random signs. The trace of Q^T A Q is computed
    and that of the rest estimated from random signs g: the mean of (P g)^T A (P g), P = 1 - Q Q^T.

    Parameters
    ----------
    known : ndarray, shape (k, size)
        Orthonormal rows.
    blocks : sequence of slice
        Of a vector; they cover it.

    Notes
    -----
    R. A. Meyer, C. Musco, C. Musco, D. P. Woodruff, "Hutch++: optimal stochastic trace
    estimation", SOSA 2021. Here eigenvectors are part of the sketch, and the two halves are drawn
    apart, so that the error is known from the second one. The squared Frobenius norm is the trace
    of A A, of the same products.
    """
    generator = np.random.default_rng([seed, 1])
    images = [product(_signs(generator, size)) for _ in range(min(sketch, size))]
    span = np.concatenate([known, *(image[None] for image in images)])
    basis = orthonormal_rows(span)
    columns, drawn_signs = [*basis], []
    rest = size - len(basis)
    if rest:
        for _ in range(probes):
            signs = _signs(generator, size)
            drawn_signs.append(signs.astype(np.int8))
            for _ in range(2):
                signs = signs - basis.T @ (basis @ signs) if len(basis) else signs
            columns.append(signs)
    count = len(columns) - len(basis)
    by_block = np.empty((len(columns), len(blocks)))
    squares = np.empty(len(columns))
    along: np.ndarray | None = None
    entries = _Variance(size)
    for i in range(len(columns)):
        column = columns[i]
        image = product(column)
        by_block[i] = [column[block] @ image[block] for block in blocks]
        squares[i] = image @ image
        share = forms(column) / (1 if i < len(basis) else count)
        along = share if along is None else along + share
        if i >= len(basis):
            inside = image - basis.T @ (basis @ image) if len(basis) else image
            entries.add(drawn_signs[i - len(basis)] * inside)
            columns[i] = image  # in the place of what is no longer needed
    assert along is not None
    # the part on the basis is the same for each probe
    fixed, fixed_squares = by_block[: len(basis)].sum(axis=0), squares[: len(basis)].sum()
    drawn = fixed + by_block[len(basis) :] if count else fixed[None]
    drawn_squares = fixed_squares + squares[len(basis) :] if count else fixed_squares[None]
    trace, parts = drawn.sum(axis=1).mean(), drawn.mean(axis=0)
    norm = float(np.sqrt(drawn_squares.mean()))
    if rest:
        # Var(g^T M g) of random signs is 2 (||M||_F^2 - sum of M_ii^2), and the entries of
        # g * (M g) have half of it together: more is known of it than from one number a probe
        trace_error = np.sqrt(2 * entries.total / count)
        part_errors = drawn.std(axis=0, ddof=1) / np.sqrt(count)
        square_error = np.sqrt(2 * _mean_squared_product(columns[len(basis) :]) / count)
    else:
        trace_error, part_errors, square_error = 0.0, np.zeros_like(parts), 0.0
    norm_error = float(square_error / (2 * norm)) if norm else 0.0  # to first order
    freedom = max(min(count, count * (count - 1) // 2), 1)
    factors = [float(stdtrit(f, (1 + confidence) / 2)) for f in (max(count, 1), freedom)]
    samples = len(along)
    return TraceEstimate(
        float(trace),
        float(trace_error),
        _interval(float(trace), float(trace_error), factors[0]),
        float(along.std(ddof=1) / np.sqrt(samples)) if samples > 1 else float("nan"),
        parts,
        part_errors,
        norm,
        norm_error,
        _interval(norm, norm_error, factors[1]),
        count,
    )


def orthonormal_rows(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis, as rows, of what rows span up to rounding.

    >>> orthonormal_rows(np.array([[2.0, 0.0], [1.0, 0.0]])).shape
    (1, 2)
    """
    if not len(rows):
        return rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = rows[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
    if not len(scaled):
        return scaled
    _, sizes, basis = np.linalg.svd(scaled, full_matrices=False)
    return basis[sizes > 1e-10 * sizes[0]]


def _signs(generator: np.random.Generator, size: int) -> np.ndarray:
    return generator.integers(2, size=size) * 2.0 - 1.0


def _interval(mean: float, error: float, factor: float) -> tuple[float, float]:
    return float(mean - factor * error), float(mean + factor * error)


class _Variance:
    """The sum of the variances of the entries of some vectors (Welford 1962)."""

    def __init__(self, size: int):
        self._mean, self._squares, self._count = np.zeros(size), np.zeros(size), 0

    def add(self, vector: np.ndarray) -> None:
        self._count += 1
        away = vector - self._mean
        self._mean += away / self._count
        self._squares += away * (vector - self._mean)

    @property
    def total(self) -> float:
        return float(self._squares.sum()) / (self._count - 1)


def _mean_squared_product(images: Sequence[np.ndarray]) -> float:
    """||P A^2 P||_F^2: the mean of (g^T P A^2 P h)^2 over pairs of probes, of their A P g.

    Half of the variance of g^T P A^2 P g over random signs, without the share of the diagonal,
    which makes it smaller.
    """
    count = len(images)
    products = np.array([[one @ other for other in images] for one in images])
    pairs = (products**2).sum() - (np.diag(products) ** 2).sum()
    return float(pairs) / (count * (count - 1))
