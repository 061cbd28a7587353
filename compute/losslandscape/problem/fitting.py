"""What is found out about a loss by trying it on a few samples, before anything is measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import (
    Batch,
    batch_length,
    map_batch,
    place_batch,
    tensors_of,
)
from losslandscape.problem.losses import Loss
from losslandscape.problem.outputs import targets_of
from losslandscape.problem.own_functions import OwnFunction, first_samples
from losslandscape.problem.own_loss import OwnLoss
from losslandscape.problem.samples import SampleSet
from losslandscape.problem.trial_state import as_measured
from losslandscape.public_calls import users_line

_FEW, _FEW_OF_OWN, _SPREAD, _LOOKED_AT = 2, 4, 16, 1024  # samples
_CONVERTED_TO = (torch.float32, torch.float64)


def fitted(
    loss: Loss,
    model: nn.Module,
    samples: SampleSet,
    dtype: torch.dtype,
    modes: str | None,
    convert: bool = False,
) -> tuple[Loss, bool]:
    """The loss as it has to be called, and whether the data have to be converted.

    Parameters
    ----------
    samples : SampleSet
        The first of them are passed through the model, which is left as it was.
    dtype : torch.dtype
        That of the model's parameters.
    modes : "eval", "own" or None
        As in :class:`losslandscape.problem.objective.Objective`.
    convert : bool
        Whether the data are converted to ``dtype`` in any case.

    Returns
    -------
    loss : Loss
    convert : bool
        Whether floating-point data have to be converted to the model's type, because the model
        does not take them as they are.

    Raises
    ------
    LossLandscapeError
        If the loss's values for single samples do not add up to its value for all, or the model
        itself computes no loss.
    """
    function = loss.function
    given = next(iter(samples.stored()), None)
    if given is None:
        return loss, convert
    other = [t.dtype for t in tensors_of(given) if t.is_floating_point() and t.dtype != dtype]
    own = isinstance(function, (OwnFunction, OwnLoss))
    if not (own or (other and dtype in _CONVERTED_TO and not convert)):
        return loss, convert
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    count = _FEW_OF_OWN if isinstance(function, OwnLoss) else _FEW
    few = _that_count(samples) if isinstance(function, OwnLoss) else samples.first(count)
    few = first_samples(few, count)
    with as_measured(model, modes):
        for converted in (convert,) if convert or not other else (False, True):
            if converted and dtype not in _CONVERTED_TO:
                break
            batch = place_batch(few, device, dtype if converted else None)
            found = _tried(loss, model, batch)
            if found is not None:
                _check_spread(found, model, samples, device, dtype if converted else None)
                _tell_cost(found, samples)
                return found, converted
    return loss, convert


def _that_count(samples: SampleSet) -> Batch:
    """The first samples that have a label which is not ignored; the first of all if none has."""
    return _labeled(samples.first(_LOOKED_AT))


def _labeled(batch: Batch) -> Batch:
    """The samples with a label that is not ignored; all if none has one."""
    labels = targets_of(batch)
    if labels is None or labels.is_floating_point():
        return batch
    counted = (labels != -100).reshape(len(labels), -1).any(1)
    return map_batch(lambda tensor: tensor[counted], batch) if bool(counted.any()) else batch


def _check_spread(
    loss: Loss,
    model: nn.Module,
    samples: SampleSet,
    device: torch.device,
    dtype: torch.dtype | None,
) -> None:
    """Try a loss that returns one number per batch on samples from all over the set.

    Such a loss is compared with its values for single samples in every batch. Samples sorted by
    class, or batches of one sample, would hide that it weighs its samples.

    Raises
    ------
    LossLandscapeError
        If its values for single samples do not add up to its value for all.
    """
    function = loss.function
    of_batch = isinstance(function, OwnLoss) and function.formula != "by sample"
    singly = isinstance(function, OwnFunction) and function.by_sample
    if not (of_batch or singly) or samples.ragged:
        return
    count = min(_SPREAD, len(samples))
    spread = place_batch(_labeled(samples.subset(count).first(count)), device, dtype)
    gradients = isinstance(function, OwnFunction) and function.gradients
    found = _result(_called(function, model, spread, gradients))
    if isinstance(found, LossLandscapeError):
        raise found


def _tell_cost(loss: Loss, samples: SampleSet) -> None:
    """Warn of a loss that is called for each sample."""
    if isinstance(loss.function, OwnFunction) and loss.function.by_sample:
        warnings.warn(
            f"loss {loss.name} returns one number per batch, so it is called for each sample: "
            f"{len(samples):,} calls at each point for '{samples.name}'. One that returns a loss "
            "per sample (reduction='none') is faster",
            stacklevel=users_line(),
        )


def _tried(loss: Loss, model: nn.Module, batch: Batch) -> Loss | None:
    """The loss in the first of its ways that runs; None if none does.

    What it raises then is shown when the origin is measured.
    """
    function = loss.function
    if isinstance(function, OwnLoss):
        with torch.no_grad():
            found = _result(lambda: function.fitted(model, batch))
        if isinstance(found, LossLandscapeError):
            raise found
        return None if isinstance(found, BaseException) else replace(loss, function=found)
    ways = function.ways() if isinstance(function, OwnFunction) else [function]
    for way in ways:
        found = _gradients_decided(way, model, batch)
        if found is not None:
            return replace(loss, function=found)
    return None


def _gradients_decided(way: Any, model: nn.Module, batch: Batch) -> Any:
    """The way with gradients and calls as it needs them; None if it does not run."""
    plain, with_gradients = (
        _result(_called(way, model, batch, enabled)) for enabled in (False, True)
    )
    if not isinstance(way, OwnFunction):
        return None if isinstance(plain, BaseException) else way
    if isinstance(plain, BaseException):
        if isinstance(with_gradients, BaseException):
            return None
        way, value = replace(way, gradients=True), with_gradients
    else:
        value = plain
        if not isinstance(with_gradients, BaseException) and not _same(plain, with_gradients):
            way, value = replace(way, gradients=True), with_gradients
    number = isinstance(value, float) or (isinstance(value, Tensor) and value.dim() == 0)
    if number and batch_length(batch) > 1:
        way = replace(way, by_sample=True)
        with torch.set_grad_enabled(way.gradients):
            way(model, batch)  # raises if single samples do not add up
    return way


def _called(way: Any, model: nn.Module, batch: Batch, gradients: bool) -> Callable[[], Any]:
    def call() -> Any:
        torch.manual_seed(0)
        with torch.set_grad_enabled(gradients):
            return way(model, batch)

    return call


def _result(call: Callable[[], Any]) -> Any:
    """What a call returns, or the exception that it raises."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's function raises if it is called this way
        return error


def _same(one: Any, other: Any) -> bool:
    """Whether two results of a loss function have the same values."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.allclose(
            one.detach().double(), other.detach().double(), rtol=1e-4, atol=1e-6, equal_nan=True
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other or (one != one and other != other)
    return type(one) is type(other)
