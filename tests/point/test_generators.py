"""Generators are seeded, told apart when drawn from, and restored."""

import random

import numpy as np
import pytest
import torch

from losslandscape.point.generators import (
    generator_states,
    seed_generators,
    torch_generators_kept,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: torch.rand(1), "torch"),
        (np.random.uniform, "numpy"),
        (random.random, "python"),
        (np.random.standard_normal, "numpy"),
    ],
)
def test_the_generator_drawn_from_is_the_one_that_differs(draw, name):
    before = generator_states(CPU)
    assert generator_states(CPU) == before
    assert set(before) == {"torch", "numpy", "python"}
    draw()
    after = generator_states(CPU)
    assert [key for key in before if before[key] != after[key]] == [name]


@pytest.mark.parametrize("seed", [0, 1, 12])
def test_a_seed_gives_torchs_own_numbers(seed):
    with torch_generators_kept(CPU):
        seed_generators(CPU, seed)
        found = torch.rand(3)
        torch.manual_seed(seed)
        assert torch.equal(found, torch.rand(3))


def test_torchs_generator_is_restored():
    before = generator_states(CPU)
    with torch_generators_kept(CPU):
        seed_generators(CPU, 5)
    assert generator_states(CPU) == before
