"""How flat a minimum is: the region around it where the loss stays within a tolerance.

``docs/flatness.md`` describes the method and its limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from losslandscape.analysis.region_errors import (
    FEWEST_SAMPLES,
    SizeErrors,
    discretization_error,
    interpolation_error,
    percentiles,
    resampled_fields,
    trusted_rise,
)
from losslandscape.analysis.region_joins import doubtful_points
from losslandscape.analysis.score_names import best_where_largest
from losslandscape.analysis.significance import SCALES, on_scale
from losslandscape.analysis.sublevel_set import PiecewiseLinearField, Region
from losslandscape.argument_checks import POSITIVE
from losslandscape.argument_kinds import Items, Word, coordinates
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.interpolation_errors import Interpolation, interpolation_of
from losslandscape.landscape.landscape import INTERPOLATED, Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.planes.grid import Grid
from losslandscape.public_calls import public

MEASURES = {1: "length", 2: "area", 3: "volume"}
RESOLVED_CELLS = 6.0
_LOST_CELLS = 0.1  # of the thickness, by straight lines between grid points
# estimated discretization error of a resolved region, relative to its size, by dimensions
_RESOLVED_ERROR = {1: 0.01, 2: 0.01, 3: 0.03}
CURVE_EPSILONS = tuple(float(epsilon) for epsilon in np.logspace(-3, 1, 17))
_PROPOSED_CELLS = 8.0  # across the shorter semi-axis of the proposed grid
_PROPOSED_POINTS = (51, 401)


@dataclass(frozen=True)
class FlatRegion:
    """The component of a minimum in {L <= L_min + epsilon}. Made by :func:`flat_region`.

    Attributes
    ----------
    epsilon : float
        In units of the loss, on either scale.
    factor : float or None
        Where epsilon was given as (factor - 1) L_min.
    scale : "log" or "linear"
        What is interpolated between grid points.
    minimum : ndarray, shape (dimensions,)
        Coordinates of the grid point.
    minimum_loss : float
    region : Region
        ``region.values`` are on the scale.
    grid : Grid
    gram_matrix : ndarray, shape (dimensions, dimensions)
    interpolation : Interpolation
        Of the grid points in the region and next to it, which say where it ends.
    minimum_interpolated : bool
        Whether the minimum is an interpolated grid point.
    errors : SizeErrors
    array : str
        The variable that the region is of.
    """

    epsilon: float
    factor: float | None
    scale: str
    minimum: np.ndarray
    minimum_loss: float
    region: Region
    grid: Grid
    gram_matrix: np.ndarray
    interpolation: Interpolation
    minimum_interpolated: bool
    errors: SizeErrors
    array: str = "loss"

    @property
    def measure(self) -> str:
        """``"length"``, ``"area"`` or ``"volume"``."""
        return MEASURES[self.grid.dimensions]

    @property
    def size(self) -> float:
        """Length, area or volume in plane coordinates."""
        return self.region.size

    @property
    def parameter_size(self) -> float:
        """The same in parameter space: size times sqrt(det Gram); NaN where it is not known."""
        with np.errstate(invalid="ignore"):
            return self.size * float(np.sqrt(np.linalg.det(self.gram_matrix)))

    @property
    def lower_bound(self) -> bool:
        """Whether the region reaches the edge of the window, and so may go on outside."""
        return self.region.touches_edge

    @cached_property
    def semi_axes(self) -> np.ndarray:
        """Semi-axes of the ellipsoid of the same second moments, in grid cells, shortest first."""
        return self.region.semi_axes(np.array(self.grid.spacing))

    @cached_property
    def thickness(self) -> float:
        """Mean thickness in grid cells: a disc's radius, a strip's width."""
        return self.region.thickness(np.array(self.grid.spacing))

    @property
    def resolved(self) -> bool:
        """Whether the grid is fine enough for the size.

        The thickness is at least 6 cells (but for a tenth of a cell), and the estimated
        discretization error at most 1% of the size, in 3-D 3%. So are the parts that may be joined
        to the region, or cut off from it, between grid points. An error that is not known, because
        a value around the region is missing, resolves nothing.
        """
        allowed = _RESOLVED_ERROR[self.grid.dimensions] * self.size
        return bool(self._thick and self.errors.discretization <= allowed and self._joined)

    @property
    def _thick(self) -> bool:
        return self.thickness >= RESOLVED_CELLS - _LOST_CELLS

    @property
    def _joined(self) -> bool:
        return self.errors.joins <= _RESOLVED_ERROR[self.grid.dimensions] * self.size

    @property
    def loss(self) -> np.ndarray:
        """The loss at ``region.points``."""
        return 10**self.region.values if self.scale == "log" else self.region.values

    def proposed_grid(self) -> Grid:
        """A grid around the region, with 8 cells along its shortest semi-axis and its thickness.

        At least twice as fine as this one, if the region is thick enough.
        """
        low, high = self.region.points.min(axis=0), self.region.points.max(axis=0)
        spacing = np.array(self.grid.spacing)
        half = 1.25 * np.maximum((high - low) / 2, spacing)
        center = (low + high) / 2
        # a region within one cell is known no better than to a quarter of it
        part = max(min(self.semi_axes[0], self.thickness), 0.25) / _PROPOSED_CELLS
        finer = spacing * (min(part, 0.5) if self._thick else part)
        counts = np.clip(np.ceil(2 * half / finer) + 1, *_PROPOSED_POINTS).astype(int)
        bounds = zip((center - half).tolist(), (center + half).tolist())
        return Grid.rectangle(counts.tolist(), tuple(bounds))

    def summary(self) -> list[str]:
        """The size and what it is worth, for people."""
        at_least = "at least " if self.lower_bound else ""
        words = f"{self.measure} {at_least}{self.size:.4g} in coordinates of the directions"
        if np.isfinite(self.parameter_size):
            words += f", {at_least}{self.parameter_size:.4g} in parameter space"
        lines = [f"L <= {self.minimum_loss:.4g} + {self.epsilon:.4g}: {words}"]
        if "loss" not in self.array.lower():
            lines.append(
                f"the region is around the lowest '{self.array}': if larger values are better, it "
                "says nothing about a minimum"
            )
        if self.factor is not None:
            lines.append(
                f"warning: epsilon is {self.factor - 1:g} times the minimum's own loss, so a worse "
                "trained network gets a larger region; use one absolute epsilon to compare"
            )
        if self.lower_bound:
            lines.append(
                "a lower bound: the region reaches the window's edge (or a point without a value); "
                "evaluate a wider window"
            )
        lines.append(self._errors_in_words())
        if not self.resolved:
            grid = self.proposed_grid()
            bounds = ",".join(f"{end:.6g}" for pair in grid.bounds for end in pair)
            doubt = (
                ""
                if self._joined
                else "; parts as large as "
                f"{self._share(self.errors.joins)} of it may be joined to it, or cut off from it, "
                "between grid points"
            )
            lines.append(
                f"unresolved: the region is {self.thickness:.2g} cells thick "
                f"({RESOLVED_CELLS:g} are needed), and the grid's own error of the size is "
                f"{self._share(self.errors.discretization)} "
                f"({_RESOLVED_ERROR[self.grid.dimensions]:.0%} is allowed){doubt}; evaluate with "
                f"--grid {'x'.join(map(str, grid.counts))} --bounds={bounds}"
            )
        if self.interpolation.interpolated:
            line = f"in the region and next to it, {self.interpolation}"
            if self.interpolation.largest_error >= self.epsilon:
                line += ", as large as epsilon: evaluate them before trusting the size"
            if self.minimum_interpolated:
                line += "; the minimum is one of them"
            lines.append(line)
        return lines

    def _errors_in_words(self) -> str:
        errors = self.errors
        words = (
            f"the {self.measure} is off by about {self._share(errors.discretization)} (the grid)"
        )
        if self.interpolation.interpolated:
            words += f" and {self._share(errors.interpolation)} (interpolated points)"
        if errors.sampling is None:
            return f"{words}; its sampling error is not known"
        low, high = errors.sampling
        words += (
            f"; other samples would give {low:.4g} to {high:.4g} (95%, {errors.draws} "
            "bootstrap draws"
            + (
                f", of which {errors.draws_at_edge} reach the window's edge)"
                if errors.draws_at_edge
                else ")"
            )
        )
        return words + self._distrust()

    def _distrust(self) -> str:
        """Why the interval for other samples cannot be trusted, if so."""
        count = self.errors.effective_samples
        if self.errors.sampling_trusted:
            return ""
        if count is None:
            return (
                "; do not trust this interval: no per-sample losses are kept at the region's edge"
            )
        if count < FEWEST_SAMPLES:
            return (
                "; do not trust this interval: too few samples decide where the region ends "
                f"({count} {'carries' if count == 1 else 'carry'} half of the variance)"
            )
        return (
            "; the region may be smaller than this interval: samples that were not drawn could "
            "raise the loss at its edge, if theirs is as large as is usual away from the minimum"
        )

    def _share(self, error: float) -> str:
        """An error relative to the size."""
        if not np.isfinite(error) or not self.size:
            return "an unknown amount"
        return f"{error / self.size:.2%}"

    def to_json(self) -> dict:
        return {
            "epsilon": self.epsilon,
            "factor": self.factor,
            "scale": self.scale,
            "minimum": self.minimum,
            "minimum_loss": self.minimum_loss,
            "measure": self.measure,
            "size": self.size,
            "parameter_size": self.parameter_size,
            "lower_bound": self.lower_bound,
            "semi_axes_in_cells": self.semi_axes,
            "thickness_in_cells": self.thickness,
            "size_errors": self.errors.to_json(),
            "resolved": self.resolved,
            "interpolation": self.interpolation.to_json(),
            "minimum_interpolated": self.minimum_interpolated,
            "proposed_grid": None if self.resolved else self.proposed_grid().to_json(),
        }


class BasinOfMinimum:
    """A minimum of a landscape and the flat regions around it, for any epsilon.

    Parameters
    ----------
    scale : "log" or "linear", optional
        What is interpolated between grid points; the landscape's own by default.
    minimum : sequence of float, optional
        Coordinates of the minimum, of which the nearest grid point is taken; the lowest grid point
        by default.

    Raises
    ------
    LossLandscapeError
        If no grid point, or not the one asked for, has a finite value on the scale, or the values
        are a score, whose lowest point is the worst.
    """

    @public(scale=Word(SCALES))
    def __init__(
        self,
        landscape: LandscapeOrPath,
        scale: str | None = None,
        minimum: Sequence[float] | None = None,
    ):
        landscape = opened(landscape)
        self.array = _array(landscape)
        values, self.scale = on_scale(landscape, scale)
        self.grid, self.gram_matrix = landscape.grid, landscape.gram_matrix
        points = landscape.grid.points()
        if minimum is None:
            self.vertex = int(np.nanargmin(values))
        else:
            wanted = np.array(coordinates("minimum", minimum, self.grid.dimensions))
            away = abs(points - wanted) / np.array(self.grid.spacing)
            if not (np.linalg.norm(away, axis=1).min() <= np.sqrt(self.grid.dimensions)):
                raise LossLandscapeError(
                    f"minimum: {tuple(minimum)} is not a point of the landscape's window"
                )
            self.vertex = int(np.linalg.norm(away, axis=1).argmin())
            if not np.isfinite(values.ravel()[self.vertex]):
                raise LossLandscapeError(f"minimum: there is no finite loss at {tuple(minimum)}")
        self.minimum = points[self.vertex]
        self.loss = float(landscape.values("loss").ravel()[self.vertex])
        self._chosen = minimum is not None
        self._values = values
        self._field = PiecewiseLinearField(points, values)
        self._landscape = landscape

    @public()
    def region(
        self, epsilon: float, factor: float | None = None, draws: int = 0, seed: int = 0
    ) -> FlatRegion:
        """The component of the minimum in {L <= L_min + epsilon}.

        Parameters
        ----------
        draws : int
            Bootstrap draws of the samples for the sampling error of the size; none by default.
        seed : int
            Seed for the draws.
        """
        level = self._level(self.loss, epsilon)
        component = self._field.component(level, self.vertex)
        if not len(component.simplices):
            raise LossLandscapeError(
                "the minimum has no neighbors with finite values: there is no region around it"
            )
        block = np.ones((3,) * self.grid.dimensions)
        around = binary_dilation(component.vertices, block)
        spacing = np.array(self.grid.spacing)
        sampling, at_edge = self._resampled(epsilon, factor, draws, seed)
        effective, trusted = None, None
        if sampling is not None:
            edge = around & ~binary_erosion(component.vertices, block)
            found = trusted_rise(
                self._landscape, edge, component.vertices, self.vertex, factor or 1.0
            )
            effective, trusted = found or (None, False)
        errors = SizeErrors(
            discretization_error(self._values, spacing, level, component, self.vertex),
            interpolation_error(
                self._landscape, self.scale, self._field, self._values, level, self.vertex
            ),
            sampling,
            draws,
            seed,
            at_edge,
            effective,
            trusted,
            float(
                doubtful_points(self._field, level, component, self.vertex).sum() * spacing.prod()
            ),
        )
        return FlatRegion(
            epsilon, factor, self.scale, self.minimum, self.loss, component, self.grid,
            self.gram_matrix, interpolation_of(self._landscape, around),
            bool(self._landscape.status.ravel()[self.vertex] == INTERPOLATED), errors, self.array,
        )  # fmt: skip

    def _level(self, loss: float, epsilon: float) -> float:
        """Where the region ends, on the scale."""
        level = loss + epsilon
        return float(np.log10(level)) if self.scale == "log" else level

    def _resampled(
        self, epsilon: float, factor: float | None, draws: int, seed: int
    ) -> tuple[tuple[float, float] | None, int]:
        """The central 95% of the size when the samples are drawn again; how many reach the edge.

        Each draw has its own minimum: the lowest point, where no other was asked for. A factor is
        one of the draw's own minimum.
        """
        fields = resampled_fields(self._landscape, self._values, self.scale, draws, seed)
        if fields is None:
            return None, 0
        sizes, at_edge = [], 0
        for field in fields:
            vertex = self.vertex if self._chosen else int(np.nanargmin(field))
            lowest = float(field.ravel()[vertex])
            loss = 10**lowest if self.scale == "log" else lowest
            level = self._level(loss, epsilon if factor is None else (factor - 1) * loss)
            region = self._field.with_values(field).component(level, vertex)
            sizes.append(region.size)
            at_edge += region.touches_edge
        return percentiles(sizes), at_edge

    @public(epsilons=Items(POSITIVE, "epsilons"))
    def curve(self, epsilons: Sequence[float] = CURVE_EPSILONS) -> list[dict]:
        """Size, lower bound and resolution for each epsilon; by default 0.001 to 10."""
        regions = [self.region(epsilon) for epsilon in epsilons]
        return [
            {
                "epsilon": region.epsilon,
                "size": region.size,
                "parameter_size": region.parameter_size,
                "lower_bound": region.lower_bound,
                "resolved": region.resolved,
            }
            for region in regions
        ]


def _array(landscape: Landscape) -> str:
    """The variable in the place of the loss.

    Raises
    ------
    LossLandscapeError
        If its name or title says that it is best where it is largest.
    """
    about = landscape.provenance
    name = str(about.get("array", "loss"))
    imported = about.get("imported", {}).get("array") if name == "loss" else None
    for told in (name, imported, about.get("quantities", {}).get("loss")):
        if isinstance(told, str) and best_where_largest(told):
            raise LossLandscapeError(
                f"'{told}' is best where it is largest, so its lowest grid point is no minimum to "
                "measure a flat region around; name a loss"
            )
    return name


@public(scale=Word(SCALES))
def flat_region(
    landscape: LandscapeOrPath,
    epsilon: float = 0.1,
    *,
    factor: float | None = None,
    scale: str | None = None,
    minimum: Sequence[float] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> FlatRegion:
    """The flat region around a minimum: the component of {L <= L_min + epsilon} that holds it.

    Between grid points the loss, or its log10 where the scale is log, is linear on the triangles
    (segments, tetrahedra) of the grid; the region ends at the window's edge, and its size is then a
    lower bound.

    Parameters
    ----------
    epsilon : float
        In units of the loss: the same one for all networks that are compared.
    factor : float, optional
        Instead, epsilon = (factor - 1) L_min. It rewards bad training: the higher the minimum, the
        wider the region.
    scale, minimum
        See :class:`BasinOfMinimum`.
    draws, seed : int
        Bootstrap draws of the samples, for the sampling error of the size, and their seed.

    Raises
    ------
    LossLandscapeError
        If epsilon is not positive, the factor is not above 1, there is no such minimum, or the
        values are an accuracy or another score, whose lowest point is the worst.

    Notes
    -----
    S. Hochreiter, J. Schmidhuber, "Flat minima", Neural Computation 9(1), 1997, section 2: a
    connected region of weight space where the error stays below a tolerance, and the volume of
    the largest box in it. Here the region itself is measured, in the landscape's subspace.

    Examples
    --------
    >>> from losslandscape import Landscape
    >>> grid = Grid.square(51)
    >>> values = (grid.points() ** 2).sum(axis=1).reshape(grid.shape)
    >>> bowl = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), 4 * np.eye(2))
    >>> region = flat_region(bowl, 0.25)
    >>> round(region.size / np.pi, 3), round(region.parameter_size / np.pi, 3), region.lower_bound
    (0.249, 0.998, False)
    """
    landscape = opened(landscape)
    basin = BasinOfMinimum(landscape, scale, minimum)
    if factor is not None:
        if not 1 < factor < np.inf:
            raise LossLandscapeError(f"factor is {factor:g}; it must be above 1")
        if basin.loss <= 0:
            raise LossLandscapeError(
                f"a factor of the minimum's loss, {basin.loss:g}, is no tolerance; give epsilon"
            )
        epsilon = (factor - 1) * basin.loss
    return basin.region(epsilon, factor, draws, seed)
