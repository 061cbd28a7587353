"""Where a NaN or an infinity first appears: in the weights, in the data, or in which module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from losslandscape.problem.batches import Batch, tensors_of
from losslandscape.problem.outputs import targets_of

DIVERGED = "the training has diverged, or the file is damaged; give other weights"


def in_tensors(parameters: Mapping[str, Tensor]) -> str:
    """The first parameter that is not finite; empty if there is none.

    Examples
    --------
    >>> import torch
    >>> in_tensors({"weight": torch.tensor([0.0, float("nan")])})
    "parameter 'weight' has NaN in 1 of 2 values"
    """
    for name, parameter in parameters.items():
        if not is_lazy(parameter) and (count := _count(parameter)):
            return f"parameter '{name}' has {_kind(parameter)} in {count} of {_values(parameter)}"
    return ""


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
        if is_lazy(buffer) or not ("running_" in name or _nan(buffer)):
            continue
        if count := _count(buffer):
            return f"buffer '{name}' has {_kind(buffer)} in {count} of {_values(buffer)}"
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
        if tensor.dim() and row < len(tensor) and (count := _count(tensor[row])):
            what = "targets" if tensor is targets else "inputs"
            return f"its {what} have {_kind(tensor[row])} in {count} of {_values(tensor[row])}"
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
                if _count(tensor):
                    place = f"module '{name}' ({type(module).__name__})"
                    if not name:
                        place = f"the network ({type(module).__name__})"
                    found.append(f"the output of {place} is the first that has {_kind(tensor)}")
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


def _count(tensor: Tensor) -> int:
    """Number of values that are not finite."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return 0
    return int((~tensor.detach().isfinite()).sum())


def _nan(tensor: Tensor) -> bool:
    return bool(tensor.is_floating_point() and tensor.detach().isnan().any())


def _kind(tensor: Tensor) -> str:
    return "NaN" if _nan(tensor) else "infinity"


def _values(tensor: Tensor) -> str:
    return f"{tensor.numel():,} value{'s' * (tensor.numel() != 1)}"
