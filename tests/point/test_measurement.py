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
    parts = [{"loss": part, "other": 1 - part.float()} for part in values.split(lengths)]
    found, weights = joined(parts)
    assert not weights
    assert list(found) == ["loss", "other"]
    assert found["loss"].dtype == expected
    assert found["loss"].tolist() == [1, 0, 1]
    assert found["other"].tolist() == [0, 1, 0]


def test_the_mean_loss_is_that_of_the_first_set_in_float64():
    losses = np.array([2**27, 1, 1, 1], np.float32)
    assert np.float32(2**27) + np.float32(1) == np.float32(2**27)
    sets = {"train": {"loss": losses}, "test": {"loss": np.zeros(4, np.float32)}}
    assert mean_loss(sets) == (2**27 + 3) / 4


def weighing(batch):
    return {"loss": batch, "loss/weight": batch * 0 + 2, "accuracy": batch > 1}


def test_weights_come_apart_from_the_values():
    parts = [
        {"loss": torch.tensor([2.0, 0.0]), "loss/weight": torch.tensor([1, 0])},
        {"loss": torch.tensor([9.0]), "loss/weight": torch.tensor([3])},
    ]
    found, weights = joined(parts)
    assert list(found) == list(weights) == ["loss"]
    assert weights["loss"].tolist() == [1, 0, 3]
    assert found["loss"].mean() == pytest.approx(11 / 4)


def test_an_allotment_is_asked_about_the_weighted_losses():
    allotment = Sufficient(3)
    values_of(weighing, BATCHES, allotment, 50)
    assert [losses for losses, *_ in allotment.asked] == [[0, 0.5], [0, 0.5, 1]]


def test_an_allotment_is_not_asked_before_a_sample_counts():
    def run(batch):
        return {"loss": batch * (batch > 1), "loss/weight": (batch > 1) * 1.0}

    allotment = Sufficient(1)
    parts = values_of(run, BATCHES, allotment, 50)
    assert len(parts) == 2
    assert len(allotment.asked) == 1
