"""Adaptive evaluation compared with dense surfaces: number of points, true and estimated errors.

``python -m benchmarks.adaptive`` reads the stored surfaces of benchmarks/surfaces (five networks on
two planes each), and adds analytic surfaces that are chosen to break it. It needs no forward
passes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.stats import spearmanr

from benchmarks import results
from losslandscape import Grid
from losslandscape.adaptive.refinement import Adaptive, Refinement

SURFACES = Path(__file__).parent / "surfaces"
TOLERANCE = 0.01
_MOST_POINTS = {"vgg11": 0.10, "resnet50": 0.10}  # of the grid; 0.15 for the others


def assess(
    truth: np.ndarray, values: np.ndarray, error: np.ndarray, evaluated: np.ndarray, scale: str
) -> dict[str, float]:
    """Compare a surface with error bars with the dense surface.

    Parameters
    ----------
    truth, values, error : ndarray, shape (size,)
        In units of the loss; errors of a log scale as stored in files.
    evaluated : ndarray of bool, shape (size,)
    scale : "log" or "linear"

    Returns
    -------
    dict
        ``largest_error`` (as a share of the dense range), and over the interpolated points only:
        ``within`` (share of points whose estimate is at least the error), ``median_ratio`` (median
        estimate / median error), ``rank`` (Spearman's correlation of both; 0 if one is constant).
        ``wrong_nan``: number of points where only one of truth and prediction is finite.
    """
    if scale == "log":
        estimate = np.log10(1 + error / values)
        truth, values = np.log10(truth), np.log10(values)
    else:
        estimate = error
    difference = np.abs(values - truth)
    span = np.nanmax(truth) - np.nanmin(truth)
    both = np.isfinite(difference) & ~evaluated
    errors, estimates = difference[both], estimate[both]
    constant = errors.size < 2 or np.ptp(errors) == 0 or np.ptp(estimates) == 0
    median = np.median(errors) if errors.size else np.nan
    return {
        "largest_error": float(np.nanmax(difference) / span) if span else float("nan"),
        "within": float((estimates >= errors).mean()) if errors.size else float("nan"),
        "median_ratio": float(np.median(estimates) / median) if median > 0 else float("inf"),
        "rank": 0.0 if constant else float(spearmanr(estimates, errors)[0]),
        "wrong_nan": int((np.isfinite(truth) != np.isfinite(values)).sum()),
    }


def missed(name: str, share: float, found: dict[str, float]) -> list[str]:
    """The requirements that a network's surface does not meet."""
    most = _MOST_POINTS.get(name.rsplit("_", 1)[0], 0.15)
    return [
        what
        for what, met in (
            ("points", share <= most),
            ("error", found["largest_error"] <= TOLERANCE),
            ("within", found["within"] >= 0.95),
            ("median", found["median_ratio"] <= 5),
            ("rank", found["rank"] >= 0.5),
        )
        if not met
    ]


def refined(grid: Grid, truth: np.ndarray, seed: int = 0):
    """A refinement that looks up the values, and the points that it evaluated."""
    refinement = Refinement(grid, Adaptive(TOLERANCE, seed=seed))
    evaluated = np.zeros(grid.size, bool)
    while (numbers := refinement.next_round(truth, evaluated)).size:
        evaluated[numbers] = True
    return refinement, evaluated


def row(name: str, grid: Grid, truth: np.ndarray, judged: bool) -> list[Any]:
    """A row of the table."""
    start = time.process_time()
    refinement, evaluated = refined(grid, truth)
    seconds = time.process_time() - start
    values, error = refinement.interpolated(truth)
    assert refinement.model is not None
    found = assess(truth, values, error, evaluated, refinement.model.scale)
    checks = [f"{check.within}/{check.points}" for check in refinement.checks]
    verdict = ""
    if judged:
        verdict = ", ".join(missed(name, evaluated.mean(), found)) or "-"
    whole = bool(evaluated.all())
    return [
        name,
        refinement.model.scale,
        int(evaluated.sum()),
        f"{100 * evaluated.mean():.1f}%",
        f"{100 * found['largest_error']:.2f}%",
        "" if whole else f"{100 * found['within']:.1f}%",
        "" if whole else f"{found['median_ratio']:.1f}",
        "" if whole else f"{found['rank']:.2f}",
        " ".join(checks),
        refinement.rounds,
        f"{seconds:.1f}",
        verdict,
    ]


def stored() -> dict[str, tuple[Grid, np.ndarray]]:
    """The dense surfaces by name."""
    surfaces = {}
    for path in sorted(SURFACES.glob("*.npz")):
        with np.load(path) as file:
            ny, nx = file["loss"].shape
            grid = Grid.rectangle((nx, ny), [tuple(pair) for pair in file["bounds"]])
            surfaces[path.stem] = (grid, file["loss"].ravel())
    return surfaces


def made() -> dict[str, tuple[Grid, np.ndarray]]:
    """Analytic surfaces chosen to break the adaptive evaluation, by name."""
    grid = Grid.square(51, 5.12)
    x, y = grid.points().T
    bowl = x**2 + 3 * y**2
    plateau = np.where((x > 1.7) & (y > -2), np.nan, bowl)
    hidden = bowl + np.where(
        (np.arange(x.size) % 51 == 29) & (np.arange(x.size) // 51 == 34), 80, 0
    )
    ripples = 10 * np.cos(np.pi * x / 2) + 10 * np.cos(np.pi * y / 2)
    noise = np.random.default_rng(0).standard_normal(x.size)
    return {
        "quadratic bowl": (grid, bowl + 1),
        "Rastrigin": (
            grid,
            20 + x**2 + y**2 - 10 * np.cos(2 * np.pi * x) - 10 * np.cos(2 * np.pi * y),
        ),
        "Rastrigin, a quarter of the ripples": (grid, 20 + (x**2 + y**2) / 16 - ripples),
        "Himmelblau": (grid, (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2),
        "kink": (grid, np.abs(x + 0.3 * y - 1.1) + 0.1 * x**2),
        "cliff": (grid, np.where(x + 0.3 * y > 1.1, 10.0, 0.0) + 0.1 * x**2 + 0.05 * y**2),
        "plateau of NaN": (grid, plateau),
        "spike of one point": (grid, hidden),
        "white noise": (grid, noise),
    }


def regular_points(truth: np.ndarray, shape: tuple[int, int], degree: int) -> int:
    """Points of the coarsest regular grid whose spline is within the tolerance everywhere."""
    field = truth.reshape(shape)
    if field.min() > 0 and np.log10(field.max() / field.min()) > 2:
        field = np.log10(field)
    for count in range(degree + 1, shape[0] + 1):
        places = np.unique(np.linspace(0, shape[0] - 1, count).round().astype(int))
        spline = RectBivariateSpline(
            places, places, field[np.ix_(places, places)], kx=degree, ky=degree
        )
        found = spline(np.arange(shape[0]), np.arange(shape[1]))
        if np.abs(found - field).max() <= TOLERANCE * np.ptp(field):
            return places.size**2
    return field.size


def main() -> None:
    columns = [
        "surface", "scale", "points", "of 51x51", "largest error", "within estimate",
        "median estimate / error", "rank", "checks", "rounds", "method, s", "missed",
    ]  # fmt: skip
    table = []
    for judged, surfaces in ((True, stored()), (False, made())):
        for name, (grid, truth) in surfaces.items():
            table.append(row(name, grid, truth, judged))
            print(*table[-1], sep="  ", flush=True)
    results.write(
        "adaptive",
        f"Adaptive evaluation at a tolerance of {100 * TOLERANCE:g}% of the range",
        columns,
        table,
        [
            "The largest error is over the whole grid, in the metric of the tolerance. The next "
            "three columns are over interpolated points alone. VGG-11 and ResNet-50 (fixed "
            "batch-norm statistics) use 64 digits, the others 1,438. Required of the networks: at "
            "most 10% of the points for VGG-11 and ResNet-50 and 15% for the others, errors within "
            "1%, 95% of them within their estimate, a ratio of at most 5, and a rank correlation "
            "of at least 0.5. The spike of one point lies between evaluated points and is not "
            "found.",
        ],
    )
    methods = []
    for name, (grid, truth) in stored().items():
        shape = (grid.shape[0], grid.shape[1])
        methods.append(
            [name, int(refined(grid, truth)[1].sum()),
             regular_points(truth, shape, 3), regular_points(truth, shape, 1)]
        )  # fmt: skip
        print(*methods[-1], sep="  ", flush=True)
    results.write(
        "adaptive_methods",
        "Points for an error of 1% of the range: adaptive, and regular grids",
        ["surface", "adaptive, by its own estimate", "bicubic spline", "bilinear"],
        methods,
        ["The regular grids are the coarsest that the true error allows, which is known only from "
         "the dense surface. 2601 is the whole grid."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
