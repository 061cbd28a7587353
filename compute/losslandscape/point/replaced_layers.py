"""Shortcuts that replace the forward of single layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from losslandscape.point.shortcut import Shortcut


class ReplacedLayers(Shortcut):
    """A shortcut that gives some layers of a model another forward while it is used.

    A subclass implements :meth:`replaced`, and sets ``taken`` when a replacement is called.

    Parameters
    ----------
    layers : sequence of torch.nn.Module
    """

    def __init__(self, layers: Sequence[nn.Module]):
        self.layers = layers
        self.taken = False

    def use(self) -> None:
        for layer in self.layers:
            layer.forward = self.replaced(layer)

    def undo(self) -> None:
        """Give the layers their own forward again."""
        for layer in self.layers:
            vars(layer).pop("forward", None)

    def replaced(self, layer: Any) -> Callable[..., Any]:
        """What is called in place of a layer's own forward."""
        raise NotImplementedError
