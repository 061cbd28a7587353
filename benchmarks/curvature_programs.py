"""The same quantities of a Hessian by this package, by PyHessian 0.1 and by curvlinops 3.0.1.

Each program has ``eigenvalues(tolerance)``, ``trace(setting)`` and ``density(setting)`` of the
network, the number of ``products`` with the Hessian that the last of them took, and
``trace_error(setting)`` and ``density_error(setting)``: root mean square and mean over seeds of the
same methods on the dense Hessian.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.func import functional_call, jacrev

from losslandscape import Objective
from losslandscape.analysis.extreme_eigenpairs import extreme_eigenpairs
from losslandscape.analysis.hessian_matrix import Layers, Matrix
from losslandscape.analysis.lanczos import quadrature
from losslandscape.analysis.point_derivatives import line_through
from losslandscape.analysis.spectral_density import Quadrature
from losslandscape.analysis.trace_estimate import hutch_plus_plus, orthonormal_rows
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.point.plane_derivatives import PlaneDerivatives

TOP, STEPS, _SKETCH = 5, 50, 10  # the defaults of losslandscape.curvature
PACKAGES = {"pyhessian": "0.1", "curvlinops-for-pytorch": "3.0.1"}
_WIDTH = 0.01  # of the width of the spectrum: the Gaussians of all densities
_SEEDS = 20

Problem = tuple[nn.Module, torch.Tensor, torch.Tensor]


class Truth:
    """The dense Hessian in float64, and how far a result is from it."""

    def __init__(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor):
        layout = ParameterLayout.of(model)
        start = layout.flatten(dict(model.named_parameters())).detach().double()

        def loss(flat: torch.Tensor) -> torch.Tensor:
            found = functional_call(model, layout.views(flat), (images.double(),))
            return nn.functional.cross_entropy(found, labels)

        matrix = jacrev(jacrev(loss), chunk_size=32)(start).detach().numpy()
        self.matrix = (matrix + matrix.T) / 2
        self.values, self.basis = np.linalg.eigh(self.matrix)
        self.size = len(matrix)
        self.trace = float(self.values.sum())
        self.width = _WIDTH * float(self.values[-1] - self.values[0])
        reach = 5 * self.width
        self.points = np.linspace(self.values[0] - reach, self.values[-1] + reach, 4001)
        self._density = self.smoothed(self.values, np.full(self.size, 1 / self.size))

    def smoothed(self, nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        scaled = (self.points[:, None] - nodes) / self.width
        return np.exp(-(scaled**2) / 2) @ weights / (self.width * np.sqrt(2 * np.pi))

    def of_eigenvalues(self, found: Sequence[float] | np.ndarray) -> float:
        """The largest error of the ``TOP`` largest, over the largest."""
        exact = self.values[::-1][:TOP]
        return float(abs(np.sort(found)[::-1] - exact).max() / exact[0])

    def of_trace(self, found: float) -> float:
        return abs(found / self.trace - 1)

    def of_density(self, found: np.ndarray) -> float:
        """The integral of the absolute difference of the densities."""
        return float(np.trapezoid(abs(found - self._density), self.points))


class Ours:
    """The parts of :func:`losslandscape.curvature`, one by one."""

    name = "losslandscape"

    def __init__(self, truth: Truth, problem: Problem) -> None:
        model, images, labels = problem
        self.truth, self._start = truth, 0
        self.objective = Objective(model, "cross_entropy", (images, labels))
        layout = ParameterLayout.of(model)
        line = line_through(dict(model.named_parameters()), dict(model.named_buffers()), 0)
        derivatives = PlaneDerivatives(self.objective, line).__enter__()
        self._matrix = Matrix(derivatives, layout, layout.segments)
        self._slices = Layers(layout.segments).slices

    @property
    def products(self) -> int:
        return self._matrix.count - self._start

    def eigenvalues(self, tolerance: float) -> np.ndarray:
        """Those of the other end as well: they are part of the method."""
        self._start = self._matrix.count
        pairs = extreme_eigenpairs(
            self._matrix.product, self.truth.size, TOP, tolerance, 0, self._matrix.rounding
        )
        self._known = orthonormal_rows(pairs.vectors[pairs.converged])
        self._values = pairs.values[pairs.converged]
        return pairs.values[:TOP]

    def trace(self, probes: int) -> float:
        self._start = self._matrix.count
        found = hutch_plus_plus(
            self._matrix.product, self._matrix.forms, self.truth.size, self._known, self._slices,
            _SKETCH, probes, 0, 0.95,
        )  # fmt: skip
        return found.trace

    def trace_error(self, probes: int) -> float:
        def one(seed: int) -> float:
            found = hutch_plus_plus(
                lambda v: self.truth.matrix @ v, lambda v: np.zeros(1), self.truth.size,
                self._known, [slice(0, self.truth.size)], _SKETCH, probes, seed, 0.95,
            )  # fmt: skip
            return self.truth.of_trace(found.trace)

        return _root_mean_square(one)

    def density(self, probes: int) -> np.ndarray:
        self._start = self._matrix.count
        return self._density(self._matrix.product, self._known, probes, 0)

    def density_error(self, probes: int) -> float:
        rotated = self._known @ self.truth.basis

        def one(seed: int) -> float:
            found = self._density(lambda v: self.truth.values * v, rotated, probes, seed)
            return self.truth.of_density(found)

        return float(np.mean([one(seed) for seed in range(_SEEDS)]))

    def _density(self, product, known: np.ndarray, probes: int, seed: int) -> np.ndarray:
        generator = np.random.default_rng([seed, 2])
        size = self.truth.size
        pairs = [
            quadrature(product, generator.standard_normal(size), STEPS, known)
            for _ in range(probes)
        ]
        rest = Quadrature(size, self._values, [n for n, _ in pairs], [w for _, w in pairs])
        return rest.density(self.truth.points, self.truth.width, 0.95).density


class PyHessian:
    """PyHessian on one batch, where it keeps the graph of the gradient."""

    name = f"PyHessian {PACKAGES['pyhessian']}"

    def __init__(self, truth: Truth, problem: Problem) -> None:
        model, *data = problem
        self.truth, self.products = truth, 0
        self._module = _peer("pyhessian.hessian", "pyhessian")
        torch.eig = _eig  # which it calls, and torch no longer has
        product = self._module.hessian_vector_product

        def counted(*arguments):
            self.products += 1
            return product(*arguments)

        self._module.hessian_vector_product = counted
        self._begin = lambda: self._module.hessian(
            model, nn.functional.cross_entropy, data, cuda=False
        )

    def _begun(self) -> Any:
        torch.manual_seed(0)
        self.products = 0
        return self._begin()

    def eigenvalues(self, tolerance: float) -> np.ndarray:
        return np.array(self._begun().eigenvalues(maxIter=2000, tol=tolerance, top_n=TOP)[0])

    def trace(self, probes: int) -> float:
        # its own rule stops where two means agree, which they may do by chance
        return float(np.mean(self._begun().trace(maxIter=probes, tol=0.0)))

    def trace_error(self, probes: int) -> float:
        """Standard error of the mean of v^T H v of random signs, relative: its formula."""
        off = (self.truth.matrix**2).sum() - (np.diag(self.truth.matrix) ** 2).sum()
        return float(np.sqrt(2 * off / probes) / abs(self.truth.trace))

    def density(self, probes: int) -> np.ndarray:
        nodes, weights = self._begun().density(iter=STEPS, n_v=probes)
        return self.truth.smoothed(np.concatenate(nodes), np.concatenate(weights) / probes)

    def density_error(self, probes: int) -> float:
        return _quadrature_error(self.truth, probes)


class Curvlinops:
    """curvlinops, with SciPy for eigenvalues, as its documentation shows."""

    name = f"curvlinops {PACKAGES['curvlinops-for-pytorch']}"

    def __init__(self, truth: Truth, problem: Problem) -> None:
        model, images, labels = problem
        self.truth, self.products = truth, 0
        self._library = _peer("curvlinops", "curvlinops-for-pytorch")
        self._lanczos = importlib.import_module("curvlinops.papyan2020traces.spectrum").fast_lanczos
        program = self

        class Counted(self._library.HessianLinearOperator):
            def _matmat(self, M):
                program.products += M[0].shape[-1]
                return super()._matmat(M)

        self._operator = Counted(
            model, nn.CrossEntropyLoss(), list(model.parameters()), [(images, labels)],
            check_deterministic=False,
        )  # fmt: skip

    def _begun(self) -> Any:
        torch.manual_seed(0)
        self.products = 0
        return self._operator

    def eigenvalues(self, tolerance: float) -> np.ndarray:
        start = np.random.default_rng(0).standard_normal(self.truth.size).astype(np.float32)
        return eigsh(self._begun().to_scipy(), TOP, which="LA", tol=tolerance, v0=start)[0]

    def trace(self, products: int) -> float:
        return float(self._library.hutchpp_trace(self._begun(), products))

    def trace_error(self, products: int) -> float:
        matrix = torch.from_numpy(self.truth.matrix)

        def one(seed: int) -> float:
            torch.manual_seed(seed)
            return self.truth.of_trace(float(self._library.hutchpp_trace(matrix, products)))

        return _root_mean_square(one)

    def density(self, probes: int) -> np.ndarray:
        operator = self._begun()
        found = [self._lanczos(operator, STEPS) for _ in range(probes)]
        return self.truth.smoothed(
            np.concatenate([nodes.numpy() for nodes, _ in found]),
            np.concatenate([vectors[0].numpy() ** 2 for _, vectors in found]) / probes,
        )

    def density_error(self, probes: int) -> float:
        return _quadrature_error(self.truth, probes)


def require_peers() -> None:
    """See that the other programs are there, before any work.

    Raises
    ------
    LossLandscapeError
        As :func:`_peer`.
    """
    _peer("pyhessian", "pyhessian")
    _peer("curvlinops", "curvlinops-for-pytorch")


def _peer(module: str, package: str) -> Any:
    """A module of another program.

    Raises
    ------
    LossLandscapeError
        If it is not installed, or in another version.
    """
    wanted = PACKAGES[package]
    try:
        found = importlib.import_module(module)
        if version(package) == wanted:
            return found
        there = f"is here in version {version(package)}"
    except ModuleNotFoundError as error:
        there = f"is not installed ({error})"
    raise LossLandscapeError(f"{package} {there}: pip install {package}=={wanted}")


def _root_mean_square(error: Callable[[int], float]) -> float:
    return float(np.sqrt(np.mean([error(seed) ** 2 for seed in range(_SEEDS)])))


def _quadrature_error(truth: Truth, probes: int) -> float:
    """Mean distance of the density by Lanczos quadrature, no eigenvalue known."""
    found = []
    for seed in range(_SEEDS):
        generator = np.random.default_rng(seed)
        pairs = [
            quadrature(lambda v: truth.values * v, generator.standard_normal(truth.size), STEPS)
            for _ in range(probes)
        ]
        nodes = np.concatenate([n for n, _ in pairs])
        weights = np.concatenate([w for _, w in pairs]) / probes
        found.append(truth.of_density(truth.smoothed(nodes, weights)))
    return float(np.mean(found))


def _eig(matrix: torch.Tensor, eigenvectors: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    values, vectors = torch.linalg.eigh(matrix)
    return torch.stack([values, torch.zeros_like(values)], 1), vectors
