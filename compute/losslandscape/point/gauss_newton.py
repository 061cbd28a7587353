"""Gauss-Newton: the curvature of the loss as a function of the network's outputs, pulled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.point.plane_derivatives import (
    Coordinates,
    Parameters,
    Place,
    PlaneDerivatives,
    added,
    differentiate,
    summed,
)
from losslandscape.public_calls import TENSORS, public

_WAY_OUT = "use the Hessian (kind='hessian'), or a loss of (outputs, targets)"


class GaussNewtonProducts(PlaneDerivatives):
    """:class:`PlaneDerivatives` with G = J^T L J in the place of the Hessian in its products.

    J is the derivative of the model's outputs by the parameters, and L the Hessian of the loss by
    the outputs, sample by sample. Where the loss is convex in the outputs, as cross-entropy and
    squared errors are, no eigenvalue of G is negative. ``expansion`` is still that of the loss.

    Notes
    -----
    N. N. Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent",
    Neural Computation 14, 2002.

    Examples
    --------
    >>> from losslandscape import Objective, Subspace
    >>> model = nn.Linear(1, 1, bias=False)
    >>> data = torch.tensor([[3.0]]), torch.zeros(1, 1)
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> with GaussNewtonProducts(Objective(model, "mse", data), line) as loss:
    ...     loss.hessian_product({"weight": torch.tensor([[1.0]])})
    {'weight': tensor([[18.]])}
    """

    @public(vectors=TENSORS)
    def hessian_product(
        self, vectors: Parameters, coordinates: Coordinates | None = None
    ) -> Parameters:
        """G v for the parameters that ``vectors`` names.

        Raises
        ------
        LossLandscapeError
            If the loss is not one of the outputs of one call of the model, or the model cannot be
            differentiated twice.
        """
        parameters, carried = self._place_of(vectors, coordinates)
        products: list[Tensor] | None = None
        statistics: tuple[Tensor, Tensor] | None = None
        total = 0.0
        torch.manual_seed(0)
        if self._statistics is not None:
            statistics = self._statistics_along(vectors, parameters, carried)[:2]
        for batch in self._terms:
            leaves, sources, tangents = self._sources(vectors, parameters, statistics)
            with self._outputs() as outputs:

                def product(
                    losses: Tensor,
                    sources: Sequence[Tensor] = sources,
                    tangents: Sequence[Tensor] = tangents,
                    outputs: _Outputs = outputs,
                ) -> list[Tensor]:
                    made, given = outputs.checked(losses, sources)
                    moved = _pushed(made, sources, tangents)
                    first = differentiate(summed(losses), given, create_graph=True)
                    rate = _dot(first, moved)
                    curved = differentiate(rate, given)
                    return _pulled(made, sources, curved)

                place = {**parameters, **leaves}, carried
                products = added(products, self._within(place, batch, product))
            total += self._loss.weight
        if products is not None and self._statistics is not None:
            *products, pulled = products
            torch.manual_seed(0)
            for batch in self._reestimation_batches:
                leaves, sources, _ = self._sources(vectors, parameters)

                def share(
                    statistics: Tensor,
                    sources: Sequence[Tensor] = sources,
                    pulled: Tensor = pulled,
                ) -> list[Tensor]:
                    whole = pulled @ statistics / len(self._reestimation_batches)
                    return differentiate(whole, sources)

                place = {**parameters, **leaves}, carried
                products = added(products, self._gathered(place, batch, share))
        return dict(zip(vectors, (part / total for part in products or [])))

    @public(vectors=TENSORS)
    def sample_curvatures(
        self, vectors: Parameters, coordinates: Coordinates | None = None
    ) -> np.ndarray:
        """v^T G_i v of each sample's loss, float64, shape (samples,)."""
        parameters, carried = self._place_of(vectors, coordinates)
        torch.manual_seed(0)
        statistics: tuple[Tensor, Tensor, Tensor] | None = None
        if self._statistics is not None:
            statistics = self._statistics_along(vectors, parameters, carried)
        with self._outputs() as outputs:

            def make() -> tuple[Place, Callable[[Tensor], Tensor]]:
                outputs.forget()
                leaf = torch.zeros((), dtype=self.dtype, device=self._device, requires_grad=True)
                moved = {n: parameters[n] + leaf * v.to(parameters[n]) for n, v in vectors.items()}
                if self._statistics is not None and statistics is not None:
                    self._statistics.use(statistics[0] + leaf * statistics[1])

                def twice(losses: Tensor) -> Tensor:
                    made, given = outputs.checked(losses, [leaf])
                    along = _pushed(made, [leaf], [torch.ones_like(leaf)])
                    dual = torch.zeros_like(losses, requires_grad=True)
                    first = differentiate(losses, given, dual, create_graph=True)
                    second = differentiate(_dot(first, along), given, create_graph=True)
                    return differentiate(_dot(second, along), [dual])[0].detach()[:, None]

                return ({**parameters, **moved}, carried), twice

            return self._by_sample(make)[:, 0]

    @contextmanager
    def _outputs(self) -> Iterator[_Outputs]:
        """The outputs of the model, cut from the graph of the loss, while the context is open."""
        outputs = _Outputs(type(self._loss.model).__name__)
        handle = self._loss.model.register_forward_hook(outputs.cut)
        try:
            yield outputs
        finally:
            handle.remove()


class _Outputs:
    """What one call of the model returned, and the leaves that the loss took in its place."""

    def __init__(self, model: str):
        self._model = model
        self.forget()

    def forget(self) -> None:
        self._calls = 0
        self._made: list[Tensor] = []
        self._given: list[Tensor] = []

    def cut(self, module: nn.Module, inputs: Any, returned: Any) -> Any:
        """As a forward hook: what the loss sees are leaves of the outputs' values."""
        if not torch.is_grad_enabled():
            return None
        self._calls += 1
        return self._leaves(returned)

    def _leaves(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                return value
            self._made.append(value)
            self._given.append(value.detach().clone().requires_grad_())
            return self._given[-1]
        if isinstance(value, Mapping):
            found = {key: self._leaves(one) for key, one in value.items()}
            return found if type(value) is dict else type(value)(**found)
        if isinstance(value, (tuple, list)):
            parts = [self._leaves(one) for one in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    def checked(
        self, losses: Tensor, sources: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The outputs and the leaves.

        Raises
        ------
        LossLandscapeError
            If the loss is not one of them alone.
        """
        if self._calls != 1:
            raise LossLandscapeError(
                f"Gauss-Newton: the loss calls {self._model} {self._calls} times for a batch, and "
                f"this matrix needs a loss of the outputs of one call; {_WAY_OUT}"
            )
        direct = torch.autograd.grad(
            summed(losses), sources, retain_graph=True, allow_unused=True, materialize_grads=False
        )
        if any(one is not None for one in direct):
            raise LossLandscapeError(
                "Gauss-Newton: the loss reads the parameters itself, besides the outputs of "
                f"{self._model}, as a penalty of the weights does; {_WAY_OUT}"
            )
        return self._made, self._given


def _dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(one, other)]).sum()


def _pushed(
    made: Sequence[Tensor], sources: Sequence[Tensor], tangents: Sequence[Tensor]
) -> list[Tensor]:
    """J v: the derivative of the outputs along a vector, by reverse mode twice."""
    duals = [torch.zeros_like(one, requires_grad=True) for one in made]
    back = differentiate(_dot(made, duals), sources, create_graph=True)
    return [one.detach() for one in differentiate(_dot(back, tangents), duals, retain_graph=True)]


def _pulled(
    made: Sequence[Tensor], sources: Sequence[Tensor], curved: Sequence[Tensor]
) -> list[Tensor]:
    """J^T u."""
    return differentiate(_dot(made, [one.detach() for one in curved]), sources)
