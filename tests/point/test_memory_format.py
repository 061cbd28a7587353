"""Channels-last where a model has convolutions and runs so."""

import pytest
from torch import nn

from losslandscape.errors import LossLandscapeError
from losslandscape.point.memory_format import runs_channels_last


class Memory:
    """Keeps the orders laid out and tried; trials in the orders of ``fails`` are refused."""

    def __init__(self, *fails):
        self.fails, self.laid_out, self.tried = fails, [], []

    def choose(self, *layers):
        return runs_channels_last(nn.Sequential(*layers), self.laid_out.append, self.try_model)

    def try_model(self):
        self.tried.append(self.laid_out[-1])
        if self.tried[-1] in self.fails:
            raise LossLandscapeError(f"channels last {self.tried[-1]}")


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_convolutions_of_images_are_channels_last(kind):
    memory = Memory()
    assert memory.choose(nn.ReLU(), kind(1, 2, 3)) is True
    assert memory.laid_out == memory.tried == [True]


def test_a_model_that_cannot_be_run_so_is_row_major():
    memory = Memory(True)
    assert memory.choose(nn.Conv2d(1, 2, 3)) is False
    assert memory.laid_out == memory.tried == [True, False]


@pytest.mark.parametrize("layer", [nn.Linear(2, 2), nn.Conv1d(1, 2, 3)])
def test_a_model_of_other_layers_is_row_major(layer):
    memory = Memory()
    assert memory.choose(layer) is False
    assert memory.laid_out == memory.tried == [False]


@pytest.mark.parametrize("layer", [nn.Linear(2, 2), nn.Conv2d(1, 2, 3)])
def test_a_model_that_cannot_take_the_data_is_refused_in_row_major_order(layer):
    with pytest.raises(LossLandscapeError, match="channels last False"):
        Memory(True, False).choose(layer)


def test_other_errors_pass():
    def fail():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        runs_channels_last(nn.Conv2d(1, 2, 3), lambda channels_last: None, fail)
