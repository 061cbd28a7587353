"""Per-sample losses and metrics.

A loss function takes ``(model, batch)`` and returns the per-sample losses, shape (n,), a pair
``(losses, weights)`` of such tensors, or a dict of these: ``"loss"`` and any metrics, so that one
forward pass yields them all.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from losslandscape.argument_kinds import ANYTHING, described
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.grid import AXIS_NAMES
from losslandscape.problem import code_hash
from losslandscape.problem.batches import Batch, batch_length
from losslandscape.problem.named_losses import NAMED, Metric, NamedLoss
from losslandscape.problem.outputs import Output
from losslandscape.problem.own_functions import OwnFunction, check_order
from losslandscape.problem.own_loss import OwnLoss
from losslandscape.problem.sample_weights import WEIGHT, split_weights
from losslandscape.problem.samples import SampleSet
from losslandscape.problem.torch_losses import as_torch_loss
from losslandscape.public_calls import METRICS, public

LossCallable = Callable[[nn.Module, Batch], Any]

# names of variables and dimensions in the file, docs/file_format.md
_TAKEN = {
    "loss", *AXIS_NAMES, "status", "gram_matrix", "subspace_gram_matrix", "provenance",
    "provenance_length", "direction", "other_direction", "sample", "step", "model",
    "precision_bits",
}  # fmt: skip
_TAKEN_BEGINNINGS = ("trajectory_", "model_")
_TAKEN_ENDS = (
    "loss_standard_error", "loss_sample_count", "loss_samples", "_interpolation_error",
    "_precision_error",
)  # fmt: skip
_POSSIBLE = re.compile(r"\w([^/\x00-\x1f\x7f]*[^/\x00- \x7f])?")  # names that netCDF allows
OWN = "own"  # the loss that the model returns itself
NAMES = (*NAMED, OWN)


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
        returned = self.function(model, batch)
        if not isinstance(returned, Mapping):
            returned = {"loss": returned}
        values: dict[str, Tensor] = {}
        count = batch_length(batch)
        for name, value in returned.items():
            quantity = name.removesuffix(WEIGHT) if isinstance(name, str) else name
            if quantity != "loss" and (reason := name_taken(quantity)):
                raise LossLandscapeError(f"loss {self.name}: {name!r} beside the loss: {reason}")
            for part, one in split_weights(name, value).items():
                self._check_shape(part, one, count)
                values[part] = one
        if "loss" not in values:
            raise LossLandscapeError(f"loss {self.name}: the returned dict has no entry 'loss'")
        return values

    def _check_shape(self, name: str, value: Any, count: int) -> None:
        if isinstance(value, Tensor) and value.is_complex():
            raise LossLandscapeError(
                f"loss {self.name}: {name!r} is complex ({value.dtype}); return real numbers, such "
                "as .abs() or .real"
            )
        if isinstance(value, Tensor) and value.shape == (count,):
            return
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        hint = ' (pass reduction="none")' if isinstance(value, Tensor) and not value.dim() else ""
        what = "the weights" if name.endswith(WEIGHT) else repr(name)
        raise LossLandscapeError(
            f"loss {self.name}: {what} of a batch of {count} samples "
            f"{'have' if name.endswith(WEIGHT) else 'has'} shape {shape}; "
            f"return one number per sample, shape ({count},){hint}"
        )

    def fitted(self, sets: Iterable[SampleSet]) -> Loss:
        """The loss that knows the samples.

        Raises
        ------
        LossLandscapeError
            If it is not defined for them.
        """
        if isinstance(self.function, NamedLoss):
            return replace(self, function=self.function.fitted(sets))
        return self

    @property
    def gradients(self) -> bool:
        """Whether the loss differentiates, and needs gradients switched on."""
        return isinstance(self.function, OwnFunction) and self.function.gradients

    def code_hash(self) -> str | None:
        """Hash of the function's code, which tells apart functions of one name.

        None for a named loss.
        """
        if not isinstance(self.function, OwnFunction):
            return None
        return code_hash.code_hash(self.function.function)

    def may_have_code(self, stated: str | None) -> bool:
        """Whether a hash from a file, also of an older version, can belong to this loss."""
        if not isinstance(self.function, OwnFunction):
            return stated is None
        return code_hash.is_code_of(stated, self.function.function)

    def to_json(self) -> dict[str, Any]:
        """How the loss is computed, for the file; empty for a named one."""
        if isinstance(self.function, OwnFunction):
            return self.function.to_json()
        if isinstance(self.function, OwnLoss):
            return {"formula": self.function.formula}
        output = getattr(self.function, "output", None)
        if output is None:
            return {}
        return {"output": output if isinstance(output, (str, int)) else code_hash.code_hash(output)}


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


@public(loss=ANYTHING, metrics=METRICS, output=ANYTHING)
def resolve(
    loss: str | LossCallable,
    metrics: Mapping[str, Metric] | None = None,
    output: Output = None,
) -> Loss:
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
        taken, a function takes the targets before the outputs, or torch's value of the loss is
        not a mean over samples.
    """
    for name in metrics or ():
        if reason := name_taken(name):
            raise LossLandscapeError(f"metric {name!r}: {reason}")
        check_order((metrics or {})[name])
    if (torch_loss := as_torch_loss(loss)) is not None:
        title = type(torch_loss.module).__name__
        return Loss(
            torch_loss.name,
            title,
            NamedLoss(torch_loss, torch_loss.classifies, dict(metrics or {}), output),
        )
    if callable(loss):
        if metrics:
            raise LossLandscapeError(
                "pass metrics with a named loss only; your own loss function returns them itself: "
                '{"loss": ..., "metric": ...}'
            )
        name = getattr(loss, "__qualname__", type(loss).__name__)
        own = OwnFunction(loss, output=output)
        return Loss(f"{getattr(loss, '__module__', '')}:{name}", "loss", own)
    if isinstance(loss, str):
        loss = str(loss)  # of NumPy's, too
    if isinstance(loss, str) and loss == OWN:
        if metrics or output is not None:
            raise LossLandscapeError(
                "loss own: the model computes it, so there are no metrics and no output to choose; "
                "leave them out, or name another loss"
            )
        return Loss(OWN, "loss", OwnLoss())
    if not isinstance(loss, str) or loss not in NAMED:
        shown = repr(loss) if isinstance(loss, str) else f"is {described(loss)}, which"
        raise LossLandscapeError(
            f"loss {shown} is not one of {', '.join(NAMED)}; choose one, or pass a function "
            "(model, batch) -> per-sample losses"
        )
    title, per_sample, classifies = NAMED[loss]
    return Loss(loss, title, NamedLoss(per_sample, classifies, dict(metrics or {}), output))
