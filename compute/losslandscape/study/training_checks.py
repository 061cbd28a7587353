"""Checks of a training run: before it, that it can run; during it, that its numbers are finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from losslandscape.errors import LossLandscapeError
from losslandscape.point.device_memory import raise_if_used_up
from losslandscape.problem.failure_messages import explained
from losslandscape.problem.losses import Loss
from losslandscape.problem.not_finite import in_network, in_sample, in_weights
from losslandscape.problem.outputs import several_outputs
from losslandscape.problem.trial_state import as_measured
from losslandscape.public_calls import MODEL

Samples = tuple[Tensor, Tensor]
LossFunction = Callable[[Tensor, Tensor], Tensor]

_FEW = 2  # samples that are tried before anything is written
_IGNORED = -100  # PyTorch's default


def check_trainable(model: Any) -> None:
    """Raise a LossLandscapeError if a model has nothing to train, or nothing that can be trained.

    Examples
    --------
    >>> check_trainable(nn.ReLU())
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: ReLU has no parameters: there is nothing to train
    """
    MODEL.check("model", model)
    name = type(model).__name__
    parameters = dict(model.named_parameters())
    if not parameters:
        raise LossLandscapeError(f"{name} has no parameters: there is nothing to train")
    if lazy := [key for key, one in parameters.items() if is_lazy(one)]:
        raise LossLandscapeError(
            f"{name} has parameters without a shape ({', '.join(lazy[:3])}): call it once with a "
            "batch, as in model(inputs[:2]), before you train it"
        )
    moving = {key: one for key, one in parameters.items() if one.requires_grad}
    if not moving:
        raise LossLandscapeError(
            f"all {len(parameters)} parameters of {name} are frozen (requires_grad=False): there "
            "is nothing to train"
        )
    for key, one in moving.items():
        if one.dtype not in (torch.float32, torch.float64):
            kind = str(one.dtype).removeprefix("torch.")
            raise LossLandscapeError(
                f"{name} is {kind} ('{key}'), and training rounds its small steps away: train it "
                "in float32 (model.float()), and measure its surface with --precision afterward"
            )


def check_samples(data: Any, what: str) -> None:
    """Raise a LossLandscapeError if samples are no pair of tensors with a row per sample."""
    if (
        not isinstance(data, (tuple, list))
        or len(data) != 2
        or not all(isinstance(part, Tensor) for part in data)
    ):
        raise LossLandscapeError(
            f"{what} is a {type(data).__name__}; give two tensors, (inputs, targets)"
        )
    inputs, targets = data
    if not inputs.dim() or not targets.dim() or len(inputs) != len(targets) or not len(inputs):
        raise LossLandscapeError(
            f"{what} has tensors of shapes {tuple(inputs.shape)} and {tuple(targets.shape)}; give "
            "as many targets as inputs, at least one"
        )


def check_first_pass(model: nn.Module, data: Samples, loss_function: LossFunction) -> None:
    """Try the loss of a few samples, and compare all labels with the number of outputs.

    The model, and the generators of random numbers, are left as they were.

    Raises
    ------
    LossLandscapeError
        If the model or the loss raises, or they return something else than training needs.
    """
    few = data[0][:_FEW], data[1][:_FEW]
    with as_measured(model, None), torch.no_grad():
        outputs, _ = loss_of(model, few, loss_function)
    classes = data[1].dim() == 1 and not data[1].is_floating_point() and outputs.dim() == 2
    if not (classes and loss_function is nn.functional.cross_entropy):
        return
    wrong = (data[1] != _IGNORED) & ((data[1] < 0) | (data[1] >= outputs.shape[1]))
    if bool(wrong.any()):
        number = int(wrong.int().argmax())
        raise LossLandscapeError(
            f"{type(model).__name__} has {outputs.shape[1]} outputs, for labels 0 to "
            f"{outputs.shape[1] - 1}, and sample {number:,} has the label "
            f"{int(data[1][number])}; give the network an output for each class"
        )


def loss_of(
    model: nn.Module, samples: Samples, loss_function: LossFunction
) -> tuple[Tensor, Tensor]:
    """The outputs and the mean loss of a batch.

    Raises
    ------
    LossLandscapeError
        If the model or the loss raises, or returns something else than one number.
    """
    inputs, targets = samples
    with explaining(model, samples, loss_function):
        outputs = model(inputs)
        if not isinstance(outputs, Tensor):
            raise LossLandscapeError(several_outputs(outputs))
        loss = loss_function(outputs, targets)
    if not isinstance(loss, Tensor) or loss.numel() != 1 or loss.is_complex():
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise LossLandscapeError(
            f"the loss function returned {shape} for a batch; return its mean loss, one number"
        )
    return outputs, loss


def needs_gradient(model: nn.Module, loss: Tensor) -> None:
    """Raise a LossLandscapeError if autograd does not know how a loss came about."""
    if not loss.requires_grad:
        raise LossLandscapeError(
            f"the loss of {type(model).__name__} has no gradient: does the forward pass or the "
            "loss detach tensors, convert them to numbers, or run under torch.no_grad()?"
        )


@contextmanager
def explaining(model: nn.Module, samples: Samples, loss_function: LossFunction) -> Iterator[None]:
    """Inside the block, what the model, the loss or autograd raises becomes a sentence."""
    try:
        yield
    except (LossLandscapeError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, Exception):
            raise_if_used_up(error, type(model).__name__, samples[0].device, len(samples[0]))
        if words := _of_another_type(model, samples[0]):
            raise LossLandscapeError(words) from error
        name = getattr(loss_function, "__name__", type(loss_function).__name__)
        loss = Loss(name, name, loss_function)  # type: ignore[arg-type]
        raise LossLandscapeError(explained(error, model, samples, loss)) from error


def _of_another_type(model: nn.Module, inputs: Tensor) -> str:
    own = next(p.dtype for p in model.parameters() if p.is_floating_point())
    if not inputs.is_floating_point() or inputs.dtype == own:
        return ""
    kinds = [str(kind).removeprefix("torch.") for kind in (inputs.dtype, own)]
    return (
        f"the inputs are {kinds[0]} and {type(model).__name__} is {kinds[1]}; convert them where "
        f"they are loaded, as with inputs.to(torch.{kinds[1]})"
    )


def check_weights(model: nn.Module, when: str, learning_rate: float) -> None:
    """Raise a LossLandscapeError if a parameter or a running statistic is not finite."""
    if cause := in_weights(model):
        raise LossLandscapeError(f"{when}, {cause}; {smaller(learning_rate)}")


def smaller(learning_rate: float) -> str:
    """What to do about a loss that grows without bound."""
    return (
        f"try a learning rate smaller than {learning_rate:g}, or a smaller weight decay. The same "
        "folder can be used again"
    )


@torch.no_grad()
def check_start(
    model: nn.Module, data: Samples, loss_function: LossFunction, loss: float, batch_size: int
) -> None:
    """Raise a LossLandscapeError if the loss of the initial model is not finite, with its cause."""
    if math.isfinite(loss):
        return
    head = f"the loss of the initial model is {loss}"
    if cause := in_weights(model):
        raise LossLandscapeError(f"{head}: {cause}; initialize it with finite weights")
    for start in range(0, len(data[0]), batch_size):
        rows = slice(start, start + batch_size)
        batch = data[0][rows], data[1][rows]
        if math.isfinite(float(loss_of(model, batch, loss_function)[1])):
            continue
        for row in range(len(batch[0])):
            if cause := in_sample(batch, row):
                raise LossLandscapeError(
                    f"{head}: sample {start + row:,}: {cause}; remove the sample, or replace the "
                    "value"
                )
        cause = in_network(model, lambda batch=batch: model(batch[0]))  # type: ignore[misc]
        raise LossLandscapeError(
            f"{head}, from samples {start:,} to {start + len(batch[0]) - 1:,}: "
            + (cause or "the loss function itself makes it, as a logarithm of 0 does")
        )
    raise LossLandscapeError(head)
