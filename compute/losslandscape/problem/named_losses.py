"""Losses of one tensor of outputs and the targets, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Union

import torch
from torch import Tensor, nn
from torch.nn import functional

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import Batch
from losslandscape.problem.labels import Labels, check_shift, read_labels
from losslandscape.problem.outputs import Output, forward
from losslandscape.problem.sample_weights import Weighted, split_weights
from losslandscape.problem.samples import SampleSet
from losslandscape.problem.torch_losses import TorchLoss

# (outputs, targets) -> one number per sample, or the pair (numbers, weights)
Metric = Callable[[Tensor, Tensor], Any]
_IGNORED = -100  # PyTorch's default


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of single labels, class probabilities, or a label at each position.

    Classes are dimension 1, or the last one where language models put them. Label -100 is ignored,
    and the mean over all samples is PyTorch's, over all labels that count.

    Attributes
    ----------
    ignores : bool
        Whether there are samples with a single label that is ignored.
    """

    ignores: bool = False
    ignore_index = _IGNORED

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor | Weighted:
        outputs = classes_second(outputs, targets)
        losses = functional.cross_entropy(outputs, targets, reduction="none")
        if targets.is_floating_point():
            return losses if losses.dim() == 1 else losses.flatten(1).mean(1)
        counted = targets != _IGNORED
        if losses.dim() == 1:
            return Weighted(losses, counted) if self.ignores else losses
        counted = counted.flatten(1)
        return Weighted((losses.flatten(1) * counted).sum(1), counted.sum(1))

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor | Weighted:
        """Which classes are right, of the targets that count."""
        if targets.is_floating_point():  # class probabilities
            targets = targets.argmax(1)
        right = classes_second(outputs, targets).argmax(1) == targets
        if right.dim() == 1 and not self.ignores:
            return right  # bool: converted to numbers once per point, not once per batch
        counted = (targets != _IGNORED).reshape(len(targets), -1)
        return Weighted((right.reshape(counted.shape) & counted).sum(1), counted.sum(1))


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over a sample's outputs of (output - target)^2."""
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


@dataclass(frozen=True)
class SoftmaxMse:
    """The mean squared error of the softmax against one-hot targets."""

    ignore_index = None

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        one_hot = functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
        return (outputs.softmax(1) - one_hot).square().mean(1)

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor | Weighted:
        return CrossEntropy().accuracy(outputs, targets)


def classes_second(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs as (n, classes, positions); language models give (n, positions, classes)."""
    if outputs.dim() == 3 and targets.shape == outputs.shape[:2]:
        if outputs.shape[1] == outputs.shape[2]:
            raise LossLandscapeError(
                f"outputs {tuple(outputs.shape)} for targets {tuple(targets.shape)}: either of two "
                "dimensions can be the classes; pass your own loss function"
            )
        return outputs.movedim(-1, 1)
    return outputs


Classifying = Union[CrossEntropy, SoftmaxMse, TorchLoss]


@dataclass(frozen=True)
class NamedLoss:
    """A loss of outputs and targets as a function of a model and a batch.

    Attributes
    ----------
    per_sample : callable
        (outputs, targets) -> losses, shape (n,), or :class:`Weighted`.
    classifies : bool
        Whether there are classes, and so an accuracy.
    metrics : dict
    output : str, int, callable or None
        Which of the model's outputs is taken.
    """

    per_sample: Callable[[Tensor, Tensor], Tensor | Weighted]
    classifies: bool
    metrics: dict[str, Metric]
    output: Output = None
    labels: Labels = field(default_factory=Labels)

    def fitted(self, sets: Iterable[SampleSet]) -> NamedLoss:
        """The loss that knows the labels of these samples.

        Raises
        ------
        LossLandscapeError
            If the loss is not defined for the labels.
        """
        if not self.classifies:
            return self
        per_sample: Any = self.per_sample
        sets = list(sets)
        for samples in sets:
            for batch in samples.stored():
                check_shift(samples.name, batch)
                break
        labels = read_labels(sets, per_sample.ignore_index)
        if labels.ignores and not isinstance(per_sample, SoftmaxMse):
            per_sample = replace(per_sample, ignores=True)
        return replace(self, per_sample=per_sample, labels=labels)

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs, targets = forward(model, batch, self.output)
        if outputs.dtype in (torch.bfloat16, torch.float16):  # losses need a wider range
            outputs = outputs.float()
        if not self.classifies:
            values = split_weights("loss", self.per_sample(outputs, targets))
        else:
            per_sample: Any = self.per_sample
            if outputs.dim() > 1:
                by_class = not isinstance(per_sample, TorchLoss)
                seen = classes_second(outputs, targets) if by_class else outputs
                self.labels.check(seen.shape[1])
            values = split_weights("loss", per_sample(outputs, targets))
            values.update(split_weights("accuracy", per_sample.accuracy(outputs, targets)))
        for name, metric in self.metrics.items():
            values.update(split_weights(name, metric(outputs, targets)))
        return values


NAMED: dict[str, tuple[str, Callable[[Tensor, Tensor], Any], bool]] = {
    "cross_entropy": ("cross-entropy loss", CrossEntropy(), True),
    "mse": ("mean squared error", mse, False),
    "softmax_mse": ("softmax squared error", SoftmaxMse(), True),
}
