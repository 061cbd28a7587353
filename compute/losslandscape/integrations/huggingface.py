"""A trajectory recorded by a Hugging Face Trainer."""

from __future__ import annotations

import os
from typing import Any

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError(
        "losslandscape.integrations.huggingface needs Transformers: "
        "pip install transformers accelerate"
    ) from error

from losslandscape.integrations.recording import Schedule, TrainingRecorder


class TrajectoryCallback(TrainerCallback):
    """Records the model at the start, every n epochs or optimizer steps, and at the end.

    A checkpoint's step is ``state.global_step``. Its scalars are those that the Trainer logged at
    that step: ``eval_loss`` is the evaluation of these weights; ``loss`` is the Trainer's average
    over the steps since its previous log entry.

    Only the process of rank 0 records. Training resumed from a checkpoint
    (``trainer.train(resume_from_checkpoint=...)``) continues the existing trajectory. With
    ``load_best_model_at_end`` the trajectory ends with the last weights of training, not with the
    best weights, which the Trainer loads afterwards.

    Parameters
    ----------
    path : path
        The trajectory's folder; see :class:`losslandscape.TrajectoryRecorder`.
    every_n_epochs, every_n_steps : int, optional
        At most one of them; every epoch by default.
    overwrite : bool
        Replace an existing trajectory when training starts from the beginning.

    Raises
    ------
    LossLandscapeError
        If the schedule is invalid. When training starts: if the model's parameters are sharded
        across processes, or the folder already contains a trajectory.

    Examples
    --------
    >>> callback = TrajectoryCallback("run/trajectory", every_n_steps=50)
    >>> # trainer = transformers.Trainer(model, arguments, train_dataset=..., callbacks=[callback])
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        every_n_epochs: int | None = None,
        every_n_steps: int | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self.schedule = Schedule(every_n_epochs, every_n_steps)
        self.overwrite = overwrite
        self._recorder: TrainingRecorder | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._recorder = None
        if state.is_world_process_zero:
            step = state.global_step
            self._recorder = TrainingRecorder(kwargs["model"], self.path, step, self.overwrite)
            self._recorder.record(step)
            for logs in state.log_history:  # of the run that is resumed
                if logs.get("step") == step:
                    self._add_numbers(step, logs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._record(state, control, self.schedule.step_due(state.global_step))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._record(state, control, self.schedule.epoch_due(round(state.epoch)))

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._record(state, control)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._record(state, control)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any
    ) -> None:
        if self._recorder is not None and "train_runtime" not in (logs or {}):
            self._add_numbers(state.global_step, logs or {})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        best_loaded = args.load_best_model_at_end and state.best_model_checkpoint is not None
        if self._recorder is not None and not best_loaded:
            self._recorder.record(state.global_step)
        self._recorder = None

    def _record(self, state: Any, control: Any, due: bool = False) -> None:
        """Record if due, and at the last step: after training, other weights may be loaded."""
        if self._recorder is not None and (due or control.should_training_stop):
            self._recorder.record(state.global_step)

    def _add_numbers(self, step: int, logs: dict) -> None:
        assert self._recorder is not None
        numbers = {name: value for name, value in logs.items() if name != "step"}
        self._recorder.add_numbers(step, numbers)
