"""Small models and data that many tests share."""

import os
import sys

import numpy as np
import pytest
import torch
from torch import nn

os.environ["LOSSLANDSCAPE_CACHE"] = "off"  # of processes that tests start, too


class SmallCNN(nn.Module):
    """Every kind of filter an image network has: convolution, transposed (grouped), linear."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.transposed = nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2)
        self.head = nn.Linear(4 * 8 * 8, 5)

    def forward(self, images):
        hidden = torch.relu(self.norm(self.convolution(images)))
        hidden = torch.relu(self.transposed(hidden))
        return self.head(nn.functional.adaptive_avg_pool2d(hidden, 8).flatten(1))


@pytest.fixture(autouse=True)
def without_trials(monkeypatch):
    """What a trial finds depends on the load; tests of trials ask for one."""
    evaluators = sys.modules.get("losslandscape.point.evaluator")
    if evaluators is not None:
        for name in ("_WORTH_TRIALS", "_CERTAINLY_WORTH"):
            monkeypatch.setattr(evaluators, name, float("inf"))


@pytest.fixture
def cnn():
    torch.manual_seed(1)
    model = SmallCNN()
    with torch.no_grad():  # statistics and scales that differ from their initial values
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2.0)
        model.norm.weight.uniform_(0.5, 2.0)
    return model


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(40, 3, 8, 8, generator=generator)
    return inputs, torch.randint(0, 5, (40,), generator=generator)


@pytest.fixture
def record_trajectory(tmp_path):
    """Record some parameter vectors of a model as its trajectory."""
    from losslandscape import Trajectory, TrajectoryRecorder

    def record(model, parameters, name="trajectory"):
        with TrajectoryRecorder(model, tmp_path / name) as recorder:
            for step, values in enumerate(parameters):
                with torch.no_grad():
                    for key, parameter in model.named_parameters():
                        parameter.copy_(values[key])
                recorder.record(step)
        return Trajectory.open(tmp_path / name)

    return record


@pytest.fixture
def rng():
    return np.random.default_rng(0)
