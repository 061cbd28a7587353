"""Do the error bars of a return surface cover a rerun with other random numbers?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import losslandscape as ll
from benchmarks.actor_critic.landscapes import cost_objective, evaluated

POINTS = 10  # along each axis: 100 points
EPISODES, RERUNS = 200, 40
_REFERENCE = 10_000  # episodes
_FIRST_SEED = 1000


def coverage(agent: Any, plane: ll.Subspace, folder: Path) -> dict[str, float]:
    """Shares of the 100 points and all reruns that the error bars cover, with their errors.

    ``reference``: two standard errors of a rerun, and those of a surface of 10,000 other episodes,
    cover their difference. ``rerun``: those of two reruns cover their difference. The points of one
    run have the same random numbers, so they are right or wrong together; the error of a share is
    that over the runs.
    """
    low, high = np.array(plane.default_grid(POINTS).bounds).T
    grid = ll.Grid.rectangle((POINTS, POINTS), tuple(zip(low.tolist(), high.tolist())))

    def surface(episodes: int, seed: int, name: str) -> tuple[np.ndarray, np.ndarray]:
        objective = cost_objective(agent, episodes, seed)
        found = evaluated(folder / f"{name}.nc", objective, plane, grid)
        return found.values("loss"), found.standard_error()

    folder.mkdir(exist_ok=True)
    reference = surface(_REFERENCE, _FIRST_SEED, "reference")
    reruns = [surface(EPISODES, _FIRST_SEED + 1 + i, f"rerun_{i:02d}") for i in range(RERUNS)]
    against = np.array([_covered(one, reference) for one in reruns])
    pairs = np.array([_covered(one, other) for one, other in zip(reruns[::2], reruns[1::2])])
    return {
        "reference": float(against.mean()),
        "reference_error": float(against.std(ddof=1) / np.sqrt(len(against))),
        "rerun": float(pairs.mean()),
        "rerun_error": float(pairs.std(ddof=1) / np.sqrt(len(pairs))),
    }


def _covered(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    difference = np.abs(one[0] - other[0])
    return float((difference <= 1.96 * np.hypot(one[1], other[1])).mean())
