"""One threshold of persistence for a whole landscape, up to which pairs may be noise.

The mean loss over n samples is an estimate; its bumps have persistence even where the loss has
none. The threshold here bounds, with a stated confidence, the persistence that noise alone can
make, and what the interpolation of points may. ``docs/significance.md`` has the method and its
sources. :mod:`losslandscape.analysis.pair_significance` judges each pair on its own instead.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from losslandscape.analysis.diagrams import finite_bottleneck_distance
from losslandscape.analysis.linear_interpolation import linear_interpolation_matrix
from losslandscape.analysis.resampling import blocks, bootstrap_counts
from losslandscape.argument_kinds import Word
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.interpolation_errors import interpolation_errors
from losslandscape.landscape.landscape import INTERPOLATED, Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.progress import Progress
from losslandscape.public_calls import public
from losslandscape.topology import persistence_pairs

Method = Literal["studentized", "bootstrap", "bottleneck", "standard_error", "none"]
SCALES = ("log", "linear")
METHODS = ("studentized", "bootstrap", "bottleneck", "standard_error", "none")
_NO_PAIRS = dict.fromkeys(("Birth", "Persistence", "PairType", "IsFinite"), np.empty(0))


@dataclass(frozen=True)
class NoiseThreshold:
    """The persistence up to which a pair cannot be told from noise.

    Attributes
    ----------
    sampling : float
        What sampling noise can make: in units of the loss, or in decades where the scale is log.
        Infinite where noise may hide any feature.
    band : float
        2c of Fasy et al. 2014 from the same draws, at least ``sampling``; NaN without draws of the
        surface.
    method : "bootstrap", "bottleneck", "standard_error" or "none"
    scale : "log" or "linear"
    confidence : float
    points, points_outside : int
        Grid points that were used, and those that were not because a value is missing.
    samples, draws, seed : int or None
        Of the bootstrap.
    interpolation : float
        What interpolation can make: twice the largest estimated error of an interpolated point, on
        the scale. 0 where none is interpolated, NaN where their errors are not known.
    points_interpolated : int
        Which are in neither ``points`` nor ``points_outside``.
    """

    sampling: float
    band: float
    method: Method
    scale: str
    confidence: float
    points: int
    points_outside: int
    samples: int | None = None
    draws: int | None = None
    seed: int | None = None
    interpolation: float = 0.0
    points_interpolated: int = 0

    @property
    def persistence(self) -> float:
        """t: the two together, without the interpolation's where it is not known."""
        known = not np.isnan(self.interpolation)
        return self.sampling + self.interpolation if known else self.sampling

    @property
    def reason(self) -> str:
        """Where the threshold comes from, in a sentence."""
        quantity = "log10 of the mean loss" if self.scale == "log" else "the mean loss"
        share = f"{100 * self.confidence:g}%"
        if self.method == "bootstrap":
            text = (
                f"{share} quantile of max - min of the change of {quantity} in {self.draws} "
                f"bootstrap draws of {self.samples} samples (seed {self.seed}); "
                f"for comparison, the threshold of Fasy et al. 2014 would be {self.band:.4g}"
            )
        elif self.method == "bottleneck":
            text = (
                f"twice the {share} quantile of the bottleneck distance from the persistence "
                f"diagrams of {quantity} in {self.draws} bootstrap draws of {self.samples} samples "
                f"(seed {self.seed}) to the measured one"
            )
        elif self.method == "standard_error":
            text = (
                f"no losses by sample are kept: 2 z(1 - {1 - self.confidence:.4g}/(2 m)) times the "
                f"largest standard error of {quantity} over m = {self.points} points, which knows "
                "nothing of how points vary together and is larger than a bootstrap's"
            )
        else:
            text = "noise is not considered (method 'none', chosen or for lack of errors): "
            if self.points_interpolated:
                text += "nothing is told from sampling noise"
            else:
                text += "t is 0, and nothing is told from noise"
        if np.isinf(self.sampling):
            text += (
                "; it is infinite because draws without the few samples that have a loss above 0 "
                "somewhere have log10 0 = -infinity there: judge on the linear scale"
            )
        if self.points_interpolated:
            text += self._interpolation_reason()
        if self.points_outside and self.method != "none":
            text += f"; {self.points_outside} points without finite values are left out"
        return text

    def _interpolation_reason(self) -> str:
        some = (
            f"the {self.points_interpolated} interpolated points (of "
            f"{self.points + self.points_interpolated})"
        )
        if np.isnan(self.interpolation):
            text = f"; the errors of {some} are not in the file, and t knows nothing of them"
        else:
            text = f"; {self.interpolation:.4g} of t is twice the largest estimated error of {some}"
        if np.isinf(self.interpolation):
            text += (
                ", one of which lies beside values that are not finite, or has a loss that may be "
                "0 within its error: judge on the linear scale"
                if self.scale == "log"
                else ", one of which lies beside values that are not finite"
            )
        if self.method == "bottleneck":
            text += "; in a draw these move by the linearly interpolated change of the evaluated"
        elif self.method != "none":
            text += "; sampling noise is taken at the evaluated ones alone"
        return text

    def to_json(self) -> dict:
        return {"persistence": self.persistence, **asdict(self), "reason": self.reason}


def on_scale(landscape: Landscape, scale: str | None = None) -> tuple[np.ndarray, str]:
    """The mean loss on the scale it is judged on, NaN where it has no finite value there.

    Parameters
    ----------
    scale : "log" or "linear", optional
        The landscape's own by default. With ``"log"``, log10 of the loss.

    Returns
    -------
    values : float64 ndarray, shape ``landscape.grid.shape``
    scale : str

    Raises
    ------
    LossLandscapeError
        If the scale is unknown, no point is left, or a loss of 0 or less has no logarithm.
    """
    scale = scale or landscape.scale
    if scale not in SCALES:
        raise LossLandscapeError(f"scale {scale!r} is not one of {', '.join(SCALES)}")
    loss = landscape.values("loss")
    values = np.where(np.isfinite(loss), loss, np.nan)
    if not np.isfinite(values).any():
        raise LossLandscapeError(
            f"{_where(landscape)}the loss is finite at none of its {loss.size} points"
        )
    if scale == "log":
        count = int((values <= 0).sum())
        if count:
            # left out, they would be holes, and the minimum would be one of their rims
            raise LossLandscapeError(
                f"{_where(landscape)}{count} of {loss.size} points have a loss of 0 or less (the "
                f"lowest: {np.nanmin(values):g}), which has no logarithm; use the linear scale "
                "(scale='linear', --scale linear)"
            )
        values = np.log10(values)
    return values, scale


@public(scale=Word(SCALES), method=Word(METHODS))
def noise_threshold(
    landscape: LandscapeOrPath,
    *,
    scale: str | None = None,
    method: Method | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    quiet: bool = True,
) -> NoiseThreshold:
    """The persistence below which pairs cannot be told from noise.

    Bootstrap of the whole surface: each draw resamples the samples, the same ones at all points,
    which gives a surface f_b beside the measured f. Persistence is unchanged by a constant, and
    moving a field by at most r/2 moves a pair's persistence by at most r (stability theorem), so
    with r_b = max(f_b - f) - min(f_b - f) the threshold t is the ``confidence`` quantile of r_b.
    Fasy et al.'s 2c, the same quantile of ``2 max |f_b - f|``, is given beside it, never smaller.

    Where points are interpolated, the surface is off by their errors too, and t grows by twice the
    largest estimate of them (the same theorem). Such points have no samples: the change f_b - f is
    taken at the evaluated points. Linearly interpolated between these, as ``"bottleneck"`` does, it
    is nowhere larger or smaller than there.

    Parameters
    ----------
    scale : "log" or "linear", optional
        Of mean losses or their log10; the landscape's own by default.
    method : "bootstrap", "bottleneck", "standard_error" or "none", optional
        ``"bootstrap"``, ``"standard_error"`` or ``"none"``, the first that the file has the data
        for. ``"bottleneck"`` (the bottleneck bootstrap, on request; 2-D and 1-D) takes twice the
        quantile of the bottleneck distances between the diagrams of f_b and f: noise that makes
        and moves no critical point, as that on steep slopes, does not count.
        ``"standard_error"`` is t = 2 z(1 - alpha / (2 m)) max SE over the m points, alpha =
        1 - ``confidence``: the same bound from a union over the points (Bonferroni); on the log
        scale SE is that of the log10, SE / (ln 10 mean). ``"none"`` is 0.
    draws : int
        At least 1,000 for a 95% quantile.
    confidence : float
        Between 0 and 1.
    quiet : bool
        Do not say on standard error how far the draws are.

    Raises
    ------
    LossLandscapeError
        If a bootstrap or standard errors are asked for and the file does not hold what they need.

    Notes
    -----
    D. Cohen-Steiner, H. Edelsbrunner, J. Harer, "Stability of persistence diagrams", Discrete &
    Computational Geometry 37, 2007 (section 1). B. T. Fasy, F. Lecci, A. Rinaldo, L. Wasserman, S.
    Balakrishnan, A. Singh, "Confidence sets for persistence diagrams", Annals of Statistics 42(6),
    2014, sections 3 and 4. F. Chazal, B. T. Fasy, F. Lecci, B. Michel, A. Rinaldo, L. Wasserman,
    "Robust topological inference: distance to a measure and kernel distance", JMLR 18(159), 2018
    (the bottleneck bootstrap).

    Examples
    --------
    >>> from losslandscape import Grid
    >>> losses = np.array([[0.0, 1.0], [2.0, 4.0], [1.0, 2.0]], dtype=np.float32)
    >>> line = Landscape(Grid.line(3), {"loss": losses.mean(1)}, np.ones(3, np.int8), np.eye(1),
    ...                  samples={"loss_samples": losses})
    >>> noise_threshold(line, draws=1000).persistence
    0.5
    """
    landscape = opened(landscape)
    if not 0 < confidence < 1:
        raise LossLandscapeError(f"confidence is {confidence:g}; it lies between 0 and 1")
    if method is not None and method not in METHODS[1:]:
        advice = ""
        if method == "studentized":
            advice = "; it judges each pair on its own (find_critical_points), by no threshold"
        raise LossLandscapeError(
            f"method {method!r} is not one of {', '.join(METHODS[1:])}{advice}"
        )
    values, scale = on_scale(landscape, scale)
    method = method or _best_method(landscape)
    interpolated = np.isfinite(values) & (landscape.status == INTERPOLATED)
    if method in ("bootstrap", "bottleneck"):
        found = _bootstrap(
            landscape, values, interpolated, scale, method, draws, seed, confidence, quiet
        )
    elif method == "standard_error":
        found = _from_standard_errors(landscape, values, interpolated, scale, confidence)
    else:
        points = int((np.isfinite(values) & ~interpolated).sum())
        outside = values.size - points - int(interpolated.sum())
        found = NoiseThreshold(0.0, np.nan, "none", scale, confidence, points, outside)
    if not interpolated.any():
        return found
    errors = interpolation_errors(landscape, scale)[interpolated]
    return replace(
        found,
        interpolation=float(2 * errors.max()),
        points_interpolated=int(interpolated.sum()),
    )


def keeps_samples(landscape: Landscape) -> bool:
    """Whether the losses of two samples or more are kept."""
    return landscape.samples.get("loss_samples", np.empty(0)).shape[-1] > 1


def keeps_standard_errors(landscape: Landscape) -> bool:
    """Whether a standard error of the loss is finite."""
    return bool(np.isfinite(landscape.fields.get("loss_standard_error", np.nan)).any())


def _best_method(landscape: Landscape) -> Method:
    if keeps_samples(landscape):
        return "bootstrap"
    return "standard_error" if keeps_standard_errors(landscape) else "none"


def _bootstrap(
    landscape: Landscape,
    values: np.ndarray,
    interpolated: np.ndarray,
    scale: str,
    method: Method,
    draws: int,
    seed: int,
    confidence: float,
    quiet: bool,
) -> NoiseThreshold:
    if draws * (1 - confidence) < 1:
        raise LossLandscapeError(
            f"{draws} bootstrap draws were asked for; they have no {100 * confidence:g}% quantile "
            "(1,000 are the default)"
        )
    losses = landscape.samples.get("loss_samples")
    if losses is None or losses.shape[-1] < 2:
        raise LossLandscapeError(
            f"{_where(landscape)}a bootstrap needs the losses of two samples or more at each point "
            "(variable loss_samples), which are not kept here; evaluate with keep_samples=True "
            "(surface --keep-samples), or take the standard errors (--noise standard_error)"
        )
    losses = losses.reshape(-1, losses.shape[-1])
    usable = np.isfinite(values.ravel()) & np.isfinite(losses).all(axis=1)
    usable &= ~interpolated.ravel()
    if not usable.any():
        raise LossLandscapeError(
            f"{_where(landscape)}no point has finite losses for all samples: nothing to resample"
        )
    if method == "bootstrap":
        spread, largest = bootstrap_deviations(losses, usable, draws, seed, scale == "log", quiet)
        threshold, band = _quantile(spread, confidence), 2 * _quantile(largest, confidence)
    else:
        filled = np.where(interpolated, values, np.nan)
        distances = bottleneck_deviations(
            losses, usable, filled, draws, seed, scale == "log", quiet
        )
        threshold, band = 2 * _quantile(distances, confidence), np.nan
    return NoiseThreshold(
        sampling=threshold,
        band=band,
        method=method,
        scale=scale,
        confidence=confidence,
        points=int(usable.sum()),
        points_outside=int(usable.size - usable.sum() - interpolated.sum()),
        samples=losses.shape[1],
        draws=draws,
        seed=seed,
    )


def bootstrap_deviations(
    losses: np.ndarray,
    usable: np.ndarray,
    draws: int,
    seed: int,
    log: bool,
    quiet: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """How far resampled surfaces lie from the measured one.

    A draw is a vector of multinomial weights, so that all draws are products of two matrices,
    taken in blocks.

    Parameters
    ----------
    losses : ndarray, shape (points, samples)
    usable : ndarray of bool, shape (points,)
        Points to take, whose losses are all finite.
    log : bool
        Compare log10 of the means.
    quiet : bool
        Do not say how far it is.

    Returns
    -------
    spread : ndarray, shape (draws,)
        max(f_b - f) - min(f_b - f). Infinite where, on the log scale, a draw has mean loss 0
        somewhere.
    largest : ndarray, shape (draws,)
        max |f_b - f|.
    """
    points = np.flatnonzero(usable)
    samples = losses.shape[1]
    spread, largest = np.empty((2, draws))
    work = draws, points.size, samples
    with _progress(draws * points.size, "resampled means", work, quiet) as progress:
        for some, counts in bootstrap_counts(draws, samples, seed):
            weights = counts.T / samples
            count = weights.shape[1]
            high, low = np.full(count, -np.inf), np.full(count, np.inf)
            for part in blocks(points.size, samples + count):
                wide = losses[points[part]].astype(np.float64)
                measured, resampled = wide.mean(axis=1, keepdims=True), wide @ weights
                if log:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        change = np.log10(resampled) - np.log10(measured)
                    change[np.isnan(change)] = -np.inf  # a negative mean: off the scale like 0
                else:
                    change = resampled - measured
                np.maximum(high, change.max(axis=0), out=high)
                np.minimum(low, change.min(axis=0), out=low)
                progress.advance(change.size)
            high[np.isinf(low)] = np.inf  # a draw that fell off the log scale
            spread[some] = high - low
            largest[some] = np.maximum(high, -low)
    return spread, largest


def bottleneck_deviations(
    losses: np.ndarray,
    usable: np.ndarray,
    interpolated: np.ndarray,
    draws: int,
    seed: int,
    log: bool,
    quiet: bool = True,
) -> np.ndarray:
    """Bottleneck distances between the diagrams of resampled surfaces and of the measured one.

    An interpolated point has no samples. In a draw it moves by the change of the evaluated points,
    linearly interpolated; where one of these falls off the log scale, it does too.

    Parameters
    ----------
    losses, usable, draws, seed, log, quiet
        As for :func:`bootstrap_deviations`; the draws are the same.
    interpolated : ndarray, shape of the grid
        Values at interpolated points, on the scale; NaN elsewhere.

    Returns
    -------
    ndarray, shape (draws,)
        Of the finite pairs.
    """
    points, filled = np.flatnonzero(usable), np.flatnonzero(np.isfinite(interpolated))
    samples = losses.shape[1]
    wide = losses[points].astype(np.float64)
    places = np.argwhere(np.ones(interpolated.shape, dtype=bool)).astype(np.float64)
    between = linear_interpolation_matrix(places[points], places[filled])

    def on_the_scale(means: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(means) if log else means

    def diagram(at_points: np.ndarray, at_filled: np.ndarray) -> dict[str, np.ndarray]:
        field = np.full(usable.size, np.nan)
        field[points], field[filled] = at_points, at_filled
        if np.nanmin(field) == np.nanmax(field):
            return _NO_PAIRS
        return persistence_pairs(field.reshape(interpolated.shape))

    measured, between_values = on_the_scale(wide.mean(axis=1)), interpolated.ravel()[filled]
    reference = diagram(measured, between_values)

    def distance(drawn: np.ndarray) -> float:
        off = ~np.isfinite(drawn)
        if off.all():
            return np.inf
        change = between @ np.where(off, 0.0, drawn - measured)
        change[between @ off > 0] = -np.inf
        resampled = diagram(drawn, between_values + change)
        return max(finite_bottleneck_distance(reference, resampled, kind) for kind in (0, 1))

    distances = []
    work = draws, points.size, samples
    with _progress(draws, "persistence diagrams", work, quiet) as progress:
        for _, counts in bootstrap_counts(draws, samples, seed, samples + points.size):
            for means in (wide @ (counts.T / samples)).T:
                distances.append(distance(on_the_scale(means)))
                progress.advance()
    return np.array(distances)


def _progress(total: int, unit: str, work: tuple[int, int, int], quiet: bool) -> Progress:
    """Of a bootstrap; ``work`` is draws, points, samples."""
    draws, points, samples = work
    words = f"{draws:,} draws of {points:,} points, {samples:,} samples each"
    return Progress(total, "bootstrap", work=words, unit=unit, quiet=quiet)


def _quantile(values: np.ndarray, confidence: float) -> float:
    # an order statistic: interpolating between a finite and an infinite draw has no value
    return float(np.quantile(values, confidence, method="higher"))


def _from_standard_errors(
    landscape: Landscape,
    values: np.ndarray,
    interpolated: np.ndarray,
    scale: str,
    confidence: float,
) -> NoiseThreshold:
    errors = landscape.fields.get("loss_standard_error")
    usable = np.isfinite(values) & np.isfinite(np.nan if errors is None else errors)
    usable &= ~interpolated
    if errors is None or not usable.any():
        raise LossLandscapeError(
            f"{_where(landscape)}there is no finite standard error (variable loss_standard_error)"
        )
    errors = errors[usable]
    if scale == "log":  # first-order error of a logarithm
        errors = errors / (np.log(10) * landscape.values("loss")[usable])
    points = int(usable.sum())
    z = NormalDist().inv_cdf(1 - (1 - confidence) / (2 * points))
    return NoiseThreshold(
        sampling=float(2 * z * errors.max()),
        band=np.nan,
        method="standard_error",
        scale=scale,
        confidence=confidence,
        points=points,
        points_outside=int(usable.size - points - interpolated.sum()),
    )


def _where(landscape: Landscape) -> str:
    return f"{landscape.path}: " if landscape.path is not None else ""
