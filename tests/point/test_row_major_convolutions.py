"""Convolutions that reorder their maps give the layer's own values."""

import pytest
import torch
from torch import nn

from losslandscape.point.row_major_convolutions import RowMajorConvolutions


def channels_last(tensor):
    return tensor.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def model():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2, groups=2)
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("names", [["0"], ["2"], ["0", "2"]])
def test_values_and_order_of_the_maps_are_the_layers_own(model, names):
    images = channels_last(torch.randn(2, 3, 7, 7, dtype=torch.float64))
    expected = model(images)
    seen = []
    replaced = RowMajorConvolutions(model, names)
    assert not replaced.taken
    replaced.use()
    for name in names:
        convolve = model[int(name)]._conv_forward
        model[int(name)]._conv_forward = lambda maps, *rest, own=convolve: (
            seen.append(maps.is_contiguous()) or own(maps, *rest)
        )
    found = model(images)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert seen == [True] * len(names)
    assert replaced.taken
    replaced.undo()
    assert not any("forward" in vars(layer) for layer in model)


def test_only_plain_convolutions_of_these_names_are_replaced(model):
    class Own(nn.Conv2d):
        pass

    model.append(Own(4, 4, 1))
    assert RowMajorConvolutions(model, ["1", "2", "3"]).layers == [model[2]]


def test_images_without_a_batch_go_to_the_layer_itself(model):
    image = torch.randn(3, 7, 7, dtype=torch.float64)
    expected = model(image)
    replaced = RowMajorConvolutions(model, ["0", "2"])
    replaced.use()
    assert torch.equal(model(image), expected)
    assert not replaced.taken
