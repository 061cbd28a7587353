"""The first layer's products with the data, kept between points.

At theta0 + a * d1 + b * d2 a linear layer that reads the data gives X W^T + c with W = W0 + a D1 +
b D2, which is P0 + a P1 + b P2 with the constant products P0 = X W0^T + c0 and Pi = X Di^T + ci.
Where the layer has many more inputs than outputs, as the first of a multilayer perceptron does,
nearly all of a point's arithmetic is in this product, and vector operations replace it. The terms
of the slow coordinates are summed once for a row of the grid where there is room to keep the sum.
The order of summation is the same everywhere, so that a point's value is the same bits whatever
points came before it. A convolution is linear in its kernel as well: that of a transformer's
patches has few results, and is kept where they take little memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from losslandscape.planes.parameters import sharing
from losslandscape.planes.subspace import Subspace
from losslandscape.point.moving import MovingParameters
from losslandscape.point.replaced_layers import ReplacedLayers
from losslandscape.point.shortcut import Setting
from losslandscape.problem.batches import Batch, tensors_of

# The products of a linear layer take 1/8 of the data's memory at most, with the sum of a row where
# that is kept; those of a convolution so many bytes.
_INPUTS_AN_OUTPUT = 8
_CONVOLUTION_BYTES = 64 << 20


class InputProducts(ReplacedLayers):
    """Replaces the forward of layers that read the data; rounding differs, nothing else.

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
    samples : int, optional
        Of all sets, for the memory that the products of convolutions take; without it, these are
        left alone.
    """

    name = "kept_products"
    optional = True
    tolerance = 1e-3

    def __init__(
        self,
        model: nn.Module,
        subspace: Subspace,
        parameters: MovingParameters | None = None,
        samples: int | None = None,
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
        reading = [
            module
            for module in model.modules()
            if "forward" not in vars(module) and id(module._parameters.get("weight")) in self._names
        ]
        linear = [
            module
            for module in reading
            if type(module) is nn.Linear and module.in_features >= needed * module.out_features
        ]
        self._samples = samples or 0
        convolutions = [module for module in reading if _of_patches(module)] if samples else []
        super().__init__([*linear, *convolutions])
        self._data: dict[int, int] = {}
        self._products: dict[tuple, _Products] = {}
        # most of the parameters, and not read where the products are
        self.left = frozenset(self._names[id(layer.weight)] for layer in linear)

    @classmethod
    def offer(cls, setting: Setting) -> InputProducts | None:
        """On the CPU, where it was measured to pay, for samples that are held.

        The memory of a streamed batch would be another one's later.
        """
        streamed = any(samples.streamed for samples in setting.objective.sets.values())
        if streamed or not (setting.eager_on_cpu and setting.plain_calls):
            return None
        samples = sum(len(one) for one in setting.objective.sets.values())
        offered = cls(setting.model, setting.subspace, setting.parameters, samples)
        return offered if offered.layers else None

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
        super().undo()
        self._products, self._data = {}, {}

    def replaced(self, layer: nn.Linear | nn.Conv2d) -> Callable[[Tensor], Tensor]:
        plain = layer.forward
        own = [(name, p, p._version) for name, p in layer._parameters.items() if p is not None]

        def forward(input: Tensor) -> Tensor:
            if (
                self.coordinates is None
                or torch.is_grad_enabled()
                or not self._is_data(input)
                or not self._affordable(layer, input)
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
                    keep_row=isinstance(layer, nn.Conv2d)
                    or layer.in_features >= self._needed_for_row * layer.out_features,
                )
            return products.at(self.coordinates)

        forward.found_faster = getattr(plain, "found_faster", False)  # type: ignore[attr-defined]
        return forward

    def _is_data(self, input: Tensor) -> bool:
        if type(input) is not Tensor:
            return False
        version = self._data.get(input.untyped_storage().data_ptr())
        return version is not None and version == input._version

    def _affordable(self, layer: nn.Linear | nn.Conv2d, input: Tensor) -> bool:
        """Whether memory is spent on a convolution's products with all samples."""
        if isinstance(layer, nn.Linear):
            return True  # by its numbers of inputs and outputs
        if input.dim() != 4:
            return False
        pixels = math.prod(n // k for n, k in zip(input.shape[2:], layer.kernel_size))
        results = layer.out_channels * pixels
        kept = self._subspace.dimensions + 2  # with the sum of a row
        return self._samples * results * kept * input.element_size() <= _CONVOLUTION_BYTES

    def _measure(self, layer: nn.Linear | nn.Conv2d, input: Tensor) -> list[Tensor]:
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
            if isinstance(layer, nn.Conv2d):
                products.append(layer._conv_forward(input, weight, bias))
            else:
                products.append(functional.linear(input, weight, bias))
        return products


def _of_patches(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a convolution of patches that do not overlap, as transformers have."""
    return (
        type(module) is nn.Conv2d
        and module.stride == module.kernel_size
        and math.prod(module.kernel_size) > 1
        and module.padding == (0, 0)
        and module.dilation == (1, 1)
    )


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
