"""The cost of a landscape, estimated from a short probe; nothing is written."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from losslandscape.adaptive.kriging import LocalInterpolation
from losslandscape.adaptive.refinement import CHECK_POINTS, Adaptive, coarse_points
from losslandscape.argument_checks import NON_NEGATIVE
from losslandscape.counted import counted
from losslandscape.landscape.scale import scale_of
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss
from losslandscape.problem.objective import Objective
from losslandscape.progress import duration
from losslandscape.public_calls import TOLERANCE, public
from losslandscape.run.memory_needed import require_landscape_memory

_SHARE = 0.01  # of the grid's points, which a probe may measure however long it takes
_MOST_A_LINE = 13
# The error falls as h^4 on a smooth surface and as h^2 beside kinks; off the axes it may be larger.
# Calibrated on the ten surfaces of benchmarks/surfaces.
_CASES = ((4.0, 1.0), (2.0, 2.5))  # order, error elsewhere / error on the axes
_MOST = 1.25  # with minima, sharp bends and their neighbors, which are evaluated last


@dataclass(frozen=True)
class Plan:
    """Points, forward passes and seconds of a landscape.

    Attributes
    ----------
    points : int
        Points of the grid: the dense cost, and the upper bound of an adaptive one.
    passes : int
        Forward passes per point, including batches that re-estimate batch-norm statistics.
    seconds : float
        Median time of a point.
    timed : int
        Points that were timed.
    tolerance : float or None
    expected : (int, int) or None
        Fewest and most points that an adaptive evaluation is expected to measure.
    spacing : float
        Distance between the probe's points along the axes, in grid spacings; 0 if the probe was
        too short to show how smooth the surface is.
    most : int or None
        Upper bound of an adaptive evaluation: all points, or the limit that was given.
    auto : bool
        Whether a faster type than float32 will be tried.
    """

    points: int
    passes: int
    seconds: float
    timed: int
    tolerance: float | None = None
    expected: tuple[int, int] | None = None
    spacing: float = 0.0
    most: int | None = None
    auto: bool = False

    def describe(self) -> str:
        """The plan as lines of text."""

        def cost(points: int) -> str:
            passes = counted(points * self.passes, "forward pass", "forward passes")
            return f"{points:,} points, {passes}, {duration(points * self.seconds)}"

        lines = [f"dense: {cost(self.points)}"]
        if self.tolerance is not None:
            lines.append(
                f"tolerance {100 * self.tolerance:g}%: at most {cost(self.most or self.points)} "
                "(a rough surface needs all points; of a large data set, points may use a part)"
            )
            if self.expected is not None:
                low, high = self.expected
                lines += [f"expected: {cost(low)}", f"      to: {cost(high)}"]
        lines.append(
            f"time: the median of {self.timed} points measured here, {1000 * self.seconds:.3g} ms"
        )
        if self.auto:
            lines.append(
                "time: in float32; a faster type is tried (--precision auto), and may save half"
            )
        if self.expected is not None:
            if self.spacing:
                lines.append(
                    "points: from how well values along the axes through the middle, "
                    f"{self.spacing:.2g} spacings apart, predict each other, if the error falls "
                    "with the second to the fourth power of the spacing"
                )
            else:
                lines.append(
                    "points: too few were measured to show how smooth the surface is; the range "
                    "is from the fewest possible to all"
                )
        return "\n".join(lines)


@public(tolerance=TOLERANCE, seconds=NON_NEGATIVE)
def plan(
    objective: Objective,
    subspace: Subspace,
    grid: Grid,
    tolerance: float | Adaptive | None = None,
    seconds: float = 10.0,
) -> Plan:
    """Measure a few points and estimate the cost of the whole landscape.

    The probe measures points on the axes through the grid's middle until ``seconds`` are over or
    1% of the grid's points is measured, whichever comes later; two points at least, 13 along each
    axis at most.

    Raises
    ------
    LossLandscapeError
        As :func:`losslandscape.evaluate`.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> objective = Objective(model, "mse", (torch.ones(8, 2), torch.zeros(8, 1)), batch_size=4)
    >>> plane = Subspace.random(model, seed=0)
    >>> found = plan(objective, plane, Grid.square(51), tolerance=0.01)
    >>> found.points, found.passes, found.expected[0] >= 81
    (2601, 2, True)
    """
    if tolerance is not None and not isinstance(tolerance, Adaptive):
        tolerance = Adaptive(tolerance)
    if subspace.recipe["kind"] == "between" and objective.batch_norm == "fixed":
        objective = objective.with_batch_norm("reestimated")  # as evaluate does
    if tolerance is not None:
        tolerance.check(grid)
    require_landscape_memory(grid)
    lines = _cross(grid)
    points = grid.points()
    losses = np.full(grid.size, np.nan)
    measured: list[int] = []
    timed: list[float] = []
    start = time.monotonic()
    with Evaluator(objective, subspace) as evaluator:
        for number in _in_turn(lines):
            over = time.monotonic() - start > seconds and len(measured) >= _SHARE * grid.size
            if over and len(measured) >= 2:
                break
            begun = time.perf_counter()
            found = evaluator.measure(points[number])
            timed.append(time.perf_counter() - begun)
            losses[number] = mean_loss(found)
            measured.append(number)
        passes = evaluator.passes
    expected, spacing = None, 0.0
    if tolerance is not None:
        expected, spacing = _expected(grid, losses, measured, lines, tolerance)
    return Plan(
        points=grid.size,
        passes=passes,
        seconds=float(np.median(timed[1:] or timed)),  # the first one includes one-time costs
        timed=len(measured),
        tolerance=tolerance.tolerance if tolerance else None,
        expected=expected,
        spacing=spacing,
        auto=objective.auto,
        most=min(tolerance.max_points or grid.size, grid.size) if tolerance else None,
    )


def _cross(grid: Grid) -> list[np.ndarray]:
    """Numbers of evenly spaced points along each axis through the middle, alpha first."""
    middle = [n // 2 for n in grid.shape]
    lines = []
    for axis in range(grid.dimensions):
        length = grid.counts[axis]
        places = np.unique(
            np.linspace(0, length - 1, min(_MOST_A_LINE, length)).round().astype(int)
        )
        index = [np.full(places.size, m) for m in middle]
        index[grid.dimensions - 1 - axis] = places
        lines.append(np.ravel_multi_index(index, grid.shape))
    return lines


def _in_turn(lines: list[np.ndarray]) -> list[int]:
    """The points of all lines, each once; every fourth one first, so that a part is coarse."""
    order: list[int] = []
    for start, step in ((0, 4), (2, 4), (1, 2)):
        for line in lines:
            order += [int(number) for number in line[start::step]]
    return list(dict.fromkeys(order))


def _expected(
    grid: Grid, losses: np.ndarray, measured: list[int], lines: list[np.ndarray], adaptive: Adaptive
) -> tuple[tuple[int, int], float]:
    """Fewest and most points, and the probe's spacing (0 if the probe was too short)."""
    least = min(coarse_points(grid).size + CHECK_POINTS, grid.size)
    most = min(adaptive.max_points or grid.size, grid.size)
    known = losses[measured]
    known = known[np.isfinite(known)]
    scale = adaptive.scale or (scale_of(known) if known.size else "linear")
    if scale == "log":
        losses = np.log10(np.where(losses > 0, losses, np.nan))
        known = np.log10(known[known > 0])
    span = float(np.ptp(known)) if known.size else 0.0
    counts = np.ones(2)
    spacing = 0.0
    for axis, line in enumerate(lines):
        place = np.flatnonzero(np.isfinite(losses[line]))
        if place.size < 5:
            return (min(least, most), most), 0.0
        if span == 0:
            return (min(least, most),) * 2, 0.0
        length = grid.counts[axis] - 1
        apart = length / (len(line) - 1) * (place[-1] - place[0]) / (place.size - 1)
        model = LocalInterpolation(place[:, None].astype(float), losses[line][place])
        # left out, a point is twice as far from its neighbours as what would be interpolated
        error = float(model.residuals[1:-1].max()) / span
        for i, (order, larger) in enumerate(_CASES):
            wanted = 2 * apart * (adaptive.tolerance / max(larger * error, 1e-12)) ** (1 / order)
            counts[i] *= np.clip(length / wanted + 1, 2, length + 1)
        spacing = max(spacing, float(apart))
    counts = np.sort(counts) * (1, _MOST)
    low, high = (int(np.clip(count + CHECK_POINTS, least, grid.size)) for count in counts)
    return (min(low, most), min(high, most)), spacing
