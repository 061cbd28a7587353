"""A forward pass: the values by sample of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.point.device_memory import out_of_memory
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.batches import Batch, map_batch
from losslandscape.problem.failure_messages import explained
from losslandscape.problem.objective import Objective


class ForwardPass:
    """Batch -> values by sample, from a model or from what is called in its place.

    Attributes
    ----------
    copies : bool
        Pass copies of the batches, because the model writes to its inputs.
    of : str or None
        The set whose loss is computed; None for the first.
    """

    def __init__(self, objective: Objective, model: nn.Module):
        self._objective, self._model = objective, model
        self._autocast = objective.arithmetic.autocast if objective.arithmetic else None
        self.copies = False
        self.of: str | None = None

    @contextmanager
    def of_set(self, name: str) -> Iterator[None]:
        """Inside the context, the loss is that of a set; otherwise that of the first one."""
        self.of = name
        try:
            yield
        finally:
            self.of = None

    def plain(self, batch: Batch) -> dict[str, Tensor]:
        """Values by the model itself."""
        return self.by(self._model, batch)

    def by(self, called: Any, batch: Batch) -> dict[str, Tensor]:
        """Values where ``called`` is called instead of the model.

        Raises
        ------
        LossLandscapeError
            If the model or the loss fails. Errors of used up memory pass unchanged.
        """
        if self.copies:
            batch = map_batch(torch.clone, batch)
        loss = self._objective.loss if self.of is None else self._objective.losses[self.of]
        try:
            # for each batch: a thread's own, and points may be measured in another one
            with arithmetics.autocast(self._objective.device, self._autocast):
                if not loss.gradients:
                    return loss(called, batch)
                with torch.enable_grad():
                    values = loss(called, batch)
                return {name: value.detach() for name, value in values.items()}
        except (LossLandscapeError, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever the user's model raises, SystemExit too
            if out_of_memory(error):
                raise
            raise LossLandscapeError(explained(error, self._model, batch, loss)) from error

    @contextmanager
    def in_plain_arithmetic(self) -> Iterator[None]:
        """Inside the context nothing is computed in reduced precision."""
        reduced, self._autocast = self._autocast, None
        try:
            with arithmetics.arithmetic():
                yield
        finally:
            self._autocast = reduced
