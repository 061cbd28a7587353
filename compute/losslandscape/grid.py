"""Where a landscape is evaluated: a regular grid of 1, 2 or 3 dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losslandscape.errors import LossLandscapeError

AXIS_NAMES = ("alpha", "beta", "gamma")


@dataclass(frozen=True)
class Grid:
    """A regular grid in the coordinates of a subspace.

    Parameters
    ----------
    counts : tuple of int
        Points along alpha, beta, gamma; at least 2 each.
    bounds : tuple of (low, high)
        Ends of each axis, the same order.

    Raises
    ------
    LossLandscapeError
        If a count is under 2 or a pair of bounds is not finite and increasing.

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

    def __post_init__(self):
        counts = tuple(self.counts)
        bounds = tuple((float(low), float(high)) for low, high in self.bounds)
        if not 1 <= len(counts) <= 3 or len(counts) != len(bounds):
            raise LossLandscapeError(
                f"a grid has 1, 2 or 3 axes with a pair of bounds each; "
                f"{len(counts)} counts and {len(bounds)} bounds were given"
            )
        for name, count, (low, high) in zip(AXIS_NAMES, counts, bounds):
            if int(count) != count or count < 2:
                raise LossLandscapeError(f"grid: {name} has {count} points; at least 2 are needed")
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise LossLandscapeError(
                    f"grid: {name} runs from {low:g} to {high:g}; bounds must be finite and rise"
                )
        object.__setattr__(self, "counts", tuple(int(count) for count in counts))
        object.__setattr__(self, "bounds", bounds)

    @classmethod
    def line(cls, points: int, half_width: float = 1.0) -> Grid:
        """One dimension, -half_width to half_width."""
        return cls((points,), ((-half_width, half_width),))

    @classmethod
    def square(cls, points: int, half_width: float = 1.0) -> Grid:
        """Two dimensions, ``points`` x ``points``, +-half_width."""
        return cls((points,) * 2, ((-half_width, half_width),) * 2)

    @classmethod
    def cube(cls, points: int, half_width: float = 1.0) -> Grid:
        """Three dimensions, ``points`` a side, +-half_width."""
        return cls((points,) * 3, ((-half_width, half_width),) * 3)

    @classmethod
    def rectangle(cls, counts: Sequence[int], bounds: Sequence[tuple[float, float]]) -> Grid:
        """Any counts and bounds, alpha first; one to three of them."""
        return cls(tuple(counts), tuple(tuple(pair) for pair in bounds))  # type: ignore[misc]

    @classmethod
    def around(cls, coordinates: np.ndarray, margin: float, points: int = 51) -> Grid:
        """The box of some points and a margin, as a share of its longest side, on every side.

        Parameters
        ----------
        coordinates : ndarray, shape (n, dimensions)
        """
        low, high = coordinates.min(axis=0), coordinates.max(axis=0)
        border = margin * max(float((high - low).max()), np.finfo(np.float32).tiny)
        bounds = zip((low - border).tolist(), (high + border).tolist())
        return cls.rectangle((points,) * coordinates.shape[1], tuple(bounds))

    def resized(self, points: int) -> Grid:
        """The same bounds with ``points`` along every axis."""
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
        """Distance of neighbours along each axis, alpha first."""
        return tuple((high - low) / (n - 1) for n, (low, high) in zip(self.counts, self.bounds))

    def axes(self) -> list[np.ndarray]:
        """Coordinates along each axis, alpha first; symmetric to the bit where the bounds are."""
        return [
            low * (np.arange(n - 1, -1, -1) / (n - 1)) + high * (np.arange(n) / (n - 1))
            for n, (low, high) in zip(self.counts, self.bounds)
        ]

    def points(self) -> np.ndarray:
        """All points, alpha fastest, shape (size, dimensions)."""
        mesh = np.meshgrid(*self.axes()[::-1], indexing="ij")
        return np.stack([axis.ravel() for axis in mesh[::-1]], axis=1)

    def to_json(self) -> dict:
        return {"shape": list(self.shape), "bounds": [list(pair) for pair in self.bounds]}

    @classmethod
    def from_json(cls, value: dict) -> Grid:
        return cls.rectangle(value["shape"][::-1], [tuple(pair) for pair in value["bounds"]])
