"""Batches' values become one array a name; an allotment ends a set early."""

import numpy as np
import pytest
import torch

from losslandscape.point.measurement import joined, mean_loss, values_of

BATCHES = [torch.tensor([0.0, 1.0]), torch.tensor([2.0]), torch.tensor([3.0, 4.0])]


def run(batch):
    return {"loss": batch, "accuracy": batch > 1}


class Sufficient:
    """An allotment that is content with so many losses, and keeps what it was asked."""

    def __init__(self, enough):
        self.enough, self.asked = enough, []

    def suffices(self, losses, of):
        self.asked.append((losses.tolist(), losses.dtype, of))
        return len(losses) >= self.enough


def test_without_an_allotment_all_batches_are_run():
    parts = values_of(run, BATCHES, None, 5)
    assert [part["loss"].tolist() for part in parts] == [[0, 1], [2], [3, 4]]


@pytest.mark.parametrize(("enough", "batches"), [(1, 1), (2, 1), (3, 2), (4, 3), (9, 3)])
def test_an_allotment_ends_after_the_batch_that_suffices(enough, batches):
    allotment = Sufficient(enough)
    parts = values_of(run, BATCHES, allotment, 50)
    assert [part["loss"].tolist() for part in parts] == [[0, 1], [2], [3, 4]][:batches]
    so_far = [[0, 1], [0, 1, 2], [0, 1, 2, 3, 4]]
    assert allotment.asked == [(losses, np.float64, 50) for losses in so_far[:batches]]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, np.float64),
        (torch.float32, np.float32),
        (torch.bfloat16, np.float32),
        (torch.float16, np.float32),
        (torch.bool, np.float32),
    ],
)
@pytest.mark.parametrize("lengths", [[3], [2, 1]])
def test_values_are_joined_in_order_as_float32_or_float64(dtype, expected, lengths):
    values = torch.tensor([1.0, 0.0, 1.0]).to(dtype)
    found = joined([{"loss": part, "other": 1 - part.float()} for part in values.split(lengths)])
    assert list(found) == ["loss", "other"]
    assert found["loss"].dtype == expected
    assert found["loss"].tolist() == [1, 0, 1]
    assert found["other"].tolist() == [0, 1, 0]


def test_the_mean_loss_is_that_of_the_first_set_in_float64():
    losses = np.array([2**27, 1, 1, 1], np.float32)
    assert np.float32(2**27) + np.float32(1) == np.float32(2**27)
    sets = {"train": {"loss": losses}, "test": {"loss": np.zeros(4, np.float32)}}
    assert mean_loss(sets) == (2**27 + 3) / 4
