"""The batch size that a model runs fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from torch import Tensor

from losslandscape.point.device_memory import out_of_memory
from losslandscape.problem.batches import Batch, batch_length

SMALLEST, _LARGEST = 32, 8192
# A larger batch costs memory: it must be worth it.
_WORTH = 1.03
_AS_FAST = 0.98
_TRIAL_SECONDS = 0.02

MeasureRate = Callable[[Batch], float]


def fastest_batch_size(
    rate: Callable[[int], float],
    count: int,
    affordable: Callable[[int, float], bool] = lambda size, rate: True,
    known: Mapping[int, float] | None = None,
) -> int:
    """The size of the highest rate, tried by doubling while the rate grows and may grow further.

    Where a further trial would cost too much, the rates of up to four times the largest size tried
    are computed instead, from two sizes: a batch takes a + b * size seconds.

    Parameters
    ----------
    rate : callable
        Samples a second with batches of a size.
    count : int
        Number of samples; no batch is larger.
    affordable : callable, optional
        Whether to try a size, given the rate to expect.
    known : mapping of int to float, optional
        Rates of smaller sizes that were measured before.

    Raises
    ------
    torch.OutOfMemoryError
        If a single sample does not fit into memory.

    Examples
    --------
    >>> fastest_batch_size(lambda size: min(size, 100), 50_000)
    128
    """
    size = min(SMALLEST, count)
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
        if no_gain or size == count or 2 * size > _LARGEST or size < SMALLEST:
            break
        following = min(2 * size, count)
        if before != size and _expected(rates, before, size, following) < _WORTH * found:
            break
        if not affordable(following, max(rates.values())):
            rates.update(_computed({**(known or {}), **rates}, rate, size, count))
            break
        size = following
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= _AS_FAST * best)


def _computed(
    rates: dict[int, float], rate: Callable[[int], float], size: int, count: int
) -> dict[int, float]:
    """Expected rates of sizes above the largest one tried."""
    tried = dict(rates)
    if len(tried) == 1:
        tried[max(1, size // 16)] = rate(max(1, size // 16))
    small, large = sorted(tried)[-2:]
    above = (min(factor * size, count) for factor in (2, 4))
    return {n: _expected(tried, small, large, n) for n in above if n <= _LARGEST}


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
    return batch_length(batch) / seconds_of_pass(run, batch)


def seconds_of_pass(
    run: Callable[[Batch], dict[str, Tensor]], batch: Batch, warm: bool = False
) -> float:
    """Seconds of a batch's forward pass, the fastest of a few; ``warm`` if there was one before."""
    if not warm:
        run(batch)["loss"].cpu()  # warm-up: allocations, kernels chosen, graphs captured
    passes: list[float] = []
    while sum(passes) < _TRIAL_SECONDS and len(passes) < 20:
        start = time.perf_counter()
        run(batch)["loss"].cpu()  # waits for an asynchronous device
        passes.append(time.perf_counter() - start)
    return min(passes)


def trial_batch_size(
    first: Callable[[int], Batch],
    measured: MeasureRate,
    count: int,
    known: Mapping[int, float] | None = None,
) -> int:
    """The batch size found by a short trial.

    The trial takes no longer than one pass over all samples, unless its passes take less than
    20 ms.

    Parameters
    ----------
    first : callable
        The first samples, of this number, as a batch.
    measured : callable
        Samples a second of a batch.
    count : int
        Number of samples.
    known : mapping of int to float, optional
        Rates that were measured before.
    """
    begun = time.perf_counter()

    def affordable(size: int, rate: float) -> bool:
        seconds = size / rate
        spent = time.perf_counter() - begun
        return seconds < _TRIAL_SECONDS or spent + 2 * seconds <= count / rate

    return fastest_batch_size(lambda size: measured(first(size)), count, affordable, known)
