"""A model's buffers, the same at the start of every point."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from losslandscape.problem.batches import same_values

# the module, the buffer's name there, the buffer itself, and its value at the start of a point
_Start = list[tuple[Any, str, Tensor, Tensor]]


class PointBuffers:
    """The buffers of a model, reset before each point and restored at the end.

    PyTorch counts writes to a tensor, so buffers that nothing wrote to are left alone. A write
    through ``buffer.data`` is not counted; :meth:`look_for_unseen_writes` finds models that do so,
    and their buffers are then reset whatever the counts say.

    Examples
    --------
    >>> model = nn.BatchNorm1d(2)
    >>> buffers = PointBuffers(model)
    >>> buffers.start_from({"running_mean": torch.tensor([1.0, 2.0])})
    >>> _ = model(torch.zeros(4, 2))  # in train mode: writes to its statistics
    >>> buffers.altered()
    ['running_mean', 'running_var', 'num_batches_tracked']
    >>> buffers.reset()
    >>> model.running_mean
    tensor([1., 2.])
    >>> buffers.restore()
    >>> model.running_mean
    tensor([0., 0.])
    """

    def __init__(self, model: nn.Module):
        self._names = {id(module): name for name, module in model.named_modules()}
        self._own: _Start = [
            (module, name, buffer, buffer.detach().clone())
            for module in model.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        self._start = self._own
        self._versions: list[int] = []
        self._unseen_writes = False

    def start_from(self, values: Mapping[str, Tensor]) -> None:
        """Start every point from these values by name; other buffers from the model's own.

        A buffer that is registered under several names has its values under one of them.
        """
        given: dict[int, Tensor] = {}
        for module, name, buffer, own in self._own:
            full = self._full_name(module, name)
            if full in values:
                given[id(buffer)] = values[full].to(own)
        self._start = [
            (module, name, buffer, given.get(id(buffer), own))
            for module, name, buffer, own in self._own
        ]
        self.reset(always=True)

    @contextmanager
    def starting_from(self, values: Mapping[str, Tensor]) -> Iterator[None]:
        """Inside the context, as :meth:`start_from`."""
        before = self._start
        try:
            self.start_from(values)
            yield
        finally:
            self._start = before
            self.reset(always=True)

    @torch.no_grad()
    def reset(self, always: bool = False) -> None:
        """Undo what a forward pass did to the buffers."""
        if not (always or self._unseen_writes):
            versions = [buffer._version for _, _, buffer, _ in self._start]
            same = all(module._buffers[name] is buffer for module, name, buffer, _ in self._start)
            if same and versions == self._versions:
                return
        for module, name, buffer, value in self._start:
            module._buffers[name] = buffer
            buffer.copy_(value)
        self._versions = [buffer._version for _, _, buffer, _ in self._start]

    def look_for_unseen_writes(self) -> None:
        """Call it after a pass that began with a reset."""
        for (module, name, buffer, value), version in zip(self._start, self._versions):
            unseen = module._buffers[name] is buffer and buffer._version == version
            self._unseen_writes |= unseen and not same_values(buffer, value)

    def altered(self, besides: Collection[nn.Module] = ()) -> list[str]:
        """Names of the buffers that differ from the start of the point, but those of ``besides``.

        ``besides`` holds modules whose buffers are meant to change.
        """
        passed_over = {id(module) for module in besides}
        altered = []
        for module, name, buffer, value in self._start:
            if id(module) in passed_over:
                continue
            now = module._buffers[name]
            same = now is buffer or (now is not None and now.shape == value.shape)
            if not same or not same_values(now, value):
                altered.append(self._full_name(module, name))
        return altered

    @torch.no_grad()
    def restore(self) -> None:
        """Give the model its own buffers and values again."""
        for module, name, buffer, value in self._own:
            module._buffers[name] = buffer
            buffer.copy_(value)

    def _full_name(self, module: nn.Module, name: str) -> str:
        return f"{self._names[id(module)]}.{name}".lstrip(".")
