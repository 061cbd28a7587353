"""Curvature of a network at a point: the spectrum of the Hessian of its loss, with errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.analysis.extreme_eigenpairs import (
    Eigenpairs,
    dense_eigenpairs,
    extreme_eigenpairs,
    krylov_vectors,
)
from losslandscape.analysis.hessian_matrix import LINEAR, Layers, Matrix, chosen_parameters
from losslandscape.analysis.lanczos import quadrature
from losslandscape.analysis.point_derivatives import line_through, point_derivatives
from losslandscape.analysis.short_table import short_table
from losslandscape.analysis.spectral_density import Quadrature, SpectralDensity
from losslandscape.analysis.trace_estimate import TraceEstimate, hutch_plus_plus, orthonormal_rows
from losslandscape.argument_checks import COUNT, FINITE, POSITIVE, PROBES, SHARE, Whole
from losslandscape.argument_kinds import Either, Items, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.memory import gigabytes, require_memory
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.planes.parts import as_patterns
from losslandscape.planes.subspace import Subspace
from losslandscape.point.checked_derivatives import AUTOMATIC, Method
from losslandscape.point.gauss_newton import GaussNewtonProducts
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import PRECISIONS
from losslandscape.progress import Progress
from losslandscape.public_calls import PATTERNS, public

HESSIAN, GAUSS_NEWTON = "hessian", "gauss_newton"
KINDS = (HESSIAN, GAUSS_NEWTON)
CONFIDENCE = 0.95
_DENSE = 64  # parameters whose matrix is made column by column
_SKETCH = 10  # products of Hutch++ for its basis
_DRAWN_WIDTH = 0.01  # of the width of the spectrum: the Gaussians of a density by default
_MOST_DRAWN = 1_000_000  # points of a density
_SPREAD = 4.0  # such Gaussians beyond the outermost eigenvalues
_STEPS = Whole(2, 10_000)
_TITLES = {HESSIAN: "Hessian", GAUSS_NEWTON: "Gauss-Newton matrix"}


@dataclass(frozen=True, repr=False)
class Curvature:
    """The spectrum of the Hessian, or of Gauss-Newton, at a point; made by :func:`curvature`.

    H is the Hessian of the mean loss by ``parameters`` of the model's parameters, in their own
    unit. Eigenvalues are in units of the loss per squared unit of the parameters.

    Attributes
    ----------
    kind : "hessian" or "gauss_newton"
    eigenvalues : ndarray, shape (m,)
        Descending: the ``top`` largest, then the ``top`` smallest; all, if there are no more.
    residuals : ndarray, shape (m,)
        ||H v - eigenvalue v||: H has an eigenvalue within this distance.
    standard_errors : ndarray, shape (m,)
        Of the eigenvalues over the samples, the eigenvector held fixed (to first order); NaN for
        one sample.
    converged : bool ndarray, shape (m,)
        Whether the residual is within the tolerance.
    eigenvectors : ndarray, shape (m, size)
        Unit vectors over all trainable parameters, in the order of ``layout``; 0 in parameters
        that were left out. ``direction(i)`` has them by name.
    gradient : ndarray, shape (size,)
        Of the mean loss, laid out as the eigenvectors.
    loss : float
        The mean loss.
    trace, trace_standard_error : float
        By Hutch++; the error is over the probes, and 0 where the trace is exact.
    trace_interval : tuple of float
        95% interval over the probes.
    trace_sample_error : float
        Standard error of the trace over the samples.
    frobenius_norm, frobenius_standard_error : float
        Root of the sum of the squared eigenvalues; the error is over the probes.
    by_layer : list of dict
        Of each layer: its parameters, the trace of its diagonal block with the error over the
        probes, and its share of each eigenvector (squared length), largest eigenvalue first.
    parameters : int
        Number of parameters that H is of.
    samples : int
    layout : ParameterLayout
    origin, buffers : dict of str to Tensor
        The model's, for :meth:`losslandscape.Subspace.eigenvectors`.
    about : dict
        Precision, batch-norm mode, how derivatives are computed, number of products with H,
        tolerance, seed, probes, and the memory of the vectors.
    """

    kind: str
    eigenvalues: np.ndarray
    residuals: np.ndarray
    standard_errors: np.ndarray
    converged: np.ndarray
    eigenvectors: np.ndarray
    gradient: np.ndarray
    loss: float
    trace: float
    trace_standard_error: float
    trace_interval: tuple[float, float]
    trace_sample_error: float
    frobenius_norm: float
    frobenius_standard_error: float
    by_layer: list[dict[str, Any]]
    parameters: int
    samples: int
    layout: ParameterLayout
    origin: dict[str, Tensor]
    buffers: dict[str, Tensor]
    about: dict[str, Any]
    _quadrature: Quadrature = field(repr=False)

    @public(
        points=Either(Items(FINITE, "eigenvalues", least=1), Whole(1, _MOST_DRAWN)), width=POSITIVE
    )
    def density(
        self,
        points: int | Sequence[float] | np.ndarray = 501,
        *,
        width: float | None = None,
        confidence: float = CONFIDENCE,
    ) -> SpectralDensity:
        """The density of the eigenvalues, by stochastic Lanczos quadrature.

        Eigenvalues that were found one by one count as they are; the quadrature is of the others.

        Parameters
        ----------
        points : int or sequence of float
            Eigenvalues, or how many between the ends of the spectrum, at most a million.
        width : float, optional
            Standard deviation of the Gaussian that stands for each eigenvalue; by default 1% of
            the width of the spectrum.
        confidence : float
            Of the band over the probes.

        Raises
        ------
        LossLandscapeError
            If it was not measured (``density_probes=0``).

        Notes
        -----
        B. Ghorbani, S. Krishnan, Y. Xiao, "An investigation into neural net optimization via
        Hessian eigenvalue density", ICML 2019. L. Lin, Y. Saad, C. Yang, "Approximating spectral
        densities of large matrices", SIAM Review 58, 2016.
        """
        self._require_density()
        high, low = float(self.eigenvalues[0]), float(self.eigenvalues[-1])
        for nodes in self._quadrature.nodes:
            low, high = min(low, float(nodes[0])), max(high, float(nodes[-1]))
        width = width or _DRAWN_WIDTH * (high - low) or 1.0
        if isinstance(points, int):
            points = np.linspace(low - _SPREAD * width, high + _SPREAD * width, points)
        return self._quadrature.density(np.asarray(points, float), width, confidence)

    @public(order=Whole(1, 100))
    def moment(
        self, order: int, *, confidence: float = CONFIDENCE
    ) -> tuple[float, float, tuple[float, float]]:
        """The mean of eigenvalue**order over all eigenvalues, from the density.

        Returns
        -------
        mean, standard_error, interval
            Over the probes; the mean of order 1 times ``parameters`` is an estimate of the trace.
        """
        self._require_density()
        return self._quadrature.moment(order, confidence)

    @public(index=Whole(None))
    def direction(self, index: int) -> dict[str, Tensor]:
        """An eigenvector, name -> tensor of float64, of length 1.

        Raises
        ------
        LossLandscapeError
            If there is no eigenvalue of this number.
        """
        count = len(self.eigenvalues)
        return self._named(self.eigenvectors[Whole(-count, count - 1).check("index", index)])

    def gradient_direction(self) -> dict[str, Tensor]:
        """The gradient scaled to length 1, name -> tensor of float64.

        Raises
        ------
        LossLandscapeError
            If the gradient is zero.
        """
        norm = np.linalg.norm(self.gradient)
        if norm == 0:
            raise LossLandscapeError("the gradient is exactly 0 here, so it has no direction")
        return self._named(self.gradient / norm)

    def _named(self, flat: np.ndarray) -> dict[str, Tensor]:
        views = self.layout.views(torch.from_numpy(np.ascontiguousarray(flat)))
        return {name: view.contiguous() for name, view in views.items()}

    def _require_density(self) -> None:
        if not (self._quadrature.nodes or self._quadrature.exact):
            raise LossLandscapeError(
                "the density was not measured: density_probes is 0; pass at least 1, and 2 for an "
                "error"
            )

    @cached_property
    def gradient_norm(self) -> float:
        """Euclidean norm of the gradient."""
        return float(np.linalg.norm(self.gradient))

    def table(self) -> list[dict[str, Any]]:
        """A row an eigenvalue."""
        return [
            {
                "eigenvalue": float(value),
                "residual": float(residual),
                "standard_error": float(error),
                "converged": bool(converged),
            }
            for value, residual, error, converged in zip(
                self.eigenvalues, self.residuals, self.standard_errors, self.converged
            )
        ]

    def summary(self) -> list[str]:
        """The result in sentences."""
        found = [
            f"{_TITLES[self.kind]} of the mean loss over {self.samples:,} samples, by "
            f"{self.parameters:,} parameters; loss {self.loss:.6g}, gradient norm "
            f"{self.gradient_norm:.4g}",
            f"trace {self.trace:.6g}, {_told_error(self.trace_standard_error)}; standard error "
            f"over the samples {self.trace_sample_error:.2g}",
            f"Frobenius norm {self.frobenius_norm:.6g}, "
            f"{_told_error(self.frobenius_standard_error)}",
        ]
        if not self.eigenvalues.any() and not self.residuals.any():
            found.append(f"the Hessian is exactly 0: {LINEAR}")
        if not self.converged.all():
            missed = int((~self.converged).sum())
            found.append(
                f"{missed} of {len(self.converged)} eigenvalues have not converged to a residual "
                f"of {self.about['tolerance']:g} of the width of the spectrum; their residuals say "
                "how near an eigenvalue is. Pass a larger tolerance, or precision float64"
            )
        method = self.about["derivatives"]
        if method["method"] != AUTOMATIC:
            found.append(f"derivatives: {method['method']}; {'; '.join(method['reasons'])}")
        return found

    def to_json(self) -> dict[str, Any]:
        """All numbers; without eigenvectors and tensors."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "summary": self.summary(),
            "eigenvalues": self.table(),
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "trace": self.trace,
            "trace_standard_error": self.trace_standard_error,
            "trace_interval": list(self.trace_interval),
            "trace_sample_error": self.trace_sample_error,
            "frobenius_norm": self.frobenius_norm,
            "frobenius_standard_error": self.frobenius_standard_error,
            "by_layer": self.by_layer,
            "parameters": self.parameters,
            "samples": self.samples,
            **self.about,
        }
        if self._quadrature.nodes or self._quadrature.exact:
            density = self.density()
            found["density"] = {
                "eigenvalue": density.points.tolist(),
                "density": density.density.tolist(),
                "low": density.low.tolist(),
                "high": density.high.tolist(),
                "width": density.width,
                "confidence": density.confidence,
            }
        return found

    def __repr__(self) -> str:
        title = f"Curvature ({_TITLES[self.kind]}): trace {self.trace:.4g}"
        columns = ("eigenvalue", "residual", "standard_error", "converged")
        return short_table(title, columns, self.table())


def _told_error(error: float) -> str:
    return "exact" if error == 0 else f"standard error over the probes {error:.2g}"


@public(
    top=COUNT,
    kind=Word(KINDS),
    parameters=PATTERNS,
    tolerance=SHARE,
    probes=Whole(2, PROBES.most),
    density_probes=Whole(0, PROBES.most),
    density_steps=_STEPS,
    precision=Word(tuple(PRECISIONS)),
)
def curvature(
    objective: Objective,
    top: int = 5,
    *,
    kind: str = HESSIAN,
    parameters: str | Sequence[str] | None = None,
    tolerance: float = 1e-4,
    probes: int = 20,
    density_probes: int = 5,
    density_steps: int = 50,
    seed: int = 0,
    precision: str | None = None,
    batch_size: int | None = None,
    reestimation_batch_size: int | None = None,
    subspace: Subspace | None = None,
    coordinates: Sequence[float] | None = None,
    quiet: bool = True,
) -> Curvature:
    """Eigenvalues, trace and spectral density of the Hessian at the model's parameters.

    The loss is that of the surface: the objective's first set of samples, batch-norm mode and
    precision. With re-estimated batch norm, the statistics are differentiated as well. Derivatives
    are first compared with measured losses, and computed by differences of gradients where
    automatic differentiation cannot; ``about`` says how.

    Parameters
    ----------
    top : int
        Number of eigenvalues at each end of the spectrum.
    kind : "hessian" or "gauss_newton"
        See :class:`losslandscape.point.gauss_newton.GaussNewtonProducts`.
    parameters : str or sequence of str, optional
        The Hessian of a part of the network, the other parameters fixed: patterns as in
        :meth:`losslandscape.Subspace.random`.
    tolerance : float
        Largest residual of an eigenpair, relative to the width of the spectrum.
    probes : int
        Random vectors for trace and Frobenius norm.
    density_probes, density_steps : int
        Random vectors of the spectral density, and Lanczos steps of each; 0 probes: no density.
    seed : int
        Of all random vectors. The same seed gives the same numbers.
    precision : "float32" or "float64", optional
        The objective's own by default. In float32 residuals are about 1e-6 of the largest
        eigenvalue; quote digits from float64.
    batch_size : int, optional
        Samples a pass, which bounds the memory.
    reestimation_batch_size : int, optional
        Samples of a re-estimation batch; the objective's own by default.
    subspace, coordinates : Subspace and sequence of float, optional
        Another point: that of these coordinates, by default the origin, with the buffers of the
        subspace.
    quiet : bool
        Show no progress.

    Raises
    ------
    LossLandscapeError
        If there are more eigenpairs than parameters, a pattern matches nothing, the loss or its
        gradient is not finite, there are no usable derivatives, memory does not hold the vectors,
        or Gauss-Newton is asked for of a loss that is not one of the outputs.

    Notes
    -----
    Extreme eigenpairs are ARPACK's (:func:`scipy.sparse.linalg.eigsh`) in float64. See
    ``docs/curvature.md`` for all methods and their references.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    >>> data = torch.randn(64, 4).double(), torch.randint(3, (64,))
    >>> found = curvature(Objective(model, "cross_entropy", data), top=2)
    >>> found.eigenvalues.shape, bool((found.residuals < 1e-4).all()), found.parameters
    ((4,), True, 67)
    """
    model = objective.model
    layout = ParameterLayout.of(model)
    names = chosen_parameters(parameters, layout, model)
    segments = [segment for segment in layout.segments if segment.name in names]
    size = sum(segment.stop - segment.start for segment in segments)
    require_eigenvalues(top, size)
    dense = size <= _DENSE or 4 * top >= size
    vectors = size if dense else max(
        krylov_vectors(top, size) + 4 * top, 2 * top + _SKETCH + probes + 4, 2 * top + density_steps
    )  # fmt: skip
    needed = 8 * size * vectors
    require_memory(
        needed,
        f"{_TITLES[kind]} of {size:,} parameters with {vectors} vectors of float64",
        "pass a smaller top, probes or density_steps, or parameters= of a part of the network",
    )
    origin, buffers = _point(model, layout, subspace, coordinates)
    line = line_through(origin, buffers, seed)
    objective = objective.with_reestimation_batches(reestimation_batch_size)
    samples = next(iter(objective.sizes.values()))
    work = f"{size:,} parameters, {samples:,} samples, {gigabytes(needed)} for {vectors} vectors"
    with (
        _products(objective, line, kind, precision, batch_size, quiet) as (loss, method),
        Progress(
            size if dense else 1, "curvature", quiet=quiet, work=work, unit="products"
        ) as progress,
    ):
        value, gradient = loss.full_gradient((0.0,))
        _check_finite(value, gradient)
        progress.begin()
        matrix = Matrix(loss, layout, segments, progress)
        layers = Layers(segments)
        progress.total = size if dense else _expected(
            top, size, probes, density_probes, density_steps
        )  # fmt: skip
        if dense:
            pairs, estimate, rest = _of_dense(matrix, layers, size, top)
        else:
            pairs = extreme_eigenpairs(matrix.product, size, top, tolerance, seed, matrix.rounding)
            known = orthonormal_rows(pairs.vectors[pairs.converged])
            estimate = hutch_plus_plus(
                matrix.product, matrix.forms, size, known, layers.slices, _SKETCH, probes,
                seed, CONFIDENCE,
            )  # fmt: skip
            rest = _density(matrix, pairs, known, density_probes, density_steps, seed)
        errors = np.array([_standard_error(matrix.forms(vector)) for vector in pairs.vectors])
        progress.total = progress.done
    return Curvature(
        kind=kind,
        eigenvalues=pairs.values,
        residuals=pairs.residuals,
        standard_errors=errors,
        converged=pairs.converged,
        eigenvectors=matrix.embedded(pairs.vectors),
        gradient=_flat(layout, gradient),
        loss=value,
        trace=estimate.trace,
        trace_standard_error=estimate.trace_error,
        trace_interval=estimate.trace_interval,
        trace_sample_error=estimate.sample_error,
        frobenius_norm=estimate.frobenius,
        frobenius_standard_error=estimate.frobenius_error,
        by_layer=layers.table(estimate, pairs),
        parameters=size,
        samples=samples,
        layout=layout,
        origin={name: tensor.detach().cpu().clone() for name, tensor in origin.items()},
        buffers={name: tensor.detach().cpu().clone() for name, tensor in line.buffers.items()},
        about={
            "precision": str(loss.dtype).removeprefix("torch."),
            "batch_norm": objective.batch_norm,
            "batch_size": batch_size or objective.batch_size,
            "derivatives": method.to_json(),
            "products": matrix.count,
            "tolerance": tolerance,
            "seed": seed,
            "probes": estimate.probes,
            "density_probes": len(rest.nodes),
            "density_steps": 0 if dense else density_steps,
            "dense": dense,
            "memory_bytes": needed,
            **({"part": as_patterns(parameters)} if parameters is not None else {}),
        },
        _quadrature=rest,
    )


def _point(
    model: nn.Module,
    layout: ParameterLayout,
    subspace: Subspace | None,
    coordinates: Sequence[float] | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and buffers of the point."""
    if subspace is None:
        if coordinates is not None:
            raise LossLandscapeError(
                "coordinates are those of a subspace: pass subspace as well, or neither"
            )
        given = dict(model.named_parameters())
        origin = {segment.name: given[segment.name].detach() for segment in layout.segments}
        return origin, dict(model.named_buffers())
    subspace = subspace.fitted_to(model)
    subspace.check_model(model)
    place = subspace.checked(coordinates or (0.0,) * subspace.dimensions)
    if any(place) and subspace.model_buffers_sha256:
        raise LossLandscapeError(
            "away from the origin of this subspace the model has buffers between those of its "
            "models, which are no one point's; pass coordinates of 0"
        )
    found = subspace.parameters_at(place)
    return {segment.name: found[segment.name] for segment in layout.segments}, subspace.buffers


@contextmanager
def _products(
    objective: Objective,
    line: Subspace,
    kind: str,
    precision: str | None,
    batch_size: int | None,
    quiet: bool,
) -> Iterator[tuple[PlaneDerivatives, Method]]:
    """Products with the matrix, and how derivatives are computed."""
    with ExitStack() as stack:
        loss, method = stack.enter_context(
            point_derivatives(objective, line, precision, batch_size, quiet)
        )
        if kind == GAUSS_NEWTON:
            if method.name != AUTOMATIC:  # autograd would leave out what it cannot differentiate
                raise LossLandscapeError(
                    "Gauss-Newton needs a model that automatic differentiation takes twice: "
                    f"{'; '.join(method.reasons)}; use the Hessian (kind='hessian')"
                )
            stack.close()
            loss = stack.enter_context(GaussNewtonProducts(objective, line, precision, batch_size))
        yield loss, method


def _check_finite(value: float, gradient: Mapping[str, Tensor]) -> None:
    if not np.isfinite(value):
        raise LossLandscapeError(
            f"the loss at these parameters is {value}, so it has no curvature; load weights whose "
            "loss is finite"
        )
    for name, one in gradient.items():
        if not torch.isfinite(one).all():
            raise LossLandscapeError(
                f"the gradient by '{name}' is not finite at these parameters, so there is no "
                "curvature; is there a square root or a logarithm of 0?"
            )


def require_eigenvalues(top: int, size: int) -> None:
    """Check that a matrix of so many parameters has so many eigenvalues.

    Raises
    ------
    LossLandscapeError
        If it has fewer.
    """
    if top > size:
        raise LossLandscapeError(
            f"top={top}: there are {size} parameters, and as many eigenvalues; pass at most {size}"
        )


def _expected(top: int, size: int, probes: int, density_probes: int, density_steps: int) -> int:
    """About how many products are needed."""
    trace = 2 * (2 * top + _SKETCH + probes) + _SKETCH
    return 4 * krylov_vectors(top, size) + trace + density_probes * density_steps + 4 * top


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _flat(layout: ParameterLayout, tensors: Mapping[str, Tensor]) -> np.ndarray:
    flat = layout.empty(torch.float64)
    for name, view in layout.views(flat).items():
        view.copy_(tensors[name].detach())
    return flat.numpy()


def _of_dense(
    matrix: Matrix, layers: Layers, size: int, top: int
) -> tuple[Eigenpairs, TraceEstimate, Quadrature]:
    """Everything, from the matrix made column by column."""
    columns = np.stack([matrix.product(unit) for unit in np.eye(size)])
    symmetric = (columns + columns.T) / 2
    pairs = dense_eigenpairs(symmetric)
    estimate = hutch_plus_plus(
        lambda v: symmetric @ v, matrix.forms, size, pairs.vectors, layers.slices, 0, 0, 0,
        CONFIDENCE,
    )  # fmt: skip
    rest = Quadrature(size, pairs.values, [], [])
    chosen = np.unique([*range(min(top, size)), *range(max(size - top, 0), size)])
    ends = Eigenpairs(
        pairs.values[chosen],
        pairs.vectors[chosen],
        pairs.residuals[chosen],
        pairs.converged[chosen],
        pairs.width,
    )
    return ends, estimate, rest


def _density(
    matrix: Matrix, pairs: Eigenpairs, known: np.ndarray, probes: int, steps: int, seed: int
) -> Quadrature:
    values = pairs.values[pairs.converged]
    size = len(pairs.vectors[0])
    generator = np.random.default_rng([seed, 2])
    found = [
        quadrature(
            matrix.product, generator.standard_normal(size), min(steps, size - len(known)), known
        )
        for _ in range(probes)
    ]
    return Quadrature(size, values, [n for n, _ in found], [w for _, w in found])
