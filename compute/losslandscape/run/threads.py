"""The number of CPU threads that a run computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Set PyTorch's number of CPU threads inside the block, and restore it afterwards.

    Sums depend on the number of threads in their last bits, so a resumed run and a finer grid use
    the number of the first run.

    Examples
    --------
    >>> with using_threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
