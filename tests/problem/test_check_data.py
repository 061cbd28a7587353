"""Data that are other each time they are read are refused; others pass, whatever they are."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.determinism import check_data, check_policy


class Items:
    """Items by number; ``make`` gives one."""

    def __init__(self, make, count=100):
        self.make, self.count, self.read = make, count, []

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        self.read.append(number)
        return self.make(number)


class Stream(IterableDataset):
    def __init__(self, make):
        self.make = make

    def __iter__(self):
        return (self.make(number) for number in range(6))


def refused(data):
    try:
        check_data({"train": data})
    except LossLandscapeError as error:
        return "train: the" in str(error) and "nondeterminism='stated'" in str(error)
    return False


SAME = [
    lambda n: torch.full((3,), float(n)),
    lambda n: np.array([n, np.nan]),
    lambda n: {"x": torch.tensor([torch.nan]), "y": n},
    lambda n: (n, [str(n), b"x", True, 1.5]),
    lambda n: float("nan"),
    lambda n: np.array(["text"]),
    lambda n: object(),
]
OTHER = [
    lambda n: torch.rand(3),
    lambda n: (n, torch.rand(1)),
    lambda n: [n, float(torch.rand(1))],
    lambda n: {"x": n, "y": torch.randn(2)},
    lambda n: {"x" + str(float(torch.rand(1))): n},
    lambda n: [0] * int(torch.randint(1, 10**6, (1,))),
    lambda n: str(float(torch.rand(1))),
    lambda n: np.array([str(float(torch.rand(1)))]),
    lambda n: torch.rand(2) if n == 99 else n,
]


@pytest.mark.parametrize("make", SAME)
@pytest.mark.parametrize("wrap", [Items, Stream])
def test_data_that_stay_the_same_pass(make, wrap):
    assert not refused(wrap(make))


@pytest.mark.parametrize("make", OTHER)
def test_items_that_change_are_refused(make):
    assert refused(Items(make))
    assert refused(DataLoader(Items(make), batch_size=4))


@pytest.mark.parametrize("make", OTHER[:-1])
def test_streams_that_change_are_refused(make):
    assert refused(Stream(make))
    assert refused(DataLoader(Stream(make), batch_size=None))


class Loader:
    """A loader of one's own: it has a length, and no item by number."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return 6

    def __iter__(self):
        return (self.make(number) for number in range(6))


def test_a_loader_of_another_kind_is_read_again_from_its_beginning():
    assert refused(Loader(OTHER[0]))
    assert not refused(Loader(SAME[0]))


@pytest.mark.parametrize("count", [1, 5, 8, 100])
def test_at_most_eight_items_are_read_three_times_the_first_and_the_last_included(count):
    data = Items(lambda n: n, count)
    check_data({"train": data})
    first = data.read[: len(data.read) // 3]
    assert data.read == first * 3
    assert (first[0], first[-1], len(first)) == (0, count - 1, min(count, 8))


def test_what_need_not_or_cannot_be_read_again_passes():
    def fail(number):
        raise ValueError("reported when all samples are read")

    iterator = iter([torch.zeros(2)] * 3)
    for data in (torch.rand(3), np.zeros(3), (torch.rand(3),), [1], {"x": 1}, 3, iterator):
        assert not refused(data)
    assert len(list(iterator)) == 3
    assert not refused(Items(fail))


def test_a_later_set_is_checked_too_and_generators_are_restored():
    def expected():
        return float(torch.rand(1)), float(np.random.random()), random.random()  # noqa: NPY002

    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    wanted = expected()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    with pytest.raises(LossLandscapeError, match="test: the Items"):
        check_data({"train": torch.zeros(3), "test": Items(lambda n: torch.rand(2))})
    assert expected() == wanted


def test_policies():
    check_policy("refused")
    check_policy("stated")
    with pytest.raises(LossLandscapeError, match="'ignored' is not one of refused, stated"):
        check_policy("ignored")
