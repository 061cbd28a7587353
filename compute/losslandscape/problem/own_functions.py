"""Loss functions of your own: how they are called, and with what.

They take ``(model, batch)`` or ``(outputs, targets)``. They return one loss per sample, or the mean
over a batch, as most losses do that were written for training; these are called sample by sample.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import Batch, batch_length, map_batch
from losslandscape.problem.outputs import Output, chosen, raw_outputs

Arguments = Literal["model", "outputs", "logits"]

_COARSE = (torch.bfloat16, torch.float16)
_MODELS = ("model", "net", "network", "module")
_BATCHES = ("batch", "data", "sample", "samples")
_OUTPUTS = (
    "outputs", "output", "out", "logits", "logit", "pred", "preds", "prediction", "predictions",
    "y_pred", "yhat", "y_hat", "scores",
)  # fmt: skip
_TARGETS = ("targets", "target", "labels", "label", "y", "y_true", "truth")
_OUTPUT_WORDS = {*_OUTPUTS, "hat", "predicted", "score", "probs", "ypred"}
_TARGET_WORDS = {*_TARGETS, "true", "ytrue", "gt", "t"}
# relative difference of a batch's value from the mean of its samples' values
_SAME, _SAME_IF_COARSE = 1e-4, 2e-2


@dataclass(frozen=True)
class OwnFunction:
    """A loss function as a function of a model and a batch.

    Attributes
    ----------
    function : callable
    arguments : "model", "outputs" or "logits"
        Whether it takes (model, batch), (outputs, targets) or (outputs.logits, targets).
    by_sample : bool
        Whether it returns the mean over a batch, and so is called for each sample.
    gradients : bool
        Whether it differentiates, and so needs gradients switched on.
    output : str, int, callable or None
        Which of the model's outputs it takes.
    decided : str
        How the arguments are known: "names", "trial" or "" if neither decides.
    """

    function: Callable
    arguments: Arguments = "model"
    by_sample: bool = False
    gradients: bool = False
    output: Output = None
    decided: str = ""

    def ways(self) -> list[OwnFunction]:
        """The ways in which it may be called; one if its arguments' names say so.

        Raises
        ------
        LossLandscapeError
            If the names say that it takes the targets before the outputs.
        """
        check_order(self.function)
        if self.output is not None:
            return [replace(self, arguments="outputs", decided="names")]
        names = _argument_names(self.function)
        outputs = [replace(self, arguments=way) for way in ("outputs", "logits")]
        if len(names) < 2 or names[0] in _MODELS or names[1] in _BATCHES:
            return [replace(self, decided="names")]
        if names[0] in _OUTPUTS or names[1] in _TARGETS:
            return [replace(way, decided="names") for way in outputs]
        return [replace(way, decided="trial") for way in (self, *outputs)]

    def __call__(self, model: nn.Module, batch: Batch) -> Any:
        if self.arguments == "model":

            def call(part: Batch) -> Any:
                return self.function(model, part)

            return self._singly(call, batch) if self.by_sample else call(batch)
        outputs, targets = raw_outputs(model, batch)
        if self.arguments == "logits":
            outputs = outputs.logits
        outputs = chosen(outputs, self.output)
        if isinstance(outputs, Tensor) and outputs.dtype in _COARSE:
            outputs = outputs.float()  # losses need a wider range

        def compare(part: Batch) -> Any:
            return self.function(*part)

        if not self.by_sample:
            return compare((outputs, targets))
        return self._singly(compare, (outputs, targets))

    def _singly(self, call: Callable[[Any], Any], whole: Any) -> Tensor:
        """The values of single samples, whose mean must be the value of all.

        Raises
        ------
        LossLandscapeError
            If it is not: then the function weighs samples, or compares them.
        """
        count = batch_length(whole[1:] if isinstance(whole, tuple) else whole)
        values = torch.stack(
            [torch.as_tensor(call(_sample(whole, i, count))).reshape(()) for i in range(count)]
        )
        together = torch.as_tensor(call(whole)).detach().reshape(())
        mean = values.detach().double().mean()
        scale = values.detach().double().abs().mean()
        coarse = values.dtype in _COARSE
        tolerance = _SAME_IF_COARSE if coarse else _SAME
        differ = (together.double() - mean).abs() > tolerance * scale + 1e-7
        if bool(together.isfinite() & (differ | ~mean.isfinite())):
            raise LossLandscapeError(self._no_mean(float(together), float(mean), count))
        return values

    def _no_mean(self, together: float, mean: float, count: int) -> str:
        summed = abs(together - count * mean) <= _SAME * abs(together)
        why = (
            "it is their sum, which grows with the number of samples: pass the mean"
            if summed
            else "it weighs its samples (class weights, ignored targets, different lengths) or "
            "compares them with each other. If it weighs them, write a function "
            "(model, batch) -> (losses, weights) of one loss and one weight per sample"
        )
        return (
            f"the loss returns one number per batch, {together:.6g} for {count} samples, and the "
            f"mean of its values for single samples is {mean:.6g}, so per-sample losses cannot be "
            f"had from it: {why}"
        )

    def to_json(self) -> dict[str, Any]:
        """How it is called, for the file."""
        words = {
            "model": "(model, batch)",
            "outputs": "(outputs, targets)",
            "logits": "(outputs.logits, targets)",
        }
        found: dict[str, Any] = {"arguments": words[self.arguments], "known_by": self.decided}
        if self.by_sample:
            found["by_sample"] = True
        if self.gradients:
            found["gradients"] = True
        return found


def check_order(function: Callable) -> None:
    """Raise a LossLandscapeError for arguments that are named as targets before outputs.

    Functions of (y_true, y_pred), as Keras and scikit-learn have them, would run and return another
    number wherever the two are not interchangeable.
    """
    first, second, *_ = [*_argument_names(function), "", ""]
    if first in _MODELS or second in _BATCHES:
        return
    kinds = _kind(first), _kind(second)
    if kinds[0] != "outputs" and kinds[1] != "targets" and any(kinds):
        raise LossLandscapeError(
            f"the function's arguments are ({first}, {second}), which reads as targets before "
            "outputs, and it would be called with (outputs, targets). Pass lambda outputs, "
            "targets: function(targets, outputs), or rename the arguments"
        )


def _kind(name: str) -> str:
    """Whether an argument's name says "outputs" or "targets"; empty if it says neither."""
    words = {name.lower(), *name.lower().split("_")}
    if words & _OUTPUT_WORDS:
        return "outputs"
    return "targets" if words & _TARGET_WORDS else ""


def _argument_names(function: Callable) -> list[str]:
    """Names of the arguments that can be passed by position; empty if they are not known."""
    function = function.forward if isinstance(function, nn.Module) else function
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ["", ""]
    if any(one.kind is one.VAR_POSITIONAL for one in found):
        return ["", ""]
    return [
        one.name for one in found if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]


def _sample(whole: Any, i: int, count: int) -> Any:
    """Sample ``i`` of outputs, targets or a batch, as a batch of one."""
    if isinstance(whole, Tensor):
        return whole[i : i + 1] if whole.dim() and len(whole) == count else whole
    if isinstance(whole, Mapping):
        parts = {name: _sample(value, i, count) for name, value in whole.items()}
        try:
            return type(whole)(**parts) if type(whole) is not dict else parts
        except TypeError:
            return parts
    if isinstance(whole, tuple) and hasattr(whole, "_fields"):
        return type(whole)(*(_sample(value, i, count) for value in whole))
    if isinstance(whole, (tuple, list)):
        return type(whole)(_sample(value, i, count) for value in whole)
    if is_dataclass(whole) and not isinstance(whole, type):
        return replace(
            whole, **{f.name: _sample(getattr(whole, f.name), i, count) for f in fields(whole)}
        )
    return whole


def first_samples(batch: Batch, count: int) -> Batch:
    """The first samples of a batch."""
    return map_batch(lambda tensor: tensor[:count], batch)
