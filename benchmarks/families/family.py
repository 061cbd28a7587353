"""What one model family consists of, and how it is trained for a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import losslandscape as ll


@dataclass
class Family:
    """A model, its data, its loss as the package takes it, and the same loss in plain PyTorch.

    Parameters
    ----------
    model
        In the mode in which it is measured.
    loss, data, options
        As `losslandscape.Objective` takes them; without a loss, `data` are the terms of a sum.
    reference
        The framework's own value of the loss over the whole set, differentiable: what training
        minimizes, and what the value at the origin is compared with.
    steps, rate
        Steps of Adam and their learning rate.
    training_mode
        Train in train mode, for buffers that follow the weights. By default no buffer moves in
        training, and dropout is off.
    """

    model: nn.Module
    loss: Any
    data: Any
    reference: Callable[[], Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 60
    rate: float = 1e-2
    training_mode: bool = False

    def objective(self) -> ll.Objective:
        if self.loss is None:
            return ll.Objective.sum(self.model, self.data, **self.options)
        return ll.Objective(self.model, self.loss, self.data, **self.options)

    def train(self, folder: Path) -> ll.Trajectory:
        """Train on the whole set at once; record every sixth part and the end."""
        modes = {module: module.training for module in self.model.modules()}
        if self.training_mode:
            self.model.train()
        optimizer = torch.optim.Adam(
            [p for p in self.model.parameters() if p.requires_grad], lr=self.rate
        )
        with ll.TrajectoryRecorder(self.model, folder, overwrite=True) as recorder:
            recorder.record(0)
            for step in range(1, self.steps + 1):
                optimizer.zero_grad()
                self.reference().backward()
                optimizer.step()
                if step % max(1, self.steps // 6) == 0 or step == self.steps:
                    recorder.record(step)
        for module, mode in modes.items():
            module.training = mode
        self.model.zero_grad(set_to_none=True)
        return ll.Trajectory.open(folder)
