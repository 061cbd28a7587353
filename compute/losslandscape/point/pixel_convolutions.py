"""Convolutions whose output is a few pixels, as the matrix products that they are.

A deep network on small images ends in maps of one pixel, or of 2 x 2. There a pixel of the output
is a linear layer of the few kernel elements that meet the image; the rest multiplies padding.
oneDNN, which PyTorch uses on processors, re-orders the whole kernel at every call and multiplies
the padding: in the last stage of ResNet-50 at 32 x 32 a matrix product is several times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from losslandscape.point.replaced_layers import ReplacedLayers
from losslandscape.point.shortcut import Setting
from losslandscape.problem.configuration import PRODUCTS

# Without a trial: with more, reading the parts of the image apart takes back what is gained.
_MOST_TAPS = 4
MOST_PRODUCTS = 16  # of pixels and kernel elements that are tried: 3 x 3 on 2 x 2 pixels

# a pixel of the image, the kernel's element that meets it
Tap = tuple[tuple[int, int], tuple[int, int]]


class PixelConvolutions(ReplacedLayers):
    """Replaces the forward of a model's 2-D convolutions where the output is a few pixels.

    A pure function of input and parameters takes its place, so whatever a user's loss does with
    the model still holds; calls with larger outputs go to the layer itself. Rounding differs,
    nothing else.

    Parameters
    ----------
    model : torch.nn.Module
    names : collection of str, optional
        The convolutions for which a trial found it faster. Without it, all of them, where the
        output is one pixel of at most four kernel elements.
    """

    name = "pixel_convolutions"
    tolerance = 1e-3

    def __init__(self, model: nn.Module, names: Collection[str] | None = None):
        super().__init__(
            [
                module
                for name, module in model.named_modules()
                if (names is None or name in names) and can_be_products(module)
            ]
        )
        self._by_trial = names is not None
        self._limits = (1, _MOST_TAPS) if names is None else (MOST_PRODUCTS, MOST_PRODUCTS)

    @classmethod
    def offer(cls, setting: Setting) -> PixelConvolutions | None:
        """On the CPU, where it was measured to pay."""
        if not setting.eager_on_cpu:
            return None
        ways = setting.convolutions
        names = None if ways is None else [name for name, way in ways.items() if way == PRODUCTS]
        offered = cls(setting.model, names)
        return offered if offered.layers else None

    def replaced(self, layer: nn.Conv2d) -> Callable[[Tensor], Tensor]:
        plain = layer.forward
        most_pixels, most_products = self._limits

        def forward(input: Tensor) -> Tensor:
            taps = taps_of(layer, input, most_pixels, most_products) if input.dim() == 4 else None
            if taps is None:
                return plain(input)
            self.taken = True
            return products(input, layer.weight, layer.bias, taps)

        forward.found_faster = self._by_trial  # type: ignore[attr-defined]
        return forward


def can_be_products(module: nn.Module) -> bool:
    """Whether a module is a convolution that is nothing but matrix products."""
    return (
        type(module) is nn.Conv2d
        and "forward" not in vars(module)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def products(
    input: Tensor, weight: Tensor, bias: Tensor | None, taps: list[list[list[Tap]]]
) -> Tensor:
    """The convolution, pixel by pixel of its output; ``taps`` by row and column."""
    pixels = []
    for row_taps in taps:
        for pixel_taps in row_taps:
            result = None
            for (row, column), (i, j) in pixel_taps:
                pixel, matrix = input[:, :, row, column], weight[:, :, i, j].t()
                if result is not None:
                    result = torch.addmm(result, pixel, matrix)
                elif bias is not None:
                    result = torch.addmm(bias, pixel, matrix)
                else:
                    result = pixel @ matrix
            assert result is not None
            pixels.append(result)
    if len(pixels) == 1:
        return pixels[0][:, :, None, None]
    maps = torch.stack(pixels, 1).unflatten(1, (len(taps), len(taps[0]))).permute(0, 3, 1, 2)
    last = input.is_contiguous(memory_format=torch.channels_last)
    return maps if last else maps.contiguous()


def taps_of(
    layer: nn.Conv2d, input: Tensor, most_pixels: int, most_products: int
) -> list[list[list[Tap]]] | None:
    """For each pixel of the output, those of the image and the kernel's elements that meet them.

    None if there are too many, or a pixel meets none.
    """
    axes: list[list[list[tuple[int, int]]]] = []
    for axis in (0, 1):
        size, kernel, stride = input.shape[2 + axis], layer.kernel_size[axis], layer.stride[axis]
        padding, dilation = int(layer.padding[axis]), layer.dilation[axis]
        reach = size + 2 * padding - dilation * (kernel - 1) - 1
        if not 0 <= reach < stride * most_pixels:
            return None
        axes.append(
            [
                [(pixel, k) for k in range(kernel) if 0 <= (pixel := start + dilation * k) < size]
                for start in range(-padding, reach - padding + 1, stride)
            ]
        )
    rows, columns = axes
    if len(rows) * len(columns) > most_pixels or not (all(rows) and all(columns)):
        return None
    if sum(map(len, rows)) * sum(map(len, columns)) > most_products:
        return None
    return [
        [[((y, x), (i, j)) for y, i in row for x, j in column] for column in columns]
        for row in rows
    ]
