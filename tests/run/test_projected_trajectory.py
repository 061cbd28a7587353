"""The loss along a projected training trajectory."""

import numpy as np
import torch
from torch import nn

import losslandscape as ll
from losslandscape.run.projected_trajectory import measure_trajectory


class SharedStatistics(nn.Module):
    """Two batch norms over the same statistics, which are registered under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        self.second.running_mean = self.first.running_mean
        self.head = nn.Linear(4, 3)

    def forward(self, inputs):
        return self.head(self.second(self.first(inputs)))


def test_a_buffer_under_two_names_is_that_of_the_checkpoint(tmp_path):
    torch.manual_seed(0)
    model = SharedStatistics()
    inputs, targets = torch.randn(32, 4), torch.randint(0, 3, (32,))
    expected = []
    with ll.TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(3):
            model.train()
            model(inputs + 3 * step)
            recorder.record(step)
            with torch.no_grad():
                outputs = model.eval()(inputs)
            expected.append(float(nn.functional.cross_entropy(outputs, targets)))
    assert np.ptp(expected) > 0.01
    found = measure_trajectory(
        ll.Objective(model, "cross_entropy", (inputs, targets)),
        ll.Subspace.random(model),
        ll.Trajectory.open(tmp_path / "trajectory"),
        quiet=True,
    )
    np.testing.assert_allclose(found.checkpoint_loss, expected, rtol=1e-5)
