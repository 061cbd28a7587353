"""The same landscape on a finer grid over a box of its plane."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from losslandscape import argument_checks
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.identity import check_plane
from losslandscape.landscape.landscape import EVALUATED, NOT_FINITE, Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.planes.grid import Grid
from losslandscape.public_calls import public
from losslandscape.run.evaluation import run_task
from losslandscape.run.task import checked_task
from losslandscape.run.threads import using_threads

if TYPE_CHECKING:
    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.objective import Objective

FACTOR = 4


@public(factor=argument_checks.FACTOR)
def refine(
    landscape: LandscapeOrPath,
    objective: Objective,
    subspace: Subspace,
    bounds: Sequence[tuple[float, float]],
    *,
    factor: int | None = None,
    points: int | None = None,
    path: str | os.PathLike | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    provenance: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Landscape:
    """Evaluate a landscape's problem on a finer grid over a box.

    The batch size and the number of threads are the landscape's, so that on the same computer a
    point of both grids has the same loss to the bit. Every point is evaluated; how far the points
    of both grids agree is kept as ``provenance["refined"]``:

    - ``points``: points of both grids that were evaluated on the same samples and in the same
      precision in both;
    - ``equal``: points among them whose loss has the same bits, or is not a number in both;
    - ``largest_difference``: largest absolute difference of the losses; None if a point is finite
      in only one of the two.

    Trajectories of the landscape are copied, since the plane is the same.

    Parameters
    ----------
    objective, subspace
        Those of the landscape; compared with its hashes before anything is evaluated.
    bounds : sequence of (low, high)
        The box in plane coordinates, alpha first.
    factor : int, optional
        New intervals for each old one, 4 by default; the box grows to points of the old grid.
    points : int, optional
        Points along each axis of exactly the box, instead of a factor.
    path, overwrite, quiet
        As of :func:`losslandscape.evaluate`: an interrupted run goes on.
    threads : int, optional
        CPU threads; the landscape's by default.
    provenance : dict, optional
        Further entries for the file.

    Raises
    ------
    LossLandscapeError
        If the objective or the subspace are not the landscape's, the box has another dimension, or
        ``factor`` and ``points`` are both given.
    OutputExistsError
        If ``path`` exists and ``overwrite`` is not set.

    Examples
    --------
    >>> from losslandscape import Objective, Subspace, evaluate
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(model.weight, 2.0)
    >>> objective = Objective(model, "mse", (torch.ones(1, 1), torch.zeros(1, 1)))
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> coarse = evaluate(objective, line, Grid.line(3))
    >>> fine = refine(coarse, objective, line, [(0, 1)], factor=2)
    >>> fine.values("loss")
    array([4.  , 6.25, 9.  ])
    >>> fine.provenance["refined"]["points"], fine.provenance["refined"]["equal"]
    (2, 2)
    """
    landscape = opened(landscape)
    check_same(landscape, objective, subspace)
    grid = finer_grid(landscape.grid, bounds, factor, points)
    measured = landscape.provenance.get("objective", {})
    task = checked_task(
        objective.with_execution(measured.get("configuration")),
        subspace,
        grid,
        tolerance=None,
        batch_size=measured.get("batch_size"),
        keep_samples=None,
        title=landscape.provenance.get("title", ""),
        provenance=provenance,
        path=path,
        quiet=quiet,
    )

    def complete(finer: Landscape) -> None:
        finer.provenance["refined"] = {
            "landscape": Path(landscape.path).name if landscape.path is not None else None,
            "bounds": [[float(low), float(high)] for low, high in bounds],
            **agreement(landscape, finer),
        }
        finer.trajectories = list(landscape.trajectories)

    inputs = [] if landscape.path is None else [landscape.path]
    with using_threads(threads or measured.get("threads") or torch.get_num_threads()):
        return run_task(task, overwrite, complete=complete, inputs=inputs)


def finer_grid(
    grid: Grid, bounds: Sequence[tuple[float, float]], factor: int | None, points: int | None
) -> Grid:
    """The grid over a box: ``factor`` times finer than a grid, or of ``points`` along each axis.

    Raises
    ------
    LossLandscapeError
        If the box has another dimension, both numbers are given, or one of them makes no sense.
    """
    if len(bounds) != grid.dimensions:
        raise LossLandscapeError(
            f"the box has {len(bounds)} axes, and the landscape {grid.dimensions} directions: two "
            "numbers each"
        )
    if factor is not None and points is not None:
        raise LossLandscapeError("give a factor or a number of points, not both")
    if points is not None:
        return Grid.rectangle((points,) * grid.dimensions, bounds)
    return grid.refined(bounds, FACTOR if factor is None else factor)


def check_same(landscape: Landscape, objective: Objective, subspace: Subspace) -> None:
    """Raise a LossLandscapeError, saying what differs, if a landscape is not of this problem."""
    where = f"{landscape.path}: " if landscape.path is not None else ""
    check_plane(landscape, subspace)
    landscape.check_objective(objective)
    found = objective.to_json()
    for key in ("precision", "reestimation_batch_size"):
        wanted = landscape.provenance.get("objective", {}).get(key)
        if wanted is not None and found.get(key) != wanted:
            raise LossLandscapeError(
                f"{where}the given objective is not the landscape's: its {key} is "
                f"{found.get(key)}, not {wanted}"
            )


def agreement(old: Landscape, new: Landscape) -> dict[str, Any]:
    """How far the losses of two landscapes of one plane agree at their common points.

    Points are common if their coordinates have the same bits. Only points that were evaluated on
    the same samples and in the same precision in both are compared.
    """
    places = [
        np.intersect1d(a, b, assume_unique=True, return_indices=True)[1:]
        for a, b in zip(old.grid.axes(), new.grid.axes())
    ][::-1]
    here, there = np.ix_(*(p[0] for p in places)), np.ix_(*(p[1] for p in places))
    measured = (EVALUATED, NOT_FINITE)
    both = np.isin(old.status[here], measured) & np.isin(new.status[there], measured)
    counts = [x.fields.get("loss_sample_count") for x in (old, new)]
    if counts[0] is not None and counts[1] is not None:
        both &= counts[0][here] == counts[1][there]
    bits = [x.fields.get("precision_bits") for x in (old, new)]
    if bits[0] is not None and bits[1] is not None:
        both &= bits[0][here] == bits[1][there]
    before, after = old.values("loss")[here][both], new.values("loss")[there][both]
    equal = (before == after) | (np.isnan(before) & np.isnan(after))
    with np.errstate(invalid="ignore"):
        largest = float(np.abs(before - after)[~equal].max(initial=0.0))
    return {
        "points": int(both.sum()),
        "equal": int(equal.sum()),
        "largest_difference": largest if np.isfinite(largest) else None,
    }


def describe(refined: dict[str, Any]) -> str:
    """The agreement in a sentence.

    Examples
    --------
    >>> describe({"points": 9, "equal": 9, "largest_difference": 0.0})
    '9 points are also in the first grid; their losses are the same to the bit'
    >>> describe({"points": 9, "equal": 4, "largest_difference": 2e-7})
    '9 points are also in the first grid; their losses differ by at most 2e-07'
    """
    count, largest = refined["points"], refined["largest_difference"]
    if not count:
        return "no point is also an evaluated one of the first grid"
    start = f"{count} points are also in the first grid; "
    if refined["equal"] == count:
        return f"{start}their losses are the same to the bit"
    if largest is None:
        return f"{start}at some of them only one of the two losses is finite"
    return f"{start}their losses differ by at most {largest:.2g}"
