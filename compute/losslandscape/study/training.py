"""Reproducible training that saves every finished epoch and can be resumed bit for bit.

All randomness in an epoch (the order of the samples, dropout) depends only on (seed, epoch). A run
that was killed resumes after its last finished epoch and ends with the same bits as an
uninterrupted run.

The folder of a run:

=========================  ========================================================================
``settings.json``          the settings; a run resumes only with the same settings
``trajectory/``            the checkpoints, see `losslandscape.training.trajectory`
``state.safetensors``      model and optimizer after the last finished epoch, and its metrics
``metrics.json``           losses, accuracies and seconds of each epoch
``weights.safetensors``    the model after the last epoch, once all epochs are done
=========================  ========================================================================
"""

import hashlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from losslandscape import __version__
from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.atomic_files import remove_leftovers, replace_file
from losslandscape.files.outputs import OutputFolder, claimed, content_of
from losslandscape.progress import Progress
from losslandscape.study.training_checks import (
    LossFunction,
    Samples,
    check_first_pass,
    check_samples,
    check_start,
    check_trainable,
    check_weights,
    explaining,
    loss_of,
    needs_gradient,
    smaller,
)
from losslandscape.training.recorder import TrajectoryRecorder
from losslandscape.training.trajectory import Trajectory
from losslandscape.training.weights import (
    buffer_tensors,
    load_into,
    parameter_tensors,
    read_weights,
    save_weights,
)

Metrics = dict[str, float]

OPTIMIZERS = ("adamw", "adam", "sgd")

_SETTINGS, _STATE, _METRICS = "settings.json", "state.safetensors", "metrics.json"
_WEIGHTS, _TRAJECTORY = "weights.safetensors", "trajectory"
_EVALUATION_BATCH_SIZE = 256


def train(
    model: nn.Module,
    data: Samples,
    folder: Union[str, "os.PathLike[str]"],
    *,
    test_data: Optional[Samples] = None,
    epochs: int = 5,
    optimizer: str = "adamw",
    learning_rate: float = 5e-4,
    weight_decay: float = 0.01,
    momentum: float = 0.9,
    batch_size: int = 64,
    seed: int = 0,
    trajectory: bool = True,
    records_per_epoch: int = 4,
    loss_function: LossFunction = nn.functional.cross_entropy,
    device: Union[str, torch.device] = "cpu",
    name: str = "",
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Metrics]:
    """Train `model` in place and save the run in `folder`.

    Call it again with the same settings to resume an interrupted run after its last finished
    epoch. It ends with the same bits on the same kind of processor with the same number of
    threads. A finished run is loaded; with more epochs it continues. One process at a time trains
    into a folder. A run that fails or is interrupted before its first epoch is finished leaves
    nothing.

    Parameters
    ----------
    data, test_data
        Inputs, shape (n, ...), and targets, shape (n, ...). The test set is only evaluated.
    optimizer
        ``"adamw"`` (Loshchilov & Hutter, ICLR 2019), ``"adam"`` (Kingma & Ba, ICLR 2015), or
        ``"sgd"`` with `momentum`.
    weight_decay
        Decoupled for AdamW, an L2 penalty's gradient for Adam and SGD.
    seed
        For the order of the samples and for dropout. It does not affect the model's initial
        weights: call ``torch.manual_seed`` before you build the model.
    trajectory
        Record the training trajectory: step 0 is the initial model, step e the end of epoch e.
    records_per_epoch
        Checkpoints per epoch, evenly spaced; with 4, at steps e + 1/4, e + 1/2, e + 3/4, e + 1.
        At most one per optimizer step: more are not recorded, and a line of progress says so.
    loss_function
        (outputs, targets) -> mean loss.
    name
        Name of the run in `settings.json` and in progress lines.
    overwrite
        Replace an existing run in `folder`.

    Returns
    -------
    One dictionary per epoch, the initial model first: ``epoch``, ``train_loss``, for classification
    also ``train_accuracy``, with `test_data` also ``test_loss`` and ``test_accuracy`` (all in
    evaluation mode, with batch norm's running statistics), and ``seconds``.

    Raises
    ------
    OutputExistsError
        If the folder contains a run with other settings (the message names the first difference).
    FileFormatError
        If the folder's files are damaged, or its trajectory is missing or of another run.
    LossLandscapeError
        If a setting is invalid; there is nothing to train; the model or the loss raises; the loss
        or a weight becomes NaN or infinite; another process trains into the folder; or the folder
        is removed meanwhile.

    Examples
    --------
    >>> import tempfile
    >>> from losslandscape.study import datasets, networks
    >>> _ = torch.manual_seed(0)
    >>> model = networks.mlp((1, 8, 8))
    >>> metrics = train(model, datasets.digits8(), tempfile.mkdtemp(), epochs=3, quiet=True)
    >>> [round(m["epoch"]) for m in metrics], metrics[-1]["train_accuracy"] > 0.8
    ([0, 1, 2, 3], True)
    """
    if epochs < 1 or batch_size < 1 or records_per_epoch < 1:
        raise LossLandscapeError(
            f"epochs ({epochs}), batch_size ({batch_size}) and records_per_epoch "
            f"({records_per_epoch}) must be at least 1"
        )
    check_trainable(model)
    check_samples(data, "data")
    if test_data is not None:
        check_samples(test_data, "test_data")
    data = data[0], data[1]
    model.to(device)
    check_first_pass(model, _on(device, data), loss_function)
    channels_last = _runs_channels_last(model, data[0][:2].to(device))
    if channels_last:
        data = data[0].contiguous(memory_format=torch.channels_last), data[1]
    torch_optimizer = _optimizer(optimizer, model, learning_rate, weight_decay, momentum)
    run = _Run(
        folder=Path(folder),
        settings={
            "name": name,
            "model": _digest({k: torch.tensor(v.shape) for k, v in model.state_dict().items()}),
            "data": _digest({"inputs": data[0], "targets": data[1]}),
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "momentum": momentum if optimizer == "sgd" else None,
            "batch_size": batch_size,
            "seed": seed,
            "trajectory": trajectory,
            "records_per_epoch": records_per_epoch if trajectory else None,
            "loss_function": getattr(loss_function, "__name__", type(loss_function).__name__),
        },
        model=model,
        optimizer=torch_optimizer,
    )
    data = _on(device, data)
    test_data = None if test_data is None else _on(device, test_data)

    steps_per_epoch = len(_batch_sizes(len(data[0]), batch_size))

    def evaluated() -> Metrics:
        metrics = _evaluate(model, data, loss_function, "train_")
        if test_data is not None:
            metrics.update(_evaluate(model, test_data, loss_function, "test_"))
        return metrics

    outside = ExitStack()
    try:
        outside.enter_context(claimed(training_output(Path(folder))))
        outside.enter_context(run.removed_if_it_fails())
        run.open(epochs, overwrite=overwrite)
        due_in_epoch = list(_records_due(steps_per_epoch, records_per_epoch).values())
        run.check_trajectory(trajectory, due_in_epoch)
        if run.last_epoch < epochs:
            with (
                run.recording(trajectory) as recorder,
                Progress(
                    epochs * steps_per_epoch,
                    f"training {name}".rstrip(),
                    done=max(run.last_epoch, 0) * steps_per_epoch,
                    quiet=quiet,
                    work=f"{epochs} epochs of {len(data[0]):,} samples, {steps_per_epoch:,} steps "
                    f"of {min(batch_size, len(data[0]))} samples each; the loss of the whole set "
                    "after each epoch"
                    + (f"; {len(due_in_epoch) + 1} checkpoints per epoch" if trajectory else ""),
                ) as progress,
                torch.random.fork_rng(),
            ):
                if run.last_epoch < 0:
                    started = time.perf_counter()
                    metrics = evaluated()
                    check_start(
                        model, data, loss_function, metrics["train_loss"], _EVALUATION_BATCH_SIZE
                    )
                    progress.extra_seconds = epochs * (time.perf_counter() - started)
                    progress.begin()
                    if recorder is not None:
                        recorder.record(0, **metrics)
                    run.finish_epoch({"epoch": 0, **metrics, "seconds": 0.0})
                for epoch in range(run.last_epoch + 1, epochs + 1):
                    started = time.perf_counter()
                    batches = _batches_of_epoch(seed, epoch, len(data[0]), batch_size)
                    due = _records_due(len(batches), records_per_epoch)
                    losses: list[float] = []  # of the batches since the last checkpoint
                    model.train()
                    for count, indices in enumerate(batches, start=1):
                        loss = _step(model, torch_optimizer, loss_function, _rows(data, indices))
                        if not math.isfinite(loss):
                            raise LossLandscapeError(
                                f"the loss became {loss} in batch {count} of epoch {epoch}; "
                                f"{smaller(learning_rate)}"
                            )
                        losses.append(loss)
                        progress.note = f"loss {loss:.3g}"
                        progress.advance()
                        if recorder is not None and count in due:
                            after = f"after batch {count} of epoch {epoch}"
                            check_weights(model, after, learning_rate)
                            run.check_folder()
                            recorder.record(epoch - 1 + due[count], batch_loss=_mean(losses))
                            losses = []
                    seconds = time.perf_counter() - started
                    check_weights(model, f"after epoch {epoch}", learning_rate)
                    metrics = evaluated()
                    for what, value in metrics.items():
                        if what.endswith("loss") and not math.isfinite(value):
                            raise LossLandscapeError(
                                f"{what} became {value} after epoch {epoch}; "
                                f"{smaller(learning_rate)}"
                            )
                    run.check_folder()
                    if recorder is not None:
                        recorder.record(epoch, batch_loss=_mean(losses), **metrics)
                    run.finish_epoch({"epoch": epoch, **metrics, "seconds": round(seconds, 3)})
        run.check_folder()
        run.finish()
    except KeyboardInterrupt as error:
        done = run.last_epoch
        without = " without overwrite" if overwrite else ""
        kept = (
            f"{done} of {epochs} epochs are saved in {folder}, and the same call{without} continues"
        )
        error.args = (kept,) if done > 0 else ()  # shown as the last line of the traceback
        raise
    finally:
        outside.__exit__(*sys.exc_info())
        model.eval()
        if channels_last:
            model.to(memory_format=torch.contiguous_format)
    return run.metrics


def training_output(folder: Path, option: str = "") -> OutputFolder:
    """The folder of a run. Its files may be there already: `train` decides what becomes of them."""
    names = (_SETTINGS, _STATE, _METRICS, _WEIGHTS)
    return OutputFolder(folder, names, overwrite=True, option=option)


class _Run:
    """The folder of one run: its settings and its state."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.folder = folder
        self.metrics: list[Metrics] = []
        self._trained = False
        self._place = (0, 0)  # the folder's device and number
        self._settings = settings
        self._model = model
        self._optimizer = optimizer

    @property
    def last_epoch(self) -> int:
        """The last finished epoch; 0 is the initial model, -1 a run without any state."""
        return len(self.metrics) - 1

    def open(self, epochs: int, *, overwrite: bool) -> None:
        """Resume the run in the folder, or start one."""
        place = self.folder.stat()
        self._place = place.st_dev, place.st_ino
        for name in (_SETTINGS, _STATE, _METRICS, _WEIGHTS):
            remove_leftovers(self.folder / name)
        settings_file = self.folder / _SETTINGS
        if settings_file.exists() and not overwrite:
            self._require_same_settings(settings_file)
        else:
            if not overwrite and content_of(self.folder):
                raise OutputExistsError(
                    f"{self.folder}: the folder is not empty and does not contain a training run; "
                    "give another folder, or pass overwrite=True (--overwrite) to use it anyway"
                )
            self._discard()
            versions = {"losslandscape": __version__, "torch": torch.__version__}
            _write_json(settings_file, {"settings": self._settings, "versions": versions})
        if (self.folder / _STATE).exists():
            self._load_state()
        if self.last_epoch > epochs:
            raise OutputExistsError(
                f"{self.folder}: this run already has {self.last_epoch} finished epochs, more than "
                f"{epochs}; give another folder, or pass overwrite=True (--overwrite)"
            )

    @contextmanager
    def removed_if_it_fails(self) -> Iterator[None]:
        """Remove what a run wrote that ends before its first epoch is finished."""
        free = not content_of(self.folder)
        try:
            yield
        except BaseException:
            if free and self.last_epoch < 1 and self._is_there():
                for name in (_SETTINGS, _STATE, _METRICS):
                    with suppress(OSError):
                        (self.folder / name).unlink()
                shutil.rmtree(self.folder / _TRAJECTORY, ignore_errors=True)
            raise

    def check_folder(self) -> None:
        """Raise a LossLandscapeError if the folder was removed, or another one took its place."""
        if not self.folder.exists():
            raise LossLandscapeError(
                f"{self.folder}: the folder was removed during the training; start it again"
            )
        if not self._is_there():
            raise LossLandscapeError(
                f"{self.folder}: the folder was replaced by another one during the training; start "
                "it again"
            )

    def _is_there(self) -> bool:
        """Whether the folder is the one in which the run began."""
        try:
            place = self.folder.stat()
        except OSError:
            return False
        return (place.st_dev, place.st_ino) == self._place

    def check_trajectory(self, wanted: bool, due_in_epoch: list[float]) -> None:
        """Check that the trajectory of a run to continue has all its checkpoints until now.

        Raises
        ------
        FileFormatError
            If it is missing, or of another run.
        """
        if not wanted or self.last_epoch < 0:
            return
        path = self.folder / _TRAJECTORY
        expected = [0.0]
        for epoch in range(1, self.last_epoch + 1):
            expected += [*(epoch - 1 + share for share in due_in_epoch), float(epoch)]
        try:
            found = Trajectory.open(path)
            steps = [float(step) for step in found.steps if step <= self.last_epoch]
            if steps != expected:
                why = f"it has {len(steps)} of the {len(expected)} checkpoints until now"
            else:
                own = parameter_tensors(self._model)
                last = found.parameters(len(steps) - 1)
                same = all(torch.equal(own[name].cpu(), last[name]) for name in own)
                why = "" if same else "its last checkpoint has other weights"
        except (LossLandscapeError, KeyError, OSError) as error:
            why = str(error)
        if why:
            raise FileFormatError(
                f"{path}: does not belong to the run in {self.folder} ({why}); put the run's own "
                "trajectory back, or train again (overwrite=True, --overwrite)"
            )

    def recording(self, wanted: bool) -> AbstractContextManager[Optional[TrajectoryRecorder]]:
        """The trajectory's recorder, resumed after the last finished epoch."""
        if not wanted:
            return nullcontext()
        recorder = TrajectoryRecorder(self._model, self.folder / _TRAJECTORY, resume=True)
        recorder.resume_from(math.nextafter(self.last_epoch, math.inf))
        return recorder

    def finish_epoch(self, metrics: Metrics) -> None:
        self._trained = True
        self.metrics.append(metrics)
        # One file for everything that must be consistent: a crash leaves this epoch or the last.
        names = {id(parameter): name for name, parameter in self._model.named_parameters()}
        state = {
            f"model.{name}": tensor
            for name, tensor in [
                *parameter_tensors(self._model).items(),
                *buffer_tensors(self._model).items(),
            ]
        }
        for parameter, values in self._optimizer.state.items():
            for key, value in values.items():
                if value is not None:
                    state[f"optimizer.{key}.{names[id(parameter)]}"] = torch.as_tensor(value)
        save_weights(state, self.folder / _STATE, metadata=json.dumps(self.metrics))
        _write_json(self.folder / _METRICS, self.metrics)

    def finish(self) -> None:
        """Write the results; the weights of a run that had already finished stay unchanged."""
        _write_json(self.folder / _METRICS, self.metrics)
        if self._trained or not (self.folder / _WEIGHTS).exists():
            save_weights(self._model, self.folder / _WEIGHTS)

    def _load_state(self) -> None:
        file = self.folder / _STATE
        state = read_weights(file)
        try:
            with safe_open(os.fspath(file), framework="pt") as opened:
                self.metrics = json.loads(opened.metadata()["losslandscape"])
        except (SafetensorError, TypeError, KeyError, ValueError) as error:
            raise FileFormatError(
                f"{file}: damaged, or not the state of a training run; pass overwrite=True "
                "(--overwrite) to train again"
            ) from error
        weights = {}
        parameters = dict(self._model.named_parameters())
        for stored, tensor in state.items():
            owner, _, name = stored.partition(".")
            if owner == "model":
                weights[name] = tensor
                continue
            key, _, name = name.partition(".")
            parameter = parameters[name]
            if tensor.shape == parameter.shape:
                # The parameter's strides decide the order of the optimizer's operations.
                tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
            self._optimizer.state[parameter][key] = tensor
        load_into(self._model, weights, source=str(file))

    def _require_same_settings(self, file: Path) -> None:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))["settings"]
            differing = next(
                (key for key, value in self._settings.items() if found.get(key) != value), None
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FileFormatError(
                f"{file}: damaged; pass overwrite=True (--overwrite) to train again"
            ) from error
        if differing is not None:
            raise OutputExistsError(
                f"{self.folder}: contains a training run with another {differing} "
                f"({found.get(differing)!r}, now {self._settings[differing]!r}); give another "
                "folder, or pass overwrite=True (--overwrite) to replace it"
            )

    def _discard(self) -> None:
        for name in (_STATE, _METRICS, _WEIGHTS, _SETTINGS):
            (self.folder / name).unlink(missing_ok=True)
        trajectory = self.folder / _TRAJECTORY
        if trajectory.is_dir():
            TrajectoryRecorder(self._model, trajectory, overwrite=True)


def _optimizer(
    name: str, model: nn.Module, learning_rate: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    if name == "adam":
        return torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    if name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=learning_rate, weight_decay=weight_decay, momentum=momentum
        )
    raise LossLandscapeError(
        f"no optimizer is called {name!r}; use {', '.join(OPTIMIZERS[:-1])} or {OPTIMIZERS[-1]}"
    )


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_function: LossFunction,
    samples: Samples,
) -> float:
    optimizer.zero_grad(set_to_none=True)
    _, loss = loss_of(model, samples, loss_function)
    needs_gradient(model, loss)
    with explaining(model, samples, loss_function):
        loss.backward()
        optimizer.step()
    return loss.item()


@torch.no_grad()
def _evaluate(model: nn.Module, data: Samples, loss_function: LossFunction, prefix: str) -> Metrics:
    """Mean loss and, if the targets are classes, the accuracy."""
    model.eval()
    classes = data[1].dim() == 1 and not data[1].is_floating_point()
    loss, correct, count = 0.0, 0, len(data[0])
    for start in range(0, count, _EVALUATION_BATCH_SIZE):
        rows = slice(start, start + _EVALUATION_BATCH_SIZE)
        inputs, targets = _rows(data, rows)
        outputs, mean = loss_of(model, (inputs, targets), loss_function)
        loss += mean.item() * len(inputs)
        if classes:
            correct += int((outputs.argmax(1) == targets).sum())
    metrics = {f"{prefix}loss": loss / count}
    if classes:
        metrics[f"{prefix}accuracy"] = correct / count
    return metrics


def _rows(data: Samples, rows: Union[slice, Tensor]) -> Samples:
    inputs = data[0][rows]
    if data[0].dim() == 4 and not data[0].is_contiguous():
        inputs = inputs.contiguous(memory_format=torch.channels_last)  # like the whole set
    return inputs, data[1][rows]


def _batches_of_epoch(seed: int, epoch: int, samples: int, batch_size: int) -> list[Tensor]:
    """Seed PyTorch's generators for this epoch alone, and draw the order of the samples."""
    torch.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]))
    return list(torch.randperm(samples).split(_batch_sizes(samples, batch_size)))


def _batch_sizes(samples: int, batch_size: int) -> list[int]:
    whole, rest = divmod(samples, batch_size)
    sizes = [batch_size] * whole + ([rest] if rest else [])
    if rest == 1 and whole:
        # Batch norm cannot normalize a single value: a lone last sample joins the previous batch.
        sizes[-2:] = [batch_size + 1]
    return sizes


def _records_due(batches: int, records: int) -> dict[int, float]:
    """The batches of an epoch after which to record -> the finished share of the epoch.

    The checkpoint at the end of the epoch is not included, because it needs the metrics.
    """
    due = {round(i * batches / records): i / records for i in range(1, records)}
    return {count: part for count, part in due.items() if 0 < count < batches}


@torch.no_grad()
def _runs_channels_last(model: nn.Module, inputs: Tensor) -> bool:
    """Convert the model to the channels-last layout if it has convolutions and runs in it.

    Convolutions on the CPU are about 1.5 times as fast in this layout. A model that calls ``view``
    on its feature maps needs the row-major layout.
    """
    if inputs.dim() != 4 or not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return False
    model.eval().to(memory_format=torch.channels_last)
    try:
        model(inputs.contiguous(memory_format=torch.channels_last))
    except (Exception, SystemExit):  # whatever the user's model raises in this layout
        model.to(memory_format=torch.contiguous_format)
        return False
    return True


def _on(device: Union[str, torch.device], data: Samples) -> Samples:
    return data[0].to(device), data[1].to(device)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write_json(file: Path, content: Any) -> None:
    with replace_file(file) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
