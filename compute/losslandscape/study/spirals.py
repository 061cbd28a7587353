"""Two noisy spirals and the network of Huang et al. 2020 that separates them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor, nn

WIDTHS = (2, 23, 16, 26, 32, 28, 31, 1)
_TURNS = 600 / 360
_PITCH = 1.5  # radius per radian
NOISE = 0.5


def two_spirals(count: int, *, noise: float = NOISE, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points of two interleaved spirals, half of each, with normal noise.

    A point at the angle t has the radius 1.5 t; t is 600 degrees times the square root of a uniform
    random number, so the points are evenly spread along the spiral. The spirals reach 15.7 from the
    center, and their arms are 4.7 apart.

    Parameters
    ----------
    count : int
    noise : float
        Standard deviation of each coordinate.
    seed : int

    Returns
    -------
    points (count, 2) float32, labels (count, 1) float32, 0 or 1
        Labels alternate.

    Source: W. R. Huang et al., "Understanding generalization through visualizations", 2020, and its
    code.

    Examples
    --------
    >>> points, labels = two_spirals(4, noise=0)
    >>> points.shape, labels.flatten().tolist()
    (torch.Size([4, 2]), [0.0, 1.0, 0.0, 1.0])
    """
    generator = np.random.default_rng(seed)
    angle = np.sqrt(generator.random(count)) * 2 * math.pi * _TURNS
    labels = np.arange(count) % 2
    sign = np.where(labels == 1, -1.0, 1.0)
    spiral = _PITCH * angle * np.stack([-np.cos(angle), np.sin(angle)]) * sign
    points = spiral.T + noise * generator.standard_normal((count, 2))
    return torch.from_numpy(points).float(), torch.from_numpy(labels).float()[:, None]


def spiral_network() -> nn.Sequential:
    """Six hidden layers of rectified linear units and one output, the log odds of label 1.

    Weights are initialized after He et al. 2015 from torch's generator, biases are 0.

    Examples
    --------
    >>> sum(parameter.numel() for parameter in spiral_network().parameters())
    3614
    """
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(WIDTHS):
        layer = nn.Linear(before, after)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def right(outputs: Tensor, labels: Tensor) -> Tensor:
    """Whether each label is the more probable one, 0 or 1, shape (count,)."""
    return ((outputs > 0) == (labels > 0.5)).float().flatten(1).mean(1)
