"""A model in the state in which it is measured, for a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from losslandscape.problem.random_draws import generators_kept


@contextmanager
def as_measured(model: nn.Module, modes: str | None) -> Iterator[None]:
    """Put the model into eval mode, and afterward back into what it was.

    Its buffers, plain tensors and modes, and the random generators, are restored.

    Examples
    --------
    >>> model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    >>> with as_measured(model, None):
    ...     model.training, model[1].running_mean.add_(1).tolist()
    (False, [1.0, 1.0])
    >>> model.training, model[1].running_mean.tolist()
    (True, [0.0, 0.0])
    """
    kept = [
        (
            module,
            module.training,
            {name: value for name, value in vars(module).items() if isinstance(value, Tensor)},
            [(name, b, b.clone()) for name, b in module._buffers.items() if b is not None],
        )
        for module in model.modules()
    ]
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    try:
        with generators_kept(), torch.random.fork_rng(devices=sorted(devices, key=str)):
            torch.manual_seed(0)
            if modes != "own":
                model.eval()
            yield
    finally:
        with torch.no_grad():
            for module, training, tensors, buffers in kept:
                module.training = training
                vars(module).update(tensors)
                for name, buffer, value in buffers:
                    module._buffers[name] = buffer
                    buffer.copy_(value)
