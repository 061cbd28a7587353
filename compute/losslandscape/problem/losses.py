"""Losses and metrics by sample.

A loss function takes ``(model, batch)`` and returns the losses of the batch's samples, shape (n,),
or a dict of such tensors: ``"loss"`` and any metrics, so that one forward pass serves all.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.grid import AXIS_NAMES
from losslandscape.problem import code_hash
from losslandscape.problem.batches import Batch, batch_length, describe
from losslandscape.problem.samples import SampleSet

Metric = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> a number a sample
LossCallable = Callable[[nn.Module, Batch], Any]

# names of variables and dimensions in the file, docs/file_format.md
_TAKEN = {
    "loss", *AXIS_NAMES, "status", "gram_matrix", "provenance", "provenance_length", "direction",
    "other_direction", "sample", "step", "model",
}  # fmt: skip
_TAKEN_BEGINNINGS = ("trajectory_", "model_")
_TAKEN_ENDS = ("loss_standard_error", "loss_sample_count", "loss_samples", "_interpolation_error")
_POSSIBLE = re.compile(r"\w([^/\x00-\x1f\x7f]*[^/\x00- \x7f])?")  # what netCDF takes
_TARGET_KEYS = ("labels", "label", "targets", "target", "y")


@dataclass(frozen=True)
class Loss:
    """A named loss: what it is called in files and figures, and how it is computed."""

    name: str
    title: str
    function: LossCallable

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Per-sample values by name, ``"loss"`` first, each of shape (n,).

        Raises
        ------
        LossLandscapeError
            If the function returns anything but one number a sample, or calls one by a name that
            the file has for something else.
        """
        values = self.function(model, batch)
        if not isinstance(values, Mapping):
            values = {"loss": values}
        count = batch_length(batch)
        for name, value in values.items():
            if name != "loss" and (reason := name_taken(name)):
                raise LossLandscapeError(f"loss {self.name}: {name!r} beside the loss: {reason}")
            if not isinstance(value, Tensor) or value.shape != (count,):
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                hint = (
                    ' (reduction="none" keeps the samples apart)'
                    if isinstance(value, Tensor) and value.dim() == 0
                    else ""
                )
                raise LossLandscapeError(
                    f"loss {self.name}: {name!r} of a batch of {count} samples has shape {shape}; "
                    f"a number for each sample is needed, shape ({count},){hint}"
                )
        if "loss" not in values:
            raise LossLandscapeError(f"loss {self.name}: the returned dict has no entry 'loss'")
        return dict(values)

    def check(self, samples: SampleSet) -> None:
        """Raise a LossLandscapeError if the loss cannot count every sample."""
        if self.name == "cross_entropy":
            for batch in samples.stored():
                _check_targets(samples.name, batch)

    def code_hash(self) -> str | None:
        """Hash of a function's code, to tell two of one name apart; None of a named loss."""
        if isinstance(self.function, _NamedLoss):
            return None
        return code_hash.code_hash(self.function)

    def may_have_code(self, stated: str | None) -> bool:
        """Whether a hash in a file, also one of an older version, may be of this loss."""
        if isinstance(self.function, _NamedLoss):
            return stated is None
        return code_hash.is_code_of(stated, self.function)


@functools.lru_cache(maxsize=1024)
def name_taken(name: Any) -> str:
    """Why a metric cannot be a variable of this name in the file; nothing if it can.

    Examples
    --------
    >>> name_taken("top5"), name_taken("top 5")
    ('', '')
    >>> name_taken("status")
    'the file has a variable of this name for something else; call it otherwise'
    """
    if not isinstance(name, str) or not re.fullmatch(
        r"\w([^/\x00-\x1f\x7f]*[^/\x00- \x7f])?", name
    ):
        return "no name of a variable: give a text that begins with a letter and has no /"
    if name in _TAKEN or name.startswith(_TAKEN_BEGINNINGS) or name.endswith(_TAKEN_ENDS):
        return "the file has a variable of this name for something else; call it otherwise"
    return ""


def _check_targets(name: str, batch: Batch) -> None:
    """Samples that cross-entropy ignores altogether (-100) have no loss."""
    if isinstance(batch, Mapping):
        targets = next((batch[key] for key in _TARGET_KEYS if key in batch), None)
    else:
        targets = batch[-1]
    if targets is None or targets.is_floating_point():
        return
    ignored = int((targets == -100).reshape(len(targets), -1).all(1).sum())
    if ignored:
        raise LossLandscapeError(
            f"{name}: {ignored} samples have no target (-100 everywhere), so they have no loss; "
            "leave them out of the data"
        )


def resolve(loss: str | LossCallable, metrics: Mapping[str, Metric] | None = None) -> Loss:
    """The loss of a name, or a user's own function.

    ``"cross_entropy"``, ``"mse"`` (mean over outputs of (model(x) - y)^2), ``"softmax_mse"`` (the
    same of the softmax against one-hot targets, as Li et al. 2018 offer), or a callable
    ``(model, batch) -> per-sample losses``.

    Raises
    ------
    LossLandscapeError
        If the name is unknown, metrics are given with a callable, or one's name is taken.
    """
    for name in metrics or ():
        if reason := name_taken(name):
            raise LossLandscapeError(f"metric {name!r}: {reason}")
    if callable(loss):
        if metrics:
            raise LossLandscapeError(
                "metrics go with a named loss; a loss function returns its own: "
                '{"loss": ..., "metric": ...}'
            )
        name = getattr(loss, "__qualname__", type(loss).__name__)
        return Loss(f"{getattr(loss, '__module__', '')}:{name}", "loss", loss)
    if loss not in _NAMED:
        raise LossLandscapeError(
            f"loss {loss!r} is not one of {', '.join(_NAMED)}; or give a function "
            "(model, batch) -> per-sample losses"
        )
    title, per_sample, classifies = _NAMED[loss]
    return Loss(loss, title, _NamedLoss(per_sample, classifies, dict(metrics or {})))


@dataclass(frozen=True)
class _NamedLoss:
    per_sample: Callable[[Tensor, Tensor], Tensor]
    classifies: bool
    metrics: dict[str, Metric]

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs, targets = forward(model, batch)
        if outputs.dtype in (torch.bfloat16, torch.float16):  # a loss has a wider range
            outputs = outputs.float()
        values = {"loss": self.per_sample(outputs, targets)}
        if self.classifies:
            values["accuracy"] = _accuracy(outputs, targets)
        for name, metric in self.metrics.items():
            values[name] = metric(outputs, targets)
        return values


def forward(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Outputs and targets. A tuple is (inputs..., targets); a dict's targets are under ``labels``
    or the like and the rest are keyword arguments; ``outputs.logits`` is taken where there is one.
    """
    if isinstance(batch, Mapping):
        inputs = dict(batch)
        key = next((key for key in _TARGET_KEYS if key in inputs), None)
        if key is None:
            raise LossLandscapeError(
                f"the batch has no targets: none of {', '.join(_TARGET_KEYS)} among {list(inputs)}"
            )
        targets = inputs.pop(key)
        outputs = model(**inputs)
    else:
        if len(batch) < 2:
            raise LossLandscapeError(
                f"the batch is one tensor ({describe(batch)}); (inputs, targets) is needed, or a "
                "loss function of your own"
            )
        *arguments, targets = batch
        outputs = model(*arguments)
    return getattr(outputs, "logits", outputs), targets


def _classes_second(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs as (n, classes, positions); language models give (n, positions, classes)."""
    if outputs.dim() == 3 and targets.shape == outputs.shape[:2]:
        if outputs.shape[1] == outputs.shape[2]:
            raise LossLandscapeError(
                f"outputs {tuple(outputs.shape)} for targets {tuple(targets.shape)}: which "
                "dimension is the class cannot be told; give a loss function of your own"
            )
        return outputs.movedim(-1, 1)
    return outputs


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs = _classes_second(outputs, targets)
    losses = functional.cross_entropy(outputs, targets, reduction="none")
    if losses.dim() == 1:
        return losses
    # one target a position: the mean over the positions that count (-100 is PyTorch's "ignore")
    counted = (targets != -100).flatten(1)
    return (losses.flatten(1) * counted).sum(1) / counted.sum(1)


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        column = outputs.shape == (*targets.shape, 1)
        raise LossLandscapeError(
            f"loss mse: outputs have shape {tuple(outputs.shape)} and targets "
            f"{tuple(targets.shape)}; they must agree (broadcasting would pair wrong samples)"
            + ("; give targets[:, None]" if column and targets.dim() == 1 else "")
        )
    return (
        (outputs - targets).square().flatten(1).mean(1)
        if outputs.dim() > 1
        else (outputs - targets).square()
    )


def _softmax_mse(outputs: Tensor, targets: Tensor) -> Tensor:
    one_hot = functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
    return (outputs.softmax(1) - one_hot).square().mean(1)


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.is_floating_point():  # class probabilities
        targets = targets.argmax(1)
    right = _classes_second(outputs, targets).argmax(1) == targets
    if right.dim() == 1:
        return right  # True or False: made numbers once a point, not once a batch
    counted = (targets != -100).flatten(1)
    return (right.flatten(1) * counted).sum(1) / counted.sum(1)


_NAMED: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor], bool]] = {
    "cross_entropy": ("cross-entropy loss", _cross_entropy, True),
    "mse": ("mean squared error", _mse, False),
    "softmax_mse": ("softmax squared error", _softmax_mse, True),
}
NAMES = tuple(_NAMED)
