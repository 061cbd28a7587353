"""What :func:`losslandscape.evaluate` was asked for, with its arguments checked."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losslandscape.adaptive.refinement import Adaptive
from losslandscape.adaptive.two_precisions import DEFAULT_TOLERANCE
from losslandscape.errors import LossLandscapeError
from losslandscape.formats.netcdf import check_attributes
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.problem.objective import Objective
from losslandscape.public_calls import users_line


@dataclass(frozen=True)
class Task:
    """One landscape to be measured.

    Attributes
    ----------
    objective : Objective
    subspace : Subspace
    grid : Grid
    adaptive : Adaptive or None
        Without it, every point of the grid is evaluated.
    batch_size : int or None
        The caller's, or else the objective's; None if it is to be found by trial.
    keep_samples : bool or None
        Whether to keep per-sample losses; None keeps them while they are small.
    labels : dict
        Title and further entries for the file's provenance.
    path : Path or None
        The netCDF file to write.
    quiet : bool
    narrower : dict of str to Objective
        The objective in faster types, each made once.
    """

    objective: Objective
    subspace: Subspace
    grid: Grid
    adaptive: Adaptive | None = None
    batch_size: int | None = None
    keep_samples: bool | None = None
    labels: dict[str, Any] | None = None
    path: Path | None = None
    quiet: bool = True
    narrower: dict[str, Objective] = field(default_factory=dict)

    def in_precision(self, name: str) -> Objective:
        """The objective in another type; the same one each time, so that it is opened once."""
        if name not in self.narrower:
            self.narrower[name] = self.objective.in_precision(name)
        return self.narrower[name]

    @property
    def tolerance(self) -> float:
        """The tolerance, or the one that precision="auto" assumes."""
        return self.adaptive.tolerance if self.adaptive is not None else DEFAULT_TOLERANCE


def checked_task(
    objective: Objective,
    subspace: Subspace,
    grid: Grid | None,
    tolerance: float | Adaptive | None,
    batch_size: int | None,
    keep_samples: bool | None,
    title: str,
    provenance: dict[str, Any] | None,
    path: str | os.PathLike | None,
    quiet: bool,
) -> Task:
    """The task that these arguments of ``evaluate`` describe.

    Between models, fixed batch-norm statistics become re-estimated ones, with a warning.

    Raises
    ------
    LossLandscapeError
        If an argument is of the wrong kind, the grid has another dimension than the subspace, or
        the labels are not JSON.
    """
    subspace = subspace.fitted_to(objective.model)
    grid = subspace.default_grid() if grid is None else grid
    if grid.dimensions != subspace.dimensions:
        raise LossLandscapeError(
            f"the grid has {grid.dimensions} dimensions and the subspace {subspace.dimensions}"
        )
    if subspace.recipe["kind"] == "between" and objective.batch_norm == "fixed":
        warnings.warn(
            "between models there is no one set of batch-norm statistics to keep: "
            "they are re-estimated at each point (batch_norm='reestimated')",
            stacklevel=users_line(),
        )
        objective = objective.with_batch_norm("reestimated")
    if tolerance is not None and not isinstance(tolerance, Adaptive):
        tolerance = Adaptive(tolerance)
    labels = {"title": title, **(provenance or {})}
    try:
        json.dumps(labels)
    except (TypeError, ValueError) as error:
        raise LossLandscapeError(f"title and provenance must be JSON: {error}") from error
    check_attributes(labels)
    return Task(
        objective=objective,
        subspace=subspace,
        grid=grid,
        adaptive=tolerance,
        batch_size=batch_size or objective.batch_size,
        keep_samples=keep_samples,
        labels=labels,
        path=Path(path) if path is not None else None,
        quiet=quiet,
    )
