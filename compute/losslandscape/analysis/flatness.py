"""How flat a minimum is: the region around it where the loss stays within a tolerance.

The method and its limits are told in ``docs/flatness.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_dilation

from losslandscape.analysis.significance import on_scale
from losslandscape.analysis.sublevel_set import PiecewiseLinearField, Region
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.interpolation_errors import Interpolation, interpolation_of
from losslandscape.landscape.landscape import INTERPOLATED, Landscape
from losslandscape.planes.grid import Grid

MEASURES = {1: "length", 2: "area", 3: "volume"}
RESOLVED_CELLS = 6.0
_LOST_CELLS = 0.1  # of a semi-axis, by straight lines between grid points
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

    @property
    def resolved(self) -> bool:
        """Whether the shortest semi-axis is at least 6 cells long (but for a tenth of a cell)."""
        return bool(self.semi_axes[0] >= RESOLVED_CELLS - _LOST_CELLS)

    @property
    def loss(self) -> np.ndarray:
        """The loss at ``region.points``."""
        return 10**self.region.values if self.scale == "log" else self.region.values

    def proposed_grid(self) -> Grid:
        """A grid around the region, fine enough that 8 cells cross the shortest semi-axis."""
        low, high = self.region.points.min(axis=0), self.region.points.max(axis=0)
        spacing = np.array(self.grid.spacing)
        half = 1.25 * np.maximum((high - low) / 2, spacing)
        centre = (low + high) / 2
        # a region within one cell is known no better than to a quarter of it
        finer = spacing * max(self.semi_axes[0], 0.25) / _PROPOSED_CELLS
        counts = np.clip(np.ceil(2 * half / finer) + 1, *_PROPOSED_POINTS).astype(int)
        bounds = zip((centre - half).tolist(), (centre + half).tolist())
        return Grid.rectangle(counts.tolist(), tuple(bounds))

    def summary(self) -> list[str]:
        """The size and what it is worth, for people."""
        at_least = "at least " if self.lower_bound else ""
        words = f"{self.measure} {at_least}{self.size:.4g} in coordinates of the directions"
        if np.isfinite(self.parameter_size):
            words += f", {at_least}{self.parameter_size:.4g} in parameter space"
        lines = [f"L <= {self.minimum_loss:.4g} + {self.epsilon:.4g}: {words}"]
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
        if not self.resolved:
            grid = self.proposed_grid()
            bounds = ",".join(f"{end:.6g}" for pair in grid.bounds for end in pair)
            lines.append(
                f"unresolved: {self.semi_axes[0]:.2g} cells across the shorter semi-axis, "
                f"{RESOLVED_CELLS:g} are needed; evaluate with "
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
        If no grid point, or not the one asked for, has a finite value on the scale.
    """

    def __init__(
        self,
        landscape: Landscape,
        scale: str | None = None,
        minimum: Sequence[float] | None = None,
    ):
        values, self.scale = on_scale(landscape, scale)
        self.grid, self.gram_matrix = landscape.grid, landscape.gram_matrix
        points = landscape.grid.points()
        if minimum is None:
            self.vertex = int(np.nanargmin(values))
        else:
            wanted = np.asarray(minimum, dtype=np.float64)
            if wanted.shape != (self.grid.dimensions,):
                raise LossLandscapeError(
                    f"minimum: {wanted.size} coordinates were given for "
                    f"{self.grid.dimensions} directions"
                )
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
        self._field = PiecewiseLinearField(points, values)
        self._landscape = landscape

    def region(self, epsilon: float, factor: float | None = None) -> FlatRegion:
        """The component of the minimum in {L <= L_min + epsilon}."""
        if not 0 < epsilon < np.inf:
            raise LossLandscapeError(f"epsilon is {epsilon:g}; it must be a number above 0")
        level = self.loss + epsilon
        component = self._field.component(
            float(np.log10(level)) if self.scale == "log" else level, self.vertex
        )
        if not len(component.simplices):
            raise LossLandscapeError(
                "the minimum has no neighbours with finite values: there is no region around it"
            )
        around = binary_dilation(component.vertices, np.ones((3,) * self.grid.dimensions))
        return FlatRegion(
            epsilon, factor, self.scale, self.minimum, self.loss, component, self.grid,
            self.gram_matrix, interpolation_of(self._landscape, around),
            bool(self._landscape.status.ravel()[self.vertex] == INTERPOLATED),
        )  # fmt: skip

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


def flat_region(
    landscape: Landscape,
    epsilon: float = 0.1,
    *,
    factor: float | None = None,
    scale: str | None = None,
    minimum: Sequence[float] | None = None,
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

    Raises
    ------
    LossLandscapeError
        If epsilon is not positive, the factor is not above 1, or there is no such minimum.

    Notes
    -----
    S. Hochreiter, J. Schmidhuber, "Flat minima", Neural Computation 9(1), 1997, section 2: a
    connected region of weight space where the error stays below a tolerance, and the volume of
    the largest box in it. Here the region itself is measured, in the landscape's subspace.

    Examples
    --------
    >>> grid = Grid.square(51)
    >>> values = (grid.points() ** 2).sum(axis=1).reshape(grid.shape)
    >>> bowl = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), 4 * np.eye(2))
    >>> region = flat_region(bowl, 0.25)
    >>> round(region.size / np.pi, 3), round(region.parameter_size / np.pi, 3), region.lower_bound
    (0.249, 0.998, False)
    """
    basin = BasinOfMinimum(landscape, scale, minimum)
    if factor is not None:
        if not 1 < factor < np.inf:
            raise LossLandscapeError(f"factor is {factor:g}; it must be above 1")
        if basin.loss <= 0:
            raise LossLandscapeError(
                f"a factor of the minimum's loss, {basin.loss:g}, is no tolerance; give epsilon"
            )
        epsilon = (factor - 1) * basin.loss
    return basin.region(epsilon, factor)
