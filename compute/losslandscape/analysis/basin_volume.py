"""The volume of the basin around a minimum, in all parameters, from random directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.special import gammaln, logsumexp
from torch import Tensor

from losslandscape.analysis.preconditioners import (
    HESSIAN,
    Diagonal,
    Identity,
    Preconditioner,
    inverse_root_of_hessian,
)
from losslandscape.argument_checks import DIRECTIONS, POSITIVE
from losslandscape.argument_kinds import Either, Table, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.planes.parts import matching_names
from losslandscape.point.many_points import ManyPoints
from losslandscape.problem.objective import Objective
from losslandscape.progress import Progress
from losslandscape.public_calls import TENSOR, public

CONFIDENCE = 0.95
_DRAWS = 1000  # of the bootstrap
_STEP = 1.1  # from one radius to the next, outwards
_FIRST = 8.0  # how many times nearer than a first crossing the search begins
_REACH = 100.0  # in norms of the parameters
_NEAREST = 1e-9  # of the reach, from which the first crossing of the first direction is searched
_LOG_ERROR = 0.01  # of the volume's logarithm, by bisection
_ROUNDING = 1e-6  # of a radius
_BLOCK = 1 << 23  # entries of the directions that are held at a time
_FEW = 10.0  # effective samples, below which the largest radii are the estimate


@dataclass(frozen=True)
class BasinVolume:
    """A lower bound and an estimate of the volume of a basin; see :func:`basin_volume`.

    Attributes
    ----------
    log10_volume : float
        log10 of the estimated volume, in units of the parameters to the power of ``dimension``.
    interval : tuple of float
        Of ``log10_volume``: the central 95% of 1,000 bootstrap draws of the directions. It holds
        the true volume only if ``effective_samples`` is large.
    lower_bound : float
        The true log10 of the volume is at least this with 95% confidence, whatever the tails.
    dimension : int
        Number of parameters that move.
    effective_samples : float
        (sum w)^2 / sum w^2 of the directions' shares w of the estimate.
    radii : float64 ndarray, shape (directions,)
        Distance to the first crossing of the cut-off along each direction; the reach where there
        is none.
    crossed : bool ndarray, shape (directions,)
        Whether the cut-off was crossed within reach.
    reach : float
        The largest distance that was searched.
    loss : float
        At the model.
    cutoff : float
        Rise of the loss above the model's that ends the basin.
    preconditioner : str
        "none", "hessian" or "given".
    """

    log10_volume: float
    interval: tuple[float, float]
    lower_bound: float
    dimension: int
    effective_samples: float
    radii: np.ndarray
    crossed: np.ndarray
    reach: float
    loss: float
    cutoff: float
    preconditioner: str

    @property
    def few_samples(self) -> bool:
        """Whether so few directions make the estimate that it is most likely too small."""
        return self.effective_samples < _FEW

    def summary(self) -> list[str]:
        """What was found, in sentences."""
        low, high = self.interval
        found = [
            f"log10 of the volume: {self.log10_volume:.6g} (bootstrap {low:.6g} to {high:.6g}) in "
            f"{self.dimension:,} dimensions, preconditioner {self.preconditioner}",
            f"with 95% confidence it is at least {self.lower_bound:.6g}, whatever the tails",
            f"effective samples: {self.effective_samples:.3g} of {len(self.radii):,} directions",
        ]
        if self.few_samples:
            found.append(
                "a few directions with the largest radii make the whole estimate: take it as a "
                "lower bound, and the interval as one of that bound"
            )
        if beyond := int((~self.crossed).sum()):
            found.append(
                f"{beyond:,} directions never cross the cut-off within {self.reach:.4g}: their "
                "radii are at least that, and the volume is a lower bound"
            )
        return found

    def to_json(self) -> dict:
        values = asdict(self)
        values["interval"] = list(self.interval)
        values["radii"], values["crossed"] = self.radii.tolist(), self.crossed.tolist()
        return values

    def __str__(self) -> str:
        return "\n".join(self.summary())


@public(
    cutoff=POSITIVE,
    directions=DIRECTIONS,
    preconditioner=Either(Table("parameter -> positive scales", TENSOR), Word((HESSIAN,))),
    reach=POSITIVE,
)
def basin_volume(
    objective: Objective,
    cutoff: float = 0.1,
    directions: int = 1000,
    preconditioner: Mapping[str, Tensor] | str | None = None,
    seed: int = 0,
    *,
    parameters: str | Sequence[str] | None = None,
    reach: float | None = None,
    quiet: bool = True,
) -> BasinVolume:
    """Estimate the volume of the basin around a model, in all its parameters.

    The basin is the set of points that are seen from the model: along each direction, those
    before the loss first exceeds the model's by ``cutoff``. With r(u) the distance along a unit
    direction u, its volume is ``omega_n E[r(u)^n]``, ``omega_n = pi^(n/2) / Gamma(n/2 + 1)``.

    With a preconditioner P the directions are P u, and their mean is weighted so that it has the
    same expectation: ``|det P| omega_n E[(r(P u) / ||P u||)^n]``. P is chosen such that the terms
    differ less. On an ellipsoid the preconditioner ``"hessian"`` makes them all equal.

    Parameters
    ----------
    objective : Objective
        The mean loss of its first set of samples is measured, with fixed batch-norm statistics or
        re-estimated ones.
    cutoff : float
        In units of the loss.
    directions : int
        At least 2.
    preconditioner : None, "hessian" or dict of name to tensor
        None draws isotropic directions (the naive estimator). "hessian" takes the inverse root of
        the Hessian at the model. A dict gives the scale of a step of each entry of each parameter,
        such as the inverse root of Adam's second moments.
    seed : int
    parameters : str or sequence of str, optional
        Move only these: patterns as for :meth:`Subspace.random`, such as ``"*.weight"``.
    reach : float, optional
        Largest distance to search, in units of the parameters; by default 100 times their norm.
    quiet : bool
        Show no progress.

    Returns
    -------
    BasinVolume

    Raises
    ------
    LossLandscapeError
        If the loss at the model is not finite, the cut-off is below its rounding, a pattern
        matches nothing, or the preconditioner does not fit.

    Notes
    -----
    **Lower bound.** The mean of r^n over random directions has heavy tails in many dimensions: the
    largest radius makes most of it, and rare directions of larger radii are missed. The estimate
    is then too small, for isotropic directions by many orders of magnitude. It is unbiased, so by
    Markov's inequality it exceeds 20 times the volume with a probability of at most 5%:
    ``lower_bound`` is the estimate less log10(20).

    **First crossing.** From an eighth of the distance of a first crossing the loss is measured at
    radii that grow by 10%, and the first crossing is bisected. Of a barrier that is narrower than
    that nothing may be seen.

    Source: W. R. Huang, Z. Emam, M. Goldblum, L. Fowl, J. K. Terry, F. Huang, T. Goldstein,
    "Understanding generalization through visualizations", 2020, for the naive estimator;
    A. Scherlis, N. Belrose, "Estimating the probability of sampling a trained neural network at
    random", 2025, for preconditioned directions.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Linear(3, 1, bias=False)
    >>> data = torch.eye(3), model(torch.eye(3)).detach()
    >>> found = basin_volume(Objective(model, "mse", data), cutoff=1 / 3, directions=10)
    >>> found.dimension, round(10**found.log10_volume / (4 / 3 * math.pi), 1)
    (3, 1.0)
    """
    model = objective.model
    own = ParameterLayout.of(model).segments
    names = [segment.name for segment in own]
    if parameters is not None:
        frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
        names = matching_names(parameters, names, frozen, type(model).__name__)
    with ManyPoints(objective, names) as points:
        search = _Search(points, cutoff, reach)
        transform = _preconditioner(preconditioner, objective, points, cutoff, seed)
        size = points.layout.size
        at_once = max(1, min(directions, _BLOCK // size))
        logs, radii, crossed = [], [], []
        with Progress(
            directions,
            "basin volume",
            quiet=quiet,
            work=f"{directions:,} directions in {size:,} dimensions, each searched for the first "
            f"rise by {cutoff:g}",
            unit="directions",
        ) as progress:
            progress.begin()
            for start in range(0, directions, at_once):
                stop = min(start + at_once, directions)
                vectors = transform(_unit_vectors(seed, start, stop, size))
                norms = vectors.norm(dim=1)
                found, within = search.radii(vectors / norms[:, None], norms.numpy())
                logs.append(size * (np.log(found) - norms.log().numpy()))
                radii.append(found)
                crossed.append(within)
                progress.advance(stop - start)
    terms = np.concatenate(logs) + _log_ball(size) + transform.log_determinant
    estimate = _log_mean(terms)
    weights = np.exp(terms - terms.max())
    return BasinVolume(
        log10_volume=estimate / math.log(10),
        interval=_bootstrap(terms, seed),
        lower_bound=(estimate + math.log(1 - CONFIDENCE)) / math.log(10),
        dimension=size,
        effective_samples=float(weights.sum() ** 2 / (weights**2).sum()),
        radii=np.concatenate(radii),
        crossed=np.concatenate(crossed),
        reach=search.reach,
        loss=search.loss,
        cutoff=cutoff,
        preconditioner=transform.name,
    )


def _preconditioner(
    given: Mapping[str, Tensor] | str | None,
    objective: Objective,
    points: ManyPoints,
    cutoff: float,
    seed: int,
) -> Preconditioner:
    if given is None:
        return Identity()
    if isinstance(given, str):
        return inverse_root_of_hessian(objective, points.layout, points.origin, cutoff, seed)
    return Diagonal.of(given, points.layout)


def _unit_vectors(seed: int, start: int, stop: int, size: int) -> Tensor:
    """Isotropic unit vectors of these numbers, float64, shape (stop - start, size)."""
    rows = [np.random.default_rng([seed, i]).standard_normal(size) for i in range(start, stop)]
    vectors = torch.from_numpy(np.stack(rows))
    return vectors / vectors.norm(dim=1, keepdim=True)


def _log_ball(dimension: int) -> float:
    """log of the volume of the unit ball.

    >>> round(math.exp(_log_ball(3)), 6), round(math.exp(_log_ball(2)), 6)
    (4.18879, 3.141593)
    """
    return dimension / 2 * math.log(math.pi) - float(gammaln(dimension / 2 + 1))


def _log_mean(terms: np.ndarray) -> float:
    return float(logsumexp(terms) - math.log(len(terms)))


def _bootstrap(terms: np.ndarray, seed: int) -> tuple[float, float]:
    """The central 95% of log10 of the mean over directions drawn with replacement."""
    generator = np.random.default_rng(seed)
    count = len(terms)
    drawn = [_log_mean(terms[generator.integers(count, size=count)]) for _ in range(_DRAWS)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail)) / math.log(10)
    return float(low), float(high)


Above = Callable[[np.ndarray, np.ndarray], np.ndarray]  # directions, radii -> above the cut-off


class _Search:
    """Distances to the first crossing of the cut-off.

    Attributes
    ----------
    loss : float
        At the model.
    reach : float
    """

    def __init__(self, points: ManyPoints, cutoff: float, reach: float | None):
        self._points = points
        self.loss = float(points.losses(points.origin[None])[0])
        self._level = self.loss + cutoff
        if not math.isfinite(self.loss):
            raise LossLandscapeError(
                f"the loss at the model is {self.loss}; a basin needs a finite loss"
            )
        norm = float(points.origin.norm())
        self.reach = reach if reach is not None else _REACH * (norm if norm > 0 else 1.0)
        # relative, of a radius
        self._tolerance = max(_LOG_ERROR / points.layout.size, _ROUNDING)
        self._start: float | None = None  # of the first direction, divided by its norm

    def radii(self, units: Tensor, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Radii along unit directions, and whether they end at a crossing.

        Radii are expected to go with ``norms``.
        """

        def above(which: np.ndarray, at: np.ndarray) -> np.ndarray:
            steps = torch.from_numpy(at)[:, None] * units[which]
            losses = self._points.losses(self._points.origin + steps)
            return ~(losses <= self._level)  # NaN is above

        everything = np.arange(len(units))
        if self._start is None:
            self._start = self._crossing_of_first(above) / norms[0] / _FIRST
        reach = np.full(len(units), self.reach)
        inner = self._below(above, everything, np.minimum(self._start * norms, reach))
        outer, crossed = inner.copy(), np.zeros(len(units), dtype=bool)
        march = everything[inner < reach]
        while len(march):
            following = np.minimum(inner[march] * _STEP, reach[march])
            over = above(march, following)
            outer[march[over]], crossed[march[over]] = following[over], True
            inner[march[~over]] = following[~over]
            march = march[~over]
            march = march[inner[march] < reach[march]]
        bisect = everything[crossed]
        while len(bisect):
            middle = (inner[bisect] + outer[bisect]) / 2
            over = above(bisect, middle)
            outer[bisect[over]], inner[bisect[~over]] = middle[over], middle[~over]
            bisect = bisect[outer[bisect] - inner[bisect] > self._tolerance * inner[bisect]]
        return np.where(crossed, (inner + outer) / 2, inner), crossed

    def _crossing_of_first(self, above: Above) -> float:
        """A radius of the first direction at most a step beyond its first crossing, or the reach.

        From so near that nothing lies nearer.
        """
        steps = math.ceil(math.log(1 / _NEAREST) / math.log(_STEP))
        radii = self.reach * _STEP ** np.arange(-steps, 1.0)
        over = above(np.zeros(len(radii), dtype=int), radii)
        return float(radii[over.argmax()] if over.any() else self.reach)

    def _below(self, above: Above, which: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Radii halved until the loss is below the cut-off."""
        at, left = at.copy(), np.arange(len(which))
        least = at * 1e-15
        while len(left):
            left = left[above(which[left], at[left])]
            at[left] /= 2
            if (at[left] < least[left]).any():
                raise LossLandscapeError(
                    f"the loss exceeds {self._level:.6g} however near to the model, where it is "
                    f"{self.loss:.6g}: the cut-off is below the rounding of the loss; pass a "
                    "larger one, or an objective with precision='float64'"
                )
        return at
