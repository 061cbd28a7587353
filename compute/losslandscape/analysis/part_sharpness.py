"""Which part of a network is sharpest: the Hessian of the loss restricted to each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

from losslandscape.analysis.hessian_matrix import LINEAR
from losslandscape.analysis.point_derivatives import line_through, point_derivatives
from losslandscape.argument_checks import PROBES, SHARE
from losslandscape.argument_kinds import Either, Table, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.directions import random_direction, vector_names
from losslandscape.planes.parameters import ParameterLayout, Segment
from losslandscape.planes.parts import matching_names
from losslandscape.point.checked_derivatives import AUTOMATIC, Method
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import PRECISIONS
from losslandscape.progress import Progress
from losslandscape.public_calls import PATTERNS, public

_DENSE = 16  # parameters of a part whose Hessian is made column by column
_LANCZOS_VECTORS = 20


@dataclass(frozen=True)
class PartSharpness:
    """Curvature of the mean loss in the parameters of one part, the others fixed.

    Attributes
    ----------
    part : str
    parameters : int
        Number of trainable parameters.
    norm : float
        Euclidean norm of the parameters.
    eigenvalue : float
        Largest eigenvalue of the Hessian.
    eigenvalue_residual : float
        ||H v - eigenvalue v|| of its unit eigenvector v: an eigenvalue lies within this distance.
    eigenvalue_standard_error : float
        Over the samples, with the eigenvector held fixed; NaN for one sample.
    trace : float
        Trace of the Hessian, by Hutchinson's estimator with random signs.
    trace_standard_error : float
        Over the samples and the probes together; NaN for one sample or one probe.
    filter_normalized_curvature : float or None
        Mean second derivative of the loss along filter-normalized random directions of this part
        (Li et al. 2018, section 4). It does not depend on the scale of the filters where the
        network's output does not, so it compares parts. None for a part without filters.
    filter_normalized_standard_error : float or None
        Over the samples and the directions together.
    """

    part: str
    parameters: int
    norm: float
    eigenvalue: float
    eigenvalue_residual: float
    eigenvalue_standard_error: float
    trace: float
    trace_standard_error: float
    filter_normalized_curvature: float | None
    filter_normalized_standard_error: float | None

    @property
    def has_no_curvature(self) -> bool:
        """Whether the Hessian is exactly 0, as that of a loss that is linear in the part."""
        return not (self.eigenvalue or self.eigenvalue_residual or self.trace)


@dataclass(frozen=True)
class SharpnessByPart:
    """The parts of a network, sharpest first; see :func:`sharpness_by_part`.

    ``derivatives`` says how they were computed, and why not by automatic differentiation.
    """

    parts: list[PartSharpness]
    samples: int
    probes: int
    derivatives: Method

    def table(self) -> list[dict]:
        """One row per part."""
        return [asdict(part) for part in self.parts]

    def summary(self) -> str:
        """Which part is sharpest, in a sentence, and whether the next can be told from it."""
        first, *others = self.parts
        value, error = first.filter_normalized_curvature, first.filter_normalized_standard_error
        if value is None or error is None:
            return f"sharpest part: {first.part}, largest eigenvalue {first.eigenvalue:.4g}"
        words = (
            f"sharpest part: {first.part}, with a curvature of {value:.4g} (standard error "
            f"{error:.2g}) along filter-normalized directions"
        )
        second = others[0] if others else first
        next_value, next_error = (
            second.filter_normalized_curvature,
            second.filter_normalized_standard_error,
        )
        if second is first or next_value is None or next_error is None:
            return words
        apart = value - next_value > 2 * np.hypot(error, next_error)
        told = "" if apart else ", which cannot be distinguished from it"
        return f"{words}; next: {second.part}, {next_value:.4g}{told}"

    def to_json(self) -> dict:
        return {
            "samples": self.samples,
            "probes": self.probes,
            "derivatives": self.derivatives.to_json(),
            "parts": self.table(),
        }

    def __str__(self) -> str:
        header = (
            "part", "parameters", "norm", "largest eigenvalue", "trace",
            "filter-normalized curvature",
        )  # fmt: skip
        rows = [
            (
                part.part,
                f"{part.parameters:,}",
                f"{part.norm:.4g}",
                _with_error(part.eigenvalue, part.eigenvalue_standard_error),
                _with_error(part.trace, part.trace_standard_error),
                _with_error(
                    part.filter_normalized_curvature, part.filter_normalized_standard_error
                ),
            )
            for part in self.parts
        ]
        widths = [max(map(len, column)) for column in zip(header, *rows)]
        lines = ["  ".join(f"{c:>{w}}" for c, w in zip(row, widths)) for row in (header, *rows)]
        notes = ["each with its standard error"]
        if flat := [part.part for part in self.parts if part.has_no_curvature]:
            notes.append(f"the Hessian of {', '.join(flat)} is exactly 0: {LINEAR}")
        if self.derivatives.name != AUTOMATIC:
            notes.append(
                f"derivatives: {self.derivatives.name}; {'; '.join(self.derivatives.reasons)}"
            )
        return "\n".join([self.summary(), *lines, *notes])


def _with_error(value: float | None, error: float | None) -> str:
    if value is None or error is None:
        return "none"
    return f"{value:.4g} +- {error:.2g}" if np.isfinite(error) else f"{value:.4g}"


@public(
    parts=Either(Table("title -> patterns", PATTERNS), PATTERNS),
    probes=PROBES,
    tolerance=SHARE,
    precision=Word(tuple(PRECISIONS)),
)
def sharpness_by_part(
    objective: Objective,
    parts: Mapping[str, str | Sequence[str]] | Sequence[str] | None = None,
    *,
    probes: int = 20,
    tolerance: float = 1e-3,
    seed: int = 0,
    precision: str | None = None,
    batch_size: int | None = None,
    quiet: bool = True,
) -> SharpnessByPart:
    """Measure the Hessian of the loss restricted to each part of a network.

    Parameters
    ----------
    objective : Objective
        Its first set of samples is measured, in its batch-norm mode. Re-estimated statistics are
        differentiated as well.
    parts : mapping of title to patterns, or sequence of patterns, optional
        Patterns as for :meth:`Subspace.random`. By default the outermost modules that have
        trainable parameters.
    probes : int
        Random vectors for the trace, and as many directions for the filter-normalized curvature.
    tolerance : float
        Relative accuracy of the largest eigenvalue, found by the Lanczos method.
    seed : int
    precision, batch_size
        See :class:`losslandscape.point.plane_derivatives.PlaneDerivatives`.
    quiet : bool
        Show no progress.

    Returns
    -------
    SharpnessByPart
        Sorted by filter-normalized curvature; parts without filters are last.

    Raises
    ------
    LossLandscapeError
        If a pattern matches nothing, there are no probes, or no gradients agree with the measured
        losses.

    Notes
    -----
    M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix", Commun. Stat.
    Simul. Comput. 19, 1990. Z. Yao, A. Gholami, K. Keutzer, M. Mahoney, "PyHessian", IEEE Big Data
    2020, has block-wise traces. The standard error over samples and probes together is the root of
    the sum of their squared standard errors.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    >>> data = torch.randn(64, 4), torch.randint(3, (64,))
    >>> found = sharpness_by_part(Objective(model, "cross_entropy", data), precision="float64")
    >>> sorted(part.part for part in found.parts), [part.parameters for part in found.parts]
    (['0', '2'], [27, 40])
    """
    if int(probes) != probes or probes < 1:
        raise LossLandscapeError(f"probes is {probes!r}; pass a whole number of 1 or more")
    model = objective.model
    layout = ParameterLayout.of(model)
    chosen = _parts(parts, layout, model)
    origin = dict(model.named_parameters())
    values = {segment.name: origin[segment.name].detach() for segment in layout.segments}
    line = line_through(values, dict(model.named_buffers()), seed)
    samples = next(iter(objective.sizes.values()))
    with (
        point_derivatives(objective, line, precision, batch_size, quiet) as (loss, method),
        Progress(
            len(chosen),
            "sharpness by part",
            quiet=quiet,
            work=f"{len(chosen)} parts: a Lanczos method and {2 * probes} second derivatives "
            f"each, over {samples:,} samples",
            unit="parts",
        ) as progress,
    ):
        progress.begin()
        found = []
        for title, names in chosen.items():
            found.append(_measured(title, names, model, layout, loss, probes, tolerance, seed))
            progress.advance()
    return SharpnessByPart(
        sorted(found, key=_sharpness, reverse=True), samples, int(probes), method
    )


def _sharpness(part: PartSharpness) -> tuple[bool, float]:
    value = part.filter_normalized_curvature
    return value is not None, part.eigenvalue if value is None else value


def _parts(
    parts: Mapping[str, str | Sequence[str]] | Sequence[str] | None,
    layout: ParameterLayout,
    model: nn.Module,
) -> dict[str, list[str]]:
    names = [segment.name for segment in layout.segments]
    if parts is None:
        outermost = dict.fromkeys(name.partition(".")[0] for name in names)
        return {
            part: [name for name in names if name.partition(".")[0] == part] for part in outermost
        }
    if not isinstance(parts, Mapping):
        parts = {pattern: pattern for pattern in ([parts] if isinstance(parts, str) else parts)}
    if not parts:
        raise LossLandscapeError("parts is empty; pass at least one pattern, or omit it")
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    return {
        title: matching_names(patterns, names, frozen, type(model).__name__)
        for title, patterns in parts.items()
    }


def _measured(
    title: str,
    names: Sequence[str],
    model: nn.Module,
    layout: ParameterLayout,
    loss: PlaneDerivatives,
    probes: int,
    tolerance: float,
    seed: int,
) -> PartSharpness:
    chosen = [segment for segment in layout.segments if segment.name in set(names)]
    parameters = dict(model.named_parameters())
    squares = sum(float(parameters[n].detach().double().square().sum()) for n in names)
    eigenvalue, residual, vector = _largest_eigenvalue(chosen, loss, tolerance, seed)
    along = loss.sample_curvatures(_named(chosen, vector))
    generator = torch.Generator("cpu").manual_seed(seed)
    size = sum(segment.stop - segment.start for segment in chosen)
    trace = np.stack(
        [
            loss.sample_curvatures(
                _named(chosen, torch.randint(2, (size,), generator=generator) * 2.0 - 1.0)
            )
            for _ in range(probes)
        ]
    )
    normalized = None
    if not {segment.name for segment in chosen} <= vector_names(model, layout):
        rows = []
        for index in range(probes):
            direction = random_direction(model, layout, seed, index, moving=set(names))
            views = layout.views(direction)
            rows.append(loss.sample_curvatures({name: views[name] for name in names}))
        normalized = _mean_and_error(np.stack(rows))
    return PartSharpness(
        title,
        size,
        squares**0.5,
        eigenvalue,
        residual,
        _standard_error(along),
        *_mean_and_error(trace),
        *(normalized or (None, None)),
    )


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean of values of shape (probes, samples), and its standard error over both."""
    errors = _standard_error(values.mean(axis=0)), _standard_error(values.mean(axis=1))
    return float(values.mean()), float(np.hypot(*errors))


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _named(segments: Sequence[Segment], flat: Tensor) -> dict[str, Tensor]:
    """A vector over a part's parameters as tensors by name."""
    sizes = [segment.stop - segment.start for segment in segments]
    return {s.name: part.view(s.shape) for s, part in zip(segments, flat.split(sizes))}


def _largest_eigenvalue(
    segments: Sequence[Segment], loss: PlaneDerivatives, tolerance: float, seed: int
) -> tuple[float, float, Tensor]:
    """The largest eigenvalue of a part's Hessian, its residual and its unit eigenvector."""
    size = sum(segment.stop - segment.start for segment in segments)

    def product(vector: np.ndarray) -> np.ndarray:
        found = loss.hessian_product(_named(segments, torch.from_numpy(vector.ravel().copy())))
        return torch.cat([found[s.name].flatten() for s in segments]).double().cpu().numpy()

    if size <= _DENSE:
        columns = np.stack([product(unit) for unit in np.eye(size)])
        values, vectors = np.linalg.eigh((columns + columns.T) / 2)
        value, vector = float(values[-1]), vectors[:, -1]
    else:
        start = np.random.default_rng(seed).standard_normal(size)
        operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
        try:
            values, vectors = eigsh(
                operator, 1, which="LA", v0=start, tol=tolerance,
                ncv=min(size, _LANCZOS_VECTORS), maxiter=50,
            )  # fmt: skip
        except ArpackNoConvergence as error:
            raise LossLandscapeError(
                f"the largest eigenvalue of the part with '{segments[0].name}' did not converge in "
                "1000 products with the Hessian; pass a larger tolerance, or precision='float64'"
            ) from error
        value, vector = float(values[0]), vectors[:, 0]
    residual = float(np.linalg.norm(product(vector) - value * vector))
    return value, residual, torch.from_numpy(vector.copy())
