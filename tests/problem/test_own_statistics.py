"""Running statistics of a user's own modules, and instance norm's, are re-estimated."""

import pytest
import torch
from torch import nn

from losslandscape.problem import batch_norm as bn
from losslandscape.problem.own_statistics import OwnStatistics, candidates


class Average(nn.Module):
    """Keeps a moving average of what it sees, by one of several rules."""

    def __init__(self, weight=0.1, rule="new tensor", width=3):
        super().__init__()
        self.weight, self.rule = weight, rule
        self.register_buffer("running_mean", torch.full((width,), 5.0))
        self.register_buffer("other", torch.zeros(1))

    def forward(self, inputs):
        if self.training:
            found = inputs.mean(0)
            if self.rule == "new tensor":
                self.running_mean = (1 - self.weight) * self.running_mean + self.weight * found
            elif self.rule == "in place":
                self.running_mean.mul_(1 - self.weight).add_(found, alpha=self.weight)
            elif self.rule == "maximum":
                self.running_mean = torch.maximum(self.running_mean, found)
            elif self.rule == "by element":
                self.running_mean *= torch.linspace(0.1, 0.9, len(found))
            elif self.rule == "raises" and (self.running_mean == 0).all():
                raise RuntimeError("no statistics yet")
            self.other += 1
        return inputs - self.running_mean


def seen(model, batch):
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def reset():
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])

    return OwnStatistics.seen(model, batch, model, reset)


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(16, 3, generator=generator) + i for i in range(3)]


@pytest.mark.parametrize("rule", ["new tensor", "in place"])
@pytest.mark.parametrize("weight", [0.1, 0.75, 1.0])
def test_they_become_the_mean_over_the_batches(rule, weight, batches):
    model = Average(weight, rule).eval()
    own = model.running_mean
    one = seen(model, batches[0])
    assert one.names == ["running_mean"]
    assert not model.training
    assert model.running_mean.tolist() == [5.0] * 3
    bn.reestimate([], batches, model, [one])
    expected = torch.stack([batch.mean(0) for batch in batches]).mean(0)
    torch.testing.assert_close(model.running_mean, expected)
    assert not model.training
    if rule == "in place":
        assert model.running_mean is own


def test_a_module_that_is_called_twice_has_a_weighted_mean_of_its_calls(batches):
    average = Average(0.5, "in place").eval()

    def model(batch):
        average(batch)
        return average(batch)

    before = average.running_mean.clone()
    one = OwnStatistics.seen(average, batches[0], model, lambda: average.running_mean.copy_(before))
    bn.reestimate([], batches, model, [one])
    expected = torch.stack([batch.mean(0) for batch in batches]).mean(0)
    torch.testing.assert_close(average.running_mean, expected)


@pytest.mark.parametrize("rule", ["nothing", "maximum", "by element", "raises"])
def test_other_rules_are_no_moving_average(rule, batches):
    model = Average(rule=rule).eval()
    assert seen(model, batches[0]) is None
    assert model.running_mean.tolist() == [5.0] * 3
    assert not model.training


def test_norm_layers_and_other_buffers_are_no_candidates():
    model = nn.Sequential(nn.BatchNorm1d(3), Average(), nn.InstanceNorm1d(3), nn.Linear(3, 3))
    assert list(candidates(model)) == ["1"]
    assert bn.keeps_statistics(Average())
    assert not bn.keeps_statistics(nn.Sequential(nn.Linear(2, 2), nn.InstanceNorm1d(2)))


@pytest.mark.parametrize("momentum", [0.1, None, 0.9])
def test_instance_norms_statistics_are_the_mean_over_instances(momentum):
    torch.manual_seed(0)
    layer = nn.InstanceNorm1d(4, momentum=momentum, track_running_stats=True).eval()
    batches = [torch.randn(6, 4, 10) * (i + 1) + i for i in range(3)]
    bn.reestimate(bn.layers(layer), batches, layer)
    means = torch.stack([batch.mean(-1).mean(0) for batch in batches]).mean(0)
    variances = torch.stack([batch.var(-1).mean(0) for batch in batches]).mean(0)
    torch.testing.assert_close(layer.running_mean, means)
    torch.testing.assert_close(layer.running_var, variances)
    assert layer.momentum == momentum
    assert not layer.training
    assert not layer._forward_pre_hooks
