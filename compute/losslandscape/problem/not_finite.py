"""Where a NaN or an infinity first appears: in the weights, in the data, or in which module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from losslandscape.problem.batches import Batch, tensors_of
from losslandscape.problem.outputs import targets_of
from losslandscape.training.finite_values import (
    bad_values,
    has_nan,
    in_tensors,
    kind_of,
    size_of,
)


def in_weights(model: nn.Module) -> str:
    """The first parameter or running statistic that is not finite; empty if there is none.

    Other buffers may hold infinities on purpose, as the masks of attention do.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> model.weight.data[0, 1] = float("nan")
    >>> in_weights(model)
    "parameter 'weight' has NaN in 1 of 2 values"
    """
    if found := in_tensors(dict(model.named_parameters())):
        return found
    for name, buffer in model.named_buffers():
        if is_lazy(buffer) or not ("running_" in name or has_nan(buffer)):
            continue
        if count := bad_values(buffer):
            return f"buffer '{name}' has {kind_of(buffer)} in {count} of {size_of(buffer)}"
    return ""


def in_sample(batch: Batch, row: int) -> str:
    """Which part of one sample of a batch is not finite; empty if all are.

    Examples
    --------
    >>> import torch
    >>> in_sample((torch.tensor([[0.0, 1.0], [float("inf"), 0.0]]), torch.tensor([0, 1])), 1)
    'its inputs have infinity in 1 of 2 values'
    """
    targets = targets_of(batch)
    for tensor in tensors_of(batch):
        if tensor.dim() and row < len(tensor) and (count := bad_values(tensor[row])):
            what = "targets" if tensor is targets else "inputs"
            return f"its {what} have {kind_of(tensor[row])} in {count} of {size_of(tensor[row])}"
    return ""


def in_network(model: nn.Module, run: Callable[[], Any]) -> str:
    """The module whose output is the first that is not finite in a pass; empty if none is.

    Parameters
    ----------
    run : callable
        Makes the pass; what it raises is ignored.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    >>> model[0].bias.data.fill_(float("inf"))
    tensor([inf])
    >>> import torch
    >>> in_network(model, lambda: model(torch.zeros(1, 1)))
    "the output of module '0' (Linear) is the first that has infinity"
    """
    found: list[str] = []
    with _watched(model, found), suppress(Exception):  # what was found until then counts
        run()
    return found[0] if found else ""


@contextmanager
def _watched(model: nn.Module, found: list[str]) -> Iterator[None]:
    """Inside the context, modules note their outputs that are not finite."""

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, _: Any, outputs: Any) -> None:
            for tensor in () if found else _tensors(outputs):
                if bad_values(tensor):
                    place = f"module '{name}' ({type(module).__name__})"
                    if not name:
                        place = f"the network ({type(module).__name__})"
                    found.append(f"the output of {place} is the first that has {kind_of(tensor)}")
                    return

        return look

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, Mapping):
        for part in outputs.values():
            yield from _tensors(part)
    elif isinstance(outputs, (tuple, list)):
        for part in outputs:
            yield from _tensors(part)
