"""Where a plane is convex: the ratio of the Hessian's extreme eigenvalues at each grid point."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from losslandscape.analysis.extreme_eigenpairs import dense_eigenpairs, extreme_eigenpairs
from losslandscape.analysis.hessian_matrix import LINEAR, Matrix, chosen_parameters
from losslandscape.argument_checks import SHARE
from losslandscape.argument_kinds import PATH, Word
from losslandscape.counted import counted
from losslandscape.errors import LossLandscapeError
from losslandscape.files.finished_parts import finished_parts
from losslandscape.landscape.as_measured import as_measured
from losslandscape.landscape.identity import check_plane
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.planes.subspace import Subspace
from losslandscape.point.checked_derivatives import checked_derivatives
from losslandscape.point.determinism import require_one_value
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import PRECISIONS
from losslandscape.progress import Progress
from losslandscape.public_calls import public

RATIO, RATIO_ERROR = "convexity", "convexity_error"
LARGEST, SMALLEST = "hessian_eigenvalue_max", "hessian_eigenvalue_min"
LARGEST_RESIDUAL, SMALLEST_RESIDUAL = f"{LARGEST}_residual", f"{SMALLEST}_residual"
TITLES = {
    LARGEST: "largest eigenvalue of the Hessian of the mean loss",
    LARGEST_RESIDUAL: "its residual: an eigenvalue lies within it",
    SMALLEST: "smallest eigenvalue of the Hessian of the mean loss",
    SMALLEST_RESIDUAL: "its residual: an eigenvalue lies within it",
    RATIO: "|smallest / largest eigenvalue| of the Hessian",
    RATIO_ERROR: "largest error of that ratio, by the tolerance of both eigenvalues",
}
NEARLY_CONVEX = 0.1  # the ratio above which the summary counts a point as far from convex
_DENSE = 24


@public(tolerance=SHARE, precision=Word(tuple(PRECISIONS)), journal=PATH)
def convexity(
    landscape: LandscapeOrPath,
    objective: Objective,
    subspace: Subspace,
    *,
    parameters: str | Sequence[str] | None = None,
    tolerance: float = 1e-3,
    seed: int = 0,
    precision: str | None = None,
    batch_size: int | None = None,
    quiet: bool = True,
    journal: Path | None = None,
) -> Landscape:
    """The landscape with a convexity map (Li et al. 2018, section 6) on its grid.

    At each point with a finite loss, the largest and the smallest eigenvalue of the Hessian of the
    mean loss by all parameters are sought, of the loss that the landscape was measured with. Where
    the ratio of their sizes, smallest over largest, is small, the loss is nearly convex: its
    negative curvatures are small against its positive ones.

    Parameters
    ----------
    parameters : str or sequence of str, optional
        Of a part of the network: patterns as in :meth:`losslandscape.Subspace.random`.
    tolerance : float
        Largest residual of an eigenvalue, relative to the width of the spectrum at the point.
    precision, batch_size
        See :class:`losslandscape.point.plane_derivatives.PlaneDerivatives`.
    journal : pathlib.Path, optional
        A file for what is finished: an interrupted call goes on where it was.

    Returns
    -------
    Landscape
        A copy with six more arrays, NaN where the loss is not finite or the eigenvalues did not
        converge: ``convexity``, the ratio; ``convexity_error``, the bound of its error, if each
        eigenvalue is off by the tolerance (at up to 24 parameters, where the whole Hessian is
        computed, by the residuals); ``hessian_eigenvalue_max``, ``hessian_eigenvalue_min`` and
        their residuals, which end in ``_residual``. Where the largest eigenvalue is 0 the ratio is
        infinite, and where both are 0 it is NaN.

    Raises
    ------
    LossLandscapeError
        If the subspace or the objective is not the landscape's, or no derivatives agree with the
        losses that are measured.

    Notes
    -----
    Unlike in the original code, eigenvalues are those of the mean loss, whatever the batches, and
    each has a residual. A residual says that an eigenvalue is near, not that none lies beyond it:
    among many near 0 the smallest is missed by several residuals, but by less than the tolerance.

    Examples
    --------
    >>> import losslandscape as ll
    >>> from torch import nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> objective = ll.Objective(model, "mse", (torch.randn(9, 2), torch.randn(9, 1)))
    >>> plane = ll.Subspace.random(model)
    >>> landscape = ll.evaluate(objective, plane, ll.Grid.square(3), quiet=True)
    >>> found = convexity(landscape, objective, plane)
    >>> found.values("convexity").shape, sorted(set(found.fields) - set(landscape.fields))[:2]
    ((3, 3), ['convexity', 'convexity_error'])
    """
    landscape = opened(landscape)
    check_plane(landscape, subspace)
    require_one_value(landscape)
    measured = landscape.provenance.get("objective", {})
    objective = as_measured(landscape, objective)
    batch_size = batch_size or measured.get("batch_size")
    grid, model = landscape.grid, objective.model
    subspace = subspace.fitted_to(model)
    layout = subspace.layout
    chosen = chosen_parameters(parameters, layout, model)
    segments = [segment for segment in layout.segments if segment.name in chosen]
    size = sum(segment.stop - segment.start for segment in segments)
    coordinates = grid.points()
    finite = np.flatnonzero(np.isfinite(landscape.values("loss").ravel()))
    middle = [sum(ends) / 2 for ends in grid.bounds]
    with checked_derivatives(
        objective,
        subspace,
        [middle],
        grid.spacing,
        precision,
        batch_size,
        quiet=quiet,
    ) as (loss, method):
        if not isinstance(loss, PlaneDerivatives):
            raise LossLandscapeError(
                f"{type(model).__name__}: its curvature needs gradients, and none agree with the "
                f"measured losses: {'; '.join(method.reasons)}"
            )
        about = {
            "parameters": size,
            "tolerance": tolerance,
            "seed": seed,
            "precision": str(loss.dtype).removeprefix("torch."),
            "derivatives": method.to_json(),
        }
        recipe = {
            **about,
            "chosen": sorted(chosen),
            "subspace": subspace.identity,
            "grid": grid.to_json(),
            "objective": objective.to_json(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        numbers = np.full((grid.size, 4), np.nan)
        with (
            finished_parts(journal, recipe, 32, "points") as (records, keep),
            Progress(
                len(finite),
                "convexity",
                done=len(records),
                quiet=quiet,
                work=f"the largest and the smallest of {counted(size, 'eigenvalue')} at "
                f"{counted(len(finite), 'point')}",
                unit="points",
            ) as progress,
        ):
            for number in finite.tolist():
                if number in records:
                    numbers[number] = np.frombuffer(records[number])
                    continue
                matrix = Matrix(loss, layout, segments, coordinates=coordinates[number])
                numbers[number] = _ends(matrix, size, tolerance, seed)
                keep(number, numbers[number].tobytes())
                progress.advance()
    return _with_fields(landscape, numbers, about)


def summary(landscape: Landscape) -> list[str]:
    """The map in sentences: how much of the plane is far from convex, and what is not known."""
    ratio, error = landscape.values(RATIO), landscape.values(RATIO_ERROR)
    largest, smallest = landscape.values(LARGEST), landscape.values(SMALLEST)
    converged = np.isfinite(largest)
    nothing = converged & (largest == 0) & (smallest == 0)
    known = converged & ~nothing
    count = int(known.sum())
    about = landscape.provenance["convexity"]
    if not converged.any():
        return ["no point has eigenvalues that converged"]
    found = []
    if count:
        above = known & (ratio > NEARLY_CONVEX)
        found.append(
            f"|smallest / largest eigenvalue| is above {NEARLY_CONVEX:g} at "
            f"{100 * above.sum() / count:.3g}% of {counted(count, 'point')}; median "
            f"{np.median(ratio[known]):.3g}, largest {ratio[known].max():.3g}"
        )
        missed = _missed(largest, smallest, about)
        convex = known & (smallest > np.maximum(landscape.values(SMALLEST_RESIDUAL), missed))
        if convex.any():
            found.append(
                f"at {counted(int(convex.sum()), 'point')} the smallest eigenvalue is above 0: the "
                "loss is convex there, whatever the ratio"
            )
    if nothing.any():
        found.append(
            f"at {counted(int(nothing.sum()), 'point')} the Hessian is exactly 0, and there is no "
            f"ratio: {LINEAR}"
        )
    unsure = known & (abs(ratio - NEARLY_CONVEX) <= error)
    if unsure.any():
        found.append(
            f"at {counted(int(unsure.sum()), 'point')} the errors leave open on which side of "
            f"{NEARLY_CONVEX:g} the ratio lies; pass a smaller tolerance than "
            f"{about['tolerance']:g}"
        )
    if missing := int((np.isfinite(landscape.values("loss")) & ~converged).sum()):
        found.append(
            f"{counted(missing, 'point')} {'has' if missing == 1 else 'have'} no eigenvalues that "
            "converged, and stay empty; pass a larger tolerance, or precision float64"
        )
    return found


def _ends(matrix: Matrix, size: int, tolerance: float, seed: int) -> tuple[float, ...]:
    """Largest and smallest eigenvalue, and their residuals; NaN if they did not converge."""
    if size <= _DENSE:
        columns = np.stack([matrix.product(unit) for unit in np.eye(size)])
        pairs = dense_eigenpairs((columns + columns.T) / 2)
    else:
        pairs = extreme_eigenpairs(matrix.product, size, 1, tolerance, seed, matrix.rounding)
    ends = [0, -1]
    if not pairs.converged[ends].all():
        return (np.nan,) * 4
    return (*pairs.values[ends].tolist(), *pairs.residuals[ends].tolist())


def _missed(largest: np.ndarray, smallest: np.ndarray, about: dict) -> np.ndarray | float:
    """How far beyond those that were found, sought iteratively, an eigenvalue may lie."""
    return about["tolerance"] * (largest - smallest) if about["parameters"] > _DENSE else 0.0


def _with_fields(landscape: Landscape, numbers: np.ndarray, about: dict) -> Landscape:
    largest, smallest, above, below = (
        column.reshape(landscape.status.shape) for column in numbers.T
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = abs(smallest) / abs(largest)
        missed = _missed(largest, smallest, about)
        high, low = np.maximum(above, missed), np.maximum(below, missed)
        surely = abs(largest) - high  # at least
        error = np.where(surely <= 0, np.inf, (low + ratio * high) / surely)
    found = copy.copy(landscape)
    found.path = None
    found.fields = {
        **landscape.fields,
        LARGEST: largest,
        LARGEST_RESIDUAL: above,
        SMALLEST: smallest,
        SMALLEST_RESIDUAL: below,
        RATIO: ratio,
        RATIO_ERROR: error,
    }
    titles = {**landscape.provenance.get("quantities", {}), **TITLES}
    found.provenance = {**landscape.provenance, "quantities": titles, "convexity": about}
    return found
