"""Derivatives by differences of the measured loss, where autograd does not give them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.plane_derivatives import Coordinates, Expansion
from losslandscape.problem.objective import Objective

# of a spacing, to either side: for gradients and for Hessians
_STEPS = {torch.float64: (1e-4, 1e-3)}
_COARSE_STEPS = (0.05, 0.1)


class DifferencedLosses:
    """The interface of :class:`losslandscape.point.plane_derivatives.PlaneDerivatives`.

    Everything comes from losses that an :class:`losslandscape.point.evaluator.Evaluator` measures,
    as those of the surface are. A context manager.

    Parameters
    ----------
    spacing : ndarray, shape (dimensions,)
        Of the grid.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False).double()
    >>> _ = torch.nn.init.constant_(model.weight, 2.0)
    >>> data = torch.ones(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    >>> direction = {"weight": torch.ones(1, 1, dtype=torch.float64)}
    >>> line = Subspace(dict(model.named_parameters()), [direction])
    >>> with DifferencedLosses(Objective(model, "mse", data), line, np.ones(1)) as loss:
    ...     found = loss.expansion((1.0,))
    >>> found.gradient.round(6), found.hessian.round(6)
    (array([6.]), array([[2.]]))
    """

    def __init__(
        self,
        objective: Objective,
        subspace: Subspace,
        spacing: np.ndarray,
        batch_size: int | None = None,
    ):
        self._evaluator = Evaluator(objective, subspace, batch_size)
        self.dtype = objective.dtype
        self.dimensions = subspace.dimensions
        self.spacing = spacing

    def __enter__(self) -> DifferencedLosses:
        self._evaluator.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._evaluator.__exit__(*error)

    @property
    def steps(self) -> tuple[float, float]:
        """For gradients and for Hessians, in spacings to either side."""
        return _STEPS.get(self.dtype, _COARSE_STEPS)

    @property
    def relative_rounding(self) -> float:
        return float(torch.finfo(self.dtype).eps) / self.steps[1] ** 2

    def sample_losses(self, coordinates: Coordinates) -> np.ndarray:
        """Each sample's loss, float64, shape (samples,)."""
        measured = self._evaluator.measure([float(c) for c in coordinates])
        return next(iter(measured.values()))["loss"].astype(np.float64)

    def gradient(self, coordinates: Coordinates) -> np.ndarray:
        return self.sample_gradients(coordinates).mean(axis=0)

    def value_and_gradient(self, coordinates: Coordinates) -> tuple[float, np.ndarray]:
        return self._value(coordinates), self.gradient(coordinates)

    def sample_gradients(self, coordinates: Coordinates) -> np.ndarray:
        here = np.array([float(c) for c in coordinates])
        columns = [
            (self.sample_losses(here + step) - self.sample_losses(here - step)) / (2 * step.sum())
            for step in np.diag(self.steps[0] * self.spacing)
        ]
        return np.stack(columns, axis=1)

    def expansion(self, coordinates: Coordinates) -> Expansion:
        value, gradient = self.value_and_gradient(coordinates)
        here = np.array([float(c) for c in coordinates])
        steps = np.diag(self.steps[1] * self.spacing)
        hessian = np.zeros((self.dimensions, self.dimensions))
        for i, one in enumerate(steps):
            ends = self._value(here + one) + self._value(here - one)
            hessian[i, i] = (ends - 2 * value) / one.sum() ** 2
            for j, other in enumerate(steps[:i]):
                alike = self._value(here + one + other) + self._value(here - one - other)
                apart = self._value(here + one - other) + self._value(here - one + other)
                hessian[i, j] = hessian[j, i] = (alike - apart) / (4 * one.sum() * other.sum())
        return Expansion(value, gradient, hessian)

    def full_gradient_norm(self, coordinates: Coordinates) -> float:
        """NaN: there are as many differences as parameters."""
        return float("nan")

    def _value(self, coordinates: Sequence[float] | np.ndarray) -> float:
        return float(self.sample_losses(coordinates).mean())
