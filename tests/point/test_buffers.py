"""Buffers are the same at the start of every point, and the model's own at the end."""

import pytest
import torch
from torch import nn

from losslandscape.point.buffers import PointBuffers


class Holder(nn.Module):
    def __init__(self, values):
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("nothing", None)


def holders(*values):
    return nn.Sequential(*(Holder(torch.tensor(value)) for value in values))


def test_buffers_not_named_start_from_the_models_own():
    model = holders([1.0, 2.0], [3.0])
    buffers = PointBuffers(model)
    buffers.start_from({"1.values": torch.tensor([4.0])})
    assert model[0].values.tolist() == [1, 2]
    assert model[1].values.tolist() == [4]
    buffers.start_from({"0.values": torch.tensor([5.0, 6.0])})
    assert model[0].values.tolist() == [5, 6]
    assert model[1].values.tolist() == [3]  # its own, not the one before
    buffers.restore()
    assert (model[0].values.tolist(), model[1].values.tolist()) == ([1, 2], [3])
    assert model[0].nothing is None


@pytest.mark.parametrize("name", ["0.values", "1.values"])
def test_a_buffer_of_two_modules_is_given_under_either_name(name):
    model = holders([1.0], [2.0])
    model[1].values = model[0].values
    PointBuffers(model).start_from({name: torch.tensor([7.0], dtype=torch.float64)})
    assert model[0].values is model[1].values
    assert model[0].values.tolist() == [7]
    assert model[0].values.dtype == torch.float32


def test_a_point_that_wrote_nothing_leaves_buffers_alone():
    model = holders([1.0])
    buffers = PointBuffers(model)
    buffers.reset()
    versions = model[0].values._version
    buffers.reset()
    assert model[0].values._version == versions
    model[0].values.add_(1)
    buffers.reset()
    assert model[0].values.tolist() == [1]


def test_writes_that_are_not_counted_are_undone_once_they_were_found():
    model = holders([1.0], [2.0])
    buffers = PointBuffers(model)
    buffers.reset()
    buffers.look_for_unseen_writes()
    model[0].values.data.add_(1)
    buffers.reset()
    assert model[0].values.tolist() == [2]  # nothing looked for it
    buffers.look_for_unseen_writes()
    buffers.look_for_unseen_writes()
    buffers.reset()
    assert model[0].values.tolist() == [1]
    model[1].values.data.add_(1)
    buffers.reset()
    assert model[1].values.tolist() == [2]


def test_counted_writes_are_not_taken_for_others():
    model = holders([1.0], [2.0])
    buffers = PointBuffers(model)
    buffers.reset()
    model[0].values.add_(1)
    model[1].values = model[1].values + 1
    buffers.look_for_unseen_writes()
    buffers.reset()
    model[0].values.data.add_(1)
    buffers.reset()
    assert model[0].values.tolist() == [2]


@pytest.mark.parametrize(
    ("value", "altered"),
    [
        (torch.tensor([1.0, float("nan")]), False),
        (torch.tensor([1.5, float("nan")]), True),
        (torch.tensor([1.0, 2.0]), True),
        (torch.tensor([[1.0, float("nan")]]), True),
        (torch.tensor([1.0]), True),
        (None, True),
    ],
)
def test_what_is_altered(value, altered):
    model = holders([1.0, float("nan")], [3.0])
    own = model[0].values
    buffers = PointBuffers(model)
    buffers.reset()
    model[0].values = value
    assert buffers.altered() == (["0.values"] if altered else [])
    assert buffers.altered(besides=[model[0]]) == []
    assert buffers.altered(besides=[model[1]]) == buffers.altered()
    buffers.reset()
    assert model[0].values is own
    assert own[0] == 1
    model[0].values = value
    buffers.restore()
    assert model[0].values is own


def test_the_start_of_before_comes_back_after_a_context_that_failed():
    model = holders([1.0])
    buffers = PointBuffers(model)
    buffers.start_from({"0.values": torch.tensor([2.0])})

    def fail():
        with buffers.starting_from({"0.values": torch.tensor([3.0])}):
            assert model[0].values.tolist() == [3]
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert model[0].values.tolist() == [2]
    assert buffers.altered() == []
