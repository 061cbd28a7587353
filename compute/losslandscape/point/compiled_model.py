"""The model compiled by torch.compile, where the user asks for it."""

from __future__ import annotations

from typing import Any

import torch

from losslandscape.point.shortcut import Run, Setting, Shortcut, Values
from losslandscape.problem.batches import Batch


class CompiledModel(Shortcut):
    """Calls the compiled model instead of the model.

    Not checked at opening: the user asks for it, and :attr:`Evaluator.deviation` says how far its
    losses are from those of the model itself.
    """

    name = "compiled_model"
    tolerance = None

    def __init__(self, setting: Setting):
        self._by = setting.by
        self._compiled: Any = torch.compile(setting.model, dynamic=False)

    @classmethod
    def offer(cls, setting: Setting) -> CompiledModel | None:
        return cls(setting) if setting.objective.compile else None

    def wrap(self, run: Run) -> Run:
        def compiled(batch: Batch) -> Values:
            return self._by(self._compiled, batch)

        return compiled
