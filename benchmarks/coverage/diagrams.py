"""Distances of persistence diagrams against exact matchings by SciPy."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from benchmarks.coverage.claim import Claim, Family, Outcome
from losslandscape.analysis.diagrams import (
    bottleneck_distance,
    distances_are_available,
    finite_points,
    lowest_birth,
    wasserstein_distance,
)
from losslandscape.topology import persistence_pairs

SECTION = "Comparison of landscapes"


def _costs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Costs of matching points with each other or with the diagonal, which costs half their height.

    Shape (n + m, n + m): the last m rows and n columns are the diagonal.
    """
    n, m = len(first), len(second)
    costs = np.zeros((n + m, n + m))
    costs[:n, :m] = abs(first[:, None] - second[None]).max(axis=-1)
    costs[:n, m:] = (first[:, 1] - first[:, 0])[:, None] / 2
    costs[n:, :m] = (second[:, 1] - second[:, 0])[None] / 2
    return costs


def _bottleneck(costs: np.ndarray) -> float:
    """The least entry such that the entries up to it hold a perfect matching, by bisection."""
    levels = np.unique(costs)
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        matched = maximum_bipartite_matching(csr_matrix(costs <= levels[middle]))
        low, high = (low, middle) if (matched >= 0).all() else (middle + 1, high)
    return float(levels[low])


def _line(random: np.random.Generator) -> np.ndarray:
    return random.normal(size=int(random.integers(20, 120)))


def _waves(random: np.random.Generator) -> np.ndarray:
    return gaussian_filter(random.normal(size=(24, 24)), random.uniform(0.7, 3), mode="wrap")


def _steps(random: np.random.Generator) -> np.ndarray:
    """Few values, so that many points of the diagrams are equal."""
    return random.integers(0, 5, (14, 14)).astype(float)


def _decades(random: np.random.Generator) -> np.ndarray:
    return 10.0 ** gaussian_filter(random.normal(size=(20, 20)) * 8, 1.5)


FIELDS = {
    "noise on a line": _line, "smooth fields": _waves, "fields of few values": _steps,
    "fields of many decades": _decades,
}  # fmt: skip


def _compared(name: str, seed: int):
    random = np.random.default_rng(seed)
    first, second = (persistence_pairs(FIELDS[name](random)) for _ in range(2))
    costs = [_costs(finite_points(first, kind), finite_points(second, kind)) for kind in (0, 1)]
    return first, second, costs, abs(lowest_birth(first) - lowest_birth(second))


def wasserstein(name: str, seed: int) -> Outcome:
    """The 1-Wasserstein distance against the Hungarian method."""
    first, second, costs, lowest = _compared(name, seed)
    exact = lowest + sum(cost[linear_sum_assignment(cost)].sum() for cost in costs)
    off = abs(wasserstein_distance(first, second) / exact - 1)
    return Outcome(bool(off <= 1e-3), float(off), f"{off:.2g} of it off")


def bottleneck(name: str, seed: int) -> Outcome:
    """The bottleneck distance against bisection over bipartite matchings."""
    first, second, costs, lowest = _compared(name, seed)
    exact = max(lowest, *(_bottleneck(cost) if cost.size else 0.0 for cost in costs))
    off = abs(bottleneck_distance(first, second) / exact - 1)
    return Outcome(bool(off <= 1e-9), float(off), f"{off:.2g} of it off")


def claims() -> tuple[Claim, ...]:
    if not distances_are_available():
        return ()
    return (
        Claim(
            "Wasserstein",
            SECTION,
            "The Wasserstein distance of two diagrams is within 0.1% of that of the best matching.",
            1.0,
            tuple(Family(name, partial(wasserstein, name), 100) for name in FIELDS),
            number="relative error",
        ),
        Claim(
            "bottleneck",
            SECTION,
            "The bottleneck distance is that of the best matching, within 1e-9 of it.",
            1.0,
            tuple(Family(name, partial(bottleneck, name), 100) for name in FIELDS),
            number="relative error",
        ),
    )
