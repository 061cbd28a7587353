"""The regular grid of 1, 2 or 3 dimensions on which a landscape is evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losslandscape.argument_checks import COORDINATE, COUNT, FACTOR, FINITE, NON_NEGATIVE
from losslandscape.argument_kinds import WHOLE, Bounds, Coordinates, Items, Number, Table
from losslandscape.errors import LossLandscapeError
from losslandscape.public_calls import public

AXIS_NAMES = ("alpha", "beta", "gamma")
MOST_POINTS = 2**31 - 1  # points have int32 numbers in files and figures
COUNTS = Items(FINITE, "numbers of points")  # whole floats, too
BOUNDS = Bounds(Number())  # what is not finite is refused by the name of its axis
DESCRIBED = Table('what Grid.to_json() returned, with "shape" and "bounds"')


@dataclass(frozen=True)
class Grid:
    """A regular grid in the coordinates of a subspace.

    Parameters
    ----------
    counts : tuple of int
        Number of points along alpha, beta, gamma; at least 2 each.
    bounds : tuple of (low, high)
        Ends of each axis, in the same order.
    lattice : tuple of (first, count, low, high), optional
        For a grid that is part of another, one entry per axis: the grid begins at point ``first``
        of ``count`` points from ``low`` to ``high``. See :meth:`refined`.

    Raises
    ------
    LossLandscapeError
        If a count is below 2, or a pair of bounds is not finite and increasing.

    Examples
    --------
    >>> grid = Grid.rectangle((3, 2), ((-1, 1), (0, 5)))
    >>> grid.shape, grid.size
    ((2, 3), 6)
    >>> grid.points()[4]
    array([0., 5.])
    """

    counts: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...]
    lattice: tuple[tuple[int, int, float, float], ...] | None = None

    def __post_init__(self):
        counts = tuple(COUNTS.check("counts", self.counts))
        bounds = tuple(BOUNDS.check("bounds", self.bounds))
        if not 1 <= len(counts) <= 3 or len(counts) != len(bounds):
            raise LossLandscapeError(
                f"a grid has 1, 2 or 3 axes, each with a pair of bounds; "
                f"{len(counts)} counts and {len(bounds)} bounds were given"
            )
        for name, count, (low, high) in zip(AXIS_NAMES, counts, bounds):
            if count != int(count) or count < 2:
                raise LossLandscapeError(
                    f"grid: {name} has {count:g} points; at least 2 are needed"
                )
            if not -math.inf < low < high < math.inf:
                raise LossLandscapeError(
                    f"grid: {name} runs from {low:g} to {high:g}; "
                    "bounds must be finite and increasing"
                )
            if max(-low, high) > COORDINATE.most:
                raise LossLandscapeError(
                    f"grid: {name} runs from {low:g} to {high:g}; coordinates go from "
                    f"{COORDINATE.least:g} to {COORDINATE.most:g}"
                )
            if (high - low) / (count - 1) < 2 * np.spacing(max(-low, high)) or high - low == np.inf:
                raise LossLandscapeError(
                    f"grid: {count:g} points from {low!r} to {high!r} along {name} are not "
                    "different numbers in float64; choose other bounds or fewer points"
                )
        counts = tuple(map(int, counts))
        if math.prod(counts) > MOST_POINTS:
            raise LossLandscapeError(
                f"grid: {' x '.join(map(str, counts))} points are more than the {MOST_POINTS:,} "
                "that the numbers of points in the files allow; choose fewer"
            )
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "bounds", bounds)
        if self.lattice is not None:
            object.__setattr__(self, "lattice", _checked_lattice(self.lattice, len(counts)))

    @classmethod
    @public()
    def line(cls, points: int, half_width: float = 1.0) -> Grid:
        """One dimension, ``points`` from -half_width to half_width."""
        return cls((points,), ((-half_width, half_width),))

    @classmethod
    @public()
    def square(cls, points: int, half_width: float = 1.0) -> Grid:
        """Two dimensions, ``points`` x ``points``, +-half_width."""
        return cls((points,) * 2, ((-half_width, half_width),) * 2)

    @classmethod
    @public()
    def cube(cls, points: int, half_width: float = 1.0) -> Grid:
        """Three dimensions, ``points`` along each axis, +-half_width."""
        return cls((points,) * 3, ((-half_width, half_width),) * 3)

    @classmethod
    @public(counts=COUNTS)
    def rectangle(cls, counts: Sequence[int], bounds: Sequence[tuple[float, float]]) -> Grid:
        """One to three dimensions with any counts and bounds, alpha first."""
        return cls(tuple(counts), tuple(tuple(pair) for pair in bounds))  # type: ignore[misc]

    @classmethod
    @public(coordinates=Items(Coordinates(), "points", least=1), margin=NON_NEGATIVE)
    def around(cls, coordinates: np.ndarray, margin: float, points: int = 51) -> Grid:
        """The bounding box of some coordinates, with a margin on every side.

        Parameters
        ----------
        coordinates : ndarray, shape (n, dimensions)
        margin : float
            As a share of the longest side of the box.
        points : int
            Along every axis.
        """
        rows = list(coordinates)
        if not 1 <= len(rows[0]) <= 3 or len({len(row) for row in rows}) > 1:
            raise LossLandscapeError(
                "coordinates have rows of "
                f"{' and '.join(sorted({str(len(row)) for row in rows}))} numbers; pass an array "
                "of shape (n, dimensions), with 1 to 3 dimensions"
            )
        coordinates = np.array(rows)
        low, high = coordinates.min(axis=0), coordinates.max(axis=0)
        border = margin * max(float((high - low).max()), np.finfo(np.float32).tiny)
        bounds = zip((low - border).tolist(), (high + border).tolist())
        return cls.rectangle((points,) * coordinates.shape[1], tuple(bounds))

    @public(factor=FACTOR)
    def refined(self, bounds: Sequence[tuple[float, float]], factor: int) -> Grid:
        """A ``factor`` times finer grid over a box.

        The box is extended to points of this grid. Every point of this grid in the box is a point
        of the finer one, with bit-identical coordinates. The box may reach beyond this grid.

        Parameters
        ----------
        bounds : sequence of (low, high)
            The box, alpha first.
        factor : int
            Number of new intervals per old interval.

        Raises
        ------
        LossLandscapeError
            If the box has another dimension or is not finite and increasing, or the factor is not
            a whole number of 1 or more.

        Examples
        --------
        >>> finer = Grid.line(5).refined([(0.1, 0.9)], 2)
        >>> finer.axes()[0]
        array([0.  , 0.25, 0.5 , 0.75, 1.  ])
        """
        box = Grid.rectangle((2,) * self.dimensions, bounds)  # checks it
        lattice, counts = [], []
        own = [(0, n, low, high) for n, (low, high) in zip(self.counts, self.bounds)]
        for (_, count, low, high), (left, right) in zip(self.lattice or own, box.bounds):
            step = (high - low) / (count - 1)
            # an end within rounding of a grid point is that point
            first = int(np.floor((left - low) / step + 1e-6))
            last = int(np.ceil((right - low) / step - 1e-6))
            last = max(last, first + 1)
            counts.append((last - first) * factor + 1)
            if counts[-1] > MOST_POINTS:
                raise LossLandscapeError(
                    f"the box from {left:g} to {right:g} has {counts[-1]:.3g} points along an "
                    f"axis, {step / factor:.3g} apart; give a smaller box, or a number of points"
                )
            lattice.append((first * factor, (count - 1) * factor + 1, low, high))
        axes = [_lattice_axis(n, *place) for n, place in zip(counts, lattice)]
        ends = tuple((float(axis[0]), float(axis[-1])) for axis in axes)
        return Grid(tuple(counts), ends, tuple(lattice))

    @public()
    def resized(self, points: int) -> Grid:
        """A grid of the same bounds with ``points`` along every axis."""
        return Grid((points,) * self.dimensions, self.bounds)

    @property
    def dimensions(self) -> int:
        return len(self.counts)

    @property
    def axis_names(self) -> tuple[str, ...]:
        """``("alpha", "beta", "gamma")``, as many as the grid has."""
        return AXIS_NAMES[: self.dimensions]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a grid array, slowest axis first: (beta, alpha)."""
        return self.counts[::-1]

    @property
    def size(self) -> int:
        return int(np.prod(self.counts))

    @property
    def origin(self) -> tuple[float, ...]:
        """Coordinates of the first point, alpha first."""
        return tuple(low for low, _ in self.bounds)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighboring points along each axis, alpha first."""
        return tuple((high - low) / (n - 1) for n, (low, high) in zip(self.counts, self.bounds))

    def axes(self) -> list[np.ndarray]:
        """Coordinates along each axis, alpha first; exactly symmetric if the bounds are."""
        whole = [(0, n, low, high) for n, (low, high) in zip(self.counts, self.bounds)]
        places = self.lattice or whole
        return [_lattice_axis(n, *place) for n, place in zip(self.counts, places)]

    def points(self) -> np.ndarray:
        """All points, alpha fastest, shape (size, dimensions)."""
        mesh = np.meshgrid(*self.axes()[::-1], indexing="ij")
        return np.stack([axis.ravel() for axis in mesh[::-1]], axis=1)

    def to_json(self) -> dict:
        """The grid in the types of JSON."""
        found = {"shape": list(self.shape), "bounds": [list(pair) for pair in self.bounds]}
        return {**found, "lattice": [list(p) for p in self.lattice]} if self.lattice else found

    @classmethod
    @public(value=DESCRIBED)
    def from_json(cls, value: dict) -> Grid:
        """The grid that :meth:`Grid.to_json` describes.

        Raises
        ------
        LossLandscapeError
            If it is not one.
        """
        DESCRIBED.check("value", value)
        for name in ("shape", "bounds"):
            if name not in value:
                raise LossLandscapeError(f"value has no entry '{name}'; {DESCRIBED.what}")
        counts = COUNTS.check("shape", value["shape"])[::-1]
        return cls(tuple(counts), value["bounds"], value.get("lattice") or None)


def _checked_lattice(
    lattice: Sequence[tuple[int, int, float, float]], dimensions: int
) -> tuple[tuple[int, int, float, float], ...]:
    """One (first, count, low, high) per axis of a grid."""
    axes = Items(Items(FINITE, "first, count, low, high"), "axes").check("lattice", lattice)
    if len(axes) != dimensions:
        raise LossLandscapeError(
            f"a grid of {dimensions} axes cannot be part of a grid of {len(axes)} axes"
        )
    if any(len(axis) != 4 for axis in axes):
        raise LossLandscapeError("lattice: each axis has four numbers: first, count, low, high")
    return tuple(
        (WHOLE.check("lattice: first", first), COUNT.check("lattice: count", count), low, high)
        for (first, count, *_), (*_, low, high) in zip(lattice, axes)
    )


def _lattice_axis(points: int, first: int, count: int, low: float, high: float) -> np.ndarray:
    """Coordinates of ``points`` points from number ``first`` on, out of ``count`` from low to high.

    Points shared with a coarser lattice have the same quotients, and thus bit-identical
    coordinates.
    """
    number = np.arange(first, first + points)
    return low * ((count - 1 - number) / (count - 1)) + high * (number / (count - 1))
