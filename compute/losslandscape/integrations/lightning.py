"""A trajectory recorded by a Lightning Trainer."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from losslandscape.errors import LossLandscapeError
from losslandscape.integrations.recording import Schedule, TrainingRecorder

# The library has two package names, each with its own classes. The callback must be an instance
# of both, so that a Trainer of either package accepts it.
_PACKAGES = {"lightning": "lightning.pytorch", "pytorch_lightning": "pytorch_lightning"}
_BASES = tuple(
    import_module(module).Callback for package, module in _PACKAGES.items() if find_spec(package)
)
if not _BASES:
    raise ImportError(
        "losslandscape.integrations.lightning needs Lightning: pip install lightning "
        "(or pytorch-lightning)"
    )


class TrajectoryCallback(*_BASES):  # type: ignore[misc]
    """Records the model at the start, every n epochs or optimizer steps, and at the end.

    A checkpoint's step is ``trainer.global_step``. Its scalars are those of
    ``trainer.callback_metrics`` that were computed at that step: metrics logged per step, metrics
    of an epoch at its end, and metrics of a validation that ran at the step. A training loss logged
    per step is the loss of the current batch before the optimizer step.

    Only the process of rank 0 records. Training resumed from a checkpoint (``trainer.fit(...,
    ckpt_path=...)``) continues the existing trajectory.

    Parameters
    ----------
    path : path
        The trajectory's folder; see :class:`losslandscape.TrajectoryRecorder`.
    every_n_epochs, every_n_steps : int, optional
        At most one of them; every epoch by default.
    module : str
        Dotted name of the submodule to record, such as ``"network"``; by default the
        LightningModule itself, whose parameter names begin with the names of its submodules.
    overwrite : bool
        Replace an existing trajectory when training starts from the beginning.

    Raises
    ------
    LossLandscapeError
        If the schedule is invalid. When training starts: if there is no such submodule, its
        parameters are sharded across processes, or the folder already contains a trajectory.

    Examples
    --------
    >>> from lightning.pytorch import Trainer
    >>> callback = TrajectoryCallback("run/trajectory", every_n_steps=50)
    >>> trainer = Trainer(max_epochs=10, callbacks=[callback], logger=False,
    ...                   enable_checkpointing=False, accelerator="cpu")
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        every_n_epochs: int | None = None,
        every_n_steps: int | None = None,
        module: str = "",
        overwrite: bool = False,
    ) -> None:
        super().__init__()
        self.path = path
        self.schedule = Schedule(every_n_epochs, every_n_steps)
        self.module = module
        self.overwrite = overwrite
        self._recorder: TrainingRecorder | None = None
        self._by_step: frozenset[str] | None = None  # metrics that training logs at every step
        self._of_validation: set[str] = set()
        self._before_validation: dict[str, float] = {}
        self._validated_at: int | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._recorder, self._by_step = None, None
        self._of_validation, self._validated_at = set(), None
        if not trainer.is_global_zero:
            return
        try:
            model = pl_module.get_submodule(self.module)
        except AttributeError as error:
            raise LossLandscapeError(
                f"{self.path}: {type(pl_module).__name__} has no submodule '{self.module}' "
                "(module=); it has "
                f"{', '.join(n for n, _ in pl_module.named_children()) or 'none'}"
            ) from error
        self._recorder = TrainingRecorder(model, self.path, trainer.global_step, self.overwrite)
        self._recorder.record(trainer.global_step)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        recorder, step = self._recorder, trainer.global_step
        if recorder is None:
            return
        if self._by_step is None:  # before any epoch end or validation: only per-step metrics
            self._by_step = frozenset(trainer.callback_metrics)
        # with gradient accumulation several batches end at the same step
        if step != recorder.step and self.schedule.step_due(step):
            metrics = trainer.callback_metrics
            recorder.record(step, {name: metrics[name] for name in self._by_step & set(metrics)})

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if self._recorder is not None and not trainer.sanity_checking:
            self._before_validation = _values(trainer.callback_metrics)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._recorder is None or trainer.sanity_checking:
            return
        metrics, before = _values(trainer.callback_metrics), self._before_validation
        # compared as text, because NaN is not equal to itself
        changed = {name for name in metrics if str(metrics[name]) != str(before.get(name))}
        self._of_validation |= changed
        self._validated_at = trainer.global_step
        self._recorder.add_numbers(
            trainer.global_step, {name: metrics[name] for name in self._of_validation}
        )

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        recorder, step = self._recorder, trainer.global_step
        if recorder is None:
            return
        metrics = dict(trainer.callback_metrics)
        if self._validated_at != step:
            metrics = {n: value for n, value in metrics.items() if n not in self._of_validation}
        if self.schedule.epoch_due(trainer.current_epoch + 1):
            recorder.record(step, metrics)
        else:
            recorder.add_numbers(step, metrics)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._recorder is not None:
            self._recorder.record(trainer.global_step)
            self._recorder = None


def _values(metrics: Any) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
