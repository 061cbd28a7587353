"""Generators are seeded inside a context and restored after it, also after an error."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from losslandscape.problem.random_draws import fixed_draws, generators_kept, own_generators


def drawn():
    return float(torch.rand(1)), float(np.random.random()), random.random()  # noqa: NPY002


def failing(context):
    with context:
        drawn()
        raise KeyError("mine")


@pytest.mark.parametrize("context", [generators_kept, lambda: fixed_draws(3)])
def test_generators_are_restored_after_an_error(context):
    with generators_kept():
        expected = drawn()
    with pytest.raises(KeyError, match="mine"):
        failing(context())
    assert drawn() == expected


def test_a_seed_fixes_every_generator_and_another_seed_gives_others():
    own = torch.Generator().manual_seed(5)
    expected = torch.rand(1, generator=torch.Generator().manual_seed(5))
    found = []
    for seed in (3, 3, 4):
        with fixed_draws(seed, [own]):
            found.append((*drawn(), float(torch.rand(1, generator=own))))
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[0], found[2]))
    with fixed_draws(3):
        assert drawn() == found[0][:3]
    assert torch.equal(torch.rand(1, generator=own), expected)


def test_a_loaders_generators_are_found_once_each():
    data = torch.zeros(8)
    one, other = torch.Generator(), torch.Generator()
    assert own_generators(DataLoader(data)) == []
    assert own_generators(DataLoader(data, generator=one)) == [one]
    assert own_generators(DataLoader(data, shuffle=True, generator=one)) == [one]
    sampler = RandomSampler(data, generator=other)
    assert own_generators(DataLoader(data, sampler=sampler)) == [other]
    assert own_generators(DataLoader(data, sampler=sampler, generator=one)) == [one, other]
    batches = BatchSampler(sampler, 2, drop_last=False)
    assert own_generators(DataLoader(data, batch_sampler=batches)) == [other]
    plain = BatchSampler(SequentialSampler(data), 2, drop_last=False)
    assert own_generators(DataLoader(data, batch_sampler=plain)) == []
    assert own_generators(DataLoader(data, batch_size=None)) == []
