"""Per-sample losses and metrics.

A loss function takes ``(model, batch)`` and returns the per-sample losses, shape (n,), or a dict of
such tensors: ``"loss"`` and any metrics, so that one forward pass yields them all.
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
from losslandscape.problem.torch_losses import TorchLoss, as_torch_loss

Metric = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> one number per sample
LossCallable = Callable[[nn.Module, Batch], Any]

# names of variables and dimensions in the file, docs/file_format.md
_TAKEN = {
    "loss", *AXIS_NAMES, "status", "gram_matrix", "provenance", "provenance_length", "direction",
    "other_direction", "sample", "step", "model",
}  # fmt: skip
_TAKEN_BEGINNINGS = ("trajectory_", "model_")
_TAKEN_ENDS = ("loss_standard_error", "loss_sample_count", "loss_samples", "_interpolation_error")
_POSSIBLE = re.compile(r"\w([^/\x00-\x1f\x7f]*[^/\x00- \x7f])?")  # names that netCDF allows
_TARGET_KEYS = ("labels", "label", "targets", "target", "y")


@dataclass(frozen=True)
class Loss:
    """A loss function with its name in files and its title in figures."""

    name: str
    title: str
    function: LossCallable

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Per-sample values by name, ``"loss"`` first, each of shape (n,).

        Raises
        ------
        LossLandscapeError
            If the function returns anything but one number per sample, or gives a metric the name
            of another variable of the file.
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
                    ' (pass reduction="none")'
                    if isinstance(value, Tensor) and value.dim() == 0
                    else ""
                )
                raise LossLandscapeError(
                    f"loss {self.name}: {name!r} of a batch of {count} samples has shape {shape}; "
                    f"return one number per sample, shape ({count},){hint}"
                )
        if "loss" not in values:
            raise LossLandscapeError(f"loss {self.name}: the returned dict has no entry 'loss'")
        return dict(values)

    def check(self, samples: SampleSet) -> None:
        """Raise a LossLandscapeError if the loss is not defined for every sample."""
        if isinstance(self.function, _NamedLoss) and self.function.classifies:
            for batch in samples.stored():
                _check_shift(samples.name, batch)
                break
        if self.name == "cross_entropy":
            for batch in samples.stored():
                _check_targets(samples.name, batch)
        if isinstance(self.function, _NamedLoss) and isinstance(
            self.function.per_sample, TorchLoss
        ):
            targets = (_targets_of(batch) for batch in samples.stored())
            self.function.per_sample.check(samples.name, (t for t in targets if t is not None))

    def code_hash(self) -> str | None:
        """Hash of the function's code, which tells apart functions of one name.

        None for a named loss.
        """
        if isinstance(self.function, _NamedLoss):
            return None
        return code_hash.code_hash(self.function)

    def may_have_code(self, stated: str | None) -> bool:
        """Whether a hash from a file, also of an older version, can belong to this loss."""
        if isinstance(self.function, _NamedLoss):
            return stated is None
        return code_hash.is_code_of(stated, self.function)


@functools.lru_cache(maxsize=1024)
def name_taken(name: Any) -> str:
    """Why a metric cannot be a variable of this name in the file; empty if it can.

    Examples
    --------
    >>> name_taken("top5"), name_taken("top 5")
    ('', '')
    >>> name_taken("status")
    'the file uses this name for another variable; choose another name'
    """
    if not isinstance(name, str) or not _POSSIBLE.fullmatch(name):
        return "not a valid variable name; use a string that begins with a letter and has no /"
    if name in _TAKEN or name.startswith(_TAKEN_BEGINNINGS) or name.endswith(_TAKEN_ENDS):
        return "the file uses this name for another variable; choose another name"
    return ""


def _check_targets(name: str, batch: Batch) -> None:
    """Raise a LossLandscapeError for samples without a loss: all their targets are -100."""
    targets = _targets_of(batch)
    if targets is None or targets.is_floating_point():
        return
    ignored = int((targets == -100).reshape(len(targets), -1).all(1).sum())
    if ignored:
        raise LossLandscapeError(
            f"{name}: {ignored} samples have no target (-100 everywhere), so they have no loss; "
            "remove them from the data"
        )


def _check_shift(name: str, batch: Batch) -> None:
    """Raise a LossLandscapeError for labels of a causal language model that are not shifted."""
    if not isinstance(batch, Mapping) or "input_ids" not in batch or "labels" not in batch:
        return
    inputs, labels = batch["input_ids"], batch["labels"]
    if labels.dim() == 2 and labels.shape == inputs.shape:
        counted = labels != -100
        if bool(counted.any()) and bool((labels == inputs)[counted].all()):
            raise LossLandscapeError(
                f"{name}: the labels are the input_ids, as a causal language model takes them that "
                "shifts them by one position inside; this loss does not shift them, so it would "
                "measure how well each token predicts itself. Pass labels shifted by one position, "
                "labels = input_ids.roll(-1, 1) with -100 in the last column"
            )


def _targets_of(batch: Batch) -> Tensor | None:
    if isinstance(batch, Mapping):
        return next((batch[key] for key in _TARGET_KEYS if key in batch), None)
    return batch[-1]


def resolve(loss: str | LossCallable, metrics: Mapping[str, Metric] | None = None) -> Loss:
    """Find a loss by name, or wrap your own function.

    Parameters
    ----------
    loss : str or callable
        ``"cross_entropy"``; ``"mse"``, the mean over outputs of (model(x) - y)^2;
        ``"softmax_mse"``, the same for the softmax and one-hot targets, as Li et al. 2018 offer;
        a loss of torch, such as ``torch.nn.CrossEntropyLoss(label_smoothing=0.1)`` or
        ``torch.nn.functional.cross_entropy``; or a callable ``(model, batch) -> per-sample
        losses``.

    Raises
    ------
    LossLandscapeError
        If the name is unknown, metrics are given with your own function, a metric's name is
        taken, or torch's value of the loss is not the plain mean of per-sample losses.
    """
    for name in metrics or ():
        if reason := name_taken(name):
            raise LossLandscapeError(f"metric {name!r}: {reason}")
    if (torch_loss := as_torch_loss(loss)) is not None:
        title = type(torch_loss.module).__name__
        return Loss(
            torch_loss.name,
            title,
            _NamedLoss(torch_loss, torch_loss.classifies, dict(metrics or {})),
        )
    if callable(loss):
        if metrics:
            raise LossLandscapeError(
                "pass metrics with a named loss only; your own loss function returns them itself: "
                '{"loss": ..., "metric": ...}'
            )
        name = getattr(loss, "__qualname__", type(loss).__name__)
        return Loss(f"{getattr(loss, '__module__', '')}:{name}", "loss", loss)
    if loss not in _NAMED:
        raise LossLandscapeError(
            f"loss {loss!r} is not one of {', '.join(_NAMED)}; choose one, or pass a function "
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
        if outputs.dtype in (torch.bfloat16, torch.float16):  # losses need a wider range
            outputs = outputs.float()
        values = {"loss": self.per_sample(outputs, targets)}
        if self.classifies:
            of_torch = isinstance(self.per_sample, TorchLoss)
            accuracy = self.per_sample.accuracy if of_torch else _accuracy  # type: ignore[attr-defined]
            values["accuracy"] = accuracy(outputs, targets)
        for name, metric in self.metrics.items():
            values[name] = metric(outputs, targets)
        return values


def forward(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Run the model on a batch and return outputs and targets.

    A tuple is (inputs..., targets). In a dict, the targets are under ``labels`` or a similar key,
    and the other entries are keyword arguments. If the outputs have an attribute ``logits``, it is
    returned in their place.

    Raises
    ------
    LossLandscapeError
        If the batch has no targets, or the outputs are several tensors: their names are said.
    """
    if isinstance(batch, Mapping):
        inputs = dict(batch)
        key = next((key for key in _TARGET_KEYS if key in inputs), None)
        if key is None:
            raise LossLandscapeError(
                f"the batch has no targets: {list(inputs)} has none of {', '.join(_TARGET_KEYS)}"
            )
        targets = inputs.pop(key)
        outputs = model(**inputs)
    else:
        if len(batch) < 2:
            raise LossLandscapeError(
                f"the batch is one tensor ({describe(batch)}); pass (inputs, targets), or your own "
                "loss function"
            )
        *arguments, targets = batch
        outputs = model(*arguments)
    found = getattr(outputs, "logits", outputs)
    if not isinstance(found, Tensor):
        raise LossLandscapeError(_several_outputs(found))
    return found, targets


def _several_outputs(outputs: Any) -> str:
    """What a model returned in place of one tensor, and how to choose."""
    if isinstance(outputs, Mapping):
        parts = {repr(name): value for name, value in outputs.items()}
    elif isinstance(outputs, (tuple, list)):
        parts = {str(i): value for i, value in enumerate(outputs)}
    else:
        parts = {f".{name}": value for name, value in getattr(outputs, "__dict__", {}).items()}
    told = ", ".join(
        f"{name} of shape {tuple(value.shape)}"
        if isinstance(value, Tensor)
        else f"{name} ({type(value).__name__})"
        for name, value in list(parts.items())[:8]
    )
    first = next(iter(parts), "0")
    chosen = f"model(batch[0]){first if first.startswith('.') else f'[{first}]'}"
    return (
        f"the model's outputs are a {type(outputs).__name__} ({told or 'empty'}), and the loss "
        "needs one tensor; choose one in your own loss function (model, batch) -> per-sample "
        f"losses, such as {chosen}"
    )


def _classes_second(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs as (n, classes, positions); language models give (n, positions, classes)."""
    if outputs.dim() == 3 and targets.shape == outputs.shape[:2]:
        if outputs.shape[1] == outputs.shape[2]:
            raise LossLandscapeError(
                f"outputs {tuple(outputs.shape)} for targets {tuple(targets.shape)}: either of two "
                "dimensions can be the classes; pass your own loss function"
            )
        return outputs.movedim(-1, 1)
    return outputs


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    outputs = _classes_second(outputs, targets)
    losses = functional.cross_entropy(outputs, targets, reduction="none")
    if losses.dim() == 1:
        return losses
    # one target per position: the mean over positions that count (-100 is PyTorch's "ignore")
    counted = (targets != -100).flatten(1)
    return (losses.flatten(1) * counted).sum(1) / counted.sum(1)


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        column = outputs.shape == (*targets.shape, 1)
        raise LossLandscapeError(
            f"loss mse: outputs have shape {tuple(outputs.shape)} and targets "
            f"{tuple(targets.shape)}; they must agree (broadcasting would pair the wrong samples)"
            + ("; pass targets[:, None]" if column and targets.dim() == 1 else "")
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
        return right  # bool: converted to numbers once per point, not once per batch
    counted = (targets != -100).flatten(1)
    return (right.flatten(1) * counted).sum(1) / counted.sum(1)


_NAMED: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor], bool]] = {
    "cross_entropy": ("cross-entropy loss", _cross_entropy, True),
    "mse": ("mean squared error", _mse, False),
    "softmax_mse": ("softmax squared error", _softmax_mse, True),
}
NAMES = tuple(_NAMED)
