"""Linear maps of random directions, which lead along the flat directions of a minimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.planes.subspace import Subspace
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.objective import Objective

HESSIAN = "hessian"
_DENSE = 1024  # parameters whose Hessian is made column by column
_EIGENPAIRS = 128  # of larger Hessians, by the Lanczos method, where memory holds them
_ENTRIES = 1 << 27  # of their eigenvectors
_SMALLEST = 1e-9  # curvature relative to the largest, below which it is not told from zero


class Preconditioner(Protocol):
    """An invertible map P of parameter space.

    Attributes
    ----------
    name : str
    log_determinant : float
        Of the absolute value of det P.
    """

    name: str
    log_determinant: float

    def __call__(self, vectors: Tensor) -> Tensor:
        """P applied to rows, float64, shape (count, size)."""


class Identity:
    """No preconditioner: directions are isotropic."""

    name, log_determinant = "none", 0.0

    def __call__(self, vectors: Tensor) -> Tensor:
        return vectors


class Diagonal:
    """Each parameter times a positive number of its own.

    Examples
    --------
    >>> layout = ParameterLayout({"weight": (2,)})
    >>> scaling = Diagonal.of({"weight": torch.tensor([1.0, 4.0])}, layout)
    >>> scaling(torch.ones(1, 2, dtype=torch.float64)), round(scaling.log_determinant, 4)
    (tensor([[1., 4.]], dtype=torch.float64), 1.3863)
    """

    name = "given"

    def __init__(self, scales: Tensor):
        self._scales = scales
        self.log_determinant = float(scales.log().sum())

    @classmethod
    def of(cls, scales: Mapping[str, Tensor], layout: ParameterLayout) -> Diagonal:
        """From tensors by name, with the shapes of the parameters.

        Raises
        ------
        LossLandscapeError
            If one is missing, has another shape, is no parameter that moves, or is not positive.
        """
        what = "preconditioner"
        layout.check(scales, what)
        unknown = set(scales) - {segment.name for segment in layout.segments}
        if unknown:
            raise LossLandscapeError(f"{what}: '{min(unknown)}' is not a parameter that moves")
        for name, one in scales.items():
            if one.is_complex() or not bool((one.isfinite() & (one > 0)).all()):
                raise LossLandscapeError(
                    f"{what}: '{name}' has entries that are not positive and finite; pass the "
                    "scale of a step of each parameter, such as (second_moment + 1e-12).rsqrt()"
                )
        names = [segment.name for segment in layout.segments]
        flat = torch.cat([scales[name].detach().cpu().double().flatten() for name in names])
        return cls(flat)

    def __call__(self, vectors: Tensor) -> Tensor:
        return vectors * self._scales


class InverseRoot:
    """(V diag(c) V^T + f (I - V V^T))^(-1/2), of curvatures c along orthonormal columns V.

    On a quadratic bowl whose Hessian this is, all directions reach a height at the same distance.
    """

    name = HESSIAN

    def __init__(self, columns: np.ndarray, curvatures: np.ndarray, rest: float):
        """Curvatures below ``rest`` count as ``rest``."""
        size, count = columns.shape
        scales = np.maximum(curvatures, rest) ** -0.5
        self._columns, self._rest = torch.from_numpy(columns), rest**-0.5
        self._excess = torch.from_numpy(scales - self._rest)
        self.log_determinant = float(np.log(scales).sum() + (size - count) * np.log(self._rest))

    def __call__(self, vectors: Tensor) -> Tensor:
        along = vectors @ self._columns * self._excess
        return self._rest * vectors + along @ self._columns.T


def inverse_root_of_hessian(
    objective: Objective, layout: ParameterLayout, origin: Tensor, cutoff: float, seed: int
) -> InverseRoot:
    """The inverse root of the Hessian at the model, of its eigenpairs of largest curvature.

    Curvatures are at least 2 cutoff / ||theta||^2, with which the loss rises by the cutoff at the
    distance of the parameters' own norm.

    Raises
    ------
    LossLandscapeError
        If the model cannot be differentiated twice.
    """
    model = objective.model
    named = dict(model.named_parameters())
    own = ParameterLayout.of(model).segments
    values = {segment.name: named[segment.name].detach() for segment in own}
    ones = {name: torch.ones_like(value) for name, value in values.items()}
    plane = Subspace(values, [ones], dict(model.named_buffers()))
    with PlaneDerivatives(objective, plane) as loss:

        def product(vector: np.ndarray) -> np.ndarray:
            flat = torch.from_numpy(vector.ravel().copy())
            found = loss.hessian_product(layout.views(flat))
            parts = [found[segment.name].flatten() for segment in layout.segments]
            return torch.cat(parts).double().cpu().numpy()

        curvatures, columns = _eigenpairs(product, layout.size, seed)
    curvatures = abs(curvatures)
    norm = float(origin.norm())
    rest = 2 * cutoff / norm**2 if norm > 0 else 0.0
    rest = max(rest, _SMALLEST * float(curvatures.max()))
    if not (np.isfinite(curvatures).all() and rest > 0):
        raise LossLandscapeError(
            "the Hessian at the model is zero or not finite, so it is no preconditioner; pass "
            "preconditioner=None"
        )
    return InverseRoot(columns, curvatures, rest)


def _eigenpairs(
    product: Callable[[np.ndarray], np.ndarray], size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of largest size, and orthonormal eigenvectors as columns."""
    if size <= _DENSE:
        columns = np.stack([product(unit) for unit in np.eye(size)])
        return np.linalg.eigh((columns + columns.T) / 2)
    start = np.random.default_rng(seed).standard_normal(size)
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    count = max(1, min(_EIGENPAIRS, _ENTRIES // size))
    try:
        values, vectors = eigsh(operator, count, which="LM", v0=start, tol=1e-2, maxiter=20)
    except ArpackNoConvergence as error:  # any orthonormal columns make a preconditioner
        values, vectors = error.eigenvalues, error.eigenvectors
    if not len(values):
        raise LossLandscapeError(
            "no eigenvalue of the Hessian converged; pass preconditioner=None, or a scale for each "
            "parameter"
        )
    return values, np.linalg.qr(vectors)[0]
