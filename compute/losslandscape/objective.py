"""What is measured: a model, a loss and samples."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape import batch_norm as bn
from losslandscape.errors import LossLandscapeError
from losslandscape.losses import LossCallable, Metric, resolve
from losslandscape.parameters import sha256, sharing
from losslandscape.samples import Batch, SampleSet, batch_length, describe, place_batch
from losslandscape.subspace import Subspace

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
_BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
_REESTIMATION_SAMPLES = 1024
_REESTIMATION_BATCH = 256
_RESERVED = {"status", "gram_matrix", "provenance", "alpha", "beta", "gamma"}

# values by sample of one set: "loss" and the metrics, each a float array of shape (samples,)
Measurement = dict[str, dict[str, np.ndarray]]


class Objective:
    """A model, a loss and the samples it is averaged over.

    Parameters
    ----------
    model : torch.nn.Module
        Evaluated in eval mode and left as it was: parameters, buffers and modes.
    loss : str or callable
        ``"cross_entropy"``, ``"mse"``, ``"softmax_mse"``, or a function
        ``(model, batch) -> per-sample losses``; see :func:`losslandscape.losses.resolve`.
    data : tuple of tensors, Dataset or DataLoader; or a dict of such by name
        A dict of named sets, ``{"train": ..., "test": ...}``, gives ``loss`` for the first and
        ``test_loss`` for the set ``test``. A dict of *tensors* is one set (a batch of keywords).
    batch_norm : "fixed" or "reestimated"
        See :mod:`losslandscape.batch_norm`.
    metrics : mapping of name to ``(outputs, targets) -> a number a sample``, optional
        Beside the loss; accuracy comes by itself with classification losses.
    batch_size : int, optional
        Found by a short trial where not given. Recorded: sums depend on it in the last bits.
    reestimation_samples : int, optional
        Samples of the first set, evenly spaced, that re-estimate batch-norm statistics; 1,024 or
        all by default. Their batches are of ``batch_size`` where it is given, else of 256: a
        batch's statistics depend on its size, so it is never the one found by trial.
    precision : "float32" or "float64", optional
        Computes in this type instead of the model's own, on a copy of it.
    device : torch.device or str, optional
        Where to compute; the model's own by default.

    Raises
    ------
    LossLandscapeError
        If an argument is unknown or the data cannot be read.

    Examples
    --------
    >>> model = torch.nn.Linear(2, 1)
    >>> objective = Objective(model, "mse", (torch.zeros(8, 2), torch.zeros(8, 1)))
    >>> objective.quantities
    {'loss': 'mean squared error'}
    """

    def __init__(
        self,
        model: nn.Module,
        loss: str | LossCallable,
        data: Any,
        *,
        batch_norm: str = "fixed",
        metrics: Mapping[str, Metric] | None = None,
        batch_size: int | None = None,
        reestimation_samples: int | None = None,
        precision: str | None = None,
        device: torch.device | str | None = None,
    ):
        if batch_norm not in bn.MODES:
            raise LossLandscapeError(
                f"batch_norm {batch_norm!r} is not one of {', '.join(bn.MODES)}"
            )
        if precision is not None and precision not in PRECISIONS:
            raise LossLandscapeError(
                f"precision {precision!r} is not one of {', '.join(PRECISIONS)}"
            )
        if batch_size is not None and batch_size < 1:
            raise LossLandscapeError(f"batch_size is {batch_size}; at least 1 is needed")
        if reestimation_samples is not None and reestimation_samples < 1:
            raise LossLandscapeError(
                f"reestimation_samples is {reestimation_samples}; at least 1 is needed"
            )
        self.model = model
        self.loss = resolve(loss, metrics)
        _check_names("metric", metrics or {})
        if isinstance(data, Mapping):
            _check_names("set", data)
        self.sets = {name: SampleSet(part, name) for name, part in _named_sets(data).items()}
        self.batch_norm: str = batch_norm if bn.layers(model) else "none"
        self.batch_size = batch_size
        for samples in self.sets.values():
            self.loss.check(samples)
        moving = next((p for p in model.parameters() if p.requires_grad), None)
        own = (
            (torch.float32, torch.device("cpu"))
            if moving is None
            else (moving.dtype, moving.device)
        )
        self.precision = PRECISIONS[precision] if precision else None
        self.dtype = self.precision or own[0]
        self.device = _indexed(torch.device(device)) if device is not None else own[1]
        main = next(iter(self.sets.values()))
        wanted = min(reestimation_samples or _REESTIMATION_SAMPLES, len(main))
        self.reestimation = main if main.ragged else main.subset(wanted)

    @property
    def reestimation_batch_size(self) -> int:
        """Samples in a batch that re-estimates batch-norm statistics."""
        return self.batch_size or _REESTIMATION_BATCH

    def with_batch_norm(self, mode: str) -> Objective:
        """The same objective with another treatment of batch norm."""
        other = copy.copy(self)
        if bn.layers(self.model):
            other.batch_norm = mode
        return other

    @property
    def quantities(self) -> dict[str, str]:
        """Names of what is measured and their titles; metrics are found when first measured."""
        title = self.loss.title
        return {
            f"{prefix}loss": f"{name} {title}" if prefix else title
            for name, prefix in self.prefixes.items()
        }

    @property
    def prefixes(self) -> dict[str, str]:
        """Name of each set -> prefix of its variables; the first set has none."""
        return {name: f"{name}_" if i else "" for i, name in enumerate(self.sets)}

    def to_json(self) -> dict:
        """What was measured, for the file."""
        found: dict[str, Any] = {
            "model": type(self.model).__name__,
            "model_structure": hashlib.sha256(repr(self.model).encode()).hexdigest(),
            "frozen_parameters": sha256(
                [p for _, p in sorted(self.model.named_parameters()) if not p.requires_grad]
            ),
            "loss": self.loss.name,
            "loss_code": self.loss.code_hash(),
            "sets": {name: samples.to_json() for name, samples in self.sets.items()},
            "batch_norm": self.batch_norm,
            "precision": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
        }
        if self.batch_norm == "reestimated":
            found["reestimation_samples"] = len(self.reestimation)
            found["reestimation_batch_size"] = self.reestimation_batch_size
        return found


def _named_sets(data: Any) -> dict[str, Any]:
    if isinstance(data, Mapping):
        if not data:
            raise LossLandscapeError("data: there is no set of samples")
        if not all(isinstance(value, (Tensor, np.ndarray)) for value in data.values()):
            return dict(data)
    return {"train": data}


def _check_names(what: str, names: Mapping[str, Any]) -> None:
    """Names become names of variables in the file."""
    for name in names:
        if not str(name).isidentifier() or name in _RESERVED or name in ("trajectory", "model"):
            raise LossLandscapeError(
                f"{what} {name!r}: the name is taken, or not a plain word of letters, digits and _"
            )


def _indexed(device: torch.device) -> torch.device:
    """``cuda`` as the ``cuda:0`` that tensors say they are on."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def restore_modes(saved: list[tuple[nn.Module, bool]]) -> None:
    """Put modules back into train or eval mode, and their derived weights to their parameters."""
    for module, training in saved:
        module.training = training
        hooks: list[Any] = list(module._forward_pre_hooks.values())
        for hook in hooks:
            if hasattr(hook, "compute_weight"):  # torch.nn.utils.weight_norm's plain attribute
                setattr(module, hook.name, hook.compute_weight(module))


class Evaluator:
    """Measures an objective at points of a subspace, or at any parameters; a context manager.

    Inside the context the model's parameters are views of one flat buffer that moves in place, and
    its buffers are the origin's. Buffers and torch's random generator are the same at the start of
    every point, so a point's value does not depend on those before it. On leaving, the model has
    its own tensors and modes again.
    """

    def __init__(self, objective: Objective, subspace: Subspace, batch_size: int | None = None):
        model = objective.model
        subspace.check_model(model)
        self.objective = objective
        own = next(p for p in model.parameters() if p.requires_grad)
        if own.device != objective.device or objective.precision not in (None, own.dtype):
            model = copy.deepcopy(model).to(device=objective.device, dtype=objective.precision)
        self.model = model
        self._given = subspace
        self._point_buffers: list[tuple[Any, str, Tensor, Tensor]] = []
        self._versions: list[int] = []
        self._batch_norms = bn.layers(model)
        self._reestimated = objective.batch_norm == "reestimated"
        self._batch_size = batch_size or objective.batch_size

    def __enter__(self) -> Evaluator:
        modules = list(self.model.modules())
        self._saved_modes = [(module, module.training) for module in modules]
        self._saved_buffers = [
            (module, name, buffer, buffer.detach().clone())
            for module in modules
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        names = [segment.name for segment in self._given.layout.segments]
        self._parameters = sharing(self.model, names)
        self._saved_data = [(p, p.data) for group in self._parameters.values() for p in group]
        self._saved_random = torch.get_rng_state()
        self._autocast = torch.autocast(self.objective.device.type, enabled=False)
        self._autocast.__enter__()
        try:
            self.model.eval()
            self._set_origin_buffers()
            self._choose_memory_format()
            if self._batch_size is None:
                self._batch_size = self._fastest_batch_size()
            self._batches = {
                name: self._batched(samples, self.batch_size)
                for name, samples in self.objective.sets.items()
            }
            self._reestimation_batches = (
                self._batched(self.objective.reestimation, self.objective.reestimation_batch_size)
                if self._reestimated
                else []
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._autocast.__exit__(None, None, None)
        torch.set_rng_state(self._saved_random)
        for parameter, data in self._saved_data:
            parameter.data = data
        with torch.no_grad():
            for module, name, buffer, value in self._saved_buffers:
                module._buffers[name] = buffer
                buffer.copy_(value)
        restore_modes(self._saved_modes)
        self._batches = {}

    @property
    def batch_size(self) -> int:
        assert self._batch_size is not None
        return self._batch_size

    def move(self, coordinates) -> None:
        """Set the model's parameters to a point of the subspace."""
        with torch.no_grad():
            self.subspace.move(self._flat, coordinates)

    def measure(self, coordinates) -> Measurement:
        """Values by sample at a point of the subspace.

        Raises
        ------
        LossLandscapeError
            If the model cannot take the data, or the loss is not one number a sample.
        """
        self.move(coordinates)
        return self._measure()

    def measure_parameters(
        self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]
    ) -> Measurement:
        """Values by sample at any parameters, with their own buffers (batch-norm statistics)."""
        self.subspace.layout.check(parameters, "parameters to measure")
        origin = self._point_buffers
        with torch.no_grad():
            for name, view in self._views.items():
                view.copy_(parameters[name])
        self._point_buffers = self._with_values(buffers)
        self._reset_buffers(always=True)
        try:
            return self._measure()
        finally:
            self._point_buffers = origin
            self._reset_buffers(always=True)

    # Not torch.inference_mode: what a model caches in forward would be unusable in training.
    @torch.no_grad()
    def _measure(self) -> Measurement:
        self._reset_buffers()
        torch.manual_seed(0)  # a model that draws numbers in evaluation draws the same everywhere
        if self._reestimated:
            bn.reestimate(self._batch_norms, self._reestimation_batches, self._values)
        return {
            name: _joined([self._values(batch) for batch in batches])
            for name, batches in self._batches.items()
        }

    def _values(self, batch: Batch) -> dict[str, Tensor]:
        try:
            return self.objective.loss(self.model, batch)
        except (LossLandscapeError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever the user's model raises
            raise LossLandscapeError(
                f"{type(self.model).__name__} cannot take the data (a batch of {describe(batch)}): "
                f"{type(error).__name__}: {error}"
            ) from error

    def _batched(self, samples: SampleSet, size: int) -> list[Batch]:
        return samples.batches(
            size, self.objective.device, self.objective.precision, self._channels_last
        )

    def _trial(self, count: int) -> Batch:
        """The first samples of the first set as a batch."""
        batch = next(iter(self.objective.sets.values())).first(count)
        return place_batch(
            batch, self.objective.device, self.objective.precision, self._channels_last
        )

    def _choose_memory_format(self) -> None:
        """Channels-last where the model has convolutions and can be run so, else row-major.

        A model that calls ``view`` on its feature maps or kernels needs them row-major.
        """
        count = self._batch_size or 2
        has_convolutions = any(
            isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in self.model.modules()
        )
        if has_convolutions:
            self._lay_out(channels_last=True)
            try:
                self._try(count)
                return
            except LossLandscapeError:
                pass  # row-major then; if it is not that, the trial below says what it is
        self._lay_out(channels_last=False)
        self._try(count)

    @torch.no_grad()
    def _try(self, count: int) -> None:
        self._values(self._trial(count))

    def _lay_out(self, channels_last: bool) -> None:
        """Put the parameters at the origin into a flat buffer of this memory order."""
        self._channels_last = channels_last
        self.subspace = self._given.placed(
            self.objective.device, self.objective.dtype, channels_last
        )
        self._flat = self.subspace.layout.empty(self.objective.dtype, self.objective.device)
        self._views = self.subspace.layout.views(self._flat)
        for name, group in self._parameters.items():
            for parameter in group:
                parameter.data = self._views[name]
        self.move((0.0,) * self.subspace.dimensions)

    def _set_origin_buffers(self) -> None:
        self._point_buffers = self._with_values(self._given.buffers)
        self._reset_buffers(always=True)

    def _with_values(self, values: Mapping[str, Tensor]) -> list[tuple[Any, str, Tensor, Tensor]]:
        """All buffers as they are at the start of a point: these values, else the model's own."""
        prefixes = {id(module): name for name, module in self.model.named_modules()}
        placed = []
        for module, name, buffer, own in self._saved_buffers:
            full = f"{prefixes[id(module)]}.{name}".lstrip(".")
            placed.append((module, name, buffer, values[full].to(own) if full in values else own))
        return placed

    @torch.no_grad()
    def _reset_buffers(self, always: bool = False) -> None:
        """Undo what a forward pass did to the buffers."""
        if not always:
            versions = [buffer._version for _, _, buffer, _ in self._point_buffers]
            same = all(
                module._buffers[name] is buffer for module, name, buffer, _ in self._point_buffers
            )
            if same and versions == self._versions:
                return
        for module, name, buffer, value in self._point_buffers:
            module._buffers[name] = buffer
            buffer.copy_(value)
        self._versions = [buffer._version for _, _, buffer, _ in self._point_buffers]

    def _fastest_batch_size(self) -> int:
        """The size with the highest rate of samples in a short trial on the first set."""
        samples = next(iter(self.objective.sets.values()))
        count = len(samples)
        if samples.ragged or count <= _BATCH_SIZES[0]:
            return count
        sizes = [size for size in _BATCH_SIZES if size < count]
        if count <= _BATCH_SIZES[-1]:
            sizes.append(count)
        rates: dict[int, float] = {}
        for size in sizes:
            try:
                with torch.no_grad():
                    trial = self._trial(size)
                    self._values(trial)  # warm-up: allocations, kernels chosen
                    seconds = min(self._seconds(trial) for _ in range(2))
            except torch.OutOfMemoryError:
                if not rates:
                    raise
                break
            before = max(rates.values(), default=0.0)
            rates[size] = batch_length(trial) / seconds
            if rates[size] < 1.03 * before:  # larger ones cost memory and gain nothing
                break
        best = max(rates.values())
        return min(size for size, rate in rates.items() if rate >= 0.98 * best)

    def _seconds(self, batch: Batch) -> float:
        start = time.perf_counter()
        values = self._values(batch)
        values["loss"].cpu()  # waits for an asynchronous device
        return time.perf_counter() - start


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, np.ndarray]:
    """Batches' values by sample, one array a name."""
    joined = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        whole = values[0] if len(values) == 1 else torch.cat(values)
        if whole.dtype not in (torch.float32, torch.float64):
            whole = whole.float()
        joined[name] = whole.cpu().numpy()
    return joined
