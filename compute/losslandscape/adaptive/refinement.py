"""Which points of a grid to evaluate, so that the rest can be interpolated within a tolerance.

Rounds of points are chosen from the values found so far. Each round models the field by local
kriging (:mod:`losslandscape.adaptive.kriging`), scales the model's own error by how well it
predicts each value from the others, and evaluates where that error is largest. When it is within
the tolerance everywhere, points drawn at random are predicted first and evaluated then; the
refinement ends when such a check agrees. The method, and what it cannot see, are told in
``docs/adaptive.md``.
"""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from losslandscape.adaptive.kriging import LocalInterpolation
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.scale import scale_of
from losslandscape.planes.grid import Grid

COARSE_POINTS = {1: 9, 2: 9, 3: 6}  # a side, in the first round, by number of dimensions
CHECK_POINTS = 30
_WITHIN = 0.96  # share of the known errors that the calibrated estimate bounds
_PREDICTIONS = 120  # latest points that were predicted before they were evaluated
_LEAST_PREDICTIONS = 15  # fewer say nothing
_MARGIN = 0.9  # of the tolerance, where refinement stops: the estimate does not bound every error
_ROUNDING = 1e-12  # of the largest value: no estimate is smaller
_ROUND_SHARE = 0.12  # of the points evaluated so far, where that is more than the round size
_SEPARATION = 0.7  # of two points of a round, in distances to their nearest evaluated point


@dataclass(frozen=True)
class Adaptive:
    """How a landscape is refined; part of its recipe.

    Attributes
    ----------
    tolerance : float
        Largest estimated error of an interpolated loss, as a share of the loss's range.
    scale : "log", "linear" or None
        Whether error and range are those of the loss or of its log10; None: of its log10 where the
        losses found so far are positive and span more than two decades.
    seed : int
        Of the points that check the estimate.
    round_size : int
        Points chosen at a time, at least: the choice is the same whatever the number of workers.
    max_points : int, optional
        Evaluate no more than these, and state the error that is left.

    Raises
    ------
    LossLandscapeError
        If a value makes no sense.
    """

    tolerance: float
    scale: str | None = None
    seed: int = 0
    round_size: int = 8
    max_points: int | None = None

    def __post_init__(self):
        try:
            object.__setattr__(self, "tolerance", float(self.tolerance))
            for name in ("seed", "round_size", "max_points"):
                if getattr(self, name) is not None:
                    object.__setattr__(self, name, operator.index(getattr(self, name)))
        except (TypeError, ValueError) as error:
            raise LossLandscapeError(
                "a tolerance is a number, and seed, round_size and max_points are whole ones "
                f"({error})"
            ) from error
        if self.seed < 0:
            raise LossLandscapeError(f"seed is {self.seed}; it is 0 or more")
        if not 0 < self.tolerance < 1:
            raise LossLandscapeError(
                f"tolerance is {self.tolerance:g}; it is a share of the loss's range between 0 and "
                "1, such as 0.01"
            )
        if self.scale not in (None, "log", "linear"):
            raise LossLandscapeError(f"scale {self.scale!r} is neither 'log' nor 'linear'")
        if self.round_size < 1:
            raise LossLandscapeError(f"round_size is {self.round_size}; at least 1 is needed")

    def check(self, grid: Grid) -> None:
        """Raise a LossLandscapeError if this grid cannot be refined with fewer points."""
        least = coarse_points(grid).size
        if self.max_points is not None and self.max_points < least:
            raise LossLandscapeError(
                f"max_points is {self.max_points}; the coarse grid that refinement begins with "
                f"has {least} points"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class FieldModel:
    """A field known at some points of a grid, and what is predicted at the others.

    Parameters
    ----------
    grid : Grid
    values : float64 ndarray, shape (size,)
    evaluated : ndarray of bool, shape (size,)
    scale : "log", "linear" or None
        As of :class:`Adaptive`.

    Attributes
    ----------
    scale : "log" or "linear"
    range : float
        Of the known values on the scale.
    targets : ndarray of int
        Numbers of the points that are not evaluated.
    predicted : ndarray, shape (targets,)
        On the scale; NaN where all evaluated points around are not finite.
    deviation : ndarray, shape (targets,)
        Standard deviation of the prediction's error before calibration; infinite where finite and
        other values meet; NaN where ``predicted`` is.
    least : ndarray, shape (targets,)
        No estimate of the error is smaller; see :meth:`LocalInterpolation.predict`.
    ratios : ndarray
        |error| / deviation of each known value predicted from the others.
    not_positive : int
        Predictions of 0 and less where all known values are above 0.
    """

    def __init__(self, grid: Grid, values: np.ndarray, evaluated: np.ndarray, scale: str | None):
        # in spacings: no axis is privileged by the unit of its direction
        index = np.stack(np.unravel_index(np.arange(grid.size), grid.shape)[::-1], axis=1)
        index = index.astype(np.float64)
        self.scale = scale or scale_of(values[evaluated])
        on_scale = _to_scale(values, self.scale)
        off = evaluated & np.isfinite(values) & ~np.isfinite(on_scale)
        if off.any():
            raise LossLandscapeError(
                f"the loss is 0 or less at {int(off.sum())} of {int(evaluated.sum())} points and "
                "has no logarithm there: take the linear scale (--tolerance-scale linear)"
            )
        known = evaluated & np.isfinite(on_scale)
        self.targets = np.flatnonzero(~evaluated)
        self.predicted, self.deviation = np.full((2, self.targets.size), np.nan)
        self.least = np.zeros(self.targets.size)
        self.ratios = np.empty(0)
        self.not_positive = 0
        self.range = float(np.ptp(on_scale[known])) if known.any() else 0.0
        self.distance = np.zeros(self.targets.size)
        if not self.targets.size:
            return
        around = min(2 * grid.dimensions, int(evaluated.sum()))
        self.distance, nearest = cKDTree(index[evaluated]).query(
            index[self.targets], k=np.arange(1, around + 1)
        )
        self.distance = self.distance[:, 0]
        finite = known[evaluated][nearest]
        some = finite.any(axis=1)
        self.deviation[some] = np.inf
        if some.any() and known.sum() > 1:
            model = LocalInterpolation(index[known], on_scale[known])
            value, deviation, self.least[some] = model.predict(index[self.targets[some]])
            largest = max(float(np.abs(on_scale[known]).max()), np.finfo(float).tiny / _ROUNDING)
            rounding = _ROUNDING * largest
            self.predicted[some], self.deviation[some] = value, np.maximum(deviation, rounding)
            self.ratios = model.residuals / np.maximum(model.residual_deviations, rounding)
            if self.scale == "linear" and on_scale[known].min() > 0:
                self.not_positive = int((self.predicted <= 0).sum())
        self.deviation[some & ~finite.all(axis=1)] = np.inf

    @property
    def factor(self) -> float:
        """What the deviations are multiplied with to bound all but a few of the known errors."""
        return _bounding_factor(self.ratios)

    def error(self, factor: float) -> np.ndarray:
        """Estimated errors at the targets, on the scale."""
        return np.maximum(factor * self.deviation, self.least)

    def values_and_error(self, values: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """The field on the whole grid and its estimated error, in the field's own units.

        An error of d decades on the log scale is v (10^d - 1), the larger of its two sides.
        """
        whole, error = values.copy(), np.zeros(values.size)
        on_scale = self.error(factor)
        if self.scale == "log":
            whole[self.targets] = 10**self.predicted
            with np.errstate(over="ignore"):
                error[self.targets] = whole[self.targets] * (10**on_scale - 1)
        else:
            whole[self.targets] = self.predicted
            error[self.targets] = on_scale
        return whole, error


def coarse_points(grid: Grid) -> np.ndarray:
    """Numbers of a coarse grid's points, with the corners, and the middle where there is one.

    Examples
    --------
    >>> coarse_points(Grid.line(17))
    array([ 0,  2,  4,  6,  8, 10, 12, 14, 16])
    """
    count = COARSE_POINTS[grid.dimensions]
    axes = [np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(int)) for n in grid.shape]
    return np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), grid.shape).ravel()


def nearest(grid: Grid, values: np.ndarray, evaluated: np.ndarray) -> np.ndarray:
    """A field with the value of the nearest evaluated point at the others, shape (size,)."""
    index = np.stack(np.unravel_index(np.arange(grid.size), grid.shape), axis=1)
    return values[evaluated][cKDTree(index[evaluated]).query(index)[1]]


def interpolate(
    grid: Grid, values: np.ndarray, evaluated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A further field on the whole grid and its estimated error, both of shape (size,).

    On a log scale where its values are positive and span more than two decades. The error bounds
    all but a few of the values as predicted from each other.
    """
    model = FieldModel(grid, values, evaluated, None)
    return model.values_and_error(values, model.factor)


@dataclass
class Check:
    """Points drawn at random, predicted before they were evaluated.

    Attributes
    ----------
    points, within : int
        How many, and how many of them within their estimated error.
    largest_error : float
        As a share of the range.
    """

    points: int = 0
    within: int = 0
    largest_error: float = 0.0


class Refinement:
    """The rounds of one refinement.

    The rounds follow from the values alone, so replaying them over stored values leads to the same
    state: that is how an interrupted refinement goes on.

    Attributes
    ----------
    rounds : int
        Finished so far.
    finished : bool
        Whether it ended by itself, after a check that agreed or with every point evaluated.
    model : FieldModel or None
        Of the values last given.
    factor : float
        Estimated error / the model's own standard deviation.
    checks : list of Check
        The last one agreed, unless every point was evaluated.

    Examples
    --------
    >>> grid = Grid.square(21)
    >>> bowl = (grid.points() ** 2).sum(axis=1)
    >>> refinement = Refinement(grid, Adaptive(0.01))
    >>> evaluated = np.zeros(grid.size, bool)
    >>> while (numbers := refinement.next_round(bowl, evaluated)).size:
    ...     evaluated[numbers] = True
    >>> found, error = refinement.interpolated(bowl)
    >>> int(evaluated.sum()), bool(np.abs(found - bowl).max() < 1e-9)
    (111, True)
    """

    def __init__(self, grid: Grid, settings: Adaptive):
        self.grid = grid
        self.settings = settings
        self.rounds = 0
        self.finished = False
        self.model: FieldModel | None = None
        settings.check(grid)
        self.factor = np.nan
        self.checks: list[Check] = []
        self._pending: _Pending | None = None
        self._ratios = np.empty(0)  # of points predicted before they were evaluated

    @property
    def estimated_error(self) -> float:
        """Largest estimated error of an interpolated value, as a share of the range."""
        if self.model is None:
            return np.inf
        estimates = self._estimates()
        return float(np.nanmax(estimates, initial=0.0)) if estimates.size else 0.0

    def next_round(self, values: np.ndarray, evaluated: np.ndarray) -> np.ndarray:
        """Numbers of the points to evaluate next, in this order; none when it is finished.

        Parameters
        ----------
        values : float64 ndarray, shape (size,)
            The losses; only those that are evaluated are looked at.
        evaluated : ndarray of bool, shape (size,)
        """
        limit = min(self.settings.max_points or self.grid.size, self.grid.size)
        left = limit - int(evaluated.sum())
        if not evaluated.any():
            return coarse_points(self.grid)
        self.rounds += 1
        self.model = FieldModel(self.grid, values, evaluated, self.settings.scale)
        agreed = self._settle(values)
        self._calibrate()
        within = self.estimated_error <= _MARGIN * self.settings.tolerance
        self.finished = not self.model.targets.size or (agreed and within)
        if self.finished or left <= 0:
            return np.empty(0, int)
        if not within:
            return self._pend(self._worst(int(evaluated.sum()))[:left], check=False)
        return self._pend(self._drawn(int(evaluated.sum()))[:left], check=True)

    def describe(self) -> str:
        """How far it is, in a few words."""
        if self.model is None:
            return "coarse grid"
        wanted = f"{100 * self.settings.tolerance:g}% wanted"
        if self._pending is not None and self._pending.check:
            return f"checking the estimate at random points, {wanted}"
        error = self.estimated_error
        found = f"{100 * error:.2g}%" if np.isfinite(error) else "unknown"
        return f"estimated error {found} of the range, {wanted}"

    def absorb(self, values: np.ndarray, evaluated: np.ndarray) -> None:
        """Model the values anew if points were evaluated that no round has asked for."""
        if self.model is not None and self.model.targets.size != (~evaluated).sum():
            self.model = FieldModel(self.grid, values, evaluated, self.settings.scale)
            self._calibrate()

    def interpolated(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss on the whole grid and its estimated error; see ``FieldModel``."""
        assert self.model is not None
        return self.model.values_and_error(values, self.factor)

    def to_json(self) -> dict[str, Any]:
        """What was done, for the file."""
        assert self.model is not None
        return {
            **self.settings.to_json(),
            "scale": self.model.scale,
            "range": self.model.range,
            "rounds": self.rounds,
            "evaluated": self.grid.size - self.model.targets.size,
            "interpolated": int(self.model.targets.size),
            "predicted_not_finite": int(np.isnan(self.model.predicted).sum()),
            "predicted_not_positive": self.model.not_positive,
            "finished": self.finished,
            # JSON has no infinity: None where nothing is known of the error
            "estimated_error": _finite(self.estimated_error),
            "error_factor": _finite(self.factor),
            "checks": [asdict(check) for check in self.checks],
        }

    def _estimates(self) -> np.ndarray:
        """Estimated errors at the targets, as shares of the range."""
        assert self.model is not None
        errors = self.model.error(self.factor)
        return errors / self.model.range if self.model.range > 0 else errors

    def _calibrate(self) -> None:
        """Scale the deviations to bound all but a few errors, of both kinds that are known."""
        assert self.model is not None
        self.factor = self.model.factor
        if self._ratios.size >= _LEAST_PREDICTIONS:
            # residuals are many, but lie farther from other points than what is interpolated
            self.factor = float(np.sqrt(self.factor * _bounding_factor(self._ratios)))

    def _worst(self, evaluated: int) -> np.ndarray:
        """Points with the largest estimates, apart from each other: one mends its neighbours'."""
        assert self.model is not None
        estimates = self._estimates()
        wanted = max(self.settings.round_size, int(_ROUND_SHARE * evaluated))
        candidates = np.flatnonzero(estimates > _SEPARATION * self.settings.tolerance)
        # a stable sort: equal estimates, as on a symmetric field, are taken in the grid's order
        candidates = candidates[np.argsort(-estimates[candidates], kind="stable")]
        index = np.stack(np.unravel_index(self.model.targets, self.grid.shape), axis=1)
        chosen: list[int] = []
        free = np.ones(candidates.size, bool)
        for place, candidate in enumerate(candidates):
            if not free[place]:
                continue
            chosen.append(int(candidate))
            if len(chosen) == wanted:
                break
            apart = np.linalg.norm(index[candidates] - index[candidate], axis=1)
            reach = np.maximum(self.model.distance[candidates], self.model.distance[candidate])
            free &= apart >= _SEPARATION * reach
        return self.model.targets[chosen]

    def _drawn(self, evaluated: int) -> np.ndarray:
        """Points for a check, drawn at random."""
        assert self.model is not None
        count = min(CHECK_POINTS, self.model.targets.size)
        generator = np.random.default_rng([self.settings.seed, evaluated])
        return np.sort(generator.choice(self.model.targets, count, replace=False))

    def _pend(self, numbers: np.ndarray, check: bool) -> np.ndarray:
        """Remember what is predicted at points that are now evaluated."""
        assert self.model is not None
        place = np.searchsorted(self.model.targets, numbers)
        self._pending = _Pending(
            numbers=numbers,
            predicted=self.model.predicted[place],
            deviation=self.model.deviation[place],
            error=self.model.error(self.factor)[place],
            scale=self.model.scale,
            check=check,
        )
        return numbers

    def _settle(self, values: np.ndarray) -> bool:
        """Compare what was predicted with what was found; whether that was a check."""
        pending, self._pending = self._pending, None
        if pending is None:
            return False
        assert self.model is not None
        if pending.scale != self.model.scale:  # what was found calls for the other scale
            self._ratios = np.empty(0)
            return False
        found = _to_scale(values[pending.numbers], self.model.scale)
        errors = np.abs(found - pending.predicted)
        known = np.isfinite(errors) & np.isfinite(pending.deviation)
        ratios = errors[known] / pending.deviation[known]
        self._ratios = np.append(self._ratios, ratios)[-_PREDICTIONS:]
        if pending.check:
            errors[~np.isfinite(found) & np.isnan(pending.predicted)] = 0.0  # rightly not finite
            errors[np.isnan(errors)] = np.inf
            largest = float(errors.max() / self.model.range) if self.model.range else 0.0
            within = int((errors <= np.nan_to_num(pending.error)).sum())
            self.checks.append(Check(pending.numbers.size, within, largest))
        return pending.check


@dataclass(frozen=True)
class _Pending:
    """What was predicted at the points of a round, on the scale of then."""

    numbers: np.ndarray
    predicted: np.ndarray
    deviation: np.ndarray
    error: np.ndarray
    scale: str
    check: bool


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def describe(done: dict[str, Any]) -> str:
    """A finished refinement in a sentence, from what is kept in the file.

    Examples
    --------
    >>> print(describe({"evaluated": 120, "interpolated": 2481, "estimated_error": 0.0095,
    ...                 "tolerance": 0.01, "scale": "log", "range": 2.31,
    ...                 "checks": [{"points": 20, "within": 19, "largest_error": 0.004}]}))
    120 points evaluated, 2481 interpolated: estimated error at most 0.95% of the range (2.31
    decades, log scale; tolerance 1%); of 20 points drawn at random and predicted before they were
    evaluated, 19 were within their estimate, the largest error 0.4%
    """
    decades = " decades" if done["scale"] == "log" else ""
    if not done["interpolated"]:
        text = (
            f"all {done['evaluated']} points evaluated: the tolerance of "
            f"{100 * done['tolerance']:g}% leaves none to be interpolated"
        )
    else:
        error = done["estimated_error"]
        wanted = done.get("interpolation_tolerance", done["tolerance"])
        missed = error is None or error > wanted
        found = "unknown" if error is None else f"at most {100 * error:.2g}% of the range"
        text = (
            f"{done['evaluated']} points evaluated, {done['interpolated']} interpolated: estimated "
            f"error {found} ({done['range']:.3g}{decades}, {done['scale']} scale; "
            f"tolerance {100 * done['tolerance']:g}%{', not reached' if missed else ''})"
        )
        if done.get("predicted_not_finite"):
            text += f"; at {done['predicted_not_finite']} points no finite loss is predicted"
        if done.get("predicted_not_positive"):
            text += (
                f"; at {done['predicted_not_positive']} points the interpolated loss is 0 or less, "
                "though all that were evaluated are above: it has no logarithm there "
                "(--tolerance-scale log keeps it above 0)"
            )
        if not done.get("finished", True):
            text += "; it ended at the limit of points, before a last check"
    if "allotment" in done:
        allotment = done["allotment"]
        text += (
            f"; each point on as many samples as two standard errors of "
            f"{allotment['error']:.2g}{decades} take, in all {allotment['passes']:.3g} passes over "
            "the data set"
        )
        if allotment.get("within") is not None:  # not in older files
            text += (
                f" (tried at the origin: in {allotment['within']} of 100 random orders of its "
                "losses their mean was as near to that of all)"
            )
    if done["checks"]:
        points = sum(check["points"] for check in done["checks"])
        within = sum(check["within"] for check in done["checks"])
        largest = max(check["largest_error"] for check in done["checks"])
        text += (
            f"; of {points} points drawn at random and predicted before they were evaluated, "
            f"{within} were within their estimate, the largest error {100 * largest:.2g}%"
        )
    return text


def _bounding_factor(ratios: np.ndarray) -> float:
    if not ratios.size:
        return np.inf
    return max(1.0, float(np.quantile(ratios, _WITHIN, method="higher")))


def _to_scale(values: np.ndarray, scale: str) -> np.ndarray:
    """Values or their log10; NaN where not finite or, on the log scale, not above 0."""
    finite = np.where(np.isfinite(values), values, np.nan)
    if scale == "linear":
        return finite
    return np.log10(np.where(finite > 0, finite, np.nan))
