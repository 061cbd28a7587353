"""What is measured: a model, a loss and samples."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.argument_checks import check_kind, whole_number
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import sha256
from losslandscape.problem import batch_norm as bn
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.determinism import check_data, check_policy
from losslandscape.problem.losses import LossCallable, Metric, resolve
from losslandscape.problem.modes import check_modes, refuse_batch_norm, training_modules
from losslandscape.problem.precision import PRECISIONS as PRECISIONS
from losslandscape.problem.samples import HOLD_BYTES, SampleSet

_REESTIMATION_SAMPLES = 1024
_REESTIMATION_BATCH = 256
_TRIAL_SECONDS = 0.02
_FUSION_SAMPLES = 8
_TRIAL_SHARES = (0.5, 0.125, 0.03125)  # of the way to a corner of the grid
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
        ``(model, batch) -> per-sample losses``; see :func:`losslandscape.problem.losses.resolve`.
    data : tuple of tensors, Dataset or DataLoader; or a dict of such by name
        A dict of named sets, ``{"train": ..., "test": ...}``, gives ``loss`` for the first and
        ``test_loss`` for the set ``test``. A dict of *tensors* is one set (a batch of keywords).
    batch_norm : "fixed" or "reestimated"
        See :mod:`losslandscape.problem.batch_norm`.
    metrics : mapping of name to ``(outputs, targets) -> a number a sample``, optional
        Beside the loss; accuracy comes by itself with classification losses.
    batch_size : int, optional
        Found by a short trial where not given. Recorded: sums depend on it in the last bits.
    reestimation_samples : int, optional
        Samples of the first set, evenly spaced, that re-estimate batch-norm statistics; 1,024 or
        all by default. Their batches are of ``batch_size`` where it is given, else of 256: a
        batch's statistics depend on its size, so it is never the one found by trial.
    precision : "float32", "float64", "tf32", "bfloat16" or "float16", optional
        Computes in this type instead of the model's own, on a copy of it where the parameters are
        of another. The last three keep parameters in float32 and multiply in the type; how far
        values then are from those of float32 is measured: :attr:`Evaluator.deviation`.
    compile : bool
        Compile the model with :func:`torch.compile`; the deviation is measured too.
    device : torch.device or str, optional
        Where to compute; the model's own by default.
    dataset_samples : int or dict of int by set, optional
        Size of the data set that the samples were drawn from, for errors against it; an int is that
        of the first set.
    modes : "eval" or "own", optional
        Evaluate every module in eval mode, or each in the mode it is in. By default a model in
        train mode as a whole is evaluated in eval mode, and one in eval mode that holds modules in
        train mode is refused. See :mod:`losslandscape.problem.modes`.
    hold_bytes : int
        Samples of a set that would take more memory are read anew at each point, batch by batch,
        and not held; see ``docs/scaling.md``. 4 GiB by default.
    nondeterminism : "refused" or "stated"
        What :func:`losslandscape.evaluate` does where a value is not the same every time; see
        :mod:`losslandscape.point.determinism`.

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
        compile: bool = False,
        device: torch.device | str | None = None,
        dataset_samples: int | Mapping[str, int] | None = None,
        modes: str | None = None,
        nondeterminism: str = "refused",
        hold_bytes: int = HOLD_BYTES,
    ):
        if batch_norm not in bn.MODES:
            raise LossLandscapeError(
                f"batch_norm {batch_norm!r} is not one of {', '.join(bn.MODES)}"
            )
        if batch_size is not None:
            batch_size = whole_number("batch_size", batch_size)
        if reestimation_samples is not None:
            reestimation_samples = whole_number("reestimation_samples", reestimation_samples)
        check_kind(
            "model",
            model,
            nn.Module,
            "its parameters are what moves",
        )
        check_modes(model, modes)
        check_policy(nondeterminism)
        self.model = model
        self.modes = modes
        self.nondeterminism = nondeterminism
        self.loss = resolve(loss, metrics)
        _check_names("metric", metrics or {})
        if isinstance(data, Mapping):
            _check_names("set", data)
        named = _named_sets(data)
        if nondeterminism == "refused":
            check_data(named)
        self.sets = {name: SampleSet(part, name, hold_bytes) for name, part in named.items()}
        if not isinstance(dataset_samples, Mapping):
            first = next(iter(self.sets))
            dataset_samples = {} if dataset_samples is None else {first: dataset_samples}
        self.dataset_samples = {
            name: whole_number(f"dataset_samples of '{name}'", size)
            for name, size in dataset_samples.items()
        }
        for name, size in self.dataset_samples.items():
            if name not in self.sets or size < len(self.sets[name]):
                raise LossLandscapeError(
                    f"dataset_samples: {size} for '{name}', which "
                    + (
                        f"has {len(self.sets[name])} samples; the data set is no smaller"
                        if name in self.sets
                        else f"is no set (there are {', '.join(self.sets)})"
                    )
                )
        self.batch_norm: str = batch_norm if bn.layers(model) else "none"
        if self.batch_norm == "reestimated" and modes == "own":
            refuse_batch_norm(model)
        self.batch_size = batch_size
        for samples in self.sets.values():
            self.loss.check(samples)
        moving = next((p for p in model.parameters() if p.requires_grad), None)
        own = (
            (torch.float32, torch.device("cpu"))
            if moving is None
            else (moving.dtype, moving.device)
        )
        self.device = _usable(device) if device is not None else own[1]
        self.arithmetic = arithmetics.resolve(precision, self.device) if precision else None
        self.precision = self.arithmetic.parameters if self.arithmetic else None
        self.dtype = self.precision or own[0]
        self.compile = compile
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

    def in_float32(self) -> Objective:
        """The same objective computed in float32, plainly."""
        other = copy.copy(self)
        other.arithmetic = arithmetics.resolve("float32", self.device)
        other.precision = other.dtype = torch.float32
        other.compile = False
        return other

    def limited(self, count: int) -> Objective:
        """The same objective on the first samples of its first set alone, at most ``count``."""
        other = copy.copy(self)
        name, samples = next(iter(self.sets.items()))
        other.sets = {name: SampleSet(samples.first(count), name)}
        return other

    def shuffled(self, seed: int) -> Objective:
        """The same objective with every set's samples in a random order."""
        other = copy.copy(self)
        other.sets = {name: samples.shuffled(seed) for name, samples in self.sets.items()}
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
            "precision": self.arithmetic.name
            if self.arithmetic
            else arithmetics.type_name(self.dtype),
            "device": self.device.type,
            "training_modules": training_modules(self.model) if self.modes == "own" else [],
        }
        if self.compile:
            found["compile"] = True
        if streamed := [name for name, samples in self.sets.items() if samples.streamed]:
            found["streamed"] = streamed
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


def _usable(device: torch.device | str) -> torch.device:
    """A device of this machine, ``cuda`` as the ``cuda:0`` that tensors say they are on."""
    try:
        found = torch.device(device)
        if found.type == "cuda" and found.index is None:
            found = torch.device("cuda", torch.cuda.current_device())
        if found.type == "meta":
            raise ValueError("tensors there have no values")
        torch.empty(0, device=found)
    except Exception as error:  # of many types, by device
        reason = str(error).partition("\n")[0]
        raise LossLandscapeError(
            f"device {str(device)!r} cannot be used here ({reason}); give 'cpu', 'cuda' where "
            "torch.cuda.is_available(), 'cuda:1', 'mps' or another of PyTorch's devices"
        ) from error
    return found
