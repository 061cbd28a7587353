"""The random generators that a model may draw from: seeded, kept and compared."""

# The legacy generator is the one that models and data sets draw from.
# ruff: noqa: NPY002

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch


def torch_generators_kept(device: torch.device) -> AbstractContextManager[None]:
    """Restore torch's generators, of the CPU and of the device, on leaving."""
    return torch.random.fork_rng([device.index] if device.type == "cuda" else [])


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed torch's generators of the CPU and of the device."""
    # torch.manual_seed takes 0.2 ms more: it seeds every kind of device there could be
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


def generator_states(device: torch.device) -> dict[str, Any]:
    """Name -> state of each generator, to see which of them were drawn from."""
    kind, keys, *rest = np.random.get_state()
    states = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (kind, np.asarray(keys).tobytes(), *rest),
        "python": random.getstate(),
    }
    if device.type == "cuda":
        states["torch.cuda"] = torch.cuda.get_rng_state(device).numpy().tobytes()
    return states
