"""The places that a reader asks for first: the model's own, and the lowest point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, Landscape

_ON_GRID = 1e-6  # of the spacing
# what lies at coordinates 0, by the kind of the plane; between models the models have labels
_AT_ORIGIN = {"random": "the model", "pca": "the model", "given": "the origin",
              "eigenvectors": "the origin", "inputs": "the samples as they are"}  # fmt: skip


def origin_number(landscape: Landscape) -> int | None:
    """Number of the grid point at coordinates 0; None if there is none."""
    grid = landscape.grid
    away = np.abs(grid.points()) / np.array(grid.spacing)
    number = int(away.max(axis=1).argmin())
    return number if away[number].max() <= _ON_GRID else None


def describe_places(landscape: Landscape) -> list[str]:
    """Where the model is and its loss, and the lowest evaluated point with the difference.

    Empty for an imported landscape, which does not say where its model is, and for one without a
    finite loss.

    Examples
    --------
    >>> from losslandscape.planes.grid import Grid
    >>> losses = np.array([[1.0, 3.0], [2.0, 4.0], [4.0, 2.0]])
    >>> line = Landscape(Grid.line(3), {"loss": losses.mean(1)}, np.ones(3, np.int8), np.eye(1),
    ...                  {"subspace": {"kind": "given"}}, {"loss_samples": losses})
    >>> print(*describe_places(line), sep="\\n")
    the origin, at (0): loss 3
    lowest evaluated point, at (-1): loss 2, which is 1 below the origin (standard error 0)
    """
    what = _AT_ORIGIN.get(str(landscape.provenance.get("subspace", {}).get("kind")))
    loss = landscape.values("loss").ravel()
    evaluated = (landscape.status.ravel() == EVALUATED) & np.isfinite(loss)
    if not evaluated.any():
        return []
    points = landscape.grid.points()
    lowest = int(np.where(evaluated, loss, np.inf).argmin())
    number = origin_number(landscape)
    own = _origin_loss(landscape, number)
    lines = []
    if what is not None and own is not None:
        zero = _place(np.zeros(landscape.grid.dimensions))
        note = "" if number is not None else ", which is not a grid point"
        lines.append(f"{what}, at {zero}{note}: loss {own:.6g}")
    line = f"lowest evaluated point, at {_place(points[lowest])}: loss {loss[lowest]:.6g}"
    if what is not None and number == lowest:
        line = f"lowest evaluated point: {what}"
    elif what is not None and own is not None:
        line += _difference(landscape, what, own, number, lowest, float(loss[lowest]))
    lines.append(line)
    lines += _interpolated_below(landscape, loss, points, float(loss[lowest]))
    return lines


def _origin_loss(landscape: Landscape, number: int | None) -> float | None:
    if number is not None and landscape.status.ravel()[number] == EVALUATED:
        return float(landscape.values("loss").ravel()[number])
    recorded = landscape.provenance.get("determinism", {})
    found = recorded.get("origin_loss") if isinstance(recorded, dict) else None
    if found is None:  # older files; a plane of principal components goes through a checkpoint
        step = np.array(landscape.grid.spacing)
        for trajectory in landscape.trajectories:
            if (np.abs(trajectory.coordinates[-1]) <= _ON_GRID * step).all():
                found = float(trajectory.loss[-1])
    return float(found) if isinstance(found, (int, float)) and np.isfinite(found) else None


def _difference(
    landscape: Landscape, what: str, own: float, number: int | None, lowest: int, low: float
) -> str:
    if own <= low:
        return f", not below {what}"
    words = f", which is {own - low:.4g} below {what}"
    unknown = f"{words}; the error of the difference is not known, because"
    if "loss_samples" not in landscape.samples:
        return f"{unknown} no per-sample losses are kept"
    if number is None:
        return f"{unknown} the per-sample losses are those of grid points, and {what} is not one"
    try:
        error = float(landscape.difference_standard_error("minimum").ravel()[number])
        # takes into account that the lowest of many points is more likely too low than too high
        interval = landscape.difference_confidence_interval("minimum")
    except LossLandscapeError as why:
        return f"{unknown} {why}"
    if not np.isfinite(error):
        return f"{unknown} it has no finite value at {what}"
    words += f" (standard error {error:.2g}"
    ends = [float(end.ravel()[number]) for end in (interval.low, interval.high)]
    if np.isfinite(ends).all() and error > 0:
        words += f", 95.4% interval {ends[0]:.2g} to {ends[1]:.2g}"
    return words + ")"


def _interpolated_below(
    landscape: Landscape, loss: np.ndarray, points: np.ndarray, low: float
) -> list[str]:
    interpolated = (landscape.status.ravel() == INTERPOLATED) & np.isfinite(loss)
    if not interpolated.any():
        return []
    number = int(np.where(interpolated, loss, np.inf).argmin())
    if loss[number] >= low:
        return []
    errors = landscape.fields.get("loss_interpolation_error")
    error = np.nan if errors is None else float(errors.ravel()[number])
    known = f" (estimated error {error:.2g})" if np.isfinite(error) else ""
    return [
        f"lowest interpolated point, at {_place(points[number])}: loss {loss[number]:.6g}{known}, "
        "which is not measured"
    ]


def _place(coordinates: Sequence[float] | np.ndarray) -> str:
    return f"({', '.join(f'{c + 0.0:.4g}' for c in coordinates)})"
