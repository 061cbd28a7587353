"""The batch size that a model runs fastest."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from losslandscape.point.device_memory import out_of_memory
from losslandscape.problem.batches import Batch, batch_length

_SMALLEST, _LARGEST = 32, 8192
# A larger batch costs memory: it must be worth it.
_WORTH = 1.03
_AS_FAST = 0.98
_TRIAL_SECONDS = 0.02


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


def pass_rate(run: Callable[[Batch], dict[str, Tensor]], batch: Batch) -> float:
    """Samples a second of a batch's forward pass, the fastest of a few."""
    run(batch)["loss"].cpu()  # warm-up: allocations, kernels chosen, graphs captured
    passes: list[float] = []
    while len(passes) < 2 or (sum(passes) < _TRIAL_SECONDS and len(passes) < 20):
        start = time.perf_counter()
        run(batch)["loss"].cpu()  # waits for an asynchronous device
        passes.append(time.perf_counter() - start)
    return batch_length(batch) / min(passes)
