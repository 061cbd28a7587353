"""Curvature and sharpness of small networks against dense Hessians and dense searches."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

import losslandscape as ll
from benchmarks.coverage.claim import Claim, Family, Outcome
from losslandscape.point.plane_derivatives import PlaneDerivatives

SECTION = "Curvature and sharpness"


def _tanh() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def _relu() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def _normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3))


NETWORKS = {"tanh": _tanh, "ReLU": _relu, "layer norm and GELU": _normed}


def _problem(name: str, seed: int):
    """A network, briefly trained so that it is neither random nor at a minimum; its plane."""
    torch.manual_seed(seed)
    model = NETWORKS[name]().double()
    inputs, targets = torch.randn(40, 4, dtype=torch.float64), torch.randint(0, 3, (40,))
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    for _ in range(seed % 40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    for parameter in model.parameters():
        parameter.grad = None
    objective = ll.Objective(model, "cross_entropy", (inputs, targets))
    plane = ll.Subspace.random(model, normalization="layer", seed=seed, zero_vectors=False)
    return model, inputs, targets, objective, plane


def _flat_loss(model: nn.Module, inputs, targets, layout):
    def loss(flat: torch.Tensor) -> torch.Tensor:
        outputs = functional_call(model, layout.views(flat), (inputs,))
        return nn.functional.cross_entropy(outputs, targets)

    return loss


def hessian(name: str, seed: int) -> Outcome:
    """Gradient and Hessian in the plane against D'g and D'HD with the dense g and H."""
    model, inputs, targets, objective, plane = _problem(name, seed)
    place = np.random.default_rng(seed).uniform(-1, 1, 2)
    with PlaneDerivatives(objective, plane) as derivatives:
        found = derivatives.expansion(place)
    loss = _flat_loss(model, inputs, targets, plane.layout)
    flat = plane.move(plane.layout.empty(), place.tolist())
    axes = torch.stack(plane.directions).numpy()
    dense = torch.autograd.functional.hessian(loss, flat, vectorize=True).numpy()
    slope = torch.autograd.functional.jacobian(loss, flat).numpy()
    off = max(
        np.linalg.norm(found.hessian - axes @ dense @ axes.T)
        / (np.linalg.norm(dense, 2) * np.linalg.norm(axes, 2) ** 2),
        np.linalg.norm(found.gradient - axes @ slope) / np.linalg.norm(axes @ slope),
    )
    return Outcome(bool(off <= 1e-10), float(off), f"{off:.2g} off")


def sharpness(name: str, seed: int) -> Outcome:
    """Epsilon-sharpness against the highest loss on 21 x 21 points of the box."""
    model, inputs, targets, objective, plane = _problem(name, seed)
    found = ll.epsilon_sharpness(objective, plane, (0.0, 0.0), epsilon=0.02)
    loss = _flat_loss(model, inputs, targets, plane.layout)
    axes = [np.linspace(low, high, 21) for low, high in found.box]
    with torch.no_grad():
        highest = max(
            loss(plane.move(plane.layout.empty(), (a, b))).item() for a in axes[0] for b in axes[1]
        )
        here = loss(plane.origin).item()
    dense = 100 * (highest - here) / (1 + here)
    short = (dense - found.value) / dense
    return Outcome(bool(short <= 1e-6), float(short), f"{short:.2g} of it too low")


def claims() -> tuple[Claim, ...]:
    return (
        Claim(
            "plane derivatives",
            SECTION,
            "Gradient and Hessian in the plane are those of the dense derivatives of all "
            "parameters, within 1e-10.",
            1.0,
            tuple(Family(name, partial(hessian, name), 20) for name in NETWORKS),
            number="relative error",
        ),
        Claim(
            "sharpness",
            SECTION,
            "Epsilon-sharpness is no lower than the highest of 441 losses in its box.",
            1.0,
            tuple(Family(name, partial(sharpness, name), 20) for name in NETWORKS),
            number="share by which it is too low",
        ),
    )
