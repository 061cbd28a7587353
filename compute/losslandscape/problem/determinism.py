"""Check that a data set returns the same values every time it is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.random_draws import generators_kept

POLICIES = ("refused", "stated")
_ITEMS, _READINGS = 8, 3  # a random flip goes unnoticed once in 65,000 runs
HOW_TO_ALLOW = (
    "nondeterminism='stated' (--nondeterminism stated) continues and states this in the file"
)


def check_policy(policy: str) -> None:
    """Raise a LossLandscapeError if ``policy`` is not one of :data:`POLICIES`."""
    if policy not in POLICIES:
        raise LossLandscapeError(f"nondeterminism {policy!r} is not one of {', '.join(POLICIES)}")


def check_data(sets: Mapping[str, Any]) -> None:
    """Raise a LossLandscapeError if a set's items change when they are read again.

    The check reads a few items of a map-style data set, or the first batch of another iterable,
    three times, each time with another seed of torch's generator. Tensors need no check. The
    generators of torch, NumPy and Python are restored afterward.
    """
    for name, data in sets.items():
        read = _reader(data)
        if read is None:
            continue
        with generators_kept():
            try:
                first, *others = [read(seed) for seed in range(_READINGS)]
            except (Exception, SystemExit):  # reported when all samples are read
                continue
        if any(not _same(first, other) for other in others):
            raise LossLandscapeError(
                f"{name}: the {type(data).__name__} returns different values each time it is read; "
                "is there random augmentation (flips, crops, noise), or a random order? Pass the "
                f"plain samples in a fixed order. Or {HOW_TO_ALLOW}: the samples are those of the "
                "first reading"
            )


def _reader(data: Any) -> Any:
    """A function seed -> some of the data, freshly read; None if there is nothing to read."""
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


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (Tensor, np.ndarray)) and isinstance(b, (Tensor, np.ndarray)):
        return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=_has_nan(a)))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(_same(*pair) for pair in zip(a, b))
    if isinstance(a, (int, float, str, bytes, bool)) and isinstance(b, type(a)):
        return a == b or a != a
    return True  # objects that cannot be compared prove nothing


def _has_nan(values: Any) -> bool:
    return np.asarray(values).dtype.kind in "fc"
