"""How far off the size of a flat region may be, by each cause.

The region of a grid is cut out by straight lines between grid points, its values may be
interpolated, and the loss itself is a mean over samples; ``docs/flatness.md`` says what each of
these does to the size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.interpolate import make_interp_spline

from losslandscape.analysis.linear_interpolation import linear_interpolation_matrix
from losslandscape.analysis.resampling import bootstrap_counts
from losslandscape.analysis.sublevel_set import PiecewiseLinearField, Region
from losslandscape.landscape.confidence import largest_usual_loss
from losslandscape.landscape.interpolation_errors import interpolation_errors
from losslandscape.landscape.landscape import INTERPOLATED, Landscape
from losslandscape.landscape.mean_intervals import effective_samples, mean_interval, undrawn_share

_FINER = 4  # parts of a spacing, between which the field is a cubic spline
_FINER_POINTS = {1: 200_000, 2: 200_000, 3: 40_000}  # by dimensions; else fewer parts
_MARGIN = 5  # grid points around the region; the spline forgets its ends over about as many
_LEVELS = (0.025, 0.975)
FEWEST_SAMPLES = 3  # samples that must carry half of the variance; from benchmarks/coverage


@dataclass(frozen=True)
class SizeErrors:
    """Errors of a region's size, in the units of the size.

    Attributes
    ----------
    discretization : float
        From the difference to the region of a cubic spline on a four times finer grid (coarser for
        large volumes), 16/15 of it, because the error falls with the square of the spacing; NaN
        where a point around the region has no value.
    interpolation : float
        Half of the change of the size when all interpolated points have their estimated error up
        and then down; 0 where none is interpolated, NaN where their errors are not known.
    sampling : tuple of float, or None
        The central 95% of the sizes when the samples are drawn again (bootstrap, percentiles);
        None where no per-sample losses are kept, or no draws were asked for.
    draws, seed : int
        Of the bootstrap.
    draws_at_edge : int
        Draws whose region reaches the window's edge, and may be larger than what was counted.
    effective_samples : int or None
        Samples that carry half of the variance of the rise from the minimum to the region's edge.
    sampling_trusted : bool or None
        Whether the interval can be trusted; see :func:`trusted_rise`. None without an interval.
    joins : float
        Size of the parts that may be joined to the region, or cut off from it, between grid points;
        see :func:`losslandscape.analysis.region_joins.doubtful_points`.
    """

    discretization: float
    interpolation: float
    sampling: tuple[float, float] | None
    draws: int
    seed: int
    draws_at_edge: int = 0
    effective_samples: int | None = None
    sampling_trusted: bool | None = None
    joins: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def discretization_error(
    field: np.ndarray, spacing: np.ndarray, level: float, region: Region, vertex: int
) -> float:
    """How the size changes where the field is a cubic spline instead of linear on triangles.

    Parameters
    ----------
    field : float64 ndarray, slowest axis first
        On the scale that is interpolated.
    spacing : ndarray, shape (dimensions,)
        Of the grid, fastest axis first.
    vertex : int
        Number of the grid point that the region holds.

    Returns
    -------
    float
        In units of the size; NaN where a value around the region is missing.
    """
    places = np.argwhere(region.vertices)
    low = np.maximum(places.min(axis=0) - _MARGIN, 0)
    high = np.minimum(places.max(axis=0) + _MARGIN, np.array(field.shape) - 1)
    part = field[tuple(slice(a, b + 1) for a, b in zip(low, high))]
    if not np.isfinite(part).all() or min(part.shape) < 4:
        return float("nan")
    start = np.array(np.unravel_index(vertex, field.shape)) - low
    finer = _FINER
    while np.prod([(n - 1) * finer + 1 for n in part.shape]) > _FINER_POINTS[field.ndim]:
        finer -= 1
    if finer < 2:  # too large: what a grid twice as coarse gives; its error is four times larger
        coarse = part[tuple(slice(place % 2, None, 2) for place in start)]
        return abs(_size(coarse, 2 * spacing, level, start // 2) - region.size) / 3
    axes = [np.arange((n - 1) * finer + 1) / finer for n in part.shape]
    fine: np.ndarray = part
    for axis, finer_places in enumerate(axes):
        spline = make_interp_spline(np.arange(part.shape[axis]), fine, k=3, axis=axis)
        fine = np.asarray(spline(finer_places))
    # straight lines on the finer grid leave an error too, of a share 1 / finer^2
    change = abs(_size(fine, spacing / finer, level, start * finer) - region.size)
    return change / (1 - 1 / finer**2)


def _size(values: np.ndarray, spacing: np.ndarray, level: float, place: np.ndarray) -> float:
    """Size of the component that holds a place, an index of the values."""
    points = np.argwhere(np.ones(values.shape, bool))[:, ::-1] * spacing
    vertex = int(np.ravel_multi_index(tuple(place), values.shape))
    return PiecewiseLinearField(points, values).component(level, vertex).size


def interpolation_error(
    landscape: Landscape, scale: str, field: PiecewiseLinearField, values: np.ndarray, level: float,
    vertex: int,
) -> float:  # fmt: skip
    """Half of the size's change when the interpolated values are too low, and then too high."""
    interpolated = np.isfinite(values) & (landscape.status == INTERPOLATED)
    if not interpolated.any():
        return 0.0
    errors = np.where(interpolated, interpolation_errors(landscape, scale), 0.0)
    if not np.isfinite(errors[np.isfinite(values)]).all():
        return float("nan")
    sizes = [
        field.with_values(values + sign * errors).component(level, vertex).size for sign in (-1, 1)
    ]
    return abs(sizes[0] - sizes[1]) / 2


def resampled_fields(
    landscape: Landscape, values: np.ndarray, scale: str, draws: int, seed: int
) -> Iterator[np.ndarray] | None:
    """Fields of the mean loss when the samples are drawn again, on the scale; None without losses.

    An interpolated point moves by the change of the evaluated points, linearly interpolated.
    """
    losses = landscape.samples.get("loss_samples")
    if losses is None or losses.shape[-1] < 2 or draws < 1:
        return None
    losses = losses.reshape(values.size, -1)
    flat = values.ravel()
    evaluated = np.isfinite(flat) & np.isfinite(losses).all(axis=1)
    moved = np.isfinite(flat) & ~evaluated
    if not evaluated.any():
        return None
    wide = losses[evaluated].astype(np.float64)
    places = np.argwhere(np.ones(values.shape, bool)).astype(np.float64)
    between = linear_interpolation_matrix(places[evaluated], places[moved])
    measured = flat[evaluated]

    def fields() -> Iterator[np.ndarray]:
        count = wide.shape[1]
        drawn = (row for _, rows in bootstrap_counts(draws, count, seed) for row in rows)
        for counts in drawn:
            means = wide @ (counts / count)
            if scale == "log":
                with np.errstate(divide="ignore", invalid="ignore"):
                    means = np.log10(means)
            field = np.full(flat.size, np.nan)
            field[evaluated] = means
            off = ~np.isfinite(means)
            change = between @ np.where(off, 0.0, means - measured)
            field[moved] = np.where(between @ off > 0, -np.inf, flat[moved] + change)
            yield field.reshape(values.shape)

    return fields()


def trusted_rise(
    landscape: Landscape,
    edge: np.ndarray,
    inside: np.ndarray,
    vertex: int,
    factor: float = 1.0,
) -> tuple[int, bool] | None:
    """Whether enough samples decide where the region ends.

    The region ends where the loss has risen enough above the minimum. The rise of a sample is the
    mean of its losses at the grid points of the region's edge, less its loss at the minimum. A
    bootstrap of few large rises covers too seldom: it can be trusted if at least three samples
    carry half of their variance, and samples that were not drawn could not raise the mean beyond
    its interval. ``benchmarks/coverage/flat_regions.py`` finds the coverage.

    Parameters
    ----------
    edge, inside : bool ndarray, shape ``landscape.grid.shape``
        Grid points on both sides of the region's edge, and those of the region.
    vertex : int
        Number of the minimum's grid point. If it is interpolated, the lowest evaluated point of the
        region stands for it.
    factor : float
        Of the minimum's loss, if epsilon was given by a factor.

    Returns
    -------
    effective_samples : int
        That carry half of the variance.
    trusted : bool
        Both are in a tuple; None without losses of two samples at these points.
    """
    losses = landscape.samples.get("loss_samples")
    if losses is None or losses.shape[-1] < 2:
        return None
    losses = losses.reshape(edge.size, -1)
    measured = np.isfinite(losses).all(axis=1)
    known = edge.ravel() & measured
    if not known.any():
        return None
    if not measured[vertex]:
        others = np.flatnonzero(inside.ravel() & measured)
        if not others.size:
            return None
        vertex = int(others[landscape.values("loss").ravel()[others].argmin()])
    rise = losses[known].mean(axis=0, dtype=np.float64) - factor * losses[vertex]
    effective = int(effective_samples(rise))
    high = float(mean_interval(rise)[1])
    undrawn = largest_usual_loss(landscape) - rise.mean()
    possible = rise.mean() + undrawn_share(len(rise)) * undrawn
    return effective, bool(effective >= FEWEST_SAMPLES and not possible > high)


def percentiles(sizes: list[float]) -> tuple[float, float]:
    """The central 95%.

    Examples
    --------
    >>> percentiles([float(n) for n in range(101)])
    (2.5, 97.5)
    """
    low, high = np.quantile(sizes, _LEVELS)
    return float(low), float(high)
