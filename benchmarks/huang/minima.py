"""Good minima by training, bad ones by poisoning: all fit the same training set.

The poisoned loss is the mean over the training points plus the poison factor times the mean over
fewer other points of the same spirals, with the wrong label. The network must fit both, so it is
right on the training points and wrong nearby.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from losslandscape.study.spirals import right, spiral_network, two_spirals

TRAINING, POISON, TEST = 200, 100, 2000  # points
LEVEL = 0.05  # training loss at which a minimum is found
LEARNING_RATE = 0.005
MOST_STEPS = 6000
_CHECKPOINTS = 10  # steps between the first two checkpoints of a trajectory, which grows by half


@dataclass(frozen=True)
class Minimum:
    """Weights that fit the training set.

    Attributes
    ----------
    weights : float32 ndarray, shape (parameters,)
    path : float32 ndarray, shape (checkpoints, parameters)
        Weights on the way, the first ones included.
    """

    factor: float
    seed: int
    steps: int
    weights: np.ndarray
    path: np.ndarray


def training_set() -> tuple[Tensor, Tensor]:
    """The same for all minima."""
    return two_spirals(TRAINING, seed=0)


def held_out_set() -> tuple[Tensor, Tensor]:
    return two_spirals(TEST, seed=1)


def poison(seed: int) -> tuple[Tensor, Tensor]:
    """Points of the same spirals with the wrong label."""
    points, labels = two_spirals(POISON, seed=1000 + seed)
    return points, 1 - labels


def flat(model: nn.Module) -> np.ndarray:
    """All weights as one vector, float32."""
    return torch.cat([p.detach().flatten() for p in model.parameters()]).numpy().copy()


def network_of(weights: np.ndarray) -> nn.Sequential:
    """The network with these weights, in evaluation mode."""
    model = spiral_network()
    nn.utils.vector_to_parameters(torch.from_numpy(weights.copy()), model.parameters())
    return model.eval()


def train(factor: float, seed: int, most_steps: int = MOST_STEPS) -> Minimum:
    """Train until the loss on the training set alone is at most `LEVEL`, with Adam.

    Each step takes all points.
    """
    torch.manual_seed(seed)
    model = spiral_network()
    inputs, labels = training_set()
    extra, wrong = poison(seed)
    both = torch.cat([inputs, extra]) if factor else inputs
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, foreach=True)
    path, step, following = [flat(model)], 0, _CHECKPOINTS
    while step < most_steps:
        outputs = model(both)
        loss = binary_cross_entropy_with_logits(outputs[:TRAINING], labels)
        if loss.item() <= LEVEL:
            break
        if factor:
            loss = loss + factor * binary_cross_entropy_with_logits(outputs[TRAINING:], wrong)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step == following:
            path.append(flat(model))
            following += following // 2
    weights = flat(model)
    return Minimum(factor, seed, step, weights, np.stack([*path, weights]))


def accuracy(model: nn.Module, samples: tuple[Tensor, Tensor]) -> float:
    with torch.no_grad():
        return float(right(model(samples[0]), samples[1]).mean())
