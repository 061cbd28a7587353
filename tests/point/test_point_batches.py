"""The batches of a point: how many, how long, in which order."""

import torch
from torch import nn

from losslandscape import Objective
from losslandscape.point.point_batches import PointBatches


def images(count):
    return torch.arange(8.0 * count).reshape(count, 2, 2, 2), torch.zeros(count, 3)


def batches(**options):
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten())
    sets = {"train": images(10), "test": images(4)}
    return PointBatches(Objective(model, "mse", sets, **options))


def starts(some):
    return [int(batch[0].flatten()[0]) // 8 for batch in some]


def test_sets_are_cut_into_batches_of_nearly_equal_size():
    found = batches()
    assert (list(found), found.passes, found.several) == ([], 0, False)
    found.cut(5)
    assert found.lengths() == {"train": [5, 5], "test": [4]}
    assert (len(list(found)), found.passes, found.several) == (3, 3, True)
    found.cut(10)
    assert (found.lengths(), found.several) == ({"train": [10], "test": [4]}, False)
    found.forget()
    assert (list(found), found.passes) == ([], 0)


def test_the_batches_of_re_estimation_come_last_and_have_their_own_size():
    found = batches(batch_norm="reestimated", batch_size=4)
    found.cut(10)
    assert [len(batch[0]) for batch in found] == [10, 4, 4, 3, 3]
    assert (found.passes, found.several) == (5, False)
    found.forget()
    assert (list(found), found.passes) == ([], 0)


def test_the_order_is_the_opposite_inside_the_context_only():
    found = batches()
    found.cut(4)
    given = {name: starts(some) for name, some in found.sets.items()}
    assert len(given["train"]) == 3
    with found.opposite_order():
        assert {name: starts(some) for name, some in found.sets.items()} == {
            name: order[::-1] for name, order in given.items()
        }
    assert {name: starts(some) for name, some in found.sets.items()} == given


def test_the_first_samples_are_those_of_the_first_set():
    found = batches(precision="float64")
    first = found.first(3)
    assert torch.equal(first[0], images(10)[0][:3].double())
    assert len(found.first(99)[0]) == 10


def test_samples_kept_in_the_order_of_batches_are_in_memory_once():
    def cut():
        found.cut(10)
        return next(iter(found))[0]

    found = batches()
    found.channels_last = True
    assert cut().is_contiguous(memory_format=torch.channels_last)
    one, other = cut(), cut()
    assert one.data_ptr() != other.data_ptr()
    found.keep_order()
    one, other = cut(), cut()
    assert one.data_ptr() == other.data_ptr()
    assert torch.equal(one, images(10)[0])
