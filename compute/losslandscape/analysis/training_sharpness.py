"""Sharpness through training: where each update would raise the loss, beside 2 / eta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.analysis.critical_step import CriticalStep, critical_step
from losslandscape.analysis.curvature import Curvature, curvature, require_eigenvalues
from losslandscape.analysis.short_table import short_table
from losslandscape.argument_checks import POSITIVE, SHARE, Real, Whole
from losslandscape.argument_kinds import ANYTHING, TEXT, Items, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import Landscape
from losslandscape.planes.parameters import ParameterLayout
from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import PRECISIONS
from losslandscape.progress import Progress
from losslandscape.public_calls import OPEN_LANDSCAPE, public

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from losslandscape.training.trajectory import Trajectory

Named = dict[str, Tensor]
UPDATE, GRADIENT = "update", "gradient"
_COLUMNS = ("loss", "critical_sharpness", "critical_low", "critical_high", "across", "along")
_EACH = Items(POSITIVE, "learning rates, one per checkpoint")


class _LearningRate:
    """One number for all checkpoints, one for each, or the name of a recorded scalar."""

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return TEXT.check(name, value)
        return (_EACH if _EACH.holds(value) else POSITIVE).check(name, value)


@dataclass(frozen=True, repr=False)
class TrainingSharpness:
    """Sharpness at each checkpoint of a training trajectory; see :func:`training_sharpness`.

    All arrays have one row per checkpoint.

    Attributes
    ----------
    label : str
    direction : "update" or "gradient"
    step, learning_rate, loss : ndarray, shape (checkpoints,)
    critical_sharpness : ndarray, shape (checkpoints,)
        2 / eta_c, with the smallest learning rate eta_c at which the update raises the loss. NaN
        where it was not found, and at the last checkpoint, whose update is not known.
    critical_low, critical_high : ndarray, shape (checkpoints,)
        It lies between these: the ends of the bracket.
    passes : int ndarray, shape (checkpoints,)
        Evaluations of the loss that it took.
    eigenvalues, residuals : ndarray, shape (checkpoints, top)
        The largest eigenvalues of the Hessian with their residuals; see
        :func:`losslandscape.curvature`.
    stability_limit : ndarray, shape (checkpoints,)
        2 (1 + momentum) / eta: the sharpness above which gradient descent is not stable on a
        quadratic.
    across, along : ndarray, shape (checkpoints,)
        The way to the next checkpoint in two parts: in the space of the ``top`` eigenvectors,
        across the valley, and orthogonal to it, along the valley. Euclidean lengths.
    """

    label: str
    direction: str
    step: np.ndarray
    learning_rate: np.ndarray
    loss: np.ndarray
    critical_sharpness: np.ndarray
    critical_low: np.ndarray
    critical_high: np.ndarray
    passes: np.ndarray
    eigenvalues: np.ndarray
    residuals: np.ndarray
    stability_limit: np.ndarray
    across: np.ndarray
    along: np.ndarray

    @property
    def sharpness(self) -> np.ndarray:
        """The largest eigenvalue at each checkpoint; NaN if none was computed."""
        return self._first(self.eigenvalues)

    def _first(self, columns: np.ndarray) -> np.ndarray:
        return columns[:, 0] if columns.shape[1] else np.full(len(self.step), np.nan)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a trajectory of a landscape file can carry, by name."""
        return {
            "critical_sharpness": self.critical_sharpness,
            "critical_sharpness_low": self.critical_low,
            "critical_sharpness_high": self.critical_high,
            "top_eigenvalue": self.sharpness,
            "top_eigenvalue_residual": self._first(self.residuals),
            "stability_limit": self.stability_limit,
            "across_valley": self.across,
            "along_valley": self.along,
        }

    def table(self) -> list[dict[str, float]]:
        """One row per checkpoint."""
        columns = {"step": self.step, "loss": self.loss, "learning_rate": self.learning_rate,
                   "passes": self.passes, **self.arrays()}  # fmt: skip
        return [dict(zip(columns, map(float, row))) for row in zip(*columns.values())]

    def to_json(self) -> dict[str, Any]:
        checkpoints = [
            {**row, "eigenvalues": values.tolist(), "residuals": residuals.tolist()}
            for row, values, residuals in zip(self.table(), self.eigenvalues, self.residuals)
        ]
        return {"label": self.label, "direction": self.direction, "checkpoints": checkpoints}

    @public(landscape=OPEN_LANDSCAPE)
    def add_to(self, landscape: Landscape) -> None:
        """Add the arrays to the trajectory of the same label and steps of a landscape.

        :meth:`losslandscape.Landscape.save` then writes them.

        Raises
        ------
        LossLandscapeError
            If the landscape has no such trajectory.
        """
        for run in landscape.trajectories:
            if run.label == self.label and np.array_equal(run.step, self.step):
                run.arrays.update(self.arrays())
                return
        known = ", ".join(f"'{run.label}'" for run in landscape.trajectories) or "none"
        raise LossLandscapeError(
            f"there is no trajectory '{self.label}' with these {len(self.step)} steps (found: "
            f"{known}); add it with landscape.add_trajectory(...)"
        )

    @public(ax=ANYTHING)
    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw critical sharpness, largest eigenvalue and stability limit over the steps.

        Returns
        -------
        matplotlib.axes.Axes
        """
        views = import_module("losslandscape.views.training_sharpness_plot")  # above this folder
        return views.plot_training_sharpness(self, ax)

    def __repr__(self) -> str:
        columns = ("step", "loss", "critical_sharpness", "top_eigenvalue", "stability_limit")
        return short_table(f"TrainingSharpness of '{self.label}'", columns, self.table())


@public(
    learning_rate=_LearningRate(),
    direction=Word((UPDATE, GRADIENT)),
    momentum=Real(least=0, below=1),
    top=Whole(0),
    passes=Whole(3, 100),
    tolerance=SHARE,
    precision=Word(tuple(PRECISIONS)),
)
def training_sharpness(
    objective: Objective,
    trajectory: Trajectory,
    learning_rate: float | str | Sequence[float],
    *,
    direction: str = UPDATE,
    momentum: float = 0.0,
    top: int = 1,
    passes: int = 9,
    tolerance: float = 1e-3,
    seed: int = 0,
    precision: str | None = None,
    batch_size: int | None = None,
    quiet: bool = True,
) -> TrainingSharpness:
    """Critical sharpness, largest eigenvalues and 2 / eta at each checkpoint.

    Along an update u of learning rate eta, the loss at ``theta + s u`` first falls and then rises
    again. At the smallest s_c > 0 where it is above its value at s = 0, the learning rate would
    be eta_c = s_c eta, and the critical sharpness is 2 / eta_c. On a quadratic and along the
    gradient it is the curvature in that direction, so it is at most the largest eigenvalue.

    Parameters
    ----------
    objective : Objective
        Its first set of samples is measured; of full-batch gradient descent, the training set.
    trajectory : Trajectory
        Its checkpoints need a step each; their steps count updates.
    learning_rate : float, sequence of float, or str
        Of all checkpoints, of each, or the name of a recorded scalar.
    direction : "update" or "gradient"
        Along the way to the next checkpoint, as one update with the learning rates of all steps
        between them: record every step for the update itself. Or along the gradient of the
        objective at the checkpoint, which is the update of gradient descent.
    momentum : float
        Of the heavy-ball method, for the stability limit only.
    top : int
        Number of eigenvalues, and of eigenvectors across the valley; 0 computes none.
    passes : int
        Most evaluations of the loss at each checkpoint.
    tolerance : float
        Of the eigenvalues; see :func:`losslandscape.curvature`.
    seed, precision, batch_size, quiet
        As for :func:`losslandscape.curvature`.

    Raises
    ------
    LossLandscapeError
        If the trajectory is of another model, has other values of a frozen parameter or fewer than
        two checkpoints, the number of learning rates is wrong, or a derivative is needed and there
        is none.

    Notes
    -----
    Critical sharpness: arXiv:2601.16979, 2026. J. Cohen, S. Kaur, Y. Li, J. Z. Kolter,
    A. Talwalkar, "Gradient descent on neural networks typically occurs at the edge of stability",
    ICLR 2021.
    """
    if len(trajectory) < 2:
        raise LossLandscapeError(
            f"{trajectory.path}: has {len(trajectory)} checkpoint; sharpness through training "
            "needs two or more"
        )
    if precision is not None:
        objective = objective.in_precision(precision)
    path = _Path(objective, trajectory)
    require_eigenvalues(top, path.layout.size)
    rates = _rates(trajectory, learning_rate)
    count = len(trajectory)
    columns = {name: np.full(count, np.nan) for name in _COLUMNS}
    used = np.zeros(count, int)
    eigenvalues, residuals = np.full((count, top), np.nan), np.full((count, top), np.nan)
    guesses: dict[float, float] = {}  # by the learning rates of the steps together
    work = f"{count} checkpoints, up to {passes} losses at each" + (
        f", and {top} eigenvalues of the Hessian" if top else ""
    )
    with (
        Evaluator(objective, path.plane(0), batch_size) as evaluator,
        Progress(count, "sharpness", quiet=quiet, work=work, unit="checkpoints") as progress,
    ):
        progress.begin()
        for i in range(count):
            gradient = None
            if top:
                here = curvature(
                    objective, top, tolerance=tolerance, probes=2, density_probes=0, seed=seed,
                    batch_size=batch_size, subspace=path.plane(i),
                )  # fmt: skip
                eigenvalues[i], residuals[i] = here.eigenvalues[:top], here.residuals[:top]
                columns["across"][i], columns["along"][i] = _parts(path.way(i), here, top)
                gradient = path.named(here.gradient, here.layout)
            way, rate = _update(path, i, direction, rates, gradient, objective, batch_size)
            loss = _Losses(evaluator, path, i, way)
            columns["loss"][i] = loss(0.0)
            used[i] = 1
            if way is not None:
                found = critical_step(loss, guesses.get(rate, 1.0), passes)
                used[i] = found.passes
                if np.isfinite(found.step):
                    guesses[rate] = found.step
                for name, value in _sharpness(found, rate).items():
                    columns[name][i] = value
            progress.advance()
    return TrainingSharpness(
        label=trajectory.label,
        direction=direction,
        step=np.asarray(trajectory.steps, np.float64),
        learning_rate=rates,
        passes=used,
        eigenvalues=eigenvalues,
        residuals=residuals,
        stability_limit=2 * (1 + momentum) / rates,
        **columns,
    )


class _Path:
    """The checkpoints of a run as parameters of an objective's model.

    Raises
    ------
    LossLandscapeError
        If the run is of another model, or has other values of a parameter that is frozen in it.
    """

    def __init__(self, objective: Objective, trajectory: Trajectory):
        model = objective.model
        self.layout = ParameterLayout.of(model)
        self._run = trajectory.named_as(dict(model.named_parameters()), dict(model.named_buffers()))
        self._names = {segment.name for segment in self.layout.segments}
        self._buffers = dict(model.named_buffers())
        self._dtype = objective.dtype
        self.layout.check(self._run.parameters(-1), str(trajectory.path))
        self._check_frozen(model)

    def _check_frozen(self, model: nn.Module) -> None:
        """Raise a LossLandscapeError if a checkpoint has other values of a frozen parameter."""
        frozen = {
            name: parameter.detach().double().cpu()
            for name, parameter in model.named_parameters()
            if not parameter.requires_grad and name in self._run.shapes
        }
        moved = frozen.keys() - self._run.frozen
        for index in range(len(self._run)):
            there = self._run.parameters(index, moved if index else frozen)
            for name, value in there.items():
                if not torch.equal(value.double(), frozen[name]):
                    raise LossLandscapeError(
                        f"{self._run.path}: '{name}' is frozen in the model (requires_grad=False) "
                        f"and has other values at step {self._run.steps[index]:g}, so the losses "
                        "and eigenvalues would be those of no checkpoint; unfreeze it with "
                        "model.requires_grad_(True), or load the weights that the training "
                        "started from"
                    )

    def parameters(self, index: int) -> Named:
        there = self._run.parameters(index, self._names)
        return {name: tensor.to(self._dtype) for name, tensor in there.items()}

    def buffers(self, index: int) -> Named:
        return {**self._buffers, **self._run.buffers(index)}

    def way(self, index: int) -> Named | None:
        """The way to the next checkpoint in float64; None if there is none, or it does not move."""
        if index + 1 >= len(self._run):
            return None
        here, there = self._run.parameters(index), self._run.parameters(index + 1)
        way = {name: there[name].double() - here[name].double() for name in self._names}
        return way if any(part.any() for part in way.values()) else None

    def updates(self, index: int) -> float:
        return float(self._run.steps[index + 1] - self._run.steps[index])

    def plane(self, index: int) -> Subspace:
        """A line through a checkpoint, in no particular direction."""
        origin = self.parameters(index)
        any_direction = {name: torch.ones_like(value) for name, value in origin.items()}
        return Subspace(origin, [any_direction], self.buffers(index))

    def named(self, flat: np.ndarray, layout: ParameterLayout) -> Named:
        views = layout.views(torch.from_numpy(np.ascontiguousarray(flat)))
        return {name: view.double() for name, view in views.items()}


class _Losses:
    """The loss at checkpoint + s * way, with the checkpoint's buffers; that at s = 0 once."""

    def __init__(self, evaluator: Evaluator, path: _Path, index: int, way: Named | None):
        self._evaluator, self._way = evaluator, way
        self._here, self._buffers = path.parameters(index), path.buffers(index)
        self._start: float | None = None

    def __call__(self, step: float) -> float:
        if step == 0.0 and self._start is not None:
            return self._start
        place = self._here
        if step != 0.0 and self._way is not None:
            place = {
                name: (value.double() + step * self._way[name]).to(value.dtype)
                for name, value in place.items()
            }
        found = mean_loss(self._evaluator.measure_parameters(place, self._buffers))
        if step == 0.0:
            self._start = found
        return found


def _update(
    path: _Path,
    index: int,
    direction: str,
    rates: np.ndarray,
    gradient: Named | None,
    objective: Objective,
    batch_size: int | None,
) -> tuple[Named | None, float]:
    """An update from a checkpoint, and its learning rate: the sum of those of its steps."""
    if direction == UPDATE:
        way = path.way(index)
        return way, float(rates[index] * path.updates(index)) if way is not None else np.nan
    if gradient is None:
        with PlaneDerivatives(objective, path.plane(index), batch_size=batch_size) as loss:
            gradient = loss.full_gradient((0.0,))[1]
    rate = float(rates[index])
    way = {name: -rate * part.double().cpu() for name, part in gradient.items()}
    return (way if any(part.any() for part in way.values()) else None), rate


def _sharpness(found: CriticalStep, rate: float) -> dict[str, float]:
    """Critical sharpness and the ends of its bracket."""
    high = 2 / (found.low * rate) if found.low > 0 else np.inf
    low = 2 / (found.high * rate)
    return {
        "critical_sharpness": 2 / (found.step * rate),
        "critical_low": low,
        "critical_high": high,
    }


def _parts(way: Named | None, here: Curvature, top: int) -> tuple[float, float]:
    """The lengths of a way in the space of the first eigenvectors, and orthogonal to it."""
    if way is None:
        return np.nan, np.nan
    flat = here.layout.flatten({name: part for name, part in way.items()}, "update")
    vector = flat.double().numpy()
    across = float(np.linalg.norm(here.eigenvectors[:top] @ vector))
    return across, float(np.sqrt(max(float(vector @ vector) - across**2, 0.0)))


def _rates(trajectory: Trajectory, given: float | str | Sequence[float]) -> np.ndarray:
    count = len(trajectory)
    if isinstance(given, str):
        rates = trajectory.numbers(given)
    elif isinstance(given, (int, float)):
        rates = np.full(count, float(given))
    else:
        rates = np.asarray(given, np.float64)
        if rates.shape != (count,):
            raise LossLandscapeError(
                f"learning_rate has {len(rates)} values for {count} checkpoints; pass one for all, "
                "or one for each"
            )
    bad = ~(np.isfinite(rates) & (rates > 0))
    if bad.any():
        raise LossLandscapeError(
            f"the learning rate at step {trajectory.steps[bad][0]:g} is {rates[bad][0]:g}; it must "
            "be above 0 at each checkpoint"
        )
    return rates
