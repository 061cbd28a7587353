"""Convolutions computed row-major in a channels-last model, where a trial found that faster.

oneDNN's channels-last convolutions waste work on small maps with large kernels on some processors:
with AVX-512, 512 channels on 2 x 2 pixels take four times as long as row-major. Their feature maps
are small, so that it pays to reorder them twice. The kernels of these layers lie row-major; see
:class:`losslandscape.planes.parameters.ParameterLayout`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from losslandscape.point.replaced_layers import ReplacedLayers
from losslandscape.point.shortcut import Setting
from losslandscape.problem.configuration import ROW_MAJOR


class RowMajorConvolutions(ReplacedLayers):
    """Replaces the forward of convolutions by one that reorders their maps.

    Rounding differs, nothing else.

    Parameters
    ----------
    model : torch.nn.Module
    names : collection of str
        Of the convolutions, as in ``model.named_modules()``.
    """

    name = "row_major_convolutions"
    tolerance = 1e-3

    def __init__(self, model: nn.Module, names: Collection[str]):
        super().__init__(
            [
                module
                for name, module in model.named_modules()
                if name in names and type(module) is nn.Conv2d and "forward" not in vars(module)
            ]
        )

    @classmethod
    def offer(cls, setting: Setting) -> RowMajorConvolutions | None:
        """On the CPU, for the convolutions for which a trial chose it."""
        names = [n for n, way in (setting.convolutions or {}).items() if way == ROW_MAJOR]
        if not (names and setting.eager_on_cpu and setting.channels_last):
            return None
        offered = cls(setting.model, names)
        return offered if offered.layers else None

    def replaced(self, layer: nn.Conv2d) -> Callable[[Tensor], Tensor]:
        plain = layer.forward

        def forward(input: Tensor) -> Tensor:
            if input.dim() != 4:
                return plain(input)
            self.taken = True
            return row_major(input, plain)

        forward.found_faster = True  # type: ignore[attr-defined]
        return forward


def row_major(input: Tensor, convolve: Callable[[Tensor], Tensor]) -> Tensor:
    """A convolution of row-major maps, whose result is channels-last again."""
    return convolve(input.contiguous()).contiguous(memory_format=torch.channels_last)


def convolved(layer: nn.Conv2d, input: Tensor, weight: Tensor) -> Tensor:
    """A layer's convolution with the kernel in another memory order."""
    return layer._conv_forward(input, weight, layer.bias)
