"""The user's own code beside each command: `m:build`, `m:load`, and their bad brothers."""

import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).eval()


def load():
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    return inputs, torch.arange(30) % 3


def raises():
    raise ValueError("no such flavor")


def exits():
    raise SystemExit(0)


def needs(size):
    return size


def recurses():
    return recurses()


def returns_none():
    return None


not_callable = 3


def load_nothing():
    """No samples at all."""
    inputs, labels = load()
    return inputs[:0], labels[:0]
