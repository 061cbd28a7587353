"""How narrow a well can be and still be missed between the evaluated points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

from losslandscape.errors import LossLandscapeError

_HALF_WIDTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True)
class Gaps:
    """The gaps between the evaluated points of a grid.

    A well of half width w, whose middle is equally likely to be any point of the grid, is met if an
    evaluated point is within w of its middle. A well that is met shows in the value there. About
    one that is not, the evaluated points say nothing.

    Attributes
    ----------
    distances : ndarray, shape (size,)
        Of each grid point from the nearest evaluated one, in spacings, ascending.

    Notes
    -----
    The distances are exact (Euclidean distance transform). Along each axis, the unit is the spacing
    of the grid on this axis. "Half width" is that of the part of the well that matters: at half of
    its depth, for example, an evaluated point in it is off by half of the depth or more.
    """

    distances: np.ndarray

    @property
    def largest(self) -> float:
        """The half width from which every well is met, in spacings."""
        return float(self.distances[-1])

    def probability(self, half_width: float) -> float:
        """Probability that a well of this half width, in spacings, is met."""
        return float(np.searchsorted(self.distances, half_width, side="right")) / len(
            self.distances
        )

    def half_width(self, probability: float) -> float:
        """Smallest half width, in spacings, with which a well is met with this probability.

        Raises
        ------
        LossLandscapeError
            If the probability is not above 0 and at most 1.
        """
        if not 0 < probability <= 1:
            raise LossLandscapeError(f"probability is {probability}; it must be in (0, 1]")
        place = int(np.ceil(probability * len(self.distances) * (1 - 1e-12))) - 1
        return float(self.distances[max(place, 0)])

    def to_json(self) -> dict[str, Any]:
        return {
            "unit": "spacings",
            "largest": self.largest,
            "half_width_95": self.half_width(0.95),
            "half_widths": list(_HALF_WIDTHS),
            "probabilities": [self.probability(width) for width in _HALF_WIDTHS],
        }


def gaps_between(evaluated: np.ndarray) -> Gaps:
    """The gaps between some points of a grid.

    Parameters
    ----------
    evaluated : ndarray of bool, shape ``grid.shape``

    Raises
    ------
    LossLandscapeError
        If no point is evaluated.

    Examples
    --------
    >>> gaps = gaps_between(np.array([True, False, False, False, True]))
    >>> gaps.largest, gaps.probability(1), gaps.half_width(0.8)
    (2.0, 0.8, 1.0)
    """
    if not evaluated.any():
        raise LossLandscapeError("no point is evaluated, so a well of any width may be missing")
    return Gaps(np.sort(distance_transform_edt(~evaluated), axis=None))


def describe(gaps: dict[str, Any]) -> str:
    """The gaps in a sentence, from their description in the file.

    Examples
    --------
    >>> print(describe(gaps_between(np.array([True, False, False, False, True])).to_json()))
    an evaluated point lies in every well of half width 2 spacings or more and in 95% of those of 2,
    if their place is random; a narrower well may be missing
    """
    return (
        f"an evaluated point lies in every well of half width {gaps['largest']:.2g} spacings or "
        f"more and in 95% of those of {gaps['half_width_95']:.2g}, if their place is random; a "
        "narrower well may be missing"
    )
