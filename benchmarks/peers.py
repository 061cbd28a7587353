"""How other programs measure a point of a loss landscape, timed between points.

Each contender has ``seconds(points)``: the seconds per point over some consecutive points, without
its one-time preparation (directions, copies of the model). All use the same batches, threads and
model; the models of peers are row-major in memory, as in their documentation.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import io
import math
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

Batches = list[tuple[Tensor, Tensor]]


def between(stamps: list[float]) -> float:
    """Seconds per point, from the times at which points were finished."""
    return (stamps[-1] - stamps[0]) / (len(stamps) - 1)


class Li:
    """The loop described by Li et al. 2018.

    At each point the parameters are computed from copies of the trained parameters and of the
    directions; the data come from a DataLoader.
    """

    name = "Li et al. 2018"

    def __init__(self, model: nn.Module, images: Tensor, targets: Tensor, batch_size: int):
        self.model = copy.deepcopy(model)
        self.trained = [p.detach().clone() for p in model.parameters()]
        self.directions = [[torch.randn_like(p) for p in self.trained] for _ in range(2)]
        self.loader = DataLoader(TensorDataset(images, targets), batch_size=batch_size)

    @torch.no_grad()
    def point(self, a: float, b: float) -> float:
        for p, own, d1, d2 in zip(self.model.parameters(), self.trained, *self.directions):
            p.data = own + (d1 * a + d2 * b)
        total, count = 0.0, 0
        for images, targets in self.loader:
            outputs = self.model(images)
            total += functional.cross_entropy(outputs, targets).item() * len(targets)
            count += len(targets)
        return total / count

    def seconds(self, points: int) -> float:
        stamps = []
        for i in range(points + 1):
            self.point(1e-4 * i, 1e-4)
            stamps.append(time.perf_counter())
        return between(stamps)


def mean_loss(model: Callable[[Tensor], Tensor], batches: Batches) -> float:
    """The function that a user of these packages writes to measure more than one batch."""
    total = 0.0
    for images, targets in batches:
        total += functional.cross_entropy(model(images), targets, reduction="sum").item()
    return total / sum(len(targets) for _, targets in batches)


class LossLandscapes:
    """``loss-landscapes``: adds steps to the parameters in place, and calls the user's metric."""

    name = "loss-landscapes"

    def __init__(self, model: nn.Module, images: Tensor, targets: Tensor, batch_size: int):
        self.model = model
        self.batches = list(zip(images.split(batch_size), targets.split(batch_size)))

    def seconds(self, points: int) -> float:
        import loss_landscapes
        from loss_landscapes.metrics.metric import Metric

        stamps: list[float] = []
        batches = self.batches

        class MeanLoss(Metric):
            def __call__(self, wrapper: Any) -> float:
                value = mean_loss(wrapper.forward, batches)
                stamps.append(time.perf_counter())
                return value

        steps = math.ceil(math.sqrt(points + 1))
        loss_landscapes.random_plane(
            self.model, MeanLoss(), steps=steps, normalization=None, deepcopy_model=True
        )
        return between(stamps)


class Landscaper:
    """``landscaper``.

    At each point it clones the parameters, adds a direction once for each step from the center, and
    copies the result into the model. Few steps are in its favor: a grid of 51 x 51 needs 25
    additions per point on average.
    """

    name = "landscaper"

    def __init__(self, model: nn.Module, images: Tensor, targets: Tensor, batch_size: int):
        self.model = model
        self.device = "cuda" if images.is_cuda else "cpu"
        self.batches = list(zip(images.split(batch_size), targets.split(batch_size)))

    def seconds(self, points: int) -> float:
        compute = _landscaper_compute()
        stamps: list[float] = []

        def scalar(model: nn.Module, batches: Batches) -> float:
            value = mean_loss(model, batches)
            stamps.append(time.perf_counter())
            return value

        model = copy.deepcopy(self.model)
        directions = [[torch.randn_like(p) for p in model.parameters()] for _ in range(2)]
        steps = math.ceil(math.sqrt(points + 1))
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            compute.compute_loss_landscape(
                model, self.batches, directions, scalar, steps=steps, dim=2, device=self.device
            )
        return between(stamps)


def _landscaper_compute() -> Any:
    """Its module with the loop, without the topology packages that a full import needs."""
    if "landscaper" not in sys.modules:
        found = importlib.util.find_spec("landscaper")
        if found is None or found.submodule_search_locations is None:
            raise ModuleNotFoundError("landscaper is not installed: make bench installs it")
        package = types.ModuleType("landscaper")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["landscaper"] = package
    return importlib.import_module("landscaper.compute")


class Bare:
    """The forward pass alone, without moving the parameters."""

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        targets: Tensor,
        batch_size: int,
        channels_last: bool = False,
    ):
        order = torch.channels_last if channels_last else torch.contiguous_format
        self.name = f"bare model(x), {'channels-last' if channels_last else 'row-major'}"
        self.model = copy.deepcopy(model).to(memory_format=order)
        self.images = images.contiguous(memory_format=order)
        self.batches = list(self.images.split(batch_size))

    @torch.no_grad()
    def seconds(self, points: int) -> float:
        stamps = []
        for _ in range(points + 1):
            for batch in self.batches:
                self.model(batch)
            _wait(self.images)
            stamps.append(time.perf_counter())
        return between(stamps)

    @torch.no_grad()
    def rate(self, size: int) -> float:
        """Samples per second at a batch size."""
        batch = self.images[:size]
        self.model(batch)
        passes: list[float] = []
        while len(passes) < 2 or (sum(passes) < 0.02 and len(passes) < 20):
            start = time.perf_counter()
            self.model(batch)
            _wait(batch)
            passes.append(time.perf_counter() - start)
        return len(batch) / min(passes)


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


PEERS = (Li, LossLandscapes, Landscaper)
