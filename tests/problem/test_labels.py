"""Labels are looked at in all batches of all sets, once."""

import pytest
import torch
from torch import nn

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.problem.labels import Labels, read_labels


class Batches:
    def __init__(self, *parts, name="train"):
        self.parts, self.name = parts, name

    def stored(self):
        return [(torch.zeros(len(part)), part) for part in self.parts]


def test_samples_are_numbered_through_all_batches():
    sets = [
        Batches(torch.tensor([3, 2, -100]), torch.tensor([4, 9, -100, 9])),
        Batches(torch.tensor([[5, 5], [1, -100]]), name="test"),
    ]
    assert read_labels(sets, -100) == Labels((1, "test: sample 1"), (9, "train: sample 4"), True)
    found = read_labels(sets, None)
    assert found.lowest == (-100, "train: sample 2")
    assert not found.ignores


def test_positions_that_are_ignored_are_no_samples_that_are():
    assert not read_labels([Batches(torch.tensor([[0, -100], [-100, -100]]))], -100).ignores


def test_other_targets_are_not_looked_at():
    for targets in (torch.full((3,), -100.0), torch.zeros(3, dtype=torch.complex64)):
        assert read_labels([Batches(targets)], -100) == Labels()


@pytest.mark.parametrize(("classes", "right"), [(4, False), (5, True), (6, True)])
def test_labels_are_below_the_number_of_classes(classes, right):
    labels = read_labels([Batches(torch.tensor([0, 4, 1]))], None)
    if right:
        labels.check(classes)
    else:
        with pytest.raises(LossLandscapeError, match=r"sample 1 has the label 4.*ignore_index=4"):
            labels.check(classes)


def test_negative_labels_are_none():
    with pytest.raises(LossLandscapeError, match="sample 2 has the label -1"):
        read_labels([Batches(torch.tensor([0, 4, -1]))], -100).check(5)


@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss()])
def test_tokens_that_are_their_own_targets_are_refused(loss):
    torch.manual_seed(0)
    ids = torch.randint(0, 7, (8, 5))
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))
    with pytest.raises(LossLandscapeError, match="does not shift them"):
        ll.Objective(model, loss, (ids, ids))
    ll.Objective(model, loss, (ids[:, :-1], ids[:, 1:]))
