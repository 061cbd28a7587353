"""What is measured: a model, a loss and samples."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape import batch_norm as bn
from losslandscape.errors import LossLandscapeError
from losslandscape.losses import LossCallable, Metric, resolve
from losslandscape.samples import Batch, SampleSet, batch_length, describe
from losslandscape.subspace import Subspace

PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
_BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
_REESTIMATION_SAMPLES = 1024

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
        all by default.
    precision : "float32", "float64" or "bfloat16", optional
        Computes in another type than the model's, on a copy of it.
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
        self.model = model
        self.loss = resolve(loss, metrics)
        self.sets = {name: SampleSet(part, name) for name, part in _named_sets(data).items()}
        self.batch_norm: str = batch_norm if bn.layers(model) else "none"
        self.batch_size = batch_size
        first = next(model.parameters(), None)
        self.dtype = (
            PRECISIONS[precision]
            if precision
            else (first.dtype if first is not None else torch.float32)
        )
        self.device = torch.device(
            device if device is not None else first.device if first is not None else "cpu"
        )
        main = next(iter(self.sets.values()))
        wanted = min(reestimation_samples or _REESTIMATION_SAMPLES, len(main))
        self.reestimation = main if main.ragged else main.subset(wanted)

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
            "loss": self.loss.name,
            "sets": {name: samples.to_json() for name, samples in self.sets.items()},
            "batch_norm": self.batch_norm,
            "precision": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
        }
        if self.batch_norm == "reestimated":
            found["reestimation_samples"] = len(self.reestimation)
        return found


def _named_sets(data: Any) -> dict[str, Any]:
    if isinstance(data, Mapping):
        if not data:
            raise LossLandscapeError("data: there is no set of samples")
        if not all(isinstance(value, (Tensor, np.ndarray)) for value in data.values()):
            return dict(data)
    return {"train": data}


class Evaluator:
    """Measures an objective at points of a subspace, or at any parameters; a context manager.

    Inside the context the model's parameters are views of one flat buffer that moves in place, and
    its buffers are the origin's. On leaving, the model has its own tensors and modes again.
    """

    def __init__(self, objective: Objective, subspace: Subspace, batch_size: int | None = None):
        model = objective.model
        subspace.check_model(model)
        self.objective = objective
        self.subspace = subspace.placed(objective.device, objective.dtype)
        own = next(model.parameters())
        if own.dtype != objective.dtype or own.device != objective.device:
            model = copy.deepcopy(model).to(device=objective.device, dtype=objective.dtype)
        self.model = model
        self._flat = self.subspace.layout.empty(objective.dtype, objective.device)
        self._views = self.subspace.layout.views(self._flat)
        self._channels_last = any(
            isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in model.modules()
        )
        self._batch_norms = bn.layers(model)
        self._reestimated = objective.batch_norm == "reestimated"
        self._batch_size = batch_size or objective.batch_size

    def __enter__(self) -> Evaluator:
        self._saved_modes = [(module, module.training) for module in self.model.modules()]
        self._saved_buffers = [(b, b.detach().clone()) for b in self.model.buffers()]
        parameters = dict(self.model.named_parameters())
        self._saved_data = [(parameters[name], parameters[name].data) for name in self._views]
        try:
            for name, view in self._views.items():
                parameters[name].data = view
            self.model.eval()
            self._origin_buffers = self._place_buffers(self.subspace.buffers)
            self._use_buffers(self._origin_buffers)
            self.move((0.0,) * self.subspace.dimensions)
            if self._batch_size is None:
                self._batch_size = self._fastest_batch_size()
            self._batches = {
                name: self._batched(samples) for name, samples in self.objective.sets.items()
            }
            self._reestimation_batches = (
                self._batched(self.objective.reestimation) if self._reestimated else []
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for parameter, data in self._saved_data:
            parameter.data = data
        with torch.no_grad():
            for buffer, value in self._saved_buffers:
                buffer.copy_(value)
        for module, training in self._saved_modes:
            module.training = training
        self._batches = {}

    @property
    def batch_size(self) -> int:
        assert self._batch_size is not None
        return self._batch_size

    def move(self, coordinates) -> None:
        """Set the model's parameters to a point of the subspace."""
        with torch.inference_mode():
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
        with torch.inference_mode():
            for name, view in self._views.items():
                view.copy_(parameters[name])
            self._use_buffers(self._place_buffers(buffers))
            try:
                return self._measure()
            finally:
                self._use_buffers(self._origin_buffers)

    def _measure(self) -> Measurement:
        with torch.inference_mode():
            if self._reestimated:
                bn.reestimate(self._batch_norms, self._reestimation_batches, self._values)
            return {
                name: _joined([self._values(batch) for batch in batches])
                for name, batches in self._batches.items()
            }

    def _values(self, batch: Batch) -> dict[str, Tensor]:
        try:
            return self.objective.loss(self.model, batch)
        except LossLandscapeError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise LossLandscapeError(
                f"{type(self.model).__name__} cannot take the data (a batch of {describe(batch)}): "
                f"{error}"
            ) from error

    def _batched(self, samples: SampleSet) -> list[Batch]:
        return samples.batches(
            self.batch_size, self.objective.device, self.objective.dtype, self._channels_last
        )

    def _place_buffers(self, buffers: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        own = dict(self.model.named_buffers())
        return [(own[n], t.to(own[n])) for n, t in buffers.items() if n in own]

    @staticmethod
    def _use_buffers(pairs: list[tuple[Tensor, Tensor]]) -> None:
        with torch.no_grad():
            for buffer, value in pairs:
                buffer.copy_(value)

    def _fastest_batch_size(self) -> int:
        """The size with the highest rate of samples in a short trial on the first set."""
        samples = next(iter(self.objective.sets.values()))
        count = len(samples)
        if samples.ragged or count <= _BATCH_SIZES[0]:
            return count
        sizes = [size for size in _BATCH_SIZES if size < count]
        if count <= _BATCH_SIZES[-1]:
            sizes.append(count)
        rates = {}
        with torch.inference_mode():
            for size in sizes:
                trial = samples.batches(
                    size, self.objective.device, self.objective.dtype, self._channels_last
                )[0]
                self._values(trial)  # warm-up: allocations, kernels chosen
                seconds = min(self._seconds(trial) for _ in range(2))
                rates[size] = batch_length(trial) / seconds
                if rates[size] < 0.7 * max(rates.values()):
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
