"""How much flatness, minimum, curvature and roughness differ from one random direction to another.

A figure shows one random plane. Profiles along many random directions through the same model say
which of its features are those of the model, and which are those of the draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import stdtrit
from torch import nn

from losslandscape.analysis.flatness import flat_region
from losslandscape.analysis.roughness import roughness
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import EVALUATED, NOT_FINITE, Landscape
from losslandscape.planes.directions import Normalization
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss
from losslandscape.point.module_state import copied
from losslandscape.problem.objective import Objective
from losslandscape.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITIES = ("flat length", "lowest loss", "curvature", "roughness")
_JUDGED = ("flat length", "curvature")  # their means must be known within the stated width
_FEWEST, _AT_ONCE = 6, 3
_LEVEL = 0.95


@dataclass(frozen=True)
class Quantity:
    """One number of each profile.

    Attributes
    ----------
    name : str
        "flat length" of the region within epsilon of the profile's lowest loss; "lowest loss";
        "curvature", the second difference of the loss at the model over one spacing; "roughness".
    values : ndarray, shape (directions,)
    own : ndarray, shape (dimensions,) or None
        Along the directions of the plane itself, if these are random.
    """

    name: str
    values: np.ndarray
    own: np.ndarray | None

    @property
    def mean(self) -> float:
        return float(self._finite.mean()) if self._finite.size else float("nan")

    @property
    def _finite(self) -> np.ndarray:
        return self.values[np.isfinite(self.values)]

    @property
    def half_width(self) -> float:
        """Half of the 95% confidence interval of the mean (Student's)."""
        count = self._finite.size
        if count < 2:
            return float("nan")
        quantile = stdtrit(count - 1, (1 + _LEVEL) / 2)
        return float(quantile * self._finite.std(ddof=1) / np.sqrt(count))

    @property
    def spread(self) -> tuple[float, float]:
        """Where the values of 95% of the directions lie: quantiles 0.025 and 0.975."""
        if not self._finite.size:
            return float("nan"), float("nan")
        low, high = np.quantile(self._finite, [0.025, 0.975])
        return float(low), float(high)

    def to_json(self, values: bool = True) -> dict:
        return {
            "mean": self.mean,
            "mean_half_width_95": self.half_width,
            "spread_95": self.spread,
            "own": self.own,
            **({"values": self.values} if values else {}),
        }


@dataclass(frozen=True)
class RandomLines:
    """Profiles of the loss along random directions through the model.

    Attributes
    ----------
    coordinates : ndarray, shape (points,)
    profiles : ndarray, shape (directions, points)
    own_profiles : ndarray, shape (dimensions, points) or None
        Along the directions of the plane itself, if these are random.
    normalization : str
    epsilon : float
    width : float
        The directions were to be so many that the 95% intervals of the mean flat length and the
        mean curvature have at most this half width, relative to the means.
    settled : bool
        Whether they are.
    at_edge : int
        Profiles whose flat region reaches the end of the line, so that its length is a lower bound.
    quantities : dict of name to Quantity
    """

    coordinates: np.ndarray
    profiles: np.ndarray
    own_profiles: np.ndarray | None
    normalization: str
    epsilon: float
    width: float
    settled: bool
    at_edge: int
    quantities: dict[str, Quantity]

    @property
    def count(self) -> int:
        return len(self.profiles)

    def band(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantiles 0.025, 0.5 and 0.975 of the losses at each coordinate."""
        with np.errstate(invalid="ignore"):
            low, middle, high = np.quantile(self.profiles, [0.025, 0.5, 0.975], axis=0)
        return low, middle, high

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the profiles, their band, and those of the plane itself.

        Returns
        -------
        matplotlib.axes.Axes
        """
        views = import_module("losslandscape.views.random_lines_plot")  # above this folder
        return views.plot_random_lines(self, ax)

    def sentence(self) -> str:
        flat, curvature = self.quantities["flat length"], self.quantities["curvature"]
        words = (
            f"over {self.count} random directions the flat length is {flat.mean:.3g} +- "
            f"{flat.half_width:.2g} (95% of the directions: {flat.spread[0]:.3g} to "
            f"{flat.spread[1]:.3g}) and the curvature {curvature.mean:.3g} +- "
            f"{curvature.half_width:.2g} ({curvature.spread[0]:.3g} to {curvature.spread[1]:.3g})"
        )
        if not self.settled:
            words += f"; the means are not known within {self.width:.0%}"
        if self.at_edge:
            words += (
                f"; {self.at_edge} of the flat lengths are lower bounds: the line ends before the "
                "region"
            )
        return words

    def to_json(self, profiles: bool = True) -> dict:
        """The numbers; with ``profiles``, also those of each direction."""
        low, middle, high = self.band()
        return {
            "directions": self.count,
            "normalization": self.normalization,
            "epsilon": self.epsilon,
            "width": self.width,
            "settled": self.settled,
            "flat_lengths_at_edge": self.at_edge,
            "coordinates": self.coordinates,
            "band": {"low": low, "median": middle, "high": high},
            "own_profiles": self.own_profiles,
            **({"profiles": self.profiles} if profiles else {}),
            "quantities": {name: one.to_json(profiles) for name, one in self.quantities.items()},
        }


def random_lines(
    objective: Objective,
    subspace: Subspace,
    *,
    epsilon: float = 0.1,
    width: float = 0.1,
    points: int = 21,
    half_width: float = 1.0,
    most: int = 60,
    seed: int = 0,
    batch_size: int | None = None,
    quiet: bool = True,
) -> RandomLines:
    """Measure the loss along random directions until the mean flatness and curvature are known.

    Directions are drawn like those of the plane, if it is random; otherwise they are normalized by
    filter. Those of the plane's own seed are left out.

    Parameters
    ----------
    epsilon : float
        Height of the flat region, in units of the loss.
    width : float
        Stop when the 95% intervals of the mean flat length and curvature have at most this half
        width, relative to the means.
    points, half_width : int, float
        Of each profile, from -half_width to half_width; an odd number of at least 5, so that the
        model is one of them.
    most : int
        Largest number of directions.
    seed : int

    Raises
    ------
    LossLandscapeError
        If the number of points is even or too small, or the plane moves the inputs.
    """
    if points % 2 == 0 or points < 5:
        raise LossLandscapeError(
            f"points={points}: a profile needs an odd number of points, of at least 5"
        )
    if subspace.recipe.get("kind") == "inputs":
        raise LossLandscapeError(
            "this plane moves the inputs, and the spread is that of directions of the parameters; "
            "leave it out"
        )
    grid = Grid.line(points, half_width)
    axis = grid.axes()[0]
    recipe = subspace.recipe
    normalization: Normalization = recipe.get("normalization", "filter")
    model = _model_at_origin(objective.model, subspace)
    own = None
    if recipe.get("kind") == "random":
        with Evaluator(objective, subspace, batch_size) as evaluator:
            own = np.array(list(_profiles(evaluator, axis)))
    found: list[np.ndarray] = []
    work = f"up to {most} random directions of {points} points each"
    with Progress(most, "random directions", quiet=quiet, work=work, unit="directions") as progress:
        progress.begin()
        for plane in _planes(model, subspace, normalization, seed):
            with Evaluator(objective, plane, batch_size) as evaluator:
                for profile in _profiles(evaluator, axis):
                    found.append(profile)
                    progress.advance()
                    if len(found) == most:
                        break
            quantities, at_edge = _judged(grid, np.array(found), own, epsilon)
            settled = len(found) >= min(_FEWEST, most) and _settled(quantities, width)
            if settled or len(found) >= most:
                break
        progress.total = progress.done
    return RandomLines(
        axis, np.array(found), own, normalization, epsilon, width, settled, at_edge, quantities
    )


def _model_at_origin(model: nn.Module, subspace: Subspace) -> nn.Module:
    """The model, or a copy of it that has the parameters of the plane's origin."""
    origin = subspace.fitted_to(model).parameters_at((0.0,) * subspace.dimensions)
    own = dict(model.named_parameters())
    if all(torch.equal(own[name].detach().cpu(), value) for name, value in origin.items()):
        return model
    device = next(iter(own.values())).device
    other = copied(model, device, None)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name in origin:
                parameter.copy_(origin[name])
    return other


def _planes(
    model: nn.Module, subspace: Subspace, normalization: Normalization, seed: int
) -> Iterator[Subspace]:
    """Subspaces of three random directions each, with seeds other than the plane's own."""
    recipe, number = subspace.recipe, seed
    while True:
        number += 1
        if recipe.get("kind") == "random" and recipe.get("seed") == number:
            continue
        plane = Subspace.random(
            model, _AT_ONCE, normalization, number,
            zero_vectors=recipe.get("zero_vectors", True), parameters=recipe.get("parameters"),
        )  # fmt: skip
        plane.buffers = dict(subspace.buffers)
        yield plane


def _profiles(evaluator: Evaluator, axis: np.ndarray) -> Iterator[np.ndarray]:
    for index in range(evaluator.subspace.dimensions):
        place = np.zeros(evaluator.subspace.dimensions)
        profile = np.empty(len(axis))
        for i, coordinate in enumerate(axis):
            place[index] = coordinate
            profile[i] = mean_loss(evaluator.measure(place.tolist()))
        yield profile


def _judged(
    grid: Grid, profiles: np.ndarray, own: np.ndarray | None, epsilon: float
) -> tuple[dict[str, Quantity], int]:
    numbers = [_numbers(grid, profile, epsilon) for profile in profiles]
    of_own = None if own is None else [_numbers(grid, profile, epsilon) for profile in own]
    quantities = {
        name: Quantity(
            name,
            np.array([row[0][i] for row in numbers]),
            None if of_own is None else np.array([row[0][i] for row in of_own]),
        )
        for i, name in enumerate(QUANTITIES)
    }
    return quantities, sum(at_edge for _, at_edge in numbers)


def _numbers(grid: Grid, profile: np.ndarray, epsilon: float) -> tuple[Sequence[float], bool]:
    """The quantities of one profile, and whether its flat region reaches an end of the line."""
    middle = len(profile) // 2
    finite = np.isfinite(profile)
    if not finite.any():
        return (np.nan,) * 4, False
    status = np.where(finite, EVALUATED, NOT_FINITE).astype(np.int8)
    line = Landscape(grid, {"loss": profile}, status, np.eye(1))
    try:
        region = flat_region(line, epsilon, scale="linear", draws=0)
        length, at_edge = region.size, region.lower_bound
    except LossLandscapeError:  # the lowest point has no neighbor with a finite loss
        length, at_edge = np.nan, False
    around = profile[middle - 1 : middle + 2]
    with np.errstate(invalid="ignore"):
        curvature = (around[0] - 2 * around[1] + around[2]) / grid.spacing[0] ** 2
    return (
        float(length), float(np.nanmin(profile[finite])), float(curvature), roughness(profile),
    ), bool(at_edge)  # fmt: skip


def _settled(quantities: dict[str, Quantity], width: float) -> bool:
    return all(
        quantities[name].half_width <= width * abs(quantities[name].mean) for name in _JUDGED
    )
