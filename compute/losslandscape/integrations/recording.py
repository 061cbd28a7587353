"""Shared parts of the training callbacks: when to record, and how to resume a trajectory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.training.recorder import TrajectoryRecorder

# Attributes of sharded parameters: DTensor (FSDP2, tensor parallelism), DeepSpeed ZeRO-3, FSDP1.
_SHARD_MARKS = ("full_tensor", "ds_id", "_is_flat_param")


class Schedule:
    """The interval at which a model is recorded, in epochs or optimizer steps.

    Raises
    ------
    LossLandscapeError
        If both are given, or one is not a whole number of at least 1.

    Examples
    --------
    >>> schedule = Schedule(every_n_steps=10)
    >>> schedule.step_due(20), schedule.step_due(25), schedule.epoch_due(1)
    (True, False, False)
    >>> Schedule().epoch_due(1)
    True
    """

    def __init__(self, every_n_epochs: int | None = None, every_n_steps: int | None = None) -> None:
        if every_n_epochs is not None and every_n_steps is not None:
            raise LossLandscapeError("give every_n_epochs or every_n_steps, not both")
        for name, value in (("every_n_epochs", every_n_epochs), ("every_n_steps", every_n_steps)):
            if value is not None and (int(value) != value or value < 1):
                raise LossLandscapeError(
                    f"{name} is {value}; it must be a whole number of at least 1"
                )
        self._steps = every_n_steps
        self._epochs = every_n_epochs or (1 if every_n_steps is None else None)

    def step_due(self, step: int) -> bool:
        """Whether the model is recorded after ``step`` optimizer steps."""
        return self._steps is not None and step % self._steps == 0

    def epoch_due(self, epochs: int) -> bool:
        """Whether the model is recorded after ``epochs`` epochs."""
        return self._epochs is not None and epochs % self._epochs == 0


class TrainingRecorder:
    """Records one training run; each step at most once, even if several events request it.

    Parameters
    ----------
    step : int
        Optimizer steps already done. If it is not 0, training was resumed from a checkpoint: an
        existing trajectory continues, and its checkpoints at this step and later are replaced.

    Raises
    ------
    OutputExistsError
        If there is a trajectory, training starts from the beginning, and ``overwrite`` is not set.
    LossLandscapeError
        If the model's parameters are sharded across processes.
    """

    def __init__(
        self, model: nn.Module, path: str | os.PathLike, step: int, overwrite: bool = False
    ) -> None:
        _refuse_shards(model, Path(path))
        resumed = step > 0
        try:
            self._recorder = TrajectoryRecorder(
                model, path, overwrite=overwrite and not resumed, resume=resumed
            )
        except OutputExistsError as error:
            raise OutputExistsError(
                f"{path}: already contains a trajectory, and training starts from the beginning; "
                "pass overwrite=True to replace it, or choose another folder (training resumed "
                "from a checkpoint continues the existing trajectory)"
            ) from error
        self._recorder.resume_from(step)
        self.step: int | None = None  # the one last recorded

    def record(self, step: int, numbers: Mapping[str, Any] | None = None) -> None:
        """Save the current model, after ``step`` optimizer steps, unless already saved."""
        if step != self.step:
            self._recorder.record(step)
            self.step = step
        self.add_numbers(step, numbers or {})

    def add_numbers(self, step: int, numbers: Mapping[str, Any]) -> None:
        """Add logged scalars to the checkpoint of ``step``, if it is the last one recorded."""
        scalars = {name: value for name, value in numbers.items() if _is_scalar(value)}
        if step == self.step and scalars:
            self._recorder.add_numbers(**scalars)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return False
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def _refuse_shards(model: nn.Module, path: Path) -> None:
    for name, parameter in model.named_parameters():
        if any(hasattr(parameter, mark) for mark in _SHARD_MARKS):
            raise LossLandscapeError(
                f"{path}: parameter '{name}' is sharded across processes (FSDP, tensor parallelism "
                "or DeepSpeed ZeRO-3), so one process cannot record all of it; train with DDP or "
                "on one device"
            )
