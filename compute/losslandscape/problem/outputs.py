"""What a model returns for a batch, and which of it the loss takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union

from torch import Tensor, nn

from losslandscape.argument_checks import shown
from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import Batch, describe

# key, attribute or position of an output, or outputs -> the one that the loss takes
Output = Union[str, int, Callable[[Any], Any], None]
TARGET_KEYS = ("labels", "label", "targets", "target", "y")
_SHOWN = 8


def targets_of(batch: Batch) -> Tensor | None:
    """The targets of a batch: the last of a tuple, or the entry ``labels`` or a similar one."""
    if isinstance(batch, Mapping):
        return next((batch[key] for key in TARGET_KEYS if key in batch), None)
    return batch[-1]


def raw_outputs(model: nn.Module, batch: Batch) -> tuple[Any, Tensor]:
    """Run the model on a batch and return whatever it returns, and the targets.

    A tuple is (inputs..., targets). In a dict, the targets are under ``labels`` or a similar key,
    and the other entries are keyword arguments.

    Raises
    ------
    LossLandscapeError
        If the batch has no targets.
    """
    if isinstance(batch, Mapping):
        inputs = dict(batch)
        key = next((key for key in TARGET_KEYS if key in inputs), None)
        if key is None:
            raise LossLandscapeError(
                f"the batch has no targets: {list(inputs)} has none of {', '.join(TARGET_KEYS)}"
            )
        targets = inputs.pop(key)
        return model(**inputs), targets
    if len(batch) < 2:
        raise LossLandscapeError(
            f"the batch is one tensor ({describe(batch)}); pass (inputs, targets), or your own "
            "loss function"
        )
    *arguments, targets = batch
    return model(*arguments), targets


def forward(model: nn.Module, batch: Batch, output: Output = None) -> tuple[Tensor, Tensor]:
    """Run the model on a batch and return one tensor of outputs, and the targets.

    Without ``output``, outputs that have an attribute ``logits`` are replaced by it.

    Raises
    ------
    LossLandscapeError
        If the batch has no targets, or the outputs are several tensors: their names are said.
    """
    outputs, targets = raw_outputs(model, batch)
    found = getattr(outputs, "logits", outputs) if output is None else chosen(outputs, output)
    if not isinstance(found, Tensor):
        raise LossLandscapeError(several_outputs(found))
    return found, targets


def chosen(outputs: Any, output: Output) -> Any:
    """The part of a model's outputs that ``output`` names.

    Raises
    ------
    LossLandscapeError
        If there is no such part.

    Examples
    --------
    >>> chosen({"out": 1, "aux": 2}, "aux"), chosen((1, 2), 0), chosen((1, 2), sum)
    (2, 1, 3)
    """
    if output is None:
        return outputs
    if callable(output):
        return output(outputs)
    if isinstance(output, str) and not isinstance(outputs, Mapping) and hasattr(outputs, output):
        return getattr(outputs, output)
    try:
        return outputs[output]
    except Exception as error:  # whatever the outputs raise where they have no such part
        raise LossLandscapeError(
            f"output {shown(output)}: the model's outputs are a {type(outputs).__name__} "
            f"({_told(outputs)}) and have no such part"
        ) from error


def several_outputs(outputs: Any) -> str:
    """What a model returned in place of one tensor, and how to choose."""
    if outputs is None:
        return "the model's forward pass returned None; does it end with 'return outputs'?"
    first = next(iter(_parts(outputs)), "0")
    choice = first[1:].join('""') if first.startswith(".") else first.replace("'", '"')
    called = f"model(batch[0]){first if first.startswith('.') else f'[{first}]'}"
    return (
        f"the model's outputs are a {type(outputs).__name__} ({_told(outputs) or 'empty'}), and "
        f"the loss needs one tensor; choose one with output={choice}, or in your own loss function "
        f"(model, batch) -> per-sample losses, such as {called}"
    )


def _parts(outputs: Any) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        return {repr(name): value for name, value in outputs.items()}
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return {f".{name}": value for name, value in zip(outputs._fields, outputs)}
    if isinstance(outputs, (tuple, list)):
        return {str(i): value for i, value in enumerate(outputs)}
    if is_dataclass(outputs):
        return {f".{field.name}": getattr(outputs, field.name) for field in fields(outputs)}
    return {f".{name}": value for name, value in getattr(outputs, "__dict__", {}).items()}


def _told(outputs: Any) -> str:
    return ", ".join(
        f"{name} of shape {tuple(value.shape)}"
        if isinstance(value, Tensor)
        else f"{name} ({type(value).__name__})"
        for name, value in list(_parts(outputs).items())[:_SHOWN]
    )
