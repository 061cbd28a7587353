"""How much of a landscape is interpolated, and the estimated errors of those values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from losslandscape.landscape.landscape import INTERPOLATED, Landscape


@dataclass(frozen=True)
class Interpolation:
    """The interpolated points among some points of a landscape; see :func:`interpolation_of`.

    Attributes
    ----------
    points : int
        Number of points with a finite loss.
    interpolated : int
        How many of these are interpolated.
    largest_error : float
        Largest estimated error of an interpolated loss, in units of the loss; 0 if no point is
        interpolated, NaN if an error is unknown.
    """

    points: int
    interpolated: int
    largest_error: float

    def __str__(self) -> str:
        if np.isnan(self.largest_error):
            known = "with unknown errors"
        else:
            known = f"with an estimated error of up to {self.largest_error:.4g}"
        return f"{self.interpolated:,} of {self.points:,} points are interpolated, {known}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def interpolation_of(landscape: Landscape, among: np.ndarray | None = None) -> Interpolation:
    """Count the interpolated points and find the largest estimated error of their losses.

    Parameters
    ----------
    among : ndarray of bool, shape ``grid.shape``, optional
        The points to consider; all by default.

    Examples
    --------
    >>> from losslandscape import Grid
    >>> fields = {"loss": np.array([1.0, 2.0, 4.0]),
    ...           "loss_interpolation_error": np.array([0.0, 0.25, 0.0])}
    >>> print(interpolation_of(Landscape(Grid.line(3), fields, np.array([1, 2, 1]), np.eye(1))))
    1 of 3 points are interpolated, with an estimated error of up to 0.25
    """
    valued = np.isfinite(landscape.values("loss"))
    if among is not None:
        valued &= among
    interpolated = valued & (landscape.status == INTERPOLATED)
    errors = interpolation_errors(landscape)[interpolated]
    return Interpolation(
        int(valued.sum()), int(interpolated.sum()), float(errors.max()) if errors.size else 0.0
    )


def interpolation_errors(landscape: Landscape, scale: str = "linear") -> np.ndarray:
    """The estimated error of each interpolated loss, on a linear or log scale.

    Parameters
    ----------
    scale : "log" or "linear"
        Return errors of log10 of the loss, in decades, or errors of the loss.

    Returns
    -------
    float64 ndarray, shape ``grid.shape``
        0 at points that are not interpolated; NaN if the error of an interpolated point is unknown.
        Infinite on the log scale if the loss may be 0 within its error.

    Notes
    -----
    The file holds errors e in units of the loss. If the loss v was interpolated as log10 v, with an
    error of d decades, then e = v (10^d - 1), the larger side, so that d = log10(1 + e / v). If it
    was interpolated on the linear scale, v - e is more decades away than v + e, and
    d = -log10(1 - e / v).

    Examples
    --------
    >>> from losslandscape import Grid
    >>> fields = {"loss": np.array([1.0, 2.0, 4.0]),
    ...           "loss_interpolation_error": np.array([0.0, 1.0, 0.0])}
    >>> line = Landscape(Grid.line(3), fields, np.array([1, 2, 1]), np.eye(1))
    >>> interpolation_errors(line, "log").round(3)
    array([0.   , 0.301, 0.   ])
    """
    interpolated = landscape.status == INTERPOLATED
    stored = landscape.fields.get("loss_interpolation_error", np.full(interpolated.shape, np.nan))
    errors = np.where(interpolated, stored, 0.0)
    if scale == "linear":
        return errors
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = errors / landscape.values("loss")
        if landscape.provenance.get("adaptive", {}).get("scale") == "log":
            decades = np.log10(1 + relative)
        else:
            decades = np.where(relative < 1, -np.log10(1 - relative), np.inf)
            decades[np.isnan(relative)] = np.nan
    return np.where(interpolated, decades, 0.0)
