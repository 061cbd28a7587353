"""Which pairs of critical points are the loss's: each judged by its own standard error.

A pair is an extremum and the saddle that ends it. Its extremum is one of the population's surface
if all paths to the others cross points where the loss differs by more than sampling noise can make.
These differences are means over samples, so that each has a standard error of its own, from
per-sample differences. Which pairs there are is itself the work of noise; the level is
corrected for that. ``docs/significance.md`` has the method, its sources and the found error rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.special import ndtri, stdtr

from losslandscape.analysis.linear_interpolation import linear_interpolation_matrix
from losslandscape.analysis.resampling import blocks, bootstrap_counts
from losslandscape.analysis.significance import SCALES
from losslandscape.argument_kinds import ANYTHING, Table, Word, described
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.interpolation_errors import interpolation_errors
from losslandscape.landscape.landscape import INTERPOLATED, Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.progress import Progress
from losslandscape.public_calls import public
from losslandscape.topology import persistence_pairs

# A draw's change is enlarged by this factor where it decides which pairs there are. The measured
# surface has noise of its own, in which pairs are already selected: unless the draw's is larger,
# the draws show too little of what selection does.
_ENLARGED = 2.0
_NEIGHBORS = {1: np.ones(3, bool), 2: np.array([[0, 1, 1], [1, 1, 1], [1, 1, 0]], bool)}


@dataclass(frozen=True)
class PairSignificance:
    """The significance of the pairs of a landscape's persistence diagram.

    Attributes
    ----------
    p_values : float64 ndarray, shape (pairs,)
        Probability that noise alone makes a pair as certain as this one anywhere on the surface
        (adjusted for all pairs). NaN for a pair that never ends.
    significant : ndarray of bool, shape (pairs,)
        Whether the p value is at most 1 - ``confidence``. False for a pair that never ends.
    critical : float
        How many standard errors a pair needs, if the losses of many samples carry it.
    persistence : float
        The largest persistence of a pair that is not significant, 0 without any: pairs above are
        all significant, and some below may be. In units of the loss, or in decades on a log scale.
    scale : "log" or "linear"
        Of the persistence.
    scales : tuple of str
        Those on which differences were judged.
    confidence : float
    points, points_interpolated, points_outside : int
        Grid points with samples, those interpolated, and those left out because a value is missing.
    interpolation : float
        Largest estimated error of an interpolated point, on the scale. 0 where none is
        interpolated, NaN where their errors are not known.
    samples, draws, seed : int
        Of the bootstrap.
    """

    p_values: np.ndarray
    significant: np.ndarray
    critical: float
    persistence: float
    scale: str
    scales: tuple[str, ...]
    confidence: float
    points: int
    points_interpolated: int
    points_outside: int
    interpolation: float
    samples: int
    draws: int
    seed: int
    method: str = "studentized"

    @property
    def reason(self) -> str:
        """How pairs are judged, in a sentence."""
        quantity = "the mean loss, or its log10," if "log" in self.scales else "the mean loss"
        text = (
            f"on all paths between two extrema, {quantity} must somewhere differ from both by "
            f"{self.critical:.3g} standard errors of the difference, the "
            f"{100 * self.confidence:g}% quantile for all pairs at once from {self.draws} "
            f"bootstrap draws of {self.samples} samples (seed {self.seed})"
        )
        if "log" in self.scales:
            text += "; on the log scale by more where few samples carry the loss"
        if self.points_interpolated:
            some = (
                f"the {self.points_interpolated} interpolated points (of "
                f"{self.points + self.points_interpolated})"
            )
            if np.isnan(self.interpolation):
                text += f"; the errors of {some} are not in the file and are not included"
            else:
                text += f"; differences are reduced by the estimated errors of {some}"
        if self.points_outside:
            text += f"; {self.points_outside} points without finite values are left out"
        return text

    def to_json(self) -> dict:
        rest = {name: value for name, value in asdict(self).items() if np.ndim(value) == 0}
        return {**rest, "scales": list(self.scales), "reason": self.reason}


@public(values=ANYTHING, scale=Word(SCALES), pairs=Table("of persistence_pairs(values)"))
def pair_significance(
    landscape: LandscapeOrPath,
    values: np.ndarray,
    scale: str,
    pairs: Mapping[str, np.ndarray],
    *,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    quiet: bool = True,
) -> PairSignificance:
    """Judge each pair of a persistence diagram by the standard errors of its own differences.

    Two minima m and a are the population's if each path between them crosses a point v where the
    population's loss is larger than at both. So they are separated by the pass in the field
    min over x in (m, a) of (f(v) - f(x)) / SE(v, x): the least height that a path must reach.
    SE(v, x) is the standard error of the mean of the per-sample differences. From the oldest to the
    youngest, each minimum is compared with the significant ones before it, of which the lowest is
    always one. Its statistic is the least pass, or the same ratio at the saddle that ends it, if
    that is less. A minimum that fails at its saddle is not compared further. Maxima are judged
    upside down, and also compared with the edge of the domain.

    Which of two losses is larger does not depend on the scale. On the log scale, each difference is
    therefore taken both as it is and of log10, with the standard error to first order, and the
    larger ratio counts. On the linear scale it is taken as it is alone, so that adding a constant
    to all losses changes nothing.

    Its null distribution accounts for which pairs noise selects, anywhere on the surface. Each
    bootstrap draw has a change e of f, the mean loss on its scale; if a draw has a mean of 0, all
    is done on the linear scale. The pairs of f + 2 e are found, and the largest
    (e(s) - e(m)) / SE(s, m) of them is kept, times sqrt(1 + 1/4): f's own noise has 1/5 of the
    variance that selects these pairs, so a draw sees only a part of what selection does. The
    p value of a pair is the share of draws in which that is at least its statistic.

    Before, each ratio is mapped from Student's t distribution to the normal one of the same
    probability. It has n - 1 degrees of freedom on the linear scale. There a ratio cannot exceed
    the square root of the number of samples that carry the difference, so that a few samples make
    no pair significant. On the log scale they could: the ratio of two losses that one sample
    carries has no error at all. There the degrees of freedom are 2 K - 1, at most n - 1, with K =
    (sum of losses)^2 / (sum of squares) at m or v, the less. 2 K is the number of samples that have
    a loss, if it is exponential.

    Parameters
    ----------
    values : float64 ndarray, shape ``landscape.grid.shape``
        The loss on its scale, NaN outside the domain.
    scale : "log" or "linear"
    pairs : dict of ndarray
        Of :func:`losslandscape.topology.persistence_pairs` for the values.
    draws, seed : int
    confidence : float
    quiet : bool
        Do not say on standard error how far the draws are.

    Raises
    ------
    LossLandscapeError
        If the losses of two samples or more are not kept, or there are too few draws.

    Notes
    -----
    P. H. Westfall, S. S. Young, "Resampling-Based Multiple Testing", 1993 (the largest statistic).
    R. L. Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling", Technometrics 24,
    1982 (intersection-union tests). L. Kish, "Survey Sampling", 1965 (K). P. J. Bickel, F. Goetze,
    W. R. van Zwet, "Resampling Fewer Than n Observations", Statistica Sinica 7, 1997 (draws with
    more noise where the plain bootstrap is not consistent). F. Chazal, B. T. Fasy, F. Lecci, B.
    Michel, A. Rinaldo, L. Wasserman, "Robust Topological Inference", JMLR 18(159), 2018 (bootstrap
    of persistence diagrams).

    Examples
    --------
    >>> from losslandscape import Grid
    >>> losses = np.array([0.0, 3.0, 1.0, 5.0])[:, None] + np.random.default_rng(0).normal(
    ...     0, 0.5, (4, 50))
    >>> line = Landscape(Grid.line(4), {"loss": losses.mean(1)}, np.ones(4, np.int8), np.eye(1),
    ...                  samples={"loss_samples": losses})
    >>> found = pair_significance(line, line.values(), "linear", persistence_pairs(line.values()))
    >>> found.significant, found.p_values.round(3)
    (array([False,  True]), array([  nan, 0.001]))
    """
    landscape = opened(landscape)
    _check_field(landscape, values, pairs)
    if draws * (1 - confidence) < 1:
        raise LossLandscapeError(
            f"{draws} bootstrap draws were asked for; they have no {100 * confidence:g}% quantile "
            "(1,000 are the default)"
        )
    changes = _Changes(landscape, values, scale)
    largest = _largest_of_noise(changes, draws, seed, quiet)
    if largest is None:
        changes.scales = ("linear",)
        largest = _largest_of_noise(changes, draws, seed, quiet)
        assert largest is not None
    largest.sort()
    level = 1 - confidence + 1e-12

    def p_value(statistics: np.ndarray | float) -> np.ndarray:
        return (1 + draws - np.searchsorted(largest, statistics, side="left")) / (1 + draws)

    statistics = _at_saddles(changes, pairs)
    separations = _Separations(changes, pairs)
    for kind in (0, 1):
        for i in separations.oldest_first(kind):
            if pairs["Persistence"][i] > 0 and p_value(statistics[i]) <= level:
                statistics[i] = min(statistics[i], separations.least(i))
                if p_value(statistics[i]) <= level:
                    separations.keep(i)
    p_values = np.where(pairs["IsFinite"] == 1, p_value(statistics), np.nan)
    significant = p_values <= level
    others = (pairs["IsFinite"] == 1) & ~significant
    allowed = min(int((1 - confidence) * (1 + draws) + 1e-9), draws) - 1
    interpolated = np.isfinite(values) & (landscape.status == INTERPOLATED)
    return PairSignificance(
        p_values=p_values,
        significant=significant,
        critical=float(largest[::-1][allowed]),
        persistence=float(pairs["Persistence"][others].max(initial=0.0)),
        scale=scale,
        scales=changes.scales,
        confidence=confidence,
        points=int(changes.evaluated.sum()),
        points_interpolated=int(interpolated.sum()),
        points_outside=int(values.size - changes.evaluated.sum() - interpolated.sum()),
        interpolation=float(interpolation_errors(landscape, scale)[interpolated].max(initial=0.0)),
        samples=changes.samples,
        draws=draws,
        seed=seed,
    )


_ARRAYS = ("birth_vertex", "death_vertex", "PairType", "IsFinite", "Birth", "Persistence")


def _check_field(landscape: Landscape, values: np.ndarray, pairs: Mapping[str, Any]) -> None:
    """Raise a LossLandscapeError if values are not on the grid, or pairs not of the values."""
    shape = landscape.grid.shape
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype.kind != "f":
        raise LossLandscapeError(
            f"values is {described(values)}; pass an array of floats on the grid, shape {shape}"
        )
    arrays = [pairs[name] for name in _ARRAYS if isinstance(pairs.get(name), np.ndarray)]
    fits = len(arrays) == len(_ARRAYS) and len({one.shape for one in arrays}) == 1
    if fits:
        births, deaths, *_, heights = arrays[0], arrays[1], arrays[4]
        ends = np.concatenate([births, deaths]).ravel()
        fits = ends.dtype.kind in "iu" and bool(((ends >= 0) & (ends < values.size)).all())
        fits = fits and np.array_equal(values.ravel()[births], heights)
    if not fits:
        raise LossLandscapeError(
            "pairs are not those of the values; pass losslandscape.topology.persistence_pairs("
            "values)"
        )


class _Changes:
    """What samples contribute to the loss, and its changes when they are drawn again.

    Both on the scales on which differences are judged. An interpolated point has the linearly
    interpolated contributions of the evaluated ones.
    """

    def __init__(self, landscape: Landscape, values: np.ndarray, scale: str):
        losses = landscape.samples.get("loss_samples")
        where = f"{landscape.path}: " if landscape.path is not None else ""
        if losses is None or losses.shape[-1] < 2:
            raise LossLandscapeError(
                f"{where}a bootstrap needs the losses of two samples or more at each point "
                "(variable loss_samples), which are not kept here; evaluate with keep_samples=True "
                "(surface --keep-samples), or take the standard errors (--noise standard_error)"
            )
        self.losses = losses.reshape(values.size, -1)
        self.samples = self.losses.shape[1]
        finite = np.isfinite(values.ravel())
        self.evaluated = finite & np.isfinite(self.losses).all(axis=1)
        self.evaluated &= landscape.status.ravel() != INTERPOLATED
        if not self.evaluated.any():
            raise LossLandscapeError(
                f"{where}no point has finite losses for all samples: nothing to resample"
            )
        self.points = np.flatnonzero(self.evaluated)
        self.moved = np.flatnonzero(finite & ~self.evaluated)
        places = np.argwhere(np.ones(values.shape, bool)).astype(np.float64)
        self.between = linear_interpolation_matrix(places[self.points], places[self.moved])
        self.number = np.full(values.size, -1)
        self.number[self.points] = np.arange(self.points.size)
        self.number[self.moved] = np.arange(self.moved.size)
        self._order_samples()
        linear = np.where(np.isfinite(values), landscape.values("loss"), np.nan)
        self.fields = {"linear": linear}
        self.scales: tuple[str, ...] = ("linear",)
        if scale == "log" and self.lowest_mean > 0:
            self.fields["log"] = values
            self.scales = ("linear", "log")
        self.errors = {}  # of interpolation, 0 where they are not known
        for name in self.scales:
            errors = np.where(finite, interpolation_errors(landscape, name).ravel(), 0.0)
            self.errors[name] = np.where(np.isnan(errors), 0.0, errors)

    def _order_samples(self) -> None:
        """The order in which samples take the draws' counts: by their losses, not their places."""
        sums = np.zeros((2, self.samples))
        self.lowest_mean = np.inf
        for part in blocks(self.points.size, self.samples):
            wide = self.losses[self.points[part]].astype(np.float64)
            sums[0] += wide.sum(axis=0)
            self.lowest_mean = min(self.lowest_mean, float(wide.mean(axis=1).min()))
            sums[1] += (wide * np.arange(part.start, part.stop)[:, None]).sum(axis=0)
        self.order = np.lexsort(sums[::-1])

    def contributions(self, vertices: np.ndarray, scale: str) -> np.ndarray:
        """Of each sample to the field, shape (vertices, samples); means differ as the field does.

        On the log scale to first order.
        """
        rows = np.empty((vertices.size, self.samples))
        known = self.evaluated[vertices]
        rows[known] = self._evaluated(vertices[known], scale)
        if not known.all():
            weights = self.between[self.number[vertices[~known]]]
            used = np.unique(weights.indices)
            rows[~known] = weights[:, used] @ self._evaluated(self.points[used], scale)
        return rows

    def _evaluated(self, vertices: np.ndarray, scale: str) -> np.ndarray:
        wide = self.losses[vertices].astype(np.float64)
        if scale == "log":
            wide /= np.log(10) * wide.mean(axis=1, keepdims=True)
        return wide

    def studentized(
        self, vertices: np.ndarray, others: np.ndarray, sign: int, scale: str
    ) -> np.ndarray:
        """Differences of the field against their errors, as normal variables.

        Differences are reduced by the interpolation errors of both points. The normal variable has
        the probability of the ratio by Student's t.
        """
        heights = sign * self.fields[scale].ravel()
        margins = heights[vertices] - heights[others]
        margins -= self.errors[scale][vertices] + self.errors[scale][others]
        size = np.maximum(np.abs(heights[vertices]), np.abs(heights[others]))
        margins[np.abs(margins) <= 8 * np.finfo(np.float64).eps * size] = 0.0
        ratios = margins / self.standard_errors(vertices, others, scale)
        freedom = np.full(vertices.size, self.samples - 1.0)
        if scale == "log":
            carrying = np.minimum(self._carrying(vertices), self._carrying(others))
            freedom = np.minimum(freedom, 2 * carrying - 1)
        return -ndtri(stdtr(freedom, -ratios))

    def _carrying(self, vertices: np.ndarray) -> np.ndarray:
        """Kish's effective number of samples that carry the loss."""
        found = np.empty(vertices.size)
        for part in blocks(vertices.size, 2 * self.samples):
            losses = self.contributions(vertices[part], "linear")
            found[part] = losses.sum(axis=1) ** 2 / np.square(losses).sum(axis=1)
        return found

    def standard_errors(self, one: np.ndarray, other: np.ndarray, scale: str) -> np.ndarray:
        """Of the differences of the field at pairs of vertices.

        They are at least what the rounding of the losses makes.
        """
        errors = np.empty(one.size)
        rounding = np.finfo(self.losses.dtype).eps
        for part in blocks(one.size, 3 * self.samples):
            first = self.contributions(one[part], scale)
            second = self.contributions(other[part], scale)
            size = np.abs(first).max(axis=1) + np.abs(second).max(axis=1)
            spread = np.maximum((first - second).std(axis=1, ddof=1), rounding * size)
            errors[part] = spread / np.sqrt(self.samples)
        return np.maximum(errors, np.finfo(np.float64).tiny)

    def of_draws(self, counts: np.ndarray) -> dict[str, np.ndarray] | None:
        """Changes of the field in draws by scale, shape (draws, points); NaN outside the domain.

        None if a draw falls off the log scale.
        """
        weights = np.empty(counts.shape[::-1])
        weights[self.order] = counts.T / self.samples
        shape = (len(self.evaluated), len(counts))
        changes = {scale: np.full(shape, np.nan) for scale in self.scales}
        for part in blocks(self.points.size, self.samples + 2 * len(counts)):
            wide = self.losses[self.points[part]].astype(np.float64)
            measured, drawn = wide.mean(axis=1, keepdims=True), wide @ weights
            changes["linear"][self.points[part]] = drawn - measured
            if "log" in changes:
                if not (drawn > 0).all():
                    return None
                changes["log"][self.points[part]] = np.log10(drawn / measured)
        for change in changes.values():
            change[self.moved] = self.between @ change[self.points]
        return {scale: change.T for scale, change in changes.items()}


def _at_saddles(changes: _Changes, pairs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Of each pair, the studentized difference between its two points; 0 without persistence."""
    birth, death = pairs["birth_vertex"].astype(np.intp), pairs["death_vertex"].astype(np.intp)
    found = np.max([changes.studentized(death, birth, 1, scale) for scale in changes.scales], 0)
    return np.where((pairs["IsFinite"] == 1) & (pairs["Persistence"] > 0), found, 0.0)


class _Separations:
    """Extrema that are separated from each other, to which further ones are compared."""

    def __init__(self, changes: _Changes, pairs: Mapping[str, np.ndarray]):
        self.changes, self.pairs = changes, pairs
        self.domain = np.isfinite(changes.fields["linear"])
        self.neighbors = _NEIGHBORS[self.domain.ndim]
        self.edge = self.domain & ~ndimage.binary_erosion(self.domain, self.neighbors)
        endless = (pairs["IsFinite"] == 0) & (pairs["PairType"] == 0)
        self.kept: dict[int, dict[int, np.ndarray]] = {0: {}, 1: {}}
        for vertex in pairs["birth_vertex"][endless].tolist():
            self.kept[0][vertex] = self._heights(vertex, 1)

    def oldest_first(self, kind: int) -> list[int]:
        chosen = np.flatnonzero((self.pairs["IsFinite"] == 1) & (self.pairs["PairType"] == kind))
        if kind == 0:
            return chosen.tolist()  # in order of birth
        ends = self.pairs["Birth"] + self.pairs["Persistence"]
        return chosen[np.argsort(-ends[chosen], kind="stable")].tolist()

    def _extremum(self, i: int) -> tuple[int, int]:
        kind = int(self.pairs["PairType"][i])
        return kind, int(self.pairs["death_vertex" if kind else "birth_vertex"][i])

    def _heights(self, extremum: int, sign: int) -> np.ndarray:
        """How certainly each point is above a minimum (or below a maximum), shape of the grid."""
        points = np.flatnonzero(self.domain)
        same = np.full(points.size, extremum)
        heights = np.full(self.domain.size, np.inf)  # no path leaves the domain
        heights[points] = np.max(
            [self.changes.studentized(points, same, sign, one) for one in self.changes.scales], 0
        )
        return heights.reshape(self.domain.shape)

    def least(self, i: int) -> float:
        """The pass, on the way to any extremum that is kept, is so high above both; the least."""
        kind, extremum = self._extremum(i)
        heights = self._heights(extremum, 1 - 2 * kind)
        self._last = heights
        least = np.inf
        for other, of_other in self.kept[kind].items():
            goal = np.zeros(self.domain.shape, bool)
            goal.ravel()[other] = True
            least = min(least, self._pass(np.minimum(heights, of_other), extremum, goal))
        if kind == 1:
            least = min(least, self._pass(heights, extremum, self.edge))
        return least

    def keep(self, i: int) -> None:
        """Keep the extremum that was compared last."""
        kind, extremum = self._extremum(i)
        self.kept[kind][extremum] = self._last

    def _pass(self, heights: np.ndarray, start: int, goal: np.ndarray) -> float:
        """The least height that a path from the start to the goal reaches between them."""
        heights = heights.copy()
        heights.ravel()[start] = -np.inf
        if goal.sum() == 1:
            heights[goal] = -np.inf
        levels = np.unique(heights[np.isfinite(heights)])
        low, high = 0, levels.size  # the first level at which they are connected
        while low < high:
            middle = (low + high) // 2
            labels, _ = ndimage.label(heights <= levels[middle], self.neighbors)
            if (labels[goal] == labels.ravel()[start]).any():
                high = middle
            else:
                low = middle + 1
        return float(levels[low]) if low < levels.size else np.inf


def _largest_of_noise(changes: _Changes, draws: int, seed: int, quiet: bool) -> np.ndarray | None:
    """In each draw, the largest studentized change of a pair that the change itself selects.

    None if a draw falls off the log scale.
    """
    scale = changes.scales[-1]
    field = changes.fields[scale]
    shape, size = field.shape, field.size
    # the fields of a block lie one above the other with a row of holes between, so that one call
    # finds the pairs of all
    gap = 1 if len(shape) == 1 else shape[1]
    width = (-1,) if len(shape) == 1 else (-1, shape[1])
    largest = np.zeros(draws)
    correction = np.sqrt(1 + 1 / _ENLARGED**2)
    words = f"{draws:,} draws of {changes.points.size:,} points, {changes.samples:,} samples each"
    with Progress(
        draws, "bootstrap", work=words, unit="persistence diagrams", quiet=quiet
    ) as progress:
        row = changes.samples + 16 * (size + gap)
        for some, counts in bootstrap_counts(draws, changes.samples, seed, row):
            change = changes.of_draws(counts)
            if change is None:
                return None
            fields = np.full((len(counts), size + gap), np.nan)
            fields[:, :size] = field.ravel() + _ENLARGED * change[scale]
            progress.advance(len(counts))
            if np.nanmin(fields) == np.nanmax(fields):
                continue  # no pairs
            found = persistence_pairs(fields.reshape(width))
            kept = (found["IsFinite"] == 1) & (found["Persistence"] > 0)
            draw, death = np.divmod(found["death_vertex"][kept].astype(np.int64), size + gap)
            birth = found["birth_vertex"][kept].astype(np.int64) % (size + gap)
            codes, which = np.unique(death * size + birth, return_inverse=True)
            for name, moved in change.items():
                errors = changes.standard_errors(*np.divmod(codes, size), name)[which]
                studentized = (moved[draw, death] - moved[draw, birth]) / errors
                np.maximum.at(largest[some], draw, correction * studentized)
    return largest
