"""The recipe of a run: what is measured, as JSON, and where two recipes differ.

A journal keeps the recipe of its run. Points of two runs belong in one file only if the recipes are
equal, down to the versions and the processor, on which the last bits of a value depend.
"""

from __future__ import annotations

from typing import Any

from losslandscape.landscape.identity import described_plane
from losslandscape.planes.grid import Grid
from losslandscape.problem.objective import Objective
from losslandscape.run.computer import computer
from losslandscape.run.task import Task

KEEP_SAMPLES_BYTES = 64 << 20  # of per-sample losses that are kept unless the caller decides


def recipe_of(task: Task) -> dict[str, Any]:
    """The recipe of a task.

    Make it before an evaluator is open, which alters the model that is described here.
    """
    recipe: dict[str, Any] = {
        "subspace": described_plane(task.subspace),
        "grid": task.grid.to_json(),
        "objective": task.objective.to_json(),
        "keep_samples": kept_sets(task.objective, task.grid, task.keep_samples),
    }
    if task.adaptive is not None:
        recipe["adaptive"] = task.adaptive.to_json()
    recipe["computer"] = computer(task.objective.device)
    return recipe


def kept_sets(objective: Objective, grid: Grid, keep: bool | None) -> list[str]:
    """The sets whose per-sample losses are kept: all, none, or while they take under 64 MiB.

    Examples
    --------
    >>> import torch
    >>> data = {name: (torch.zeros(n, 2), torch.zeros(n, 1)) for name, n in (("a", 9), ("b", 8))}
    >>> objective = Objective(torch.nn.Linear(2, 1), "mse", data)
    >>> kept_sets(objective, Grid.square(3), None), kept_sets(objective, Grid.square(3), False)
    (['a', 'b'], [])
    """
    kept, used = [], 0
    for name, count in objective.sizes.items():
        needed = 4 * grid.size * count
        if keep or (keep is None and used + needed < KEEP_SAMPLES_BYTES):
            kept.append(name)
            used += needed
    return kept


def difference(found: Any, wanted: Any, name: str = "") -> str | None:
    """The first entry in which two recipes differ, such as ``objective.loss``; None if none does.

    Examples
    --------
    >>> difference({"grid": {"shape": [3, 3]}}, {"grid": {"shape": [5, 5]}})
    'grid.shape'
    >>> difference({"grid": 1, "adaptive": 2}, {"grid": 1})
    'adaptive'
    >>> difference({"grid": 1}, {"grid": 1}) is None
    True
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in [*wanted, *(key for key in found if key not in wanted)]:
            inner = f"{name}.{key}" if name else str(key)
            if key not in found or key not in wanted:
                return inner
            differing = difference(found[key], wanted[key], inner)
            if differing is not None:
                return differing
        return None
    return None if found == wanted else name
