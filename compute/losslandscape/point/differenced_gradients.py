"""Derivatives where the loss can be differentiated once: the Hessian by differences of gradients.

Some operators have no second derivative in PyTorch (hardswish, hardsigmoid, what a custom
``torch.autograd.Function`` marks ``once_differentiable``, re-entrant checkpointing). Others treat
as constant what moves with the point, which shows in the second derivative alone: the vectors of
spectral norm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from losslandscape.point.plane_derivatives import (
    Coordinates,
    Expansion,
    Parameters,
    Place,
    PlaneDerivatives,
)

# of a spacing, to either side: the rounding of the gradient and the error of the difference
_STEP = {torch.float64: 1e-4}
_COARSE_STEP = 1e-2
# of the norm of the parameters, to either side: for products with the Hessian of all parameters,
# and for second differences of the losses
_PARAMETER_STEPS = {torch.float64: (1e-5, 1e-4)}
_COARSE_PARAMETER_STEPS = 1e-3, 1e-2


class DifferencedGradients(PlaneDerivatives):
    """:class:`PlaneDerivatives` whose gradients are autograd's and whose Hessians are differences.

    Gradients are taken by ``backward()``, which re-entrant checkpointing needs.

    Attributes
    ----------
    spacing : ndarray, shape (dimensions,)
        Of the grid; the differences are over ``step`` spacings to either side.

    Examples
    --------
    >>> from losslandscape import Objective, Subspace
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(model.weight, 2.0)
    >>> objective = Objective(model, "mse", (torch.ones(4, 1), torch.zeros(4, 1)))
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> with DifferencedGradients(objective, line, "float64") as loss:
    ...     loss.expansion((1.0,)).hessian.round(6)
    array([[2.]])
    """

    def __enter__(self) -> DifferencedGradients:
        super().__enter__()
        # backward() also reaches parameters that the loss holds; their gradients are the user's
        self._gradients = [(parameter, parameter.grad) for parameter in self._loss.parameters()]
        for parameter, _ in self._gradients:
            parameter.grad = None
        return self

    def __exit__(self, *error: object) -> None:
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        super().__exit__(*error)

    @property
    def step(self) -> float:
        """In spacings."""
        return _STEP.get(self.dtype, _COARSE_STEP)

    @property
    def relative_rounding(self) -> float:
        return max(super().relative_rounding, float(torch.finfo(self.dtype).eps) / self.step)

    def value_and_gradient(self, coordinates: Coordinates) -> tuple[float, np.ndarray]:
        value, gradients = self._gradient(lambda: self._apart(coordinates))
        return value, self._along_directions(gradients)

    def expansion(self, coordinates: Coordinates) -> Expansion:
        value, gradient = self.value_and_gradient(coordinates)
        rows = [
            (self.gradient(after) - self.gradient(before)) / length
            for before, after, length in self._sides(coordinates)
        ]
        hessian = np.array(rows)
        return Expansion(value, gradient, (hessian + hessian.T) / 2)

    def sample_gradients(self, coordinates: Coordinates) -> np.ndarray:
        """By differences of the per-sample losses."""
        columns = [
            (self.sample_losses(after) - self.sample_losses(before)) / length
            for before, after, length in self._sides(coordinates)
        ]
        return np.stack(columns, axis=1)

    def hessian_product(
        self, vectors: Parameters, coordinates: Coordinates | None = None
    ) -> Parameters:
        """By the difference of two gradients."""
        parameters, carried = self._place_of(vectors, coordinates)
        step = self._parameter_step(vectors, parameters, 0)
        sides = []
        for factor in (step, -step):
            moved = _moved(parameters, vectors, factor)

            def make(moved: Parameters = moved) -> tuple[Place, list[Tensor]]:
                leaves = {n: moved[n].detach().requires_grad_() for n in vectors}
                return ({**moved, **leaves}, carried), list(leaves.values())

            sides.append(self._gradient(make)[1])
        return {name: (after - before) / (2 * step) for name, after, before in zip(vectors, *sides)}

    def sample_curvatures(
        self, vectors: Parameters, coordinates: Coordinates | None = None
    ) -> np.ndarray:
        """By second differences of the per-sample losses."""
        parameters, carried = self._place_of(vectors, coordinates)
        step = self._parameter_step(vectors, parameters, 1)
        after, here, before = (
            self._sample_losses_at((_moved(parameters, vectors, factor), carried))
            for factor in (step, 0.0, -step)
        )
        return (after - 2 * here + before) / step**2

    def _parameter_step(self, vectors: Parameters, parameters: Parameters, order: int) -> float:
        """How often the vector, for a step of a small share of the parameters' norm."""
        share = _PARAMETER_STEPS.get(self.dtype, _COARSE_PARAMETER_STEPS)[order]
        return share * (_norm(parameters) or 1.0) / (_norm(vectors) or 1.0)

    def _sides(self, coordinates: Coordinates) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Along each axis: the position before, the one after, and how far apart they are."""
        here = np.array([float(c) for c in coordinates])
        steps = np.diag(self.step * self.spacing)
        return [(here - step, here + step, 2 * float(step.sum())) for step in steps]

    def _apart(self, coordinates: Coordinates):
        """As on the plane, but with parameters that are leaves, and the factors of the buffers."""
        (_, carried), (leaf,) = self._on_plane(coordinates)
        (parameters, _), leaves = self._free(coordinates)
        return (parameters, carried), [*leaves, leaf]

    def _along_directions(self, gradients: Sequence[Tensor]) -> np.ndarray:
        *by_parameter, by_leaf = gradients
        along = [
            sum(
                (g.double() * direction[name].double()).sum()
                for name, g in zip(self._origin, by_parameter)
            )
            for direction in self._directions
        ]
        return by_leaf.cpu().numpy() + np.array([float(one) for one in along])

    def _once(self, output: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
        for source in sources:
            source.grad = None
        if output.requires_grad:
            output.backward()
        return [torch.zeros_like(s) if s.grad is None else s.grad for s in sources]


def _moved(parameters: Parameters, vectors: Parameters, factor: float) -> Parameters:
    return {
        **parameters,
        **{n: parameters[n] + factor * v.to(parameters[n]) for n, v in vectors.items()},
    }


def _norm(tensors: Parameters) -> float:
    return float(sum(t.double().square().sum() for t in tensors.values()) ** 0.5)
