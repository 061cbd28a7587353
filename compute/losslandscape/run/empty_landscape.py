"""The landscape of a run before its first point: no values yet, but the whole provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from losslandscape.files.relative_paths import seen_from
from losslandscape.landscape.landscape import NOT_EVALUATED, Landscape
from losslandscape.problem.objective import Objective
from losslandscape.run.point_records import PointJob
from losslandscape.run.settings import Settings
from losslandscape.run.task import Task


def empty_landscape(
    task: Task, recipe: dict[str, Any], settings: Settings, job: PointJob
) -> Landscape:
    """A landscape whose values are all NaN and whose points are all not evaluated."""
    shape = task.grid.shape
    return Landscape(
        grid=task.grid,
        fields={name: np.full(shape, np.nan) for name in settings.names},
        status=np.full(shape, NOT_EVALUATED, np.int8),
        gram_matrix=task.subspace.gram_matrix,
        provenance=_provenance(task, recipe, settings, job),
        samples={
            f"{task.objective.prefixes[name]}loss_samples": np.full(
                (*shape, task.objective.sizes[name]), np.nan, np.float32
            )
            for name in job.kept
        },
        _measured=(task.objective, task.subspace),
    )


def _provenance(
    task: Task, recipe: dict[str, Any], settings: Settings, job: PointJob
) -> dict[str, Any]:
    deviation, configuration = settings.deviation, settings.configuration
    provenance = {
        **(task.labels or {}),
        **{key: value for key, value in recipe.items() if key != "computer"},
        "subspace": recipe["subspace"],
        "objective": {
            **recipe["objective"],
            "sets": _described_sets(task.objective, recipe, job.allotment is not None),
            "batch_size": settings.batch_size,
            "threads": settings.threads,
            **({"configuration": configuration} if configuration is not None else {}),
            **({"deviation": deviation} if deviation is not None else {}),
            **({"weights": weights} if (weights := settings.observed.get("weights")) else {}),
        },
        "keep_samples": job.kept,
        "direction_names": list(task.subspace.direction_names),
        "quantities": {
            **dict.fromkeys(settings.names, ""),
            **titles(settings.names, task.objective),
        },
        "versions": recipe["computer"],
    }
    if settings.buffers:
        provenance["buffers"] = settings.buffers
    checkpoints = task.subspace.trajectory_folder
    if checkpoints is not None and task.path is not None:
        place = task.path.absolute().parent
        provenance["trajectory_folder"] = seen_from(place, checkpoints)
    return provenance


def _described_sets(
    objective: Objective, recipe: dict[str, Any], allotted: bool
) -> dict[str, dict[str, Any]]:
    """The sets of samples; error bars also need the size of the data set they are from."""
    sets = {}
    for name, described in recipe["objective"]["sets"].items():
        size = objective.dataset_samples.get(name)
        if allotted:
            size = size or described["samples"]
        sets[name] = {**described, **({"dataset_samples": size} if size else {})}
    return sets


def titles(names: Sequence[str], objective: Objective) -> dict[str, str]:
    """The titles of variables in figures.

    Examples
    --------
    >>> import torch
    >>> objective = Objective(torch.nn.Linear(2, 1), "mse", (torch.ones(8, 2), torch.ones(8, 1)))
    >>> titles(["loss", "loss_standard_error"], objective)["loss_standard_error"]
    'standard error of the mean squared error'
    """
    found = {}
    for prefix, loss_title in zip(objective.prefixes.values(), objective.quantities.values()):
        for name in names:
            if not name.startswith(prefix):
                continue
            quantity = name.removeprefix(prefix)
            if quantity == "loss":
                found[name] = loss_title
            elif quantity == "loss_standard_error":
                found[name] = f"standard error of the {loss_title}"
            elif quantity == "loss_sample_count":
                found[name] = "number of samples"
            else:
                found[name] = f"{prefix}{quantity}".replace("_", " ")
    return found
