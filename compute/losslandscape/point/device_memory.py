"""A device's memory: giving it back, and noticing that it is used up."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import torch

from losslandscape.errors import LossLandscapeError


class BatchMemoryError(LossLandscapeError):
    """Memory does not hold a batch of this size."""


def release_memory(device: torch.device) -> None:
    """Give back what a device's allocator keeps for later.

    glibc, whose allocator PyTorch uses on Linux x86-64, keeps freed blocks of up to 32 MiB between
    those in use.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "cpu" and (trim := _malloc_trim()) is not None:
        trim(0)


def release_cpu_memory(device: torch.device) -> None:
    """Give back memory where the device is the CPU.

    A GPU's is left to whoever else uses it, such as a training run that pauses for an evaluation.
    """
    if device.type == "cpu":
        release_memory(device)


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


def raise_if_used_up(error: Exception, model: str, device: torch.device, size: int | None) -> None:
    """Raise a BatchMemoryError if ``error`` says that memory is used up; else return.

    ``size`` is the batch size; None while single samples are tried.
    """
    if out_of_memory(error):
        samples = f"{size} samples" if size else "one sample"
        raise BatchMemoryError(
            f"{model}: the memory of {device} does not hold a batch of {samples}; give a smaller "
            "batch_size, fewer reestimation_samples, or another device"
        ) from error
