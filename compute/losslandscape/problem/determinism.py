"""Does a data set give the same values every time it is read?"""

# The legacy generator is the one that models and data sets draw from.
# ruff: noqa: NPY002

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from losslandscape.errors import LossLandscapeError

POLICIES = ("refused", "stated")
_ITEMS, _READINGS = 8, 3  # a random flip escapes all of them once in 65,000 times
HOW_TO_ALLOW = (
    "nondeterminism='stated' (--nondeterminism stated) goes on with it, and the file says so"
)


def check_policy(policy: str) -> None:
    """Raise a LossLandscapeError if this is no policy."""
    if policy not in POLICIES:
        raise LossLandscapeError(f"nondeterminism {policy!r} is not one of {', '.join(POLICIES)}")


def check_data(sets: Mapping[str, Any]) -> None:
    """Raise a LossLandscapeError if a set's items have other values when they are read again.

    Tensors are what they are. Of a map-style data set a few items, of another iterable the first
    batch, are read three times, each time with another seed of torch's generator; the generators
    of torch, NumPy and Python are left as they were.
    """
    for name, data in sets.items():
        read = _reader(data)
        if read is None:
            continue
        with _generators_kept():
            try:
                first, *others = [read(seed) for seed in range(_READINGS)]
            except Exception:  # said by whoever reads all of it
                continue
        if any(not _same(first, other) for other in others):
            raise LossLandscapeError(
                f"{name}: the {type(data).__name__} gives other values each time it is read: is it "
                "augmented at random (flips, crops, noise), or put into another order? Give the "
                f"plain samples in a fixed order; or {HOW_TO_ALLOW}: the samples as they come "
                "the first time"
            )


def _reader(data: Any) -> Any:
    """A function seed -> some of the data, read anew; None where there is nothing to read."""
    if isinstance(data, (Tensor, np.ndarray, tuple, list, Mapping)):
        return None
    loader = isinstance(data, DataLoader)
    source = data.dataset if loader else data
    mapped = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    if mapped and not isinstance(source, IterableDataset):

        def items(seed: int) -> list[Any]:
            torch.manual_seed(seed)
            numbers = np.unique(np.linspace(0, len(source) - 1, _ITEMS).round().astype(int))
            return [source[int(number)] for number in numbers]

        return items
    if not loader and (isinstance(data, Iterator) or not hasattr(data, "__iter__")):
        return None

    def first_batch(seed: int) -> Any:
        torch.manual_seed(seed)
        return list(itertools.islice(data, 1))

    return first_batch


@contextmanager
def _generators_kept() -> Iterator[None]:
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (Tensor, np.ndarray)) and isinstance(b, (Tensor, np.ndarray)):
        return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=_has_nan(a)))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(_same(*pair) for pair in zip(a, b))
    if isinstance(a, (int, float, str, bytes, bool)) and isinstance(b, type(a)):
        return a == b or a != a
    return True  # objects that cannot be compared tell nothing


def _has_nan(values: Any) -> bool:
    return np.asarray(values).dtype.kind in "fc"
