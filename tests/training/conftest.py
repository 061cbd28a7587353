"""The model whose training trajectory is recorded."""

import pytest
import torch
from torch import nn

import losslandscape as ll


class TiedNetwork(nn.Module):
    """Tied, channels-last, scalar and bfloat16 parameters, and batch norm's integer counter."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(4)
        self.encoder = nn.Linear(5, 7, bias=False)
        self.decoder = nn.Linear(5, 7, bias=False)
        self.decoder.weight = self.encoder.weight
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.brain = nn.Parameter(torch.arange(6.0).reshape(2, 3).to(torch.bfloat16))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def shift(self, amount):
        with torch.no_grad():
            for parameter in self.parameters():
                parameter += amount
            self.norm.running_mean += 10 * amount
            self.norm.num_batches_tracked += 1


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TiedNetwork()


@pytest.fixture
def recorded(model, tmp_path):
    with ll.TrajectoryRecorder(model, tmp_path / "run" / "trajectory") as recorder:
        for step in range(3):
            recorder.record(step / 2, loss=1 / (step + 1))
            model.shift(1.0)
    return tmp_path / "run" / "trajectory"


@pytest.fixture
def fresh():
    """Another model of the same kind."""
    return TiedNetwork()
