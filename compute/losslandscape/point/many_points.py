"""The mean loss at many points of parameter space, several in one pass where the model can."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from losslandscape.planes.parameters import ParameterLayout, sharing
from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss
from losslandscape.problem.batches import Batch
from losslandscape.problem.execution import PLAIN
from losslandscape.problem.objective import Objective
from losslandscape.problem.sample_weights import WEIGHT

_TOGETHER = 1 << 20  # parameters: for larger models a pass of several points gains nothing
_ELEMENTS, _MOST = 1 << 19, 128  # parameters of the points of a pass, and points
_AGREEMENT = 1e-4  # relative, between a pass of several points and one of each


class ManyPoints:
    """Mean losses of the first set at points of parameter space; a context manager.

    Several points are measured in one pass by :func:`torch.func.vmap`, if the model and the loss
    take it and a trial agrees with the evaluator. Otherwise each point is measured by the
    evaluator, see :class:`losslandscape.point.evaluator.Evaluator`.

    Parameters
    ----------
    objective : Objective
    names : sequence of str
        The parameters that move, in the order of a point's entries; the others stay.

    Attributes
    ----------
    layout : ParameterLayout
        Where each parameter is in a point, row-major.
    origin : float64 Tensor, shape (size,)
        The model's own parameters.
    together : bool
        Whether several points are measured in one pass.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> objective = Objective(model, "mse", (torch.ones(4, 1), torch.zeros(4, 1)))
    >>> with ManyPoints(objective, ["weight"]) as points:
    ...     points.losses(torch.tensor([[1.0], [3.0]]))
    array([1., 9.])
    """

    def __init__(self, objective: Objective, names: Sequence[str]):
        objective = copy.copy(objective)
        if objective.factors is None:  # the other sets would be measured for nothing
            first = next(iter(objective.sets))
            objective.sets = {first: objective.sets[first]}
            objective.losses = {first: objective.losses[first]}
        if sum(p.numel() for p in objective.model.parameters()) <= _TOGETHER:
            objective.execution = PLAIN  # nothing replaced in the model that vmap calls
        self._objective = objective
        given = dict(objective.model.named_parameters())
        own = ParameterLayout.of(objective.model)
        values = {segment.name: given[segment.name].detach() for segment in own.segments}
        shapes = {name: tuple(values[name].shape) for name in names}
        self.layout = ParameterLayout(shapes, objective.dtype, channels_last=False)
        self.origin = torch.cat([values[name].cpu().double().flatten() for name in names])
        ones = {name: torch.ones_like(value) for name, value in values.items()}
        buffers = dict(objective.model.named_buffers())
        self._evaluator = Evaluator(objective, Subspace(values, [ones], buffers))
        self._values = values
        self.together = False

    def __enter__(self) -> ManyPoints:
        with ExitStack() as stack:
            stack.enter_context(self._evaluator)
            model = self._evaluator.model
            named = {id(parameter): name for name, parameter in model.named_parameters()}
            self._aliases = {
                name: [f"model.{named[id(parameter)]}" for parameter in group]
                for name, group in sharing(model, [s.name for s in self.layout.segments]).items()
            }
            self._module = _Losses(model, self._objective)
            self.together = self._can_together()
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def losses(self, points: Tensor) -> np.ndarray:
        """Mean losses at points, shape (count, size) -> float64, shape (count,)."""
        if not self.together:
            return np.array([self._one(point) for point in points])
        size = max(1, min(_MOST, _ELEMENTS // self.layout.size))
        return np.concatenate([self._several(part) for part in points.split(size)])

    def _one(self, point: Tensor) -> float:
        """By the evaluator."""
        parameters = {**self._values, **self.layout.views(point)}
        return mean_loss(self._evaluator.measure_parameters(parameters, {}))

    @torch.no_grad()
    def _several(self, points: Tensor) -> np.ndarray:
        """By one pass of each batch."""
        placed = points.to(self._objective.device, self._objective.dtype)
        batches = next(iter(self._evaluator.batches.sets.values()))
        parts = [vmap(self._of(batch))(placed).cpu().numpy() for batch in batches]
        return np.concatenate(parts, axis=1).mean(axis=1, dtype=np.float64)

    def _of(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        def losses(point: Tensor) -> Tensor:
            views = self.layout.views(point)
            tensors = {alias: views[name] for name in views for alias in self._aliases[name]}
            return functional_call(self._module, tensors, (batch,))

        return losses

    def _can_together(self) -> bool:
        """Whether a pass of several points gives what the evaluator does."""
        objective = self._objective
        reduced = objective.arithmetic is not None and objective.arithmetic.autocast is not None
        alone = (
            objective.execution != PLAIN, objective.factors is not None, objective.loss.gradients,
            objective.batch_norm == "reestimated", reduced, objective.compile,
        )  # fmt: skip
        if any(alone):
            return False
        random = torch.randn(2, self.layout.size, generator=torch.Generator().manual_seed(0))
        step = 0.1 * self.origin.square().mean().sqrt().clamp(min=1e-3)
        points = torch.cat([self.origin[None], self.origin + step * random.double()])
        try:
            found = self._several(points)
        except Exception:  # whatever vmap cannot do in the user's model
            return False
        expected = np.array([self._one(point) for point in points])
        return bool(np.allclose(found, expected, _AGREEMENT, 1e-9, equal_nan=True))


class _Losses(nn.Module):
    """Model and loss as one module, so that functional_call reaches whatever the loss reads."""

    def __init__(self, model: nn.Module, objective: Objective):
        super().__init__()
        self.model = model
        self._loss = objective.loss

    def forward(self, batch: Batch) -> Tensor:
        values = self._loss(self.model, batch)
        if f"loss{WEIGHT}" in values:
            raise ValueError("samples weigh differently, which the evaluator accounts for")
        return values["loss"]
