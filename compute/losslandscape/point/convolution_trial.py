"""Which memory format a model's convolutions run fastest in, found layer by layer.

Nothing about it can be assumed: with AVX2 channels-last convolutions are the faster ones, with
AVX-512 they are for large maps, and take up to four times as long for large kernels on small maps.
The maps between the layers are in one format; single convolutions may reorder theirs, or be matrix
products of their pixels.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from losslandscape.point.pixel_convolutions import (
    MOST_PRODUCTS,
    can_be_products,
    products,
    taps_of,
)
from losslandscape.point.row_major_convolutions import convolved, row_major
from losslandscape.problem.configuration import PRODUCTS, ROW_MAJOR

_REPEATED_SECONDS = 0.002  # a call is repeated until it has taken as long
_CALLS = 5
_WORTH = 0.95  # what is not the usual way must take at most this share of its time
_AS_GIVEN = ""


class Seen(NamedTuple):
    """A convolution of a model, and the shape of one sample of its input."""

    layer: nn.Conv2d
    shape: tuple[int, ...]
    calls: int


@dataclass(frozen=True)
class Formats:
    """What was found: the format of the maps, and the convolutions that are computed otherwise."""

    channels_last: bool
    convolutions: dict[str, str]


@contextmanager
def seen_convolutions(model: nn.Module) -> Iterator[dict[str, Seen]]:
    """Inside the context, the convolutions that are called are noted by name.

    Those that are called with several shapes are left out.
    """
    seen: dict[str, Seen] = {}
    several: set[str] = set()

    def noting(name: str) -> Callable[[nn.Module, Any], None]:
        def note(layer: nn.Module, inputs: Any) -> None:
            assert isinstance(layer, nn.Conv2d)
            if not (inputs and isinstance(inputs[0], Tensor) and inputs[0].dim() == 4):
                several.add(name)
                return
            shape = tuple(inputs[0].shape[1:])
            known = seen.get(name)
            if known is not None and known.shape != shape:
                several.add(name)
            seen[name] = Seen(layer, shape, 1 if known is None else known.calls + 1)

        return note

    handles = [
        module.register_forward_pre_hook(noting(name))
        for name, module in model.named_modules()
        if type(module) is nn.Conv2d and "forward" not in vars(module)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
        for name in several:
            seen.pop(name, None)


@torch.no_grad()
def fastest_formats(
    seen: Mapping[str, Seen], samples: int, allowed: Collection[bool] = (True, False)
) -> Formats:
    """The format in which the convolutions take least time, by short trials of each kind of them.

    Parameters
    ----------
    seen : mapping of name to Seen
        Of a model on the CPU.
    samples : int
        In the batches of the trials.
    allowed : collection of bool
        Whether maps may be channels-last: True, False, or both.
    """
    kinds = {name: _kind(one) for name, one in seen.items()}
    counts: Counter[tuple] = Counter()
    of_kind: dict[tuple, Seen] = {}
    for name, one in seen.items():
        counts[kinds[name]] += one.calls
        of_kind[kinds[name]] = one
    totals = {True: 0.0, False: 0.0}
    ways: dict[bool, dict[tuple, str]] = {True: {}, False: {}}
    for kind, one in of_kind.items():
        for last, found in _times(one, samples, allowed).items():
            usual = found.pop(_AS_GIVEN)
            way = min(found, key=lambda key: found[key], default=_AS_GIVEN)
            best = found.get(way, usual)
            if best > _WORTH * usual:
                way, best = _AS_GIVEN, usual
            totals[last] += counts[kind] * best
            ways[last][kind] = way
    last = True in allowed and not (False in allowed and totals[False] <= _WORTH * totals[True])
    chosen = {name: ways[last][kind] for name, kind in kinds.items()}
    return Formats(last, {name: way for name, way in chosen.items() if way != _AS_GIVEN})


def _kind(one: Seen) -> tuple:
    """Convolutions of one kind take the same time."""
    layer = one.layer
    geometry = layer.stride, layer.padding, layer.dilation, layer.groups, layer.padding_mode
    has_bias = layer.bias is not None
    return one.shape, tuple(layer.weight.shape), layer.weight.dtype, has_bias, geometry


def _times(one: Seen, samples: int, allowed: Collection[bool]) -> dict[bool, dict[str, float]]:
    """Seconds of a convolution by channels-last or not, and by way."""
    layer = one.layer
    maps = torch.ones(samples, *one.shape, dtype=layer.weight.dtype)
    kernel = layer.weight.detach().contiguous()
    taps = taps_of(layer, maps, MOST_PRODUCTS, MOST_PRODUCTS) if can_be_products(layer) else None
    ways: dict[tuple[bool, str], Callable[[], Tensor]] = {}

    def add(last: bool, maps: Tensor, kernel: Tensor) -> None:
        ways[last, _AS_GIVEN] = lambda: convolved(layer, maps, kernel)
        if taps is not None and last == (True in allowed):
            ways[last, PRODUCTS] = lambda: products(maps, kernel, layer.bias, taps)

    add(False, maps, kernel)
    if True in allowed:
        order = torch.channels_last
        last_maps = maps.contiguous(memory_format=order)
        add(True, last_maps, kernel.contiguous(memory_format=order))
        results = convolved(layer, maps[:1], kernel).expand(samples, -1, -1, -1).contiguous()
        ways[True, ROW_MAJOR] = lambda: row_major(last_maps, lambda _: results)
    found: dict[bool, dict[str, float]] = {}
    for (last, way), seconds in fastest_calls(ways).items():
        found.setdefault(last, {})[way] = seconds
    if True in found:  # the time of the convolution itself is known, beside that of reordering
        found[True][ROW_MAJOR] += found[False][_AS_GIVEN]
        if PRODUCTS in found[True]:  # of row-major maps it takes about the same
            found[False][PRODUCTS] = found[True][PRODUCTS]
    return {last: found[last] for last in allowed}


def fastest_calls(ways: Mapping[Any, Callable[[], Any]]) -> dict[Any, float]:
    """Seconds of each call, the fastest of a few; the calls take turns, so that load is shared."""
    best: dict[Any, float] = {}
    spent = dict.fromkeys(ways, 0.0)
    for turn in range(-1, _CALLS):  # the first turn also chooses kernels and takes memory
        for way, call in ways.items():
            if turn > 0 and spent[way] >= _REPEATED_SECONDS:
                continue
            begun = time.perf_counter()
            call()
            seconds = time.perf_counter() - begun
            spent[way] += seconds if turn >= 0 else 0.0
            best[way] = min(best.get(way, seconds), seconds)
    return best
