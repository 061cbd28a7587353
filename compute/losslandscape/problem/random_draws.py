"""Fixed seeds for data sets that draw random numbers when read; generators are then restored."""

# The legacy generator is the one that data sets draw from.
# ruff: noqa: NPY002

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import DataLoader


def seed_draws(seed: int) -> None:
    """Seed the generators of torch (CPU), NumPy and Python; ``seed`` must be below 2**32."""
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Restore the generators of torch (CPU), NumPy and Python at the end."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


@contextmanager
def fixed_draws(seed: int, generators: Sequence[torch.Generator] = ()) -> Iterator[None]:
    """Seed the generators of :func:`seed_draws` and those given, and restore them at the end.

    Examples
    --------
    >>> own = torch.Generator()
    >>> before = own.get_state()
    >>> def draw():
    ...     with fixed_draws(0, [own]):
    ...         return random.random(), torch.rand(1, generator=own)
    >>> draw() == draw(), torch.equal(own.get_state(), before)
    (True, True)
    """
    states = [generator.get_state() for generator in generators]
    try:
        with generators_kept():
            seed_draws(seed)
            for generator in generators:
                generator.manual_seed(seed)
            yield
    finally:
        for generator, state in zip(generators, states):
            generator.set_state(state)


def own_generators(loader: DataLoader) -> list[torch.Generator]:
    """The generators that were passed to a loader and its samplers."""
    inner = getattr(loader.batch_sampler, "sampler", None)
    found: dict[int, torch.Generator] = {}
    for holder in (loader, loader.sampler, loader.batch_sampler, inner):
        for value in getattr(holder, "__dict__", {}).values():
            if isinstance(value, torch.Generator):
                found[id(value)] = value
    return list(found.values())
