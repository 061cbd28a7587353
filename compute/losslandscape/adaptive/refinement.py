"""Choose the points of a grid to evaluate so that the rest is interpolated within a tolerance.

Each round of points is chosen from the values found so far. It models the field by local kriging
(:mod:`losslandscape.adaptive.kriging`), calibrates the model's error on how well each value is
predicted from the others, and evaluates points where that error is largest. When the error is
within the tolerance everywhere, the predicted minima with their neighbors and the sharpest bends
are evaluated (:mod:`losslandscape.adaptive.selection`). Then points drawn at random are first
predicted, then evaluated. The refinement ends when such a check agrees. For the method and its
limits, see ``docs/adaptive.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from losslandscape.adaptive.kriging import LocalInterpolation
from losslandscape.adaptive.selection import at_minima, bend, largest_apart, largest_of
from losslandscape.argument_checks import COUNT, SEED, SHARE
from losslandscape.argument_kinds import Kind, Maybe, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape import gaps
from losslandscape.landscape.scale import scale_of, to_scale
from losslandscape.planes.grid import Grid
from losslandscape.public_calls import public

COARSE_POINTS = {1: 9, 2: 9, 3: 6}  # per axis in the first round, by number of dimensions
CHECK_POINTS = 30
_WITHIN = 0.96  # share of the known errors that are within the calibrated estimate
_PREDICTIONS = 120  # how many of the latest points predicted before evaluation are used
_LEAST_PREDICTIONS = 15  # fewer say nothing
_MARGIN = 0.9  # stop at this share of the tolerance: some errors exceed the estimate
# Beside a cusp or kink, more errors than elsewhere exceed their estimate: there, the estimate
# follows the largest of the nearest residuals relative to their own deviations.
_LOCAL_RESIDUALS = 3
# At a kink a distance h from the nearest points, with a second difference c of the interpolated
# field, the error may be c h^2 / 2. Where that exceeds the tolerance, points are tried, until they
# are as predicted.
_AS_PREDICTED = 0.7  # share of the tolerance
_CERTAIN = 0.1  # share of the tolerance; a point with a smaller estimate is not tried
_ROUNDING = 1e-12  # share of the largest value; no estimate is smaller
_ROUND_SHARE = 0.12  # of the points evaluated so far, if that is more than the round size
_CANDIDATES = 0.7  # share of the tolerance; points with smaller estimates are not chosen


_SETTINGS: Mapping[str, Kind] = MappingProxyType(
    {
        "tolerance": SHARE,
        "scale": Maybe(Word(("log", "linear"))),
        "seed": SEED,
        "round_size": COUNT,
        "max_points": Maybe(COUNT),
    }
)


@dataclass(frozen=True)
class Adaptive:
    """Settings of adaptive refinement; part of a landscape's recipe.

    Attributes
    ----------
    tolerance : float
        Largest estimated error of an interpolated loss, as a share of the loss's range. It is an
        estimate, not a bound.
    scale : "log", "linear" or None
        Whether error and range are those of log10 of the loss or of the loss itself. None chooses
        "log" if the losses found so far are positive and span more than two decades.
    seed : int
        Seed for the random points that check the estimate.
    round_size : int
        Smallest number of points chosen at a time. It does not depend on the number of workers, so
        the chosen points do not either.
    max_points : int, optional
        Evaluate at most this many points, and state the remaining error.

    Raises
    ------
    LossLandscapeError
        If a value is invalid.

    Examples
    --------
    >>> Adaptive(tolerance=0.01).to_json()["round_size"]
    8
    """

    tolerance: float
    scale: str | None = None
    seed: int = 0
    round_size: int = 8
    max_points: int | None = None

    def __post_init__(self):
        for name, kind in _SETTINGS.items():
            object.__setattr__(self, name, kind.check(name, getattr(self, name)))

    @public()
    def check(self, grid: Grid) -> None:
        """Raise a LossLandscapeError if ``max_points`` is too small for this grid."""
        least = coarse_points(grid).size
        if self.max_points is not None and self.max_points < least:
            raise LossLandscapeError(
                f"max_points is {self.max_points}; the coarse grid with which refinement begins "
                f"has {least} points, so pass at least that"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class FieldModel:
    """A field known at some points of a grid and predicted at the others.

    Parameters
    ----------
    grid : Grid
    values : float64 ndarray, shape (size,)
    evaluated : ndarray of bool, shape (size,)
    scale : "log", "linear" or None
        As in :class:`Adaptive`.

    Attributes
    ----------
    scale : "log" or "linear"
    range : float
        Range of the known values on this scale.
    values : ndarray
        Those known, finite or not.
    targets : ndarray of int
        Numbers of the points that are not evaluated.
    predicted : ndarray, shape (targets,)
        Predictions on this scale; NaN if no value at the surrounding evaluated points is finite.
    deviation : ndarray, shape (targets,)
        Standard deviation of the prediction's error before calibration; infinite if some of the
        surrounding values are not finite, NaN where ``predicted`` is NaN.
    least : ndarray, shape (targets,)
        Lower limit of the estimated error; see :meth:`LocalInterpolation.predict`.
    ratios : ndarray
        |error| / deviation of each known value when predicted from the others.
    local : ndarray, shape (targets,)
        Lower limit of the factor of each deviation, from the largest ratio of the nearest values.
    not_positive : int
        Number of predictions of 0 or less, if all known values are above 0.

    Raises
    ------
    LossLandscapeError
        If the scale is "log" and a known value is 0 or less.
    """

    def __init__(self, grid: Grid, values: np.ndarray, evaluated: np.ndarray, scale: str | None):
        # in units of the spacing, so that the lengths of the directions do not matter
        index = np.stack(np.unravel_index(np.arange(grid.size), grid.shape)[::-1], axis=1)
        index = index.astype(np.float64)
        self.grid = grid
        self.values = values[evaluated]
        self.scale = scale or scale_of(self.values)
        on_scale = to_scale(values, self.scale)
        off = evaluated & np.isfinite(values) & ~np.isfinite(on_scale)
        if off.any():
            raise LossLandscapeError(
                f"the loss is 0 or less at {int(off.sum())} of {int(evaluated.sum())} points and "
                "has no logarithm there; use the linear scale (--tolerance-scale linear)"
            )
        known = evaluated & np.isfinite(on_scale)
        self.targets = np.flatnonzero(~evaluated)
        self.predicted, self.deviation = np.full((2, self.targets.size), np.nan)
        self.least = np.zeros(self.targets.size)
        self.ratios = np.empty(0)
        self.local = np.zeros(self.targets.size)
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
            beside = model.nearest(index[self.targets[some]], _LOCAL_RESIDUALS)
            self.local[some] = self.ratios[beside].max(axis=1)
            if self.scale == "linear" and on_scale[known].min() > 0:
                self.not_positive = int((self.predicted <= 0).sum())
        self.deviation[some & ~finite.all(axis=1)] = np.inf

    @property
    def factor(self) -> float:
        """All but a few of the known errors are within this factor times their deviation."""
        return _bounding_factor(self.ratios)

    def error(self, factor: float) -> np.ndarray:
        """Estimated errors at the targets, on the model's scale."""
        return np.maximum(np.maximum(factor, self.local) * self.deviation, self.least)

    def on_grid(self, values: np.ndarray) -> np.ndarray:
        """The values and the predictions on the model's scale, shape ``grid.shape``."""
        whole = to_scale(values, self.scale)
        whole[self.targets] = self.predicted
        return whole.reshape(self.grid.shape)

    def values_and_error(self, values: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """The field on the whole grid and its estimated error, in the field's own units.

        On the log scale, an error of d decades becomes v (10^d - 1), the larger of its two sides.
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
    """Numbers of a coarse grid's points, including the corners and, if there is one, the middle.

    Examples
    --------
    >>> coarse_points(Grid.line(17))
    array([ 0,  2,  4,  6,  8, 10, 12, 14, 16])
    """
    count = COARSE_POINTS[grid.dimensions]
    axes = [np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(int)) for n in grid.shape]
    return np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), grid.shape).ravel()


def nearest(grid: Grid, values: np.ndarray, evaluated: np.ndarray) -> np.ndarray:
    """A field whose unknown values are those of the nearest evaluated point, shape (size,)."""
    index = np.stack(np.unravel_index(np.arange(grid.size), grid.shape), axis=1)
    return values[evaluated][cKDTree(index[evaluated]).query(index)[1]]


def interpolate(
    grid: Grid, values: np.ndarray, evaluated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate another field; return it and its estimated error, both of shape (size,).

    Uses the log scale if the values are positive and span more than two decades. All but a few of
    the errors found by predicting each value from the others are within their estimates.
    """
    model = FieldModel(grid, values, evaluated, None)
    return model.values_and_error(values, model.factor)


@dataclass
class Check:
    """A check of the estimate at random points, predicted before they were evaluated.

    Attributes
    ----------
    points, within : int
        Number of points, and how many of them were within their estimated error.
    largest_error : float
        Largest error found where the loss is finite, as a share of the range.
    not_finite : int
        At how many of them the loss is not finite although a finite one was predicted, or the other
        way round. They are not within their estimated error.
    """

    points: int = 0
    within: int = 0
    largest_error: float = 0.0
    not_finite: int = 0


class Refinement:
    """The rounds of one refinement.

    The rounds depend on the values alone. An interrupted refinement resumes by replaying them with
    the stored values, which leads to the same state.

    Attributes
    ----------
    rounds : int
        Number of rounds so far.
    finished : bool
        Whether the refinement ended by itself: a check agreed, or every point was evaluated.
    model : FieldModel or None
        The model of the values last passed.
    factor : float
        Estimated error divided by the model's own standard deviation.
    checks : list of Check
        The last check agreed, unless every point was evaluated.

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
        self._bends_as_predicted = False
        self._raised = 1.0  # factor by which a check has raised the estimates
        self._ratios = np.empty(0)  # |error| / deviation of points predicted before evaluation

    @property
    def estimated_error(self) -> float:
        """Largest estimated error of an interpolated value, as a share of the range."""
        if self.model is None:
            return np.inf
        estimates = self._estimates()
        return float(np.nanmax(estimates, initial=0.0)) if estimates.size else 0.0

    def next_round(self, values: np.ndarray, evaluated: np.ndarray) -> np.ndarray:
        """Numbers of the points to evaluate next, in this order; empty at the end.

        Parameters
        ----------
        values : float64 ndarray, shape (size,)
            The losses; only those at evaluated points are used.
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
        count = int(evaluated.sum())
        at_once = max(self.settings.round_size, int(_ROUND_SHARE * count))
        within = self.estimated_error <= _MARGIN * self.settings.tolerance
        kind, numbers = "worst", np.empty(0, int)
        if not within:
            numbers = self._worst(at_once)
        elif self.model.targets.size:
            kind, numbers = "minima", self._minima(values, at_once)
            if not numbers.size and not self._bends_as_predicted:
                kind, numbers = "bends", self._bends(values, at_once)
        self.finished = within and not numbers.size and (agreed or not self.model.targets.size)
        if self.finished or left <= 0:
            return np.empty(0, int)
        if within and not numbers.size:
            kind, numbers = "check", self._drawn(count)
        return self._pend(numbers[:left], kind)

    def describe(self) -> str:
        """Progress in a few words."""
        if self.model is None:
            return "coarse grid"
        wanted = f"tolerance {100 * self.settings.tolerance:g}%"
        kind = "worst" if self._pending is None else self._pending.kind
        if kind != "worst":
            places = {"check": "random points", "minima": "the minima", "bends": "sharp bends"}
            return f"checking the estimate at {places[kind]}, {wanted}"
        error = self.estimated_error
        found = f"{100 * error:.2g}%" if np.isfinite(error) else "unknown"
        return f"largest error estimated at {found} of the range, {wanted}"

    def absorb(self, values: np.ndarray, evaluated: np.ndarray) -> None:
        """Update the model if points were evaluated that no round requested, or again."""
        if self.model is None:
            return
        if self.model.targets.size != (~evaluated).sum() or not np.array_equal(
            self.model.values, values[evaluated], equal_nan=True
        ):
            self.model = FieldModel(self.grid, values, evaluated, self.settings.scale)
            self._calibrate()

    def interpolated(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss on the whole grid and its estimated error; see :class:`FieldModel`."""
        assert self.model is not None
        return self.model.values_and_error(values, self.factor)

    def to_json(self) -> dict[str, Any]:
        """Describe the refinement, for the file."""
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
            # JSON has no infinity: None if the error is unknown
            "estimated_error": _finite(self.estimated_error),
            "estimated_error_95": _finite(self._estimate_of_most()),
            "error_factor": _finite(self.factor),
            "checks": [asdict(check) for check in self.checks],
            "gaps": self._gaps(),
        }

    def _estimate_of_most(self) -> float:
        """95% of the finite predictions have at most this estimate, as a share of the range."""
        estimates = self._estimates()
        estimates = estimates[~np.isnan(estimates)]
        if not estimates.size:
            return 0.0
        return float(np.quantile(estimates, 0.95, method="higher"))

    def _gaps(self) -> dict[str, Any]:
        assert self.model is not None
        evaluated = np.ones(self.grid.size, bool)
        evaluated[self.model.targets] = False
        return gaps.gaps_between(evaluated.reshape(self.grid.shape)).to_json()

    def _estimates(self) -> np.ndarray:
        """Estimated errors at the targets, as shares of the range."""
        assert self.model is not None
        errors = self.model.error(self.factor)
        return errors / self.model.range if self.model.range > 0 else errors

    def _calibrate(self) -> None:
        """Find the factor within which all but a few known errors are, of both kinds."""
        assert self.model is not None
        self.factor = self.model.factor
        if self._ratios.size >= _LEAST_PREDICTIONS:
            # residuals are many, but lie farther from other points than interpolated points do
            self.factor = float(np.sqrt(self.factor * _bounding_factor(self._ratios)))
        self.factor *= self._raised

    def _worst(self, count: int) -> np.ndarray:
        """Points with the largest estimates."""
        return self._apart(self._estimates(), _CANDIDATES, count)

    def _minima(self, values: np.ndarray, count: int) -> np.ndarray:
        """The predicted minima and their neighbors, the largest estimates first."""
        assert self.model is not None
        estimates = np.zeros(self.grid.size)
        estimates[self.model.targets] = self._estimates()
        shaped = estimates.reshape(self.grid.shape)
        found = at_minima(self.model.on_grid(values), shaped, self.settings.tolerance)
        numbers = np.flatnonzero(found)
        return numbers[np.argsort(-estimates[numbers], kind="stable")][:count]

    def _bends(self, values: np.ndarray, count: int) -> np.ndarray:
        """Points where a kink, if there is one, is off by more than the tolerance."""
        assert self.model is not None
        if not self.model.range:
            return np.empty(0, int)
        bent = bend(self.model.on_grid(values)).ravel()[self.model.targets] / self.model.range
        estimates = self._estimates()
        plain = estimates < _CERTAIN * self.settings.tolerance
        bent[plain | ~np.isfinite(estimates)] = 0.0
        return self._apart(bent * self.model.distance**2 / 2, 1.0, count)

    def _apart(self, scores: np.ndarray, least: float, count: int) -> np.ndarray:
        """Numbers of the targets with the largest scores above a share of the tolerance."""
        assert self.model is not None
        index = np.stack(np.unravel_index(self.model.targets, self.grid.shape), axis=1)
        least = least * self.settings.tolerance
        return self.model.targets[largest_apart(scores, least, count, index, self.model.distance)]

    def _drawn(self, evaluated: int) -> np.ndarray:
        """Random points for a check."""
        assert self.model is not None
        count = min(CHECK_POINTS, self.model.targets.size)
        generator = np.random.default_rng([self.settings.seed, evaluated])
        return np.sort(generator.choice(self.model.targets, count, replace=False))

    def _pend(self, numbers: np.ndarray, kind: str) -> np.ndarray:
        """Remember the predictions at points that are evaluated next."""
        assert self.model is not None
        place = np.searchsorted(self.model.targets, numbers)
        error = self.model.error(self.factor)
        self._pending = _Pending(
            numbers=numbers,
            predicted=self.model.predicted[place],
            deviation=self.model.deviation[place],
            error=error[place],
            largest=float(np.nanmax(error, initial=0.0)),
            scale=self.model.scale,
            kind=kind,
        )
        return numbers

    def _settle(self, values: np.ndarray) -> bool:
        """Compare predictions with the values found; return whether a check agreed."""
        pending, self._pending = self._pending, None
        if pending is None:
            return False
        assert self.model is not None
        if pending.scale != self.model.scale:  # the new values need the other scale
            self._ratios, self._raised = np.empty(0), 1.0
            return False
        found = to_scale(values[pending.numbers], self.model.scale)
        errors = np.abs(found - pending.predicted)
        known = np.isfinite(errors) & np.isfinite(pending.deviation)
        ratios = errors[known] / pending.deviation[known]
        self._ratios = np.append(self._ratios, ratios)[-_PREDICTIONS:]
        if pending.kind in ("bends", "check"):
            most = _AS_PREDICTED * self.settings.tolerance * self.model.range
            self._bends_as_predicted = bool(np.nanmax(errors, initial=0.0) <= most)
        if pending.kind == "check":
            errors[~np.isfinite(found) & np.isnan(pending.predicted)] = 0.0  # predicted correctly
            wrong = np.isnan(errors)
            largest = float(np.nanmax(errors, initial=0.0))
            errors[wrong] = np.inf
            within = int((errors <= np.nan_to_num(pending.error)).sum())
            self.checks.append(
                Check(
                    pending.numbers.size,
                    within,
                    largest / self.model.range if self.model.range else 0.0,
                    int(wrong.sum()),
                )
            )
            return self._agrees(errors, pending.largest)
        return False

    def _agrees(self, errors: np.ndarray, estimated: float) -> bool:
        """Whether the errors of random points are small enough; if not, raise the estimates.

        Parameters
        ----------
        errors : ndarray, shape (n,)
            Of the random points, on the model's scale.
        estimated : float
            The largest estimate of all points when they were drawn.
        """
        assert self.model is not None
        expected = largest_of(errors, self.model.targets.size)
        if expected <= self.settings.tolerance * self.model.range:
            return True
        self._raised *= max(1.0, expected / estimated) if estimated > 0 else 1.0
        return False


@dataclass(frozen=True)
class _Pending:
    """Predictions at the points of a round, on the scale used at that time."""

    numbers: np.ndarray
    predicted: np.ndarray
    deviation: np.ndarray
    error: np.ndarray
    largest: float  # estimated error of all points
    scale: str
    kind: str  # "worst", "minima", "bends" or "check"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def describe(done: dict[str, Any]) -> str:
    """Describe a finished refinement in a sentence, from its description in the file.

    Examples
    --------
    >>> print(describe({"evaluated": 120, "interpolated": 2481, "estimated_error": 0.0095,
    ...                 "tolerance": 0.01, "scale": "log", "range": 2.31,
    ...                 "estimated_error_95": 0.004,
    ...                 "checks": [{"points": 20, "within": 19, "largest_error": 0.004}]}))
    120 points evaluated, 2481 interpolated: 95% of these are within 0.4% of the range, the largest
    error is estimated at 0.95% (2.31 decades, log scale; tolerance 1%); check: of 20 random points,
    predicted before they were evaluated, 19 lay within their estimated error; largest error 0.4%
    """
    decades = " decades" if done["scale"] == "log" else ""
    if not done["interpolated"]:
        text = (
            f"all {done['evaluated']} points evaluated: the tolerance of "
            f"{100 * done['tolerance']:g}% leaves none to interpolate"
        )
    else:
        error = done["estimated_error"]
        wanted = done.get("interpolation_tolerance", done["tolerance"])
        missed = error is None or error > wanted
        text = (
            f"{done['evaluated']} points evaluated, {done['interpolated']} interpolated: "
            f"{stated_errors(done)} ({done['range']:.3g}{decades}, {done['scale']} scale; "
            f"tolerance {100 * done['tolerance']:g}%{', not reached' if missed else ''})"
        )
        if done.get("predicted_not_finite"):
            text += f"; at {done['predicted_not_finite']} points the predicted loss is not finite"
        if done.get("predicted_not_positive"):
            text += (
                f"; at {done['predicted_not_positive']} points the interpolated loss is 0 or less, "
                "although all evaluated losses are positive; it has no logarithm there "
                "(--tolerance-scale log keeps it above 0)"
            )
        if not done.get("finished", True):
            text += "; refinement ended at the limit of points, before a final check"
    if "allotment" in done:
        allotment = done["allotment"]
        text += (
            f"; each point uses as many samples as it needs for two standard errors of "
            f"{allotment['error']:.2g}{decades}, in total {allotment['passes']:.3g} passes over "
            "the data set"
        )
        if allotment.get("within") is not None:  # not in older files
            text += (
                f" (trial at the origin: in {allotment['within']} of 100 random orders of the "
                "samples, the mean was within this error)"
            )
    if done["checks"]:
        points = sum(check["points"] for check in done["checks"])
        within = sum(check["within"] for check in done["checks"])
        largest = max(check["largest_error"] for check in done["checks"])
        text += (
            f"; check: of {points} random points, predicted before they were evaluated, "
            f"{within} lay within their estimated error; largest error {100 * largest:.2g}%"
            f"{not_finite_in_checks(done)}"
        )
    if done["interpolated"] and done.get("gaps"):  # not in older files
        text += f"; {gaps.describe(done['gaps'])}"
    return text


def not_finite_in_checks(done: dict[str, Any]) -> str:
    """A clause on losses that are not finite where the checks had predicted finite ones; or "".

    Examples
    --------
    >>> check = {"points": 30, "within": 28, "largest_error": 0.0, "not_finite": 2}
    >>> not_finite_in_checks({"checks": [check, {**check, "not_finite": 0}]})
    '; at 2 of 60 random points the loss was not finite, unpredicted; expect the same elsewhere'
    """
    points = sum(check["points"] for check in done["checks"])
    wrong = sum(check.get("not_finite", 0) for check in done["checks"])  # not in older files
    if not wrong:
        return ""
    return (
        f"; at {wrong} of {points} random points the loss was not finite, unpredicted; expect "
        "the same elsewhere"
    )


def stated_errors(done: dict[str, Any]) -> str:
    """The estimated errors of a finished refinement, as shares of the range, in a clause.

    Examples
    --------
    >>> stated_errors({"estimated_error": 0.0095, "estimated_error_95": None})
    'the largest error is estimated at 0.95% of the range'
    """
    largest, most = done.get("estimated_error"), done.get("estimated_error_95")
    if largest is None:
        return "the largest error is unknown"
    if most is None:  # older files
        return f"the largest error is estimated at {100 * largest:.2g}% of the range"
    return (
        f"95% of these are within {100 * most:.2g}% of the range, the largest error is estimated "
        f"at {100 * largest:.2g}%"
    )


def _bounding_factor(ratios: np.ndarray) -> float:
    if not ratios.size:
        return np.inf
    return max(1.0, float(np.quantile(ratios, _WITHIN, method="higher")))
