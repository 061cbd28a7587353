"""What a run finds out before its first point and keeps in its journal.

A resumed run takes these settings from the journal, because the last bits of the values depend on
them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import Segment
from losslandscape.planes.subspace import Subspace, combine
from losslandscape.point import determinism
from losslandscape.point.carried_buffers import refuse_whole_numbers
from losslandscape.point.copied_model import check_copy
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import Measurement
from losslandscape.point.not_finite import refuse_not_finite, refuse_other
from losslandscape.problem.batch_dependence import batch_difference
from losslandscape.problem.configuration import Configuration
from losslandscape.public_calls import users_line
from losslandscape.run.point_records import summarised
from losslandscape.run.task import Task


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Attributes
    ----------
    batch_size, threads : int
    names : list of str
        Of the values of a point, in the order of its record.
    deviation : dict or None
        Of reduced precision or compilation from plain arithmetic.
    observed : dict
        Random numbers and altered buffers, see :func:`losslandscape.point.determinism.observe`.
    passes : int
        Forward passes of a point.
    allotment : dict or None
        The sampling error that a point may have, if a part of the samples is enough.
    fast : dict or None
        What was found for ``precision="auto"``; see :func:`losslandscape.run.fast_type.find_fast`.
    buffers : dict or None
        Buffers that go with the weights, see :class:`losslandscape.point.carried_buffers`.
    configuration : dict or None
        How points are computed, see :class:`losslandscape.problem.configuration.Configuration`.

    Examples
    --------
    >>> Settings.from_json({"batch_size": 8, "threads": 1, "names": ["loss"]}).observed
    {}
    """

    batch_size: int
    threads: int
    names: list[str]
    deviation: dict[str, Any] | None = None
    observed: dict[str, Any] = field(default_factory=dict)
    passes: int = 0
    allotment: dict[str, Any] | None = None
    buffers: dict[str, list[str]] | None = None
    configuration: dict[str, Any] | None = None
    fast: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Settings:
        """The settings in a journal's header; older journals lack some of them."""
        return cls(**{f.name: found[f.name] for f in fields(cls) if f.name in found})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def fast_type(self) -> str | None:
        """The type in which most points are measured, if it is not the objective's own."""
        return self.fast["type"] if self.fast else None

    @property
    def fast_configuration(self) -> Configuration | None:
        """How points are computed in the fast type."""
        return Configuration.from_json(self.fast.get("configuration")) if self.fast else None

    @property
    def draws(self) -> bool:
        """Whether a point draws random numbers."""
        return bool(self.observed.get("random_numbers"))


def find_settings(task: Task, evaluator: Evaluator) -> tuple[Settings, Measurement]:
    """The settings, except for the allotment, and the origin's measurement.

    Raises
    ------
    LossLandscapeError
        If neighboring points are one point in the precision of the computation, a point's value
        depends on random numbers or on the batches before it, a copy of the
        model has other losses than the model, or labeled models differ in buffers of whole numbers
        that change the loss.
    """
    check_copy(task.objective, task.subspace)
    _check_whole_numbers(task, evaluator)
    _check_steps(task, evaluator)
    origin, observed = determinism.observe(evaluator)
    determinism.refuse_observed(task.objective, observed)
    refuse_not_finite(evaluator, origin)
    determinism.refuse_empty_samples(origin)
    refuse_other(origin)
    if unseen := _moved(task, observed.get("unseen_parameters", [])):
        warnings.warn(
            f"no loss of {type(task.objective.model).__name__} depends on "
            f"{determinism.shortened(unseen)}: moving does nothing there, and counts in lengths. "
            "Is that part called, and does the model compute from it in each pass? If it is not "
            "used, freeze it (requires_grad=False)",
            stacklevel=users_line(),
        )
    if apart := batch_difference(task.objective):
        observed["batch_difference"] = apart
        warnings.warn(
            "a sample's loss depends on the other samples of its batch, by up to "
            f"{apart:.3g}: all values depend on the batch size, {evaluator.batch_size} here, and "
            "the standard errors do not hold, because they take samples as independent. Does the "
            "model or the loss compute statistics of the batch, such as x.mean(0)?",
            stacklevel=users_line(),
        )
    settings = Settings(
        batch_size=evaluator.batch_size,
        threads=torch.get_num_threads(),
        names=list(summarised(origin, task.objective.prefixes)),
        deviation=evaluator.deviation_on(task.grid),
        observed=observed,
        passes=evaluator.passes,
        buffers=evaluator.carried.kinds or None,
        configuration=evaluator.configuration.to_json(),
    )
    return settings, origin


def _moved(task: Task, names: Sequence[str]) -> list[str]:
    """Those of the parameters along which a direction is not 0."""
    directions = [task.subspace.layout.views(d) for d in task.subspace.directions]
    return [name for name in names if any(d[name].any() for d in directions)]


def _check_steps(task: Task, evaluator: Evaluator) -> None:
    """Raise a LossLandscapeError if a step of the grid changes no value in float32 or float64.

    Of less precise types, whose deviation is stated, a step may well be lost. Tried are the steps
    at the corner that is farthest from the origin, where the most digits are lost.
    """
    subspace, grid = evaluator.subspace, task.grid
    if subspace.layout.dtype not in (torch.float32, torch.float64):
        return
    segments = subspace.layout.segments
    farthest = [max(ends, key=abs) for ends in grid.bounds]
    for axis, (name, ends, step) in enumerate(zip(grid.axis_names, grid.bounds, grid.spacing)):
        places = np.array([farthest, farthest])
        places[1, axis] += step if farthest[axis] == ends[0] else -step
        if not any(_differ(subspace, segment, *places.tolist()) for segment in segments):
            kind = str(subspace.layout.dtype).removeprefix("torch.")
            raise LossLandscapeError(
                f"grid: neighboring points along {name}, {step:g} apart, coincide in {kind}: no "
                "value changes between them; choose wider bounds, or precision='float64' "
                "(--precision float64)"
            )


@torch.no_grad()
def _differ(subspace: Subspace, segment: Segment, *places: Sequence[float]) -> bool:
    """Whether a parameter has different values at two points."""
    own = slice(segment.start, segment.stop)
    origin, directions = subspace.origin[own], [d[own] for d in subspace.directions]
    one, other = (combine(at, origin, directions, torch.empty_like(origin)) for at in places)
    return not torch.equal(one, other)


def _check_whole_numbers(task: Task, evaluator: Evaluator) -> None:
    """Raise a LossLandscapeError if buffers that cannot be interpolated change a model's loss.

    Counters do not.
    """
    names = evaluator.carried.whole_numbers
    if not names:
        return
    first, *others = task.subspace.model_buffers
    for point, buffers in zip(task.subspace.points[1:], others):
        parameters = task.subspace.parameters_at(point.coordinates)
        of_first = {name: first[name] for name in names}
        own, other = (
            evaluator.measure_parameters(parameters, values, own_statistics=True)
            for values in (buffers, {**buffers, **of_first})
        )
        largest = determinism.largest_difference(own, other)
        if largest:
            refuse_whole_numbers(task.objective.model, names, point.label, largest)
