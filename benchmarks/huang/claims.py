"""What the study says: rank correlations of volume and test accuracy, with intervals.

The volumes are estimates, and lower bounds where few directions make them; so are the claims of the
bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.huang.minima import LEVEL

ESTIMATORS = ("naive", "preconditioned")
_DRAWS = 2000
_FEWEST = 8  # minima, of which bootstrap draws can say something


def rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis; NaN where one is constant.

    >>> rank_correlation([[1, 2, 3], [7, 7, 7]], [[10, 30, 20], [10, 30, 20]]).round(3)
    array([0.5, nan])
    """
    a, b = (rankdata(one, axis=-1) - (np.shape(x)[-1] + 1) / 2 for one in (x, y))
    scale = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return (a * b).sum(-1) / np.where(scale > 0, scale, np.nan)


def with_interval(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """The rank correlation and the central 95% of bootstrap draws of the minima.

    NaN for fewer than two minima.
    """
    if len(x) < 2:
        return (float("nan"),) * 3
    generator = np.random.default_rng(0)
    a, b = np.asarray(x), np.asarray(y)
    chosen = generator.integers(len(a), size=(_DRAWS, len(a)))
    low, high = np.nanquantile(rank_correlation(a[chosen], b[chosen]), (0.025, 0.975))
    return float(rank_correlation(a, b)), float(low), float(high)


def claims(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each estimator, whether larger volumes go with higher test accuracy.

    Of the networks whose training loss reached the level.
    """
    found = []
    rows = [row for row in rows if row["loss"] <= LEVEL]
    test = [row["test_accuracy"] for row in rows]
    for name in ESTIMATORS:
        volumes = [row[name]["log10_volume"] for row in rows]
        value, low, high = with_interval(volumes, test)
        verdict = "holds" if low > 0 else "does not hold here" if high < 0 else "cannot be told"
        if len(rows) < _FEWEST:
            verdict = "cannot be told"
        found.append(
            {"estimator": name, "rank_correlation": None if np.isnan(value) else value,
             "interval": None if np.isnan(low) else [low, high], "verdict": verdict}
        )  # fmt: skip
    return found
