"""The batch size that a model runs fastest."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import torch

from losslandscape.errors import LossLandscapeError

_SMALLEST, _LARGEST = 32, 8192
# A larger batch costs memory: it must be worth it.
_WORTH = 1.03
_AS_FAST = 0.98


class BatchMemoryError(LossLandscapeError):
    """Memory does not hold a batch of this size."""


def fastest_batch_size(rate: Callable[[int], float], count: int) -> int:
    """The size of the highest rate, tried by doubling while the rate grows and may grow further.

    Parameters
    ----------
    rate : callable
        Samples a second with batches of a size.
    count : int
        Number of samples; no batch is larger.

    Raises
    ------
    torch.OutOfMemoryError
        If a single sample does not fit into memory.

    Examples
    --------
    >>> fastest_batch_size(lambda size: min(size, 100), 50_000)
    128
    """
    size = min(_SMALLEST, count)
    rates: dict[int, float] = {}
    while True:
        try:
            found = rate(size)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if rates:
                break
            if size == 1:
                raise
            size //= 2
            continue
        before = max(rates, key=lambda tried: rates[tried], default=size)
        if found < _WORTH * rates.get(before, 0.0):  # once more: something else may have run
            rates[before] = max(rates[before], rate(before))
            found = max(found, rate(size))
        rates[size] = found
        no_gain = before != size and found < _WORTH * rates[before]
        if no_gain or size == count or 2 * size > _LARGEST or size < _SMALLEST:
            break
        following = min(2 * size, count)
        if before != size and _expected(rates, before, size, following) < _WORTH * found:
            break
        size = following
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= _AS_FAST * best)


def _expected(rates: dict[int, float], small: int, large: int, following: int) -> float:
    """The rate at a larger size if a batch takes a + b * size seconds, as two sizes say.

    So that memory is not spent on a trial that cannot show a gain.
    """
    slope = (large / rates[large] - small / rates[small]) / (large - small)
    constant = small / rates[small] - slope * small
    seconds = constant + slope * following
    return following / seconds if seconds > 0 else float("inf")


def release_memory(device: torch.device) -> None:
    """Give back what a device's allocator keeps for later.

    glibc, whose allocator PyTorch uses on Linux x86-64, keeps freed blocks of up to 32 MiB between
    those in use.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "cpu" and (trim := _malloc_trim()) is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's ``malloc_trim``; None where the C library has none."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return None
    trim.argtypes = [ctypes.c_size_t]
    return trim


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device's or the computer's memory is used up."""
    kinds = (getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError), MemoryError)
    return isinstance(error, kinds) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
