"""Losses of ``torch.nn`` and ``torch.nn.functional``, sample by sample.

A loss of torch returns one number a batch. Here it is computed with ``reduction="none"`` and
averaged within each sample. The plain mean over the samples is then torch's own value. Where
torch's mean is a weighted one (class weights, ignored targets in some samples only), it is not, and
the loss is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import sha256

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
        If torch's own value is not the plain mean of per-sample losses.
    """
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
    if kind in _BY_CLASS and loss.weight is not None:
        raise LossLandscapeError(
            f"loss {kind.__name__}: with class weights, torch's mean is a weighted one, and the "
            f"standard errors of a plain mean would be wrong; leave weight out, or {_OWN}"
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
    """

    module: nn.Module
    summed: bool
    name: str

    @property
    def classifies(self) -> bool:
        """Whether classes are dimension 1 of the outputs."""
        return isinstance(self.module, _BY_CLASS)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses, shape (n,).

        Raises
        ------
        LossLandscapeError
            If outputs and targets of a loss by element differ in shape.
        """
        if isinstance(self.module, _BY_ELEMENT) and outputs.shape != targets.shape:
            column = outputs.shape == (*targets.shape, 1) and targets.dim() == 1
            raise LossLandscapeError(
                f"loss {type(self.module).__name__}: outputs have shape {tuple(outputs.shape)} and "
                f"targets {tuple(targets.shape)}; they must agree (broadcasting would pair the "
                f"wrong samples){'; pass targets[:, None]' if column else ''}"
            )
        losses = self.module.to(outputs.device)(outputs, targets)
        if losses.dim() < 2:
            return losses
        losses = losses.flatten(1)
        if self.summed:
            return losses.sum(1)
        if self.classifies and not targets.is_floating_point():
            return losses.sum(1) / self._counted(targets).sum(1)
        return losses.mean(1)

    def accuracy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Share of right classes of each sample, of the targets that count; shape (n,)."""
        if targets.is_floating_point():
            targets = targets.argmax(1)
        right = outputs.argmax(1) == targets
        if right.dim() < 2:
            return right
        counted = self._counted(targets)
        return (right.flatten(1) & counted).sum(1) / counted.sum(1)

    def _counted(self, targets: Tensor) -> Tensor:
        counted = targets.ne(self.module.ignore_index)  # type: ignore[arg-type]
        return counted.flatten(1) if counted.dim() > 1 else counted[:, None]

    def check(self, name: str, targets: Iterable[Tensor]) -> None:
        """Check that all samples weigh the same: as many targets count in each.

        Raises
        ------
        LossLandscapeError
            If ``ignore_index`` leaves some samples fewer targets than others, or none.
        """
        if not self.classifies:
            return
        most = None
        start = 0
        for part in targets:
            if part.is_floating_point():
                return
            counts = self._counted(part).sum(1)
            most = int(counts[0]) if most is None else most
            unequal = (counts != most) | (counts == 0)
            if bool(unequal.any()):
                first = start + int(unequal.int().argmax())
                raise LossLandscapeError(
                    f"{name}: sample {first} has {int(counts[first - start])} targets that are not "
                    f"ignore_index {self.module.ignore_index}; every sample needs as many as the "
                    "others, and at least one, or torch's mean is a weighted one, and the standard "
                    f"errors of a plain mean would be wrong; remove such samples, or {_OWN}"
                )
            start += len(part)
