"""Adaptive evaluation: the tolerance and the stated errors on surfaces known everywhere."""

from __future__ import annotations

from functools import lru_cache, partial

from benchmarks.coverage.adaptive_surfaces import (
    compared,
    drawn,
    refined,
    surface_families,
    within_most,
)
from benchmarks.coverage.claim import Claim, Family, Outcome

SECTION = "Fewer points and fewer samples"


@lru_cache(maxsize=4)
def _tried(name: str, seed: int) -> tuple[float, float]:
    """Largest true error over the tolerance; share of points within the error stated for 95%."""
    surface = drawn(name, seed)
    refinement, evaluated = refined(surface, seed)
    error = compared(surface, refinement, evaluated).error
    return float(error), float(within_most(surface, refinement, evaluated))


def tolerance(name: str, seed: int) -> Outcome:
    """Whether the largest true error is within the tolerance."""
    error, _ = _tried(name, seed)
    return Outcome(error <= 1, error, f"{error:.2f} times the tolerance")


def most_points(name: str, seed: int) -> Outcome:
    """Whether 95% of the interpolated points are within the error that is stated for 95%."""
    _, share = _tried(name, seed)
    return Outcome(share >= 0.95, share, f"{share:.1%} of the points")


def claims() -> tuple[Claim, ...]:
    return (
        Claim(
            "adaptive tolerance",
            SECTION,
            "With `tolerance=0.01`, the largest error of an adaptively evaluated surface is within "
            "the tolerance.",
            0.95,
            tuple(Family(name, partial(tolerance, name), 40) for name in surface_families()),
            number="largest error / tolerance",
            why="The estimate is no bound. A well that is narrower than the gaps between evaluated "
            "points is found only by chance; `info` says how narrow that is. See [what it cannot "
            "see](adaptive.md#what-it-cannot-see).",
        ),
        Claim(
            "adaptive points",
            SECTION,
            "At least 95% of the interpolated points of a surface are within the error that is "
            "stated for 95% of them.",
            0.95,
            tuple(Family(name, partial(most_points, name), 20) for name in surface_families()),
            number="share of points",
            why="The error that is stated for 95% of the points comes from the known errors at "
            "evaluated points.",
        ),
    )
