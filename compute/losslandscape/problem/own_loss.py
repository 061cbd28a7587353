"""The loss that a model returns itself, sample by sample.

Models of Hugging Face return it for a batch with labels. For causal language models it compares
each token with the one after it; for others it does not. Which formula a model has is found by
comparing the value of each formula with what the model returns, for a few samples at first and for
every batch from then on. A model with another formula is called with one sample at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import Batch, batch_length, describe, map_batch
from losslandscape.problem.outputs import targets_of
from losslandscape.problem.sample_weights import Weighted, split_weights

_IGNORED = -100
# relative difference of a formula's value from the model's
_SAME, _SAME_IF_COARSE = 1e-4, 2e-2
_COARSE = (torch.bfloat16, torch.float16)

# (logits, labels) -> losses, and what is right; None where the shapes do not fit
Values = tuple[Any, Any]
Formula = Callable[[Tensor, Tensor], "Values | None"]


def _positions(logits: Tensor, labels: Tensor) -> Values:
    """Cross-entropy of (n, positions, classes) over the labels that count."""
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    counted = labels != _IGNORED
    right = (logits.argmax(2) == labels) & counted
    each = counted.sum(1)
    return Weighted(losses.sum(1), each), Weighted(right.sum(1), each)


def _next_tokens(logits: Tensor, labels: Tensor) -> Values | None:
    if logits.dim() != 3 or labels.shape != logits.shape[:2] or labels.is_floating_point():
        return None
    return _positions(logits[:, :-1], labels[:, 1:])


def _tokens(logits: Tensor, labels: Tensor) -> Values | None:
    if logits.dim() != 3 or labels.shape != logits.shape[:2] or labels.is_floating_point():
        return None
    return _positions(logits, labels)


def _classes(logits: Tensor, labels: Tensor) -> Values | None:
    if logits.dim() != 2 or labels.numel() != len(logits) or labels.is_floating_point():
        return None
    labels = labels.reshape(-1)
    counted = labels != _IGNORED
    losses = functional.cross_entropy(logits, labels, reduction="none")
    right = (logits.argmax(1) == labels) & counted
    return Weighted(losses, counted), Weighted(right, counted)


def _numbers(logits: Tensor, labels: Tensor) -> Values | None:
    if logits.numel() != labels.numel() or not labels.is_floating_point():
        return None
    squares = (logits.reshape(len(labels), -1) - labels.reshape(len(labels), -1)).square()
    return squares.mean(1), None


def _several_labels(logits: Tensor, labels: Tensor) -> Values | None:
    if logits.shape != labels.shape or logits.dim() < 2 or not labels.is_floating_point():
        return None
    losses = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return losses.flatten(1).mean(1), None


FORMULAS: dict[str, Formula] = {
    "cross-entropy of the next token": _next_tokens,
    "cross-entropy of each token": _tokens,
    "cross-entropy": _classes,
    "squared error": _numbers,
    "binary cross-entropy": _several_labels,
}
_BY_SAMPLE = "one sample at a time, "
# how much a sample weighs if the model is called with one at a time
_COUNTS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean over samples": lambda labels: torch.ones(len(labels), device=labels.device),
    "mean over tokens": lambda labels: (labels != _IGNORED).flatten(1).sum(1),
    "mean over next tokens": lambda labels: (labels[:, 1:] != _IGNORED).flatten(1).sum(1),
}


@dataclass(frozen=True)
class OwnLoss:
    """The model's own loss as a function of a model and a batch.

    Attributes
    ----------
    formula : str
        Which of the formulas it is; empty before :meth:`fitted`, which finds it.
    """

    formula: str = ""

    def fitted(self, model: nn.Module, batch: Batch) -> OwnLoss:
        """The loss with the formula that the model has for these samples.

        Raises
        ------
        LossLandscapeError
            If the model returns no loss, or none of the formulas gives its value.
        """
        loss, logits = _own(model, batch)
        if loss.shape == (batch_length(batch),) and len(loss) > 1:
            return replace(self, formula="by sample")
        if not bool(loss.isfinite().all()):
            raise LossLandscapeError(
                f"loss own: {type(model).__name__} returns the loss {float(loss.sum())} for the "
                f"first {batch_length(batch)} samples; are all of their labels ignored? Put a "
                "sample with a finite loss first"
            )
        labels = targets_of(batch)
        for name, formula in FORMULAS.items():
            if labels is not None and isinstance(logits, Tensor):
                found = _value(formula, logits, labels)
                mean = None if found is None else _mean(found[0])
                if mean is not None and bool(mean.isfinite()) and _equal(mean, loss):
                    return replace(self, formula=name)
        tried = _means(model, batch)
        fits = [name for name, value in tried.items() if _equal(value, loss)]
        if len(fits) > 1:
            fits = _told_apart(fits, model, batch)
        if fits:
            return replace(self, formula=_BY_SAMPLE + fits[0])
        told = ", ".join(f"{name} {float(value):.6g}" for name, value in tried.items())
        raise LossLandscapeError(
            f"loss own: {type(model).__name__} returns the loss {float(loss):.6g} for "
            f"{batch_length(batch)} samples, and of single samples it cannot be had "
            f"({told or 'there are no labels'}): does it compare samples, or add a term for the "
            "whole batch (a router's loss)? Write a function (model, batch) -> per-sample losses"
        )

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        labels = targets_of(batch)
        if self.formula.startswith(_BY_SAMPLE) and labels is not None:
            losses = _singles(model, batch)
            weights = _COUNTS[self.formula.removeprefix(_BY_SAMPLE)](labels)
            values = split_weights("loss", (losses, weights))
            with torch.no_grad():
                together = _own(model, batch)[0]
            self._check(model, Weighted(values["loss"].detach(), weights), together)
            return values
        loss, logits = _own(model, batch)
        if self.formula == "by sample":
            return {"loss": loss}
        formula = FORMULAS.get(self.formula)
        found = None
        if formula is not None and isinstance(logits, Tensor) and labels is not None:
            found = _value(formula, logits, labels)
        if found is None:
            raise LossLandscapeError(
                f"loss own: which formula {type(model).__name__} has is not known; write a "
                "function (model, batch) -> per-sample losses"
            )
        losses, right = found
        self._check(model, losses, loss)
        values = split_weights("loss", losses)
        if right is not None:
            values.update(split_weights("accuracy", right))
        return values

    def _check(self, model: nn.Module, losses: Any, loss: Tensor) -> None:
        mean = _mean(losses)
        if not _equal(mean, loss):
            raise LossLandscapeError(
                f"loss own: {type(model).__name__} returns the loss {float(loss):.6g} for a batch, "
                f"and its formula ({self.formula}) gives {float(mean):.6g}; write a function "
                "(model, batch) -> per-sample losses"
            )


def _value(formula: Formula, logits: Tensor, labels: Tensor) -> Values | None:
    """What a formula gives; None where it cannot be computed."""
    wide = logits.float() if logits.dtype in _COARSE else logits
    if labels.is_floating_point():
        labels = labels.to(wide.dtype)
    try:
        return formula(wide, labels)
    except (IndexError, RuntimeError):  # the labels are no classes of these logits
        return None


def _mean(losses: Any) -> Tensor:
    if isinstance(losses, Weighted):
        return losses.numerators.detach().double().sum() / losses.weights.double().sum()
    return losses.detach().double().mean()


def _equal(mean: Tensor, loss: Tensor) -> bool:
    """Whether two values of a loss agree; a value that is not finite says nothing."""
    tolerance = _SAME_IF_COARSE if loss.dtype in _COARSE else _SAME
    own = loss.detach().double()
    if not (bool(mean.isfinite()) and bool(own.isfinite())):
        return bool(mean.isnan() == own.isnan()) and bool(mean.isinf() == own.isinf())
    return bool((mean - own).abs() <= tolerance * own.abs() + 1e-7)


def _singles(model: nn.Module, batch: Batch) -> Tensor:
    """The model's own loss of each sample."""

    def one(i: int) -> Tensor:
        return _own(model, map_batch(lambda tensor: tensor[i : i + 1], batch))[0].reshape(())

    return torch.stack([one(i) for i in range(batch_length(batch))])


def _means(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The mean of the model's losses of single samples, by each way to weigh them."""
    labels = targets_of(batch)
    if labels is None:
        return {}
    singles = _singles(model, batch)
    found = {}
    for name, counts in _COUNTS.items():
        if name != "mean over samples" and labels.dim() < 2:
            continue
        weights = counts(labels)
        numerators = torch.where(weights == 0, torch.zeros_like(singles), singles * weights)
        found[name] = _mean(Weighted(numerators, weights))
    return found


def _told_apart(fits: list[str], model: nn.Module, batch: Batch) -> list[str]:
    """Ways to weigh samples, from the likeliest on, for labels of which half of a sample's go.

    Samples with equally many labels have the same mean in every way.
    """
    labels = targets_of(batch)
    if labels is None or labels.is_floating_point():
        return fits
    fewer = labels.clone()
    fewer[0, labels.shape[1] // 2 :] = _IGNORED
    other = map_batch(lambda tensor: fewer if tensor is labels else tensor, batch)
    try:
        means, loss = _means(model, other), _own(model, other)[0].detach().double()
    except (IndexError, RuntimeError):  # -100 is not ignored here
        return fits
    fitting = [name for name in fits if _equal(means[name], loss)]
    return sorted(fitting, key=lambda name: float((means[name] - loss).abs())) or fits


def _own(model: nn.Module, batch: Batch) -> tuple[Tensor, Any]:
    """The loss that the model returns for a batch, and its logits if there are any.

    Raises
    ------
    LossLandscapeError
        If it returns none.
    """
    outputs = model(**batch) if isinstance(batch, Mapping) else model(*batch)
    loss = logits = None
    if isinstance(outputs, Mapping):
        loss, logits = outputs.get("loss"), outputs.get("logits")
    elif isinstance(outputs, (tuple, list)):
        tensors = [one for one in outputs if isinstance(one, Tensor)]
        numbers = [one for one in tensors if one.dim() == 0]
        loss = numbers[0] if len(numbers) == 1 else None
        logits = next((one for one in tensors if one.dim() > 1), None)
    elif isinstance(outputs, Tensor):
        loss = outputs if outputs.dim() < 2 else None
    else:
        loss, logits = getattr(outputs, "loss", None), getattr(outputs, "logits", None)
    if not isinstance(loss, Tensor):
        raise LossLandscapeError(
            f"loss own: {type(model).__name__} returned no loss for a batch of {describe(batch)}; "
            "models return one for a batch with labels, such as a dict with 'labels'. Otherwise "
            "name a loss, such as cross_entropy"
        )
    return loss, logits
