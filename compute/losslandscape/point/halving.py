"""A batch size that is halved while memory does not hold a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from losslandscape.point.device_memory import out_of_memory, raise_if_used_up, release_memory

T = TypeVar("T")


class HalvingBatchSize:
    """A batch size, which may be halved until the first measurement has fitted into memory.

    From then on it stays, because the last bits of the values depend on it. A size that the user
    gave is never halved.

    Parameters
    ----------
    given : int or None
        The user's size; None where a trial finds one.
    model : str
        The model's name, for messages.
    """

    def __init__(self, given: int | None, model: str, device: torch.device):
        self.given = given
        self._size = given
        self._model, self._device = model, device
        self._halves = given is None

    @property
    def known(self) -> bool:
        return self._size is not None

    @property
    def size(self) -> int:
        assert self._size is not None
        return self._size

    def found(self, size: int) -> None:
        """Take the size that a trial found."""
        self._size = size

    def measured(self, measure: Callable[[], T], cut: Callable[[], None]) -> T:
        """What ``measure`` returns, with smaller batches if it must be.

        ``cut`` cuts the samples into batches of the present size.

        Raises
        ------
        BatchMemoryError
            If memory does not hold a batch.
        """
        again = True  # at the same size: what another program took may be free again
        while True:
            try:
                measured = measure()
            except Exception as error:
                halve = self._halves and self.size > 1
                if not (out_of_memory(error) and (again or halve)):
                    self.explain(error)
                    raise
            else:
                self._halves = False
                return measured
            # outside of the handler: the traceback held the tensors of the failed pass
            release_memory(self._device)
            if again:
                again = False
            else:
                self._size = self.size // 2
                cut()

    def explain(self, error: Exception) -> None:
        """Raise a BatchMemoryError if ``error`` says that memory is used up."""
        raise_if_used_up(error, self._model, self._device, self._size)
