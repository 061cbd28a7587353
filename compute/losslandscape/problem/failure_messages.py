"""Why a model or a loss did not run, and what helps."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from losslandscape import own_code
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.batches import Batch, describe, tensors_of
from losslandscape.problem.losses import Loss
from losslandscape.problem.outputs import targets_of
from losslandscape.problem.own_functions import OwnFunction

_WRITE_ONE = "write your own loss function (model, batch) -> per-sample losses that calls the model"


def explained(error: BaseException, model: nn.Module, batch: Batch, loss: Loss) -> str:
    """The cause of an error from a forward pass, its message, and a way out.

    Parameters
    ----------
    error : BaseException
        What the model or the loss raised.
    batch : Batch
        What they were called with.
    """
    name = type(model).__name__
    told = own_code.told(error)
    for cause in (
        _gradients, _types, _devices, _arguments, _missing_inputs, _labels, _indices,
        _batch_norm, _shapes,
    ):  # fmt: skip
        if found := cause(str(error), error, model, batch):
            head, advice = found
            return f"{head} (a batch of {describe(batch)}): {told}. {advice}"
    where = name if _inside(error, model) else f"the loss {loss.name}"
    return f"{where} failed with a batch of {describe(batch)}: {told}{_called(loss)}"


def _gradients(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    if "does not require grad" not in text and "not have been used in the graph" not in text:
        return None
    return (
        "the loss differentiates something that has no gradient",
        "Gradients are switched on for a loss that differentiates; call requires_grad_(True) on a "
        "copy of what it differentiates by, before the model is called, as in "
        "batch[0].clone().requires_grad_(True)",
    )


def _types(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    if not re.search(r"dtype|scalar type|data type|expected .*Tensor|Input type", text):
        return None
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
    if own is None:
        return None
    wanted = arithmetics.type_name(own)
    floats = {t.dtype for t in tensors_of(batch) if t.is_floating_point()}
    if floats - {own}:
        names = ", ".join(sorted(arithmetics.type_name(dtype) for dtype in floats))
        advice = (
            f"pass precision={wanted!r} (--precision {wanted}), which converts the data"
            if own in arithmetics.PRECISIONS.values()
            else "pass precision='float32' (--precision float32), which computes in float32"
        )
        return (
            f"the data are {names} and {type(model).__name__} is {wanted}",
            f"Convert them, or {advice}",
        )
    integers = {
        arithmetics.type_name(t.dtype)
        for t in tensors_of(batch)
        if not t.is_floating_point() and t is not targets_of(batch)
    }
    if integers and not floats:
        return (
            f"the inputs are {', '.join(sorted(integers))} and {type(model).__name__} is {wanted}",
            f"Convert them to {wanted} as for training, such as images.float() / 255",
        )
    return (
        "tensors of different types meet",
        f"Class labels are int64, numbers are {wanted}. If the model or the loss converts tensors "
        "inside (half(), double()), it cannot be computed in another type",
    )


def _devices(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    if "same device" not in text and "Expected all tensors" not in text:
        return None
    return (
        "tensors on two devices meet",
        "The package moves model and data. A tensor that the model or the loss holds beside them "
        "stays where it is: make it a buffer of the model (register_buffer), or move it to "
        "outputs.device inside of the loss",
    )


def _arguments(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    pattern = (
        r"missing \d+ required positional argument|unexpected keyword argument|"
        r"positional arguments? but|got multiple values for argument"
    )
    if not isinstance(error, TypeError) or not re.search(pattern, text) or "forward" not in text:
        return None
    given = (
        ", ".join(map(str, batch))
        if isinstance(batch, Mapping)
        else f"{len(batch)} tensors, the last of which are the targets"
    )
    return (
        f"the batch does not have the arguments of {type(model).__name__}",
        f"It takes {_signature(model)}; the batch has {given}. Give the data these names (a dict) "
        f"or this order (a tuple), or {_WRITE_ONE}",
    )


def _missing_inputs(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    if not re.search(r"decoder_input|[Yy]ou (have to|must) specify", text):
        return None
    return (
        f"{type(model).__name__} needs inputs that it makes from the labels, or that are missing",
        "Pass loss='own' (--loss own): the labels then go to the model, and the loss is the one "
        "that it returns",
    )


def _labels(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    found = re.search(r"Target (-?\d+) is out of bounds", text)
    if not found:
        return None
    return (
        f"label {found[1]} is no class of the outputs",
        f"If it means that there is no label, pass nn.CrossEntropyLoss(ignore_index={found[1]})",
    )


def _indices(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    if "index out of range in self" not in text:
        return None
    return (
        "an index in the inputs is beyond an embedding's rows",
        "Was another tokenizer used, or is the padding's index -100? Inputs are 0 to rows - 1",
    )


def _batch_norm(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    if "Expected more than 1 value per channel" not in text:
        return None
    return (
        "batch norm in train mode cannot normalize one value",
        "Measure in eval mode (modes='eval'), or pass larger batches (batch_size)",
    )


def _shapes(text: str, error: BaseException, model: nn.Module, batch: Batch) -> Any:
    pattern = (
        r"shapes cannot be multiplied|size mismatch|[Ee]xpected .*(input|batch|target|size|dim)|"
        r"must match the size|to have \d+ channels|normalized_shape|same (size|shape)|"
        r"size of tensor"
    )
    if not re.search(pattern, text):
        return None
    inside = _inside(error, model)
    part = type(model).__name__ if inside else "the loss"
    advice = (
        "Dimension 0 is the sample; the others must be those of training, such as (n, channels, "
        "height, width)"
        if inside
        else f"Do outputs and targets belong together as the loss takes them? Or {_WRITE_ONE}"
    )
    return f"the shapes of the data do not fit {part}", advice


def _inside(error: BaseException, model: nn.Module) -> bool:
    """Whether the error was raised inside of the model's forward pass."""
    modules = {id(module) for module in model.modules()}
    trace = error.__traceback__
    while trace is not None:
        if id(trace.tb_frame.f_locals.get("self")) in modules:
            return True
        trace = trace.tb_next
    return False


def _signature(model: nn.Module) -> str:
    try:
        return str(inspect.signature(model.forward))
    except (TypeError, ValueError):
        return "other arguments"


def _called(loss: Loss) -> str:
    """How a loss function of the user's was called, if it is not known how it has to be."""
    if not isinstance(loss.function, OwnFunction):
        return ""
    return (
        f". The loss function was called with {loss.function.to_json()['arguments']}; functions of "
        "(outputs, targets) may be passed as well, and the names of the arguments decide"
    )
