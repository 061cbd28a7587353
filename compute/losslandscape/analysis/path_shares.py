"""How much of a training trajectory lies in a plane, beside what chance would put there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import betaincinv, gammaln

from losslandscape.analysis.random_walk import WalkShares, random_walk_shares
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.overlays import ProjectedTrajectory
from losslandscape.planes.directions import difference_products
from losslandscape.planes.subspace import Subspace
from losslandscape.training.trajectory import Trajectory


@dataclass(frozen=True)
class PathShare:
    """How much of a training trajectory lies in the plane.

    Attributes
    ----------
    label : str
    checkpoints : int
    center : "mean" or "origin"
        Where distances are measured from: the mean of the checkpoints, or the last one.
    variance : float
        Share of the squared distances that lies in the plane.
    length : float or None
        Share of the length of the path from checkpoint to checkpoint. None without checkpoints.
    fitted : bool
        Whether the plane has the principal components of this trajectory.
    random_plane, random_plane_length : float
        Expected shares of the variance and of the length in a plane that knows nothing of the
        trajectory; NaN if the number of parameters is not known.
    random_plane_interval : (low, high)
        95% of random planes hold such a share of a single direction.
    walk : WalkShares or None
        Of a random walk of as many equal steps, in the plane of its own principal components.
    walk_of_these_lengths : WalkShares or None
        The same with the step lengths of the trajectory. None without checkpoints.
    """

    label: str
    checkpoints: int
    center: str
    variance: float
    length: float | None
    fitted: bool
    random_plane: float
    random_plane_length: float
    random_plane_interval: tuple[float, float]
    walk: WalkShares | None
    walk_of_these_lengths: WalkShares | None

    def to_json(self) -> dict:
        return asdict(self)

    def sentence(self) -> str:
        """The shares, and what chance would give.

        Examples
        --------
        >>> walk = WalkShares(10, 0.9, 0.5, (0.88, 0.93), (0.45, 0.55))
        >>> PathShare("run", 11, "origin", 0.91, 0.7, True, 1e-6, 1e-3, (0, 1), walk, None).sentence()
        "the plane holds 91% of the squared distance of 'run' from its last checkpoint and 70% of its length; a random walk of as many steps shows 90% (88% to 93%) and 50% (45% to 55%) in the plane of its own principal components"
        """  # noqa: E501
        of = "the squared distance of '{}' from its last checkpoint"
        if self.center == "mean":
            of = "the variance of '{}'"
        words = f"the plane holds {percent(self.variance)} of {of.format(self.label)}"
        if self.length is not None:
            words += f" and {percent(self.length)} of its length"
        if not self.fitted or self.walk is None:
            if not np.isfinite(self.random_plane):
                return words
            words += f"; a random plane would hold {percent(self.random_plane)}"
            if self.length is not None:
                words += f" and {percent(self.random_plane_length)}"
            return words
        words += (
            "; a random walk of as many steps shows "
            f"{_with_interval(self.walk.variance, self.walk.variance_interval)}"
        )
        if self.length is not None:
            words += f" and {_with_interval(self.walk.length, self.walk.length_interval)}"
        words += " in the plane of its own principal components"
        same = self.walk_of_these_lengths
        if same is not None:
            words += (
                ", and one with the step lengths of the run "
                f"{_with_interval(same.variance, same.variance_interval)}"
                f" and {_with_interval(same.length, same.length_interval)}"
            )
        return words

    @property
    def chance(self) -> float:
        """The largest share that chance explains.

        For a fitted plane that of 97.5% of random walks, with equal steps or with the lengths of
        the run, whichever is more; otherwise that of a vector in 97.5% of random planes. NaN if the
        file does not say it.
        """
        if not self.fitted or self.walk is None:
            return self.random_plane_interval[1]
        walks = [walk for walk in (self.walk, self.walk_of_these_lengths) if walk is not None]
        return max((walk.variance_interval or (0.0, walk.variance))[1] for walk in walks)

    def judgment(self) -> str:
        """What the share of the variance says, in words."""
        chance = self.chance
        if not np.isfinite(chance):
            return "what chance would give is not known without the number of parameters"
        what = "random walks" if self.fitted else "random planes"
        if self.variance <= chance:
            return f"no more than {what} show"
        more = f"more than {what} show, by {100 * (self.variance - chance):.2g} percentage points"
        if self.fitted and self.walk_of_these_lengths is None:
            more += ", which steps of unequal length may explain (losslandscape trust --path)"
        return more


def percent(share: float) -> str:
    """A share in percent with two or three significant digits.

    Examples
    --------
    >>> percent(0.913), percent(0.00123), percent(2e-7), percent(1.0)
    ('91%', '0.12%', '0.00002%', '100%')
    """
    if not np.isfinite(share):
        return "an unknown share"
    if abs(share) >= 0.0995:
        return f"{share:.0%}"
    if share == 0:
        return "0%"
    digits = max(0, 1 - int(np.floor(np.log10(abs(100 * share)))))
    text = f"{100 * share:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return percent(value)
    return f"{percent(value)} ({percent(interval[0])} to {percent(interval[1])})"


def path_shares(
    landscape: Landscape,
    subspace: Subspace | None = None,
    runs: Mapping[str, Trajectory] | None = None,
    *,
    parameters: int | None = None,
    draws: int = 100,
    seed: int = 0,
) -> list[PathShare]:
    """The share of each trajectory in the plane: of the file's, or of checkpoints.

    A landscape file has the projections of its trajectories and their distances from the plane.
    From these follow the shares of the squared distances from the last checkpoint, if that lies in
    the plane. Lengths, and distances from the mean, need the checkpoints.

    Parameters
    ----------
    subspace, runs
        The plane, and trajectories by label; both or none.
    parameters : int, optional
        Number of parameters of the model, of the subspace by default. Without it there are no
        intervals.
    draws, seed : int
        Random walks.

    Raises
    ------
    LossLandscapeError
        If a run is given without its subspace.
    """
    if runs and subspace is None:
        raise LossLandscapeError(
            "the share of a trajectory needs the plane: give subspace= as it was"
        )
    found = []
    if subspace is not None:
        parameters = subspace.layout.size
    for label, run in (runs or {}).items():
        if len(run) > 1 and subspace is not None:
            found.append(_of_checkpoints(landscape, subspace, label, run, draws, seed))
    known = {share.label for share in found}
    for projected in landscape.trajectories:
        if projected.label not in known and len(projected.step) > 1:
            share = _of_file(landscape, projected, parameters, draws, seed)
            if share is not None:
                found.append(share)
    return found


def _plane(landscape: Landscape) -> Mapping:
    plane = landscape.provenance.get("subspace", {})
    return plane if isinstance(plane, Mapping) else {}


def _fitted(landscape: Landscape, label: str) -> bool:
    """Whether the plane is that of the principal components of this run alone."""
    plane = _plane(landscape)
    if plane.get("kind") != "pca" or plane.get("runs"):
        return False
    # a plane of one run is stored with that run, which is the first
    first = landscape.trajectories[0].label if landscape.trajectories else label
    return label == first


def _of_checkpoints(
    landscape: Landscape, subspace: Subspace, label: str, run: Trajectory, draws: int, seed: int
) -> PathShare:
    run = run.named_as([segment.name for segment in subspace.layout.segments])
    # also those that the plane does not move, such as a part that was frozen later
    products = difference_products([run], set(run.parameter_names) - run.frozen)
    coordinates = subspace.project_trajectory(run).coordinates
    gram = subspace.gram_matrix
    fitted = _fitted(landscape, label)
    center = str(_plane(landscape).get("center", "origin")) if fitted else "mean"
    count = len(run)
    middle = np.eye(count) - (1.0 / count if center == "mean" else np.eye(count)[-1])
    inside = middle @ coordinates
    whole = np.trace(middle @ products @ middle.T)
    variance = np.einsum("ki,ij,kj->", inside, gram, inside) / whole if whole > 0 else np.nan
    steps = np.diff(np.eye(count), axis=0)
    moved = np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", steps, products, steps), 0.0))
    along = steps @ coordinates
    shown = np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", along, gram, along), 0.0))
    size, dimensions = subspace.layout.size, subspace.dimensions
    walk = same = None
    if count > dimensions + 1:
        walk = random_walk_shares(
            count - 1, size, dimensions, center=center, draws=draws, seed=seed
        )
        if moved.sum() > 0:
            same = random_walk_shares(
                count - 1, size, dimensions, center=center, step_lengths=moved,
                draws=draws, seed=seed,
            )  # fmt: skip
    return PathShare(
        label, count, center, float(variance),
        float(shown.sum() / moved.sum()) if moved.sum() > 0 else None,
        fitted, *_of_random_plane(size, dimensions), walk, same,
    )  # fmt: skip


def _of_file(
    landscape: Landscape, run: ProjectedTrajectory, parameters: int | None, draws: int, seed: int
) -> PathShare | None:
    """From coordinates and distances; None if the last checkpoint is not in the plane."""
    gram, dimensions = landscape.gram_matrix, landscape.grid.dimensions
    if not np.isfinite(gram).all():
        return None
    inside = np.einsum("ki,ij,kj->k", run.coordinates, gram, run.coordinates)
    whole = float((inside + run.distance_to_plane**2).sum())
    if not whole > 0 or not run.distance_to_plane[-1] ** 2 <= 1e-6 * whole:
        return None
    inside = run.coordinates - run.coordinates[-1]
    squared = np.einsum("ki,ij,kj->k", inside, gram, inside)
    whole = float((squared + run.distance_to_plane**2).sum())
    fitted = _fitted(landscape, run.label)
    if fitted and _plane(landscape).get("center", "origin") != "origin":
        fitted = False  # its null is about the mean, which the file does not have
    count = len(run.step)
    walk = None
    if count > dimensions + 1:
        walk = random_walk_shares(
            count - 1, parameters or 1, dimensions, center="origin",
            draws=draws if parameters else 0, seed=seed,
        )  # fmt: skip
    return PathShare(
        run.label, count, "origin", float(squared.sum() / whole) if whole > 0 else np.nan, None,
        fitted, *_of_random_plane(parameters, dimensions), walk, None,
    )  # fmt: skip


def _of_random_plane(
    parameters: int | None, dimensions: int
) -> tuple[float, float, tuple[float, float]]:
    if not parameters:
        return np.nan, np.nan, (np.nan, np.nan)
    mean, interval = random_plane_share(parameters, dimensions)
    return mean, random_plane_length(parameters, dimensions), interval


def random_plane_share(parameters: int, dimensions: int) -> tuple[float, tuple[float, float]]:
    """The share of a vector's squared norm in a random plane: mean, and 95% interval.

    The share is Beta distributed with parameters dimensions / 2 and (parameters - dimensions) / 2.

    Examples
    --------
    >>> mean, (low, high) = random_plane_share(1000, 2)
    >>> mean, round(low, 6), round(high, 4)
    (0.002, 5.1e-05, 0.0074)
    """
    if parameters <= dimensions:
        return 1.0, (1.0, 1.0)
    half = dimensions / 2, (parameters - dimensions) / 2
    low, high = betaincinv(*half, 0.025), betaincinv(*half, 0.975)
    return dimensions / parameters, (float(low), float(high))


def random_plane_length(parameters: int, dimensions: int) -> float:
    """The expected length of a unit vector's projection on a random plane.

    Examples
    --------
    >>> round(random_plane_length(2, 1), 4)  # the mean of |cos|
    0.6366
    """
    if parameters <= dimensions:
        return 1.0
    m, n = dimensions, parameters
    return float(
        np.exp(gammaln((m + 1) / 2) - gammaln(m / 2) + gammaln(n / 2) - gammaln((n + 1) / 2))
    )
