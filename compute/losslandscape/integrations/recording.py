"""What the callbacks of all training libraries share: when to record, and where it goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.training.trajectory import TrajectoryRecorder

# What parameters cut up among processes look like: DTensor (FSDP2, tensor parallelism), DeepSpeed
# ZeRO-3, FSDP1.
_SHARD_MARKS = ("full_tensor", "ds_id", "_is_flat_param")


class Schedule:
    """Every how many optimiser steps or epochs a model is recorded.

    Raises
    ------
    LossLandscapeError
        If both are given, or one that is not a whole number of at least 1.

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
                raise LossLandscapeError(f"{name} is {value}; a whole number from 1 is needed")
        self._steps = every_n_steps
        self._epochs = every_n_epochs or (1 if every_n_steps is None else None)

    def step_due(self, step: int) -> bool:
        """Whether the model is recorded after ``step`` optimiser steps."""
        return self._steps is not None and step % self._steps == 0

    def epoch_due(self, epochs: int) -> bool:
        """Whether the model is recorded after ``epochs`` epochs."""
        return self._epochs is not None and epochs % self._epochs == 0


class TrainingRecorder:
    """Records one training; a step is recorded once, however many events ask for it.

    Parameters
    ----------
    step : int
        Optimiser steps done already. More than none means that training was taken up from a
        checkpoint: a trajectory that is there goes on, and what it holds of this step and later is
        recorded anew.

    Raises
    ------
    OutputExistsError
        If a trajectory is there, training starts anew, and ``overwrite`` is not set.
    LossLandscapeError
        If the model's parameters are cut up among processes.
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
                f"{path}: holds a trajectory already, and training starts anew; give "
                "overwrite=True to replace it or another folder (training that is taken up from a "
                "checkpoint goes on with the trajectory that is there)"
            ) from error
        self._recorder.resume_from(step)
        self.step: int | None = None  # the one last recorded

    def record(self, step: int, numbers: Mapping[str, Any] | None = None) -> None:
        """Store the model as it is now, after ``step`` optimiser steps, if that is not done."""
        if step != self.step:
            self._recorder.record(step)
            self.step = step
        self.add_numbers(step, numbers or {})

    def add_numbers(self, step: int, numbers: Mapping[str, Any]) -> None:
        """Keep logged scalars with the checkpoint of ``step``, if that is the last one recorded."""
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
                f"{path}: parameter '{name}' is cut up among processes (FSDP, tensor parallelism "
                "or DeepSpeed ZeRO-3), and one process cannot record the whole; train with DDP or "
                "on one device"
            )
