"""The first linear layer's products with the data, kept between points.

At theta0 + a * d1 + b * d2 a linear layer that reads the data gives X W^T + c with W = W0 + a D1 +
b D2, which is P0 + a P1 + b P2 with the constant products P0 = X W0^T + c0 and Pi = X Di^T + ci.
Where the layer has many more inputs than outputs, as the first of a multilayer perceptron does,
nearly all of a point's arithmetic is in this product, and vector operations replace it. The terms
of the slow coordinates are summed once for a row of the grid where there is room to keep the sum.
The order of summation is the same everywhere, so that a point's value is the same bits whatever
points came before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from losslandscape.planes.parameters import sharing
from losslandscape.planes.subspace import Subspace
from losslandscape.point.moving import MovingParameters
from losslandscape.point.shortcut import Setting, Shortcut
from losslandscape.problem.batches import Batch, tensors_of

# The products take 1/8 of the data's memory at most, with the sum of a row where that is kept.
_INPUTS_AN_OUTPUT = 8


class InputProducts(Shortcut):
    """Replaces the forward of linear layers that read the data; rounding differs, nothing else.

    A product is taken where the input is a view of a batch's own memory, unwritten since, so that
    it cannot depend on the parameters, and the layer's parameters are those that move. Every other
    call, and every call that autograd records, goes to the layer itself.

    Parameters
    ----------
    model : torch.nn.Module
    subspace : Subspace
        Of the model, on its device and of its type.
    parameters : MovingParameters, optional
        Those of the model: they catch up before a layer reads its own weight, which may lie at
        another point until then.
    """

    name = "kept_products"
    optional = True
    tolerance = 1e-3

    def __init__(
        self, model: nn.Module, subspace: Subspace, parameters: MovingParameters | None = None
    ):
        self._parameters = parameters
        self.coordinates: list[float] | None = None  # None: plain forward passes
        self._subspace = subspace
        names = [segment.name for segment in subspace.layout.segments]
        self._names = {
            id(parameter): name
            for name, group in sharing(model, names).items()
            for parameter in group
        }
        needed = _INPUTS_AN_OUTPUT * (subspace.dimensions + 1)
        self._needed_for_row = needed + _INPUTS_AN_OUTPUT
        self.layers = [
            module
            for module in model.modules()
            if type(module) is nn.Linear
            and "forward" not in vars(module)
            and id(module._parameters.get("weight")) in self._names
            and module.in_features >= needed * module.out_features
        ]
        self._data: dict[int, int] = {}
        self._products: dict[tuple, _Products] = {}
        # most of the parameters, and not read where the products are
        self.left = frozenset(self._names[id(layer.weight)] for layer in self.layers)
        self.taken = False

    @classmethod
    def offer(cls, setting: Setting) -> InputProducts | None:
        """On the CPU, where it was measured to pay, for samples that are held.

        The memory of a streamed batch would be another one's later.
        """
        streamed = any(samples.streamed for samples in setting.objective.sets.values())
        if streamed or not (setting.eager_on_cpu and setting.plain_calls):
            return None
        offered = cls(setting.model, setting.subspace, setting.parameters)
        return offered if offered.layers else None

    def use(self) -> None:
        for layer in self.layers:
            layer.forward = self._replaced(layer)  # type: ignore[method-assign]

    def at_point(self, coordinates: Sequence[float] | None) -> None:
        self.coordinates = None if coordinates is None else [float(c) for c in coordinates]

    def at_batches(self, batches: Iterable[Batch]) -> None:
        """Forget all products; from now on keep those with these batches."""
        self._products = {}
        self._data = {
            tensor.untyped_storage().data_ptr(): tensor._version
            for batch in batches
            for tensor in tensors_of(batch)
            if not tensor.is_inference()  # these do not count what is written to them
        }

    def undo(self) -> None:
        """Give the layers their own forward again."""
        for layer in self.layers:
            vars(layer).pop("forward", None)
        self._products, self._data = {}, {}

    def _replaced(self, layer: nn.Linear):
        plain = layer.forward
        own = [(name, p, p._version) for name, p in layer._parameters.items() if p is not None]

        def forward(input: Tensor) -> Tensor:
            if (
                self.coordinates is None
                or torch.is_grad_enabled()
                or not self._is_data(input)
                or any(layer._parameters[n] is not p or p._version != v for n, p, v in own)
            ):
                if self._parameters is not None:
                    self._parameters.catch_up()
                return plain(input)
            self.taken = True
            key = (id(layer), input.data_ptr(), tuple(input.shape), input.stride())
            products = self._products.get(key)
            if products is None:
                products = self._products[key] = _Products(
                    self._measure(layer, input),
                    keep_row=layer.in_features >= self._needed_for_row * layer.out_features,
                )
            return products.at(self.coordinates)

        return forward

    def _is_data(self, input: Tensor) -> bool:
        if type(input) is not Tensor:
            return False
        version = self._data.get(input.untyped_storage().data_ptr())
        return version is not None and version == input._version

    def _measure(self, layer: nn.Linear, input: Tensor) -> list[Tensor]:
        """Products of the input with the origin's and the directions' layer."""
        subspace = self._subspace
        products = []
        for i, vector in enumerate([subspace.origin, *subspace.directions]):
            views = subspace.layout.views(vector)
            weight = views[self._names[id(layer.weight)]]
            bias = None
            if layer.bias is not None:
                name = self._names.get(id(layer.bias))
                bias = views[name] if name else (layer.bias if i == 0 else None)
            products.append(functional.linear(input, weight, bias))
        return products


class _Products:
    """A layer's products with a batch at the origin and along each direction."""

    def __init__(self, products: list[Tensor], keep_row: bool):
        self._origin, self._fast, *self._slow = products
        self._keep_row = keep_row
        self._row: tuple[list[float], Tensor] = ([], self._origin)  # slow coordinates, their sum

    def at(self, coordinates: list[float]) -> Tensor:
        """Their sum at a point. The first coordinate is the one that a grid's points run along."""
        fast, *slow = coordinates
        kept, row = self._row
        if slow == kept:
            return torch.add(row, self._fast, alpha=fast)
        row = torch.add(self._origin, self._slow[0], alpha=slow[0])
        for coordinate, product in zip(slow[1:], self._slow[1:]):
            row.add_(product, alpha=coordinate)
        if not self._keep_row:
            return row.add_(self._fast, alpha=fast)
        self._row = (slow, row)
        return torch.add(row, self._fast, alpha=fast)
