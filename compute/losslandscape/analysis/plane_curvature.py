"""How much of the curvature and the gradient of the loss lies in a plane, beside chance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from losslandscape.analysis.curvature import HESSIAN, Curvature
from losslandscape.analysis.path_shares import percent, random_plane_share
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import inner_products
from losslandscape.planes.subspace import Subspace
from losslandscape.point.checked_derivatives import checked_derivatives
from losslandscape.problem.objective import Objective

_DRAWS = 4000
_SAME_LOSS, _OF_A_SMALL_LOSS = 1e-3, 0.1  # relative, and the loss below which it is absolute
_NORMAL = float(ndtri(0.975))


@dataclass(frozen=True)
class Share:
    """A share that lies in the plane, and that of a random plane.

    Attributes
    ----------
    value : float
    standard_error : float
        Of what it rests on; NaN if it is not known.
    random : float
        Expected in a plane of independent Gaussian directions.
    random_interval : (low, high)
        95% of such planes have a share in it.
    """

    value: float
    standard_error: float
    random: float
    random_interval: tuple[float, float]

    @property
    def more_than_chance(self) -> bool:
        """Whether it is above what 97.5% of random planes have."""
        return bool(self.value > self.random_interval[1])

    def words(self) -> str:
        low, high = self.random_interval
        return (
            f"{percent(self.value)} (a random plane {percent(self.random)}, 95% of them "
            f"{percent(low)} to {percent(high)})"
        )


@dataclass(frozen=True)
class PlaneCurvature:
    """The curvature and the gradient at the origin of a plane, and how much of them it holds.

    Attributes
    ----------
    eigenvalues, residuals : list of float
        The largest positive eigenvalues, and their residuals.
    eigenvector_shares : list of float
        ||P v||^2 of each unit eigenvector v, with the orthogonal projection P on the plane.
    top : Share
        sum of ||P v_i||^2 lambda_i over sum of lambda_i.
    trace : Share
        Trace of the Hessian in the plane, of orthonormal directions, over the whole trace. Its
        standard error is that of the whole trace, over the random vectors that estimate it.
    gradient : Share or None
        ||P g||^2 / ||g||^2. None where the gradient is 0.
    plane_trace, whole_trace, gradient_norm : float
    parameters, dimensions : int
        Of the network and of the plane.
    derivatives : str
        How those in the plane are computed.
    """

    eigenvalues: list[float]
    residuals: list[float]
    eigenvector_shares: list[float]
    top: Share
    trace: Share
    gradient: Share | None
    plane_trace: float
    whole_trace: float
    gradient_norm: float
    parameters: int
    dimensions: int
    derivatives: str

    def sentence(self) -> str:
        words = (
            f"the plane holds {self.top.words()} of the curvature of the {len(self.eigenvalues)} "
            f"largest eigenvalues, {self.trace.words()} of the trace"
        )
        if self.gradient is None:
            return f"{words}; the gradient is 0 here"
        return f"{words} and {self.gradient.words()} of the squared gradient"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plane_curvature(
    objective: Objective,
    subspace: Subspace,
    curvature: Curvature,
    *,
    top: int | None = None,
    precision: str | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    quiet: bool = True,
) -> PlaneCurvature:
    """The shares of the curvature and the gradient at the origin that lie in a plane.

    Parameters
    ----------
    curvature : Curvature
        At the origin of the plane, of :func:`losslandscape.curvature`.
    top : int, optional
        How many of its largest eigenvalues; all positive ones of its upper end by default.

    Raises
    ------
    LossLandscapeError
        If the curvature is that of other parameters or of a part of them, of another loss
        (batch-norm mode, samples) or of Gauss-Newton, no eigenvalue is positive, or there are no
        derivatives.

    Notes
    -----
    With P of rank m and n parameters, a random plane has the expected share m / n of each. For one
    vector it is Beta distributed; for the eigenvectors it is drawn; for the trace the variance is
    ``2 m (n - m) / (n (n - 1) (n + 2)) (||H||_F^2 - tr(H)^2 / n)``, and the interval is normal.
    """
    subspace = subspace.fitted_to(objective.model)
    _check_same(subspace, curvature)
    _check_matrix(objective, curvature)
    gram = np.linalg.inv(subspace.gram_matrix)
    half = max(len(curvature.eigenvalues) // 2, 1)
    positive = [i for i in range(half) if curvature.eigenvalues[i] > 0][: top or half]
    if not positive:
        raise LossLandscapeError(
            "no eigenvalue is positive here, so there is no curvature to be shared; take the "
            "landscape through a minimum"
        )
    values = curvature.eigenvalues[positive]
    shares = np.array([_share(subspace, gram, curvature.direction(i)) for i in positive])
    parameters, dimensions = curvature.parameters, subspace.dimensions
    origin = (0.0,) * dimensions
    with checked_derivatives(
        objective, subspace, [origin], [0.05] * dimensions, precision, batch_size, quiet=quiet
    ) as (loss, method):
        found = loss.expansion(origin)
    _check_loss(found.value, curvature)
    inside = float(np.trace(gram @ found.hessian))
    trace = float(curvature.trace)
    mean, interval = random_plane_share(parameters, dimensions)
    spread = _trace_spread(curvature, dimensions) / abs(trace) if trace else np.nan
    gradient = None
    if curvature.gradient_norm > 0:
        share = _share(subspace, gram, curvature.gradient_direction())
        gradient = Share(share, float("nan"), mean, interval)
    ends = (mean - _NORMAL * spread, mean + _NORMAL * spread)
    return PlaneCurvature(
        eigenvalues=values.tolist(),
        residuals=curvature.residuals[positive].tolist(),
        eigenvector_shares=shares.tolist(),
        top=Share(
            float(values @ shares / values.sum()),
            float("nan"),
            mean,
            _drawn_interval(values / values.sum(), parameters, dimensions, seed),
        ),
        trace=Share(
            inside / trace if trace else float("nan"),
            abs(inside) * float(curvature.trace_standard_error) / trace**2 if trace else np.nan,
            mean,
            (float(ends[0]), float(ends[1])),
        ),
        gradient=gradient,
        plane_trace=inside,
        whole_trace=trace,
        gradient_norm=float(curvature.gradient_norm),
        parameters=parameters,
        dimensions=dimensions,
        derivatives=method.name,
    )


def _check_same(subspace: Subspace, curvature: Curvature) -> None:
    names = {segment.name for segment in subspace.layout.segments}
    if names != {segment.name for segment in curvature.layout.segments}:
        raise LossLandscapeError("curvature is that of another model than the plane's")
    if curvature.parameters != curvature.layout.size:
        raise LossLandscapeError(
            f"curvature is that of {curvature.parameters} of {curvature.layout.size} parameters; "
            "the plane needs that of all: leave parameters= out"
        )
    origin = subspace.parameters_at((0.0,) * subspace.dimensions)
    for name, value in origin.items():
        if not bool((value.double() == curvature.origin[name].double()).all()):
            raise LossLandscapeError(
                f"curvature is that of other parameters than the origin of the plane ('{name}' "
                "differs); compute it with curvature(objective, subspace=subspace)"
            )


def _check_matrix(objective: Objective, curvature: Curvature) -> None:
    """The curvature is the Hessian's, of the loss of the objective."""
    if curvature.kind != HESSIAN:
        raise LossLandscapeError(
            "curvature is that of the Gauss-Newton matrix, and the plane's is the Hessian's; "
            "compute it with kind='hessian'"
        )
    measured = curvature.about["batch_norm"]
    if measured != objective.batch_norm:
        raise LossLandscapeError(
            f"curvature was measured with batch_norm='{measured}', and the objective has "
            f"'{objective.batch_norm}'; compute it with this objective"
        )


def _check_loss(value: float, curvature: Curvature) -> None:
    """The loss at the origin is the one whose curvature was measured."""
    if not abs(value - curvature.loss) <= _SAME_LOSS * (abs(value) + _OF_A_SMALL_LOSS):
        raise LossLandscapeError(
            f"curvature is that of another loss: {curvature.loss:.6g} at these parameters, where "
            f"the objective's is {value:.6g}; compute it with the same samples and loss"
        )


def _share(subspace: Subspace, gram: np.ndarray, vector) -> float:
    """||P v||^2 of a unit vector, name -> tensor."""
    flat = subspace.layout.changed(vector_type(vector), False, ()).flatten(vector, "vector")
    along = inner_products(subspace.directions, [flat])[:, 0]
    return float(along @ gram @ along)


def vector_type(vector):
    return next(iter(vector.values())).dtype


def _drawn_interval(
    weights: np.ndarray, parameters: int, dimensions: int, seed: int
) -> tuple[float, float]:
    """95% interval of the weighted share of orthonormal vectors in a random plane."""
    count = len(weights)
    if parameters <= dimensions:
        return 1.0, 1.0
    generator = np.random.default_rng(seed)
    found = np.empty(_DRAWS)
    rest = parameters - count
    for i in range(_DRAWS):
        own = generator.standard_normal((count, dimensions))
        if rest >= dimensions:  # Bartlett's root of a Wishart matrix
            root = np.tril(generator.standard_normal((dimensions, dimensions)), -1)
            root[np.diag_indices(dimensions)] = np.sqrt(
                generator.chisquare(rest - np.arange(dimensions))
            )
        else:
            root = generator.standard_normal((dimensions, max(rest, 1))) * (rest > 0)
        inside = np.linalg.inv(own.T @ own + root @ root.T)
        found[i] = weights @ np.einsum("ki,ij,kj->k", own, inside, own)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _trace_spread(curvature: Curvature, dimensions: int) -> float:
    """Standard deviation of the trace in a random plane."""
    m, n = dimensions, curvature.parameters
    if n <= m:
        return 0.0
    uneven = max(curvature.frobenius_norm**2 - curvature.trace**2 / n, 0.0)
    return float(np.sqrt(2 * m * (n - m) / (n * (n - 1) * (n + 2)) * uneven))
