"""A forward pass: the values by sample of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.point.device_memory import out_of_memory
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.batches import Batch, describe, map_batch, tensors_of
from losslandscape.problem.losses import Loss
from losslandscape.problem.objective import Objective

_TARGETS = ("targets", "target", "labels", "label", "y", "y_true")


class ForwardPass:
    """Batch -> values by sample, from a model or from what is called in its place.

    Attributes
    ----------
    copies : bool
        Pass copies of the batches, because the model writes to its inputs.
    """

    def __init__(self, objective: Objective, model: nn.Module):
        self._objective, self._model = objective, model
        self._autocast = objective.arithmetic.autocast if objective.arithmetic else None
        self.copies = False

    def plain(self, batch: Batch) -> dict[str, Tensor]:
        """Values by the model itself."""
        return self.by(self._model, batch)

    def by(self, called: Any, batch: Batch) -> dict[str, Tensor]:
        """Values where ``called`` is called instead of the model.

        Raises
        ------
        LossLandscapeError
            If the model cannot take the data. Errors of used up memory pass unchanged.
        """
        if self.copies:
            batch = map_batch(torch.clone, batch)
        try:
            # for each batch: a thread's own, and points may be measured in another one
            with arithmetics.autocast(self._objective.device, self._autocast):
                return self._objective.loss(called, batch)
        except LossLandscapeError:
            raise
        except Exception as error:  # whatever the user's model raises
            if out_of_memory(error):
                raise
            raise LossLandscapeError(
                f"{type(self._model).__name__} cannot take the data (a batch of "
                f"{describe(batch)}): {type(error).__name__}: {error}"
                f"{_advice(error, self._model, batch) or _called_with(self._objective.loss)}"
            ) from error

    @contextmanager
    def in_plain_arithmetic(self) -> Iterator[None]:
        """Inside the context nothing is computed in reduced precision."""
        reduced, self._autocast = self._autocast, None
        try:
            with arithmetics.arithmetic():
                yield
        finally:
            self._autocast = reduced


def _advice(error: Exception, model: nn.Module, batch: Batch) -> str:
    """What helps, where the error is of a known kind; empty otherwise."""
    if "does not require grad" in str(error):
        return (
            ". Gradients are off while a loss is measured; in a loss that differentiates, put "
            "'with torch.enable_grad():' around that part, and detach what it returns"
        )
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
    found = {tensor.dtype for tensor in tensors_of(batch) if tensor.is_floating_point()}
    about_types = "dtype" in str(error) or "scalar type" in str(error)
    if own not in (torch.float32, torch.float64) or found <= {own} or not about_types:
        return ""
    names = ", ".join(sorted(arithmetics.type_name(dtype) for dtype in found))
    wanted = arithmetics.type_name(own)
    return (
        f". The data are {names} and the model is {wanted}: pass precision={wanted!r} "
        f"(--precision {wanted}), which converts the data"
    )


def _called_with(loss: Loss) -> str:
    """How a loss function is called, if its second argument has the name of targets."""
    try:
        names = list(inspect.signature(loss.function).parameters)
    except (TypeError, ValueError):
        return ""
    if len(names) < 2 or names[1] not in _TARGETS:
        return ""
    return (
        f". The arguments of the loss function are {names[0]!r} and {names[1]!r}, but it is called "
        "with the model and a batch: write (model, batch) -> per-sample losses, and call the model "
        "in it"
    )
