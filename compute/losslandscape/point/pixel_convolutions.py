"""Convolutions whose output is one pixel, as the matrix products that they are.

A deep network on small images ends in maps of one pixel. There a convolution is a linear layer of
the few kernel elements that meet the image; the rest multiplies padding. oneDNN, which PyTorch
uses on processors, re-orders the whole kernel at every call and multiplies the padding: in the
last stage of ResNet-50 at 32 x 32 a matrix product is several times faster.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from losslandscape.point.shortcut import Setting, Shortcut

_MOST_TAPS = 4  # with more, reading the parts of the image apart would take back what is gained


class PixelConvolutions(Shortcut):
    """Replaces the forward of a model's 2-D convolutions where the output is one pixel.

    A pure function of input and parameters takes its place, so whatever a user's loss does with
    the model still holds; calls with larger outputs go to the layer itself. Rounding differs,
    nothing else.
    """

    tolerance = 1e-3

    def __init__(self, model: nn.Module):
        self.layers = [
            module
            for module in model.modules()
            if type(module) is nn.Conv2d
            and "forward" not in vars(module)
            and module.groups == 1
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
        ]
        self.taken = False

    @classmethod
    def offer(cls, setting: Setting) -> PixelConvolutions | None:
        """On the CPU, where it was measured to pay."""
        offered = cls(setting.model) if setting.eager_on_cpu else None
        return offered if offered is not None and offered.layers else None

    def use(self) -> None:
        for layer in self.layers:
            layer.forward = self._replaced(layer)  # type: ignore[method-assign]

    def undo(self) -> None:
        """Give the layers their own forward again."""
        for layer in self.layers:
            vars(layer).pop("forward", None)

    def _replaced(self, layer: nn.Conv2d):
        plain = layer.forward

        def forward(input: Tensor) -> Tensor:
            taps = _taps(layer, input) if input.dim() == 4 else None
            if taps is None:
                return plain(input)
            self.taken = True
            result = None
            for (row, column), (i, j) in taps:
                pixel, matrix = input[:, :, row, column], layer.weight[:, :, i, j].t()
                if result is not None:
                    result = torch.addmm(result, pixel, matrix)
                elif layer.bias is not None:
                    result = torch.addmm(layer.bias, pixel, matrix)
                else:
                    result = pixel @ matrix
            assert result is not None
            return result[:, :, None, None]

        return forward


def _taps(layer: nn.Conv2d, input: Tensor) -> list[tuple[tuple[int, int], tuple[int, int]]] | None:
    """Pixels of the image and the kernel's elements that meet them; None if it is not worth it."""
    places: list[list[tuple[int, int]]] = []
    for axis in (0, 1):
        size, kernel = input.shape[2 + axis], layer.kernel_size[axis]
        padding, dilation = int(layer.padding[axis]), layer.dilation[axis]
        reach = size + 2 * padding - dilation * (kernel - 1) - 1
        if not 0 <= reach < layer.stride[axis]:  # the output has not one pixel
            return None
        pixels = [(dilation * k - padding, k) for k in range(kernel)]
        places.append([(pixel, k) for pixel, k in pixels if 0 <= pixel < size])
    if not 1 <= len(places[0]) * len(places[1]) <= _MOST_TAPS:
        return None
    return [
        ((row, column), (i, j)) for (row, i), (column, j) in itertools.product(places[0], places[1])
    ]
