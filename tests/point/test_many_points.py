"""Losses at many points in one pass, against the evaluator one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.many_points import ManyPoints
from losslandscape.point.measurement import mean_loss

LINEAR = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


def convolution():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
    )


class Branching(nn.Module):
    """vmap does not take it: its way depends on a value."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs):
        outputs = self.linear(inputs)
        return outputs if outputs.sum() > 0 else 2 * outputs


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, inputs):
        return self.second(self.first(inputs).relu())


def spectral():
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5)), nn.Linear(5, 3))


MODELS = {
    "linear": (lambda: LINEAR, (4,), True),
    "convolution": (convolution, (1, 4, 4), True),
    "tied": (Tied, (4,), True),
    "branching": (Branching, (4,), False),
    "spectral norm": (spectral, (4,), True),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_each_loss_is_the_evaluators(name, batch_size):
    torch.manual_seed(0)
    build, shape, together = MODELS[name]
    model = build().eval()
    data = torch.randn(20, *shape), torch.randint(3, (20,))
    objective = Objective(model, "cross_entropy", data, batch_size=batch_size)
    trainable = {n: p.detach().clone() for n, p in model.named_parameters()}
    step = {n: torch.randn(p.shape) * 0.1 for n, p in trainable.items()}
    line = Subspace(trainable, [step], dict(model.named_buffers()))
    with Evaluator(objective, line) as evaluator:
        expected = [mean_loss(evaluator.measure((t,))) for t in (0.0, 1.0, -2.0)]
    names = list(trainable)
    flat = torch.cat([step[n].flatten() for n in names]).double()
    with ManyPoints(objective, names) as points:
        assert points.together == together
        found = points.losses(
            torch.stack([points.origin, points.origin + flat, points.origin - 2 * flat])
        )
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    assert all(torch.equal(p, trainable[n]) for n, p in model.named_parameters())


def test_a_part_of_the_parameters_moves_and_the_others_stay():
    torch.manual_seed(0)
    data = torch.randn(20, 4), torch.randint(3, (20,))
    objective = Objective(LINEAR, "cross_entropy", data)
    with ManyPoints(objective, ["2.bias"]) as points:
        assert points.layout.size == 3
        found = points.losses(torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5]]))
    with torch.no_grad():
        hidden = LINEAR[:2](data[0]) @ LINEAR[2].weight.T
        expected = [
            float(nn.functional.cross_entropy(hidden + torch.tensor(b), data[1]))
            for b in ([0.0, 0.0, 0.0], [1.0, -1.0, 0.5])
        ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_sum_of_terms_and_a_weighted_loss_are_the_evaluators():
    torch.manual_seed(0)
    data = torch.randn(20, 4), torch.randint(3, (20,))
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0]))
    for objective in (
        Objective.sum(LINEAR, {"a": (data, "cross_entropy", 3.0)}),
        Objective(LINEAR, weighted, data),
    ):
        with ManyPoints(objective, [n for n, _ in LINEAR.named_parameters()]) as points:
            assert not points.together
            (found,) = points.losses(points.origin[None])
        loss = weighted if objective.factors is None else nn.CrossEntropyLoss()
        expected = loss(LINEAR(data[0]), data[1]).item() * (3 if objective.factors else 1)
        assert found == pytest.approx(expected, rel=1e-5)
