"""How far to trust the picture of a plane. ``docs/trust.md`` has the definitions and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from losslandscape.analysis.curvature import Curvature
from losslandscape.analysis.path_shares import PathShare, path_shares
from losslandscape.analysis.picture_checks import Check, picture_checks
from losslandscape.analysis.plane_curvature import PlaneCurvature, plane_curvature
from losslandscape.analysis.random_lines import RandomLines, random_lines
from losslandscape.argument_checks import POSITIVE, Whole
from losslandscape.argument_kinds import ANYTHING, FLAG
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.as_measured import as_measured
from losslandscape.landscape.identity import check_objective, check_plane
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.planes.subspace import Subspace
from losslandscape.problem.objective import Objective
from losslandscape.public_calls import public
from losslandscape.training.trajectory import labeled_runs

if TYPE_CHECKING:
    from losslandscape.training.trajectory import Trajectory

_MOST_LINES = 300


@dataclass(frozen=True)
class Trust:
    """What a plane shows of a network, and what may be wrong with its picture.

    Made by :func:`trust`.

    Attributes
    ----------
    landscape : Landscape
    epsilon : float
        Height of the flat region by which the window is judged.
    checks : list of Check
        Answers to "is this picture right?".
    paths : list of PathShare
        How much of each training trajectory lies in the plane.
    curvature : PlaneCurvature or None
        How much of the curvature and of the gradient at the origin lies in the plane.
    lines : RandomLines or None
        Flatness, minimum, curvature and roughness along random directions.
    """

    landscape: Landscape = field(repr=False)
    epsilon: float
    checks: list[Check]
    paths: list[PathShare]
    curvature: PlaneCurvature | None = None
    lines: RandomLines | None = None

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.passed is False]

    @property
    def verdict(self) -> tuple[str, str, str]:
        """Three sentences that follow from the numbers.

        What the plane shows of the training, what it shows of the loss around the model, and
        whether the picture itself is right.
        """
        sentences = self._training(), self._surroundings(), self._picture()
        return tuple(f"{s[0].upper()}{s[1:]}." for s in sentences)  # type: ignore[return-value]

    def _training(self) -> str:
        if not self.paths:
            return (
                "nothing is known of how the training moved in this plane, because the file has no "
                "trajectory with its last checkpoint in it"
            )
        first = self.paths[0]
        return f"{first.sentence()}: {first.judgment()}"

    def _surroundings(self) -> str:
        known = [part.sentence() for part in (self.curvature, self.lines) if part is not None]
        if not known:
            return (
                "it is not known how much of the curvature the plane holds, or how other "
                "directions look, because neither was measured (losslandscape trust --hessian "
                "--spread)"
            )
        return "; ".join(known)

    def _picture(self) -> str:
        failed, known = self.failed, [c for c in self.checks if c.passed is not None]
        if not failed:
            unknown = len(self.checks) - len(known)
            rest = f"; {unknown} could not be made" if unknown else ""
            return f"the picture passes all {len(known)} checks{rest}"
        names = "; ".join(f"{check.name}: {check.finding}" for check in failed)
        return f"the picture fails {len(failed)} of {len(known)} checks: {names}"

    def summary(self) -> list[str]:
        """The three sentences, and each failed check with what mends it."""
        lines = list(self.verdict)
        lines += [f"{check.name}: {check.remedy}" for check in self.failed if check.remedy]
        return lines

    def table(self) -> list[dict]:
        """One row per check."""
        return [check.to_json() for check in self.checks]

    @public(profiles=FLAG)
    def to_json(self, profiles: bool = True) -> dict[str, Any]:
        """Everything, in the types of JSON; numbers that are not known are None.

        Without ``profiles``, of the random directions only the band and the means: this is small
        enough for the provenance of a landscape file.
        """
        return _plain(
            {
                "verdict": list(self.verdict),
                "epsilon": self.epsilon,
                "checks": self.table(),
                "trajectories": [path.to_json() for path in self.paths],
                "curvature": self.curvature.to_json() if self.curvature else None,
                "random_directions": self.lines.to_json(profiles) if self.lines else None,
            }
        )


def _plain(value: Any) -> Any:
    """A value in the types of JSON, with None for NaN and infinities, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


@public(
    trajectory=ANYTHING,
    spread=FLAG,
    width=POSITIVE,
    most_directions=Whole(2, _MOST_LINES),
)
def trust(
    landscape: LandscapeOrPath,
    objective: Objective | None = None,
    subspace: Subspace | None = None,
    trajectory: Trajectory | Sequence[Trajectory] | Mapping[str, Trajectory] | None = None,
    *,
    epsilon: float = 0.1,
    curvature: Curvature | None = None,
    spread: bool = False,
    width: float = 0.1,
    most_directions: int = 60,
    draws: int = 100,
    seed: int = 0,
    batch_size: int | None = None,
    quiet: bool = True,
) -> Trust:
    """How far to trust the picture of a plane: what it shows of the network, and what may be wrong.

    From the landscape alone come the checks of the picture, and the share of the training
    trajectory in the plane. The rest needs what was measured: the objective and the subspace.

    Parameters
    ----------
    objective, subspace
        With which the landscape was measured; both or none.
    trajectory : Trajectory, sequence or mapping of these, optional
        Checkpoints; for the share of the length, and of the variance about the mean.
    epsilon : float
        Height of the flat region, in units of the loss, by which window and directions are judged.
    curvature : Curvature, optional
        Of :func:`losslandscape.curvature`, at the origin of the plane; for the shares of its
        eigenvectors, its trace and the gradient that lie in the plane.
    spread : bool
        Measure profiles along random directions through the model, of 21 points each.
    width : float
        As many directions as it takes until the mean flat length and the mean curvature are known
        within this half width, relative to the mean, at 95%.
    most_directions : int
        No more than these, even if the means are not known well enough; the result says so.
    draws, seed : int
        Random walks for the intervals of their shares; and of the random directions.
    batch_size : int, optional
        Samples in a forward pass.
    quiet : bool
        Show no progress.

    Raises
    ------
    LossLandscapeError
        If what is asked for needs the objective or the subspace and it is not given; if they are
        not the landscape's; or a trajectory is none, or of another model.

    Notes
    -----
    J. Antognini, J. Sohl-Dickstein, "PCA of high dimensional random walks with comparison to neural
    network training", NeurIPS 2018.

    Examples
    --------
    >>> from losslandscape import Grid
    >>> grid = Grid.square(21)
    >>> values = 4 * (grid.points() ** 2).sum(axis=1).reshape(grid.shape)
    >>> bowl = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(2))
    >>> found = trust(bowl)
    >>> found.failed, found.verdict[2]
    ([], 'The picture passes all 7 checks; 5 could not be made.')
    """
    landscape = opened(landscape)
    if (objective is None) != (subspace is None):
        missing = "objective" if objective is None else "subspace"
        raise LossLandscapeError(
            f"{missing} is None; give both objective= and subspace=, as the landscape was measured"
        )
    if spread and objective is None:
        raise LossLandscapeError(
            "spread=True measures the network; give objective= and subspace=, as the landscape was "
            "measured"
        )
    if curvature is not None and objective is None:
        raise LossLandscapeError(
            "curvature is given without the plane; give objective= and subspace=, as the landscape "
            "was measured"
        )
    runs = labeled_runs(trajectory) if trajectory is not None else None
    if runs and subspace is None:
        raise LossLandscapeError(
            "the checkpoints of a trajectory need the plane; give objective= and subspace=, as the "
            "landscape was measured"
        )
    if objective is not None and subspace is not None:
        check_plane(landscape, subspace)
        check_objective(landscape, objective)
        objective = as_measured(landscape, objective)
        batch_size = batch_size or landscape.provenance.get("objective", {}).get("batch_size")
    lines = curved = None
    if curvature is not None and objective is not None and subspace is not None:
        curved = plane_curvature(
            objective, subspace, curvature, batch_size=batch_size, seed=seed, quiet=quiet
        )
    if spread and objective is not None and subspace is not None:
        lines = random_lines(
            objective,
            subspace,
            epsilon=epsilon,
            width=width,
            half_width=_half_width(landscape),
            most=most_directions,
            seed=seed,
            batch_size=batch_size,
            quiet=quiet,
        )
    return Trust(
        landscape,
        epsilon,
        picture_checks(landscape, epsilon),
        path_shares(landscape, subspace, runs, draws=draws, seed=seed),
        curved,
        lines,
    )


def _half_width(landscape: Landscape) -> float:
    """How far the window of a random plane reaches in its shorter direction; otherwise 1."""
    if landscape.provenance.get("subspace", {}).get("kind") != "random":
        return 1.0
    ends = [min(-low, high) for low, high in landscape.grid.bounds]
    return min(ends) if min(ends) > 0 else 1.0
