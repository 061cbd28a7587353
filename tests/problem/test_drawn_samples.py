"""Which samples a DataLoader draws, as stated in the file."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from losslandscape import Objective
from losslandscape.problem.drawn_samples import how_drawn

SAMPLES = TensorDataset(torch.randn(20, 3), torch.zeros(20, dtype=torch.long))


def weighted(count):
    return WeightedRandomSampler(torch.ones(20), count)


def distributed(replicas, **options):
    return DistributedSampler(SAMPLES, replicas, rank=0, shuffle=False, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 8, "sampler": weighted(30)},
        {"batch_size": 8, "sampler": RandomSampler(SAMPLES, replacement=True)},
        {"batch_sampler": BatchSampler(weighted(30), 8, drop_last=False)},
    ],
)
def test_a_sampler_that_draws_copies_is_stated(options):
    loader = DataLoader(SAMPLES, **options)
    with pytest.warns(UserWarning, match=r"may draw a sample several times: \d+ draws of \d+ "):
        objective = Objective(nn.Linear(3, 2), "cross_entropy", loader)
    (found,) = objective.to_json()["sets"].values()
    kind = type(options.get("sampler") or options["batch_sampler"].sampler).__name__
    assert found["source"].startswith(f"DataLoader (drawn by {kind}; read once, order kept; ")
    assert found["source"].endswith(" of 20 samples)")


def test_the_warning_names_the_line_of_the_user():
    with pytest.warns(UserWarning, match="may draw") as warned:
        Objective(nn.Linear(3, 2), "cross_entropy", DataLoader(SAMPLES, sampler=weighted(30)))
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({"batch_size": 8}, "DataLoader"),
        ({"batch_size": 8, "drop_last": True}, "DataLoader (16 of 20 samples)"),
        ({"sampler": SubsetRandomSampler(range(5))}, "DataLoader (5 of 20 samples)"),
        ({"sampler": distributed(4)}, "DataLoader (5 of 20 samples)"),
        ({"batch_sampler": [[0, 1], [5]]}, "DataLoader (3 of 20 samples)"),
        ({"shuffle": True}, "DataLoader (shuffled; read once, order kept)"),
        (
            {"shuffle": True, "batch_size": 8, "drop_last": True},
            "DataLoader (shuffled; read once, order kept; 16 of 20 samples)",
        ),
        ({"batch_size": None}, "DataLoader"),
    ],
)
def test_a_part_of_the_data_set_is_stated(options, source):
    assert how_drawn(DataLoader(SAMPLES, **options)) == (source, None)


def test_copies_that_fill_the_share_of_a_process_are_found():
    sampler = DistributedSampler(SAMPLES, 1, rank=0, shuffle=False)
    sampler.total_size, sampler.num_samples = 24, 24  # as for 24 processes' padding, in one
    source, warning = how_drawn(DataLoader(SAMPLES, sampler=sampler))
    assert source == "DataLoader"
    assert "24 draws of 20 different samples" in warning


def test_looking_at_the_draws_changes_no_generator_and_reads_no_sample():
    class Unread(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            raise AssertionError

    own = torch.Generator()
    before = own.get_state(), torch.get_rng_state()
    loader = DataLoader(Unread(), sampler=RandomSampler(range(4), generator=own))
    assert how_drawn(loader)[1] is None
    assert torch.equal(own.get_state(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_an_iterator_as_sampler_is_not_used_up():
    loader = DataLoader(SAMPLES, batch_size=5, sampler=iter([3, 1, 2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective = Objective(nn.Linear(3, 2), "cross_entropy", loader)
    (found,) = objective.to_json()["sets"].values()
    assert (found["samples"], found["source"]) == (3, "DataLoader")
