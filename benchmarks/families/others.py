"""Families with losses of their own: physics, graphs, pairs, quantiles, values of actions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .family import Family


def physics() -> Family:
    """u'' = -sin(t) with u(0) = u(pi) = 0: two sets of points, the boundary weighing ten times."""
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)).eval()
    inside = torch.linspace(0.0, math.pi, 64)[:, None]
    boundary = torch.tensor([[0.0], [math.pi]])

    def residual(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        t = batch[0].clone().requires_grad_(True)
        u = model(t)
        du = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
        d2u = torch.autograd.grad(du.sum(), t, create_graph=True)[0]
        return ((d2u + torch.sin(t)) ** 2).squeeze(1)

    def ends(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        return (model(batch[0]) ** 2).squeeze(1)

    terms = {"residual": ((inside,), residual, 1.0), "boundary": ((boundary,), ends, 10.0)}
    return Family(
        model,
        None,
        terms,
        lambda: residual(model, (inside,)).mean() + 10 * ends(model, (boundary,)).mean(),
    )


class GraphConvolution(nn.Module):
    """Two layers of Kipf and Welling 2017 on one graph: every node's output depends on others."""

    def __init__(self, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency)
        self.first, self.second = nn.Linear(5, 8), nn.Linear(8, 2)

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(self.adjacency @ features))
        return self.second(self.adjacency @ hidden)


def graph() -> Family:
    """A sample is a whole graph; its loss is the mean over its nodes."""
    generator = torch.Generator().manual_seed(1)
    edges = torch.rand(12, 12, generator=generator) < 0.3
    adjacency = (edges | edges.T | torch.eye(12, dtype=torch.bool)).float()
    model = GraphConvolution(adjacency / adjacency.sum(dim=1, keepdim=True)).eval()
    x = torch.randn(16, 12, 5, generator=generator)
    y = (x[..., 0] > 0).long()

    def nodes(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits = model(batch[0]).transpose(1, 2)
        return F.cross_entropy(logits, batch[1], reduction="none").mean(dim=1)

    return Family(
        model, nodes, (x, y), lambda: F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    )


def pairs() -> Family:
    """Contrastive loss of pairs (Hadsell, Chopra and LeCun 2006)."""
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).eval()
    generator = torch.Generator().manual_seed(1)
    left, right = torch.randn(2, 64, 6, generator=generator)
    same = torch.randint(0, 2, (64,), generator=generator).float()

    def contrastive(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        distance = (model(batch[0]) - model(batch[1])).norm(dim=1)
        return batch[2] * distance**2 + (1 - batch[2]) * F.relu(1 - distance) ** 2

    data = (left, right, same)
    return Family(model, contrastive, data, lambda: contrastive(model, data).mean())


def quantile() -> Family:
    """The pinball loss of the 0.9 quantile, as a function of outputs and targets."""
    model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1)).eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(96, 3, generator=generator)
    y = x[:, :1] + torch.randn(96, 1, generator=generator)

    def pinball(outputs: Tensor, targets: Tensor) -> Tensor:
        error = targets - outputs
        return torch.maximum(0.9 * error, -0.1 * error).mean()

    return Family(model, pinball, (x, y), lambda: pinball(model(x), y))


class Experts(nn.Module):
    """A mixture of experts that sends each sample to the best one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.gate(x).softmax(dim=1)
        best, chosen = weights.max(dim=1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return best[:, None] * outputs[torch.arange(len(x)), chosen]


def experts() -> Family:
    x = torch.randn(96, 6, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] * x[:, 1] > 0).long()
    model, loss = Experts().eval(), nn.CrossEntropyLoss()
    return Family(model, loss, (x, y), lambda: loss(model(x), y))


def q_network() -> Family:
    """DQN (Mnih et al. 2015): Huber loss against a frozen target network."""
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)).eval()
    target = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    states, following = torch.randn(2, 96, 4, generator=generator)
    actions = torch.randint(0, 2, (96,), generator=generator)
    rewards = torch.randn(96, generator=generator)

    def temporal_difference(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        states, actions, rewards, following = batch
        value = model(states).gather(1, actions[:, None]).squeeze(1)
        wanted = rewards + 0.9 * target(following).max(dim=1).values
        return F.smooth_l1_loss(value, wanted, reduction="none")

    data = (states, actions, rewards, following)
    return Family(model, temporal_difference, data, lambda: temporal_difference(model, data).mean())
