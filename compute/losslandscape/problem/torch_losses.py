"""Losses of ``torch.nn`` and ``torch.nn.functional``, sample by sample.

A loss of torch returns one number a batch. Here it is computed with ``reduction="none"`` and
averaged within each sample. Where torch's mean is a weighted one (class weights, ignored targets,
several targets a sample), each sample has a weight, so that the mean over the samples is torch's
own value in any case.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import sha256
from losslandscape.problem.sample_weights import Weighted

# one value an element; outputs and targets have the same shape
_BY_ELEMENT: tuple[type[nn.Module], ...] = (
    nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss,
    nn.PoissonNLLLoss, nn.KLDivLoss, nn.SoftMarginLoss, nn.HingeEmbeddingLoss,
)  # fmt: skip
_BY_CLASS: tuple[type[nn.Module], ...] = (nn.CrossEntropyLoss, nn.NLLLoss)
_BY_SAMPLE: tuple[type[nn.Module], ...] = (
    nn.MultiMarginLoss, nn.MultiLabelMarginLoss, nn.MultiLabelSoftMarginLoss,
)  # fmt: skip
_FUNCTIONS: dict[Any, type[nn.Module]] = {
    functional.cross_entropy: nn.CrossEntropyLoss,
    functional.nll_loss: nn.NLLLoss,
    functional.mse_loss: nn.MSELoss,
    functional.l1_loss: nn.L1Loss,
    functional.smooth_l1_loss: nn.SmoothL1Loss,
    functional.huber_loss: nn.HuberLoss,
    functional.binary_cross_entropy: nn.BCELoss,
    functional.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss,
}
_OWN = "pass your own function (model, batch) -> per-sample losses"


def as_torch_loss(loss: Any) -> TorchLoss | None:
    """The per-sample loss of a loss of torch; None for any other callable.

    Raises
    ------
    LossLandscapeError
        If torch's own value is not a mean over samples, or if the loss is a class or a scripted
        object, which cannot be called with a model and a batch.
    """
    if isinstance(loss, type) and issubclass(loss, nn.Module):
        of_torch = loss.__module__.startswith("torch.nn.")
        raise LossLandscapeError(
            f"loss {loss.__name__} is a class; pass an instance: {'nn.' if of_torch else ''}"
            f"{loss.__name__}() (on the command line, the name of one in your own file, "
            "package.module:name)"
        )
    if isinstance(loss, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        name = getattr(loss, "original_name", getattr(loss, "name", "function"))
        raise LossLandscapeError(
            f"loss {name}: made by torch.jit.script or torch.jit.trace, and such objects do not "
            "take a model; pass what it was made from"
        )
    try:
        known = _FUNCTIONS.get(loss)
    except TypeError:  # a callable without a hash
        return None
    if known is not None:
        loss = known()
    kind = type(loss)
    if kind not in (*_BY_ELEMENT, *_BY_CLASS, *_BY_SAMPLE):
        if isinstance(loss, nn.Module) and kind.__module__ == "torch.nn.modules.loss":
            raise LossLandscapeError(
                f"loss {kind.__name__}: this loss of torch takes more than outputs and targets, "
                f"or compares samples with each other; {_OWN}"
            )
        return None
    if loss.reduction == "sum":
        raise LossLandscapeError(
            f'loss {kind.__name__}: reduction="sum" grows with the number of samples, and a '
            'landscape is of the mean over samples; pass reduction="mean"'
        )
    own = copy.deepcopy(loss)
    own.reduction = "none"
    return TorchLoss(own, loss.reduction == "batchmean", _name(loss))


def _name(loss: nn.Module) -> str:
    """The loss with its options, as in the file; equal for equal losses."""
    options = {
        name: value
        for name, value in vars(loss).items()
        if not name.startswith("_") and name != "training"
    }
    for name, tensor in loss.named_buffers():
        options[name] = sha256([tensor])
    told = ", ".join(f"{name}={options[name]!r}" for name in sorted(options))
    return f"torch.nn:{type(loss).__name__}({told})"


@dataclass(frozen=True)
class TorchLoss:
    """Per-sample losses of outputs and targets.

    Attributes
    ----------
    module : torch.nn.Module
        The loss with ``reduction="none"``.
    summed : bool
        Whether the elements of a sample are summed instead of averaged.
    name : str
        With all options, for the file.
    ignores : bool
        Whether there are samples with a single target that is ignored.
    """

    module: nn.Module
    summed: bool
    name: str
    ignores: bool = False
    _copies: dict[tuple[torch.device, torch.dtype], nn.Module] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def classifies(self) -> bool:
        """Whether classes are dimension 1 of the outputs."""
        return isinstance(self.module, _BY_CLASS)

    @property
    def ignore_index(self) -> int:
        """The label that does not count."""
        return int(self.module.ignore_index)  # type: ignore[arg-type]

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor | Weighted:
        """Losses, shape (n,), with the weights that torch's mean gives the samples.

        Raises
        ------
        LossLandscapeError
            If the shapes of outputs and targets, or of a weight, would pair the wrong samples.
        """
        self._check_shapes(outputs, targets)
        module = self._module_for(outputs)
        losses = module(outputs, targets)
        if self.classifies and not targets.is_floating_point():
            counted = self._counted(targets)
            if isinstance(module.weight, Tensor):
                labels = targets.masked_fill(targets == self.ignore_index, 0)
                weights = module.weight[labels].reshape(counted.shape) * counted
                return Weighted(losses.reshape(len(losses), -1).sum(1), weights.sum(1))
            if losses.dim() > 1 or self.ignores:
                return Weighted(losses.reshape(len(losses), -1).sum(1), counted.sum(1))
        if losses.dim() < 2:
            return losses
        losses = losses.flatten(1)
        return losses.sum(1) if self.summed else losses.mean(1)

    def _module_for(self, outputs: Tensor) -> nn.Module:
        """The module, its weights on the outputs' device and of their type.

        Copies are kept: a copy from the CPU would end the capture of a CUDA graph.
        """
        if not any(True for _ in self.module.buffers()):
            return self.module
        key = (outputs.device, outputs.dtype)
        if key not in self._copies:
            with torch.inference_mode(False):  # weights made in that mode take no gradients later
                self._copies[key] = copy.deepcopy(self.module).to(*key)
        return self._copies[key]

    def _check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        kind = type(self.module)
        shapes = (
            f"loss {kind.__name__}: outputs have shape {tuple(outputs.shape)} and targets "
            f"{tuple(targets.shape)}"
        )
        if kind is nn.MultiMarginLoss:
            if outputs.dim() != 2 or targets.shape != outputs.shape[:1]:
                raise LossLandscapeError(
                    f"{shapes}; it needs outputs of shape (n, classes) and targets of shape (n,), "
                    "the index of each sample's class"
                )
            return
        if kind in _BY_CLASS:
            return
        if outputs.shape != targets.shape:
            column = outputs.shape == (*targets.shape, 1) and targets.dim() == 1
            raise LossLandscapeError(
                f"{shapes}; they must agree (broadcasting would pair the wrong samples)"
                f"{'; pass targets[:, None]' if column else ''}"
            )
        if kind in _BY_SAMPLE and outputs.dim() < 2:
            raise LossLandscapeError(f"{shapes}; it needs (n, classes) for both")
        for name, weight in self.module.named_buffers():
            # broadcasting aligns the last dimensions: this many reach the samples, dimension 0
            if weight.dim() > outputs.dim() or (
                weight.dim() == outputs.dim() and weight.shape[0] != 1
            ):
                raise LossLandscapeError(
                    f"loss {kind.__name__}: {name} has shape {tuple(weight.shape)} for outputs of "
                    f"shape {tuple(outputs.shape)}, so it would weight samples by their position "
                    "in the batch; store each sample's weight in the data, and use it in a loss of "
                    "your own (model, batch) -> per-sample losses"
                )

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor | Weighted:
        """Which classes are right, of the targets that count; shape (n,)."""
        if targets.is_floating_point():
            targets = targets.argmax(1)
        right = outputs.argmax(1) == targets
        if right.dim() < 2 and not self.ignores:
            return right
        counted = self._counted(targets)
        return Weighted((right.reshape(counted.shape) & counted).sum(1), counted.sum(1))

    def _counted(self, targets: Tensor) -> Tensor:
        counted = targets.ne(self.ignore_index)
        return counted.flatten(1) if counted.dim() > 1 else counted[:, None]
