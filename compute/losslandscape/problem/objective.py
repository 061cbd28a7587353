"""What is measured: a model, a loss and samples."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.argument_checks import COUNT, Whole, shown
from losslandscape.argument_kinds import ANYTHING, FLAG, Either, Entry, Maybe, Pair, Table, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import sha256
from losslandscape.problem import batch_norm as bn
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.batches import tensors_of
from losslandscape.problem.configuration import Configuration
from losslandscape.problem.determinism import POLICIES, check_data
from losslandscape.problem.execution import AUTO, EXECUTIONS
from losslandscape.problem.fitting import fitted
from losslandscape.problem.inputs import InputsModel, moving_inputs
from losslandscape.problem.losses import Loss, LossCallable, Metric, resolve
from losslandscape.problem.modes import MODES, check_modes, refuse_batch_norm, training_modules
from losslandscape.problem.outputs import TARGET_KEYS, Output
from losslandscape.problem.samples import HOLD_BYTES, SampleSet
from losslandscape.problem.sums import SUM, same_samples_of, split_terms
from losslandscape.public_calls import METRICS, public

_REESTIMATION_SAMPLES = 1024
_REESTIMATION_BATCH = 256
_RESERVED = {
    "status", "gram_matrix", "subspace_gram_matrix", "provenance", "alpha", "beta", "gamma",
}  # fmt: skip


@dataclass(frozen=True)
class _Terms:
    """Losses and factors by set, in the place of one loss."""

    losses: dict[str, Any]
    factors: dict[str, float]


class Objective:
    """A model, a loss and the samples over which it is averaged.

    Parameters
    ----------
    model : torch.nn.Module
        Evaluated in eval mode. Its parameters, buffers and modes are restored afterward.
    loss : str or callable
        ``"cross_entropy"``, ``"mse"``, ``"softmax_mse"``; ``"own"``, the loss that the model
        returns itself; a loss of ``torch.nn``; or a function of ``(model, batch)`` or of
        ``(outputs, targets)`` that returns per-sample losses, a pair ``(losses, weights)``, or the
        mean over a batch. Your function is called with a few samples to find out which; see
        :func:`losslandscape.problem.losses.resolve`.
    data : tuple of tensors, Dataset or DataLoader; or a dict of these by name
        A dict of named sets, ``{"train": ..., "test": ...}``, yields ``loss`` for the first set
        and ``test_loss`` for the set ``test``. A dict of *tensors* is one set, a batch of keyword
        arguments.
    batch_norm : "fixed" or "reestimated"
        Running statistics of batch norm, instance norm and modules of your own; see
        :mod:`losslandscape.problem.batch_norm`.
    metrics : mapping of name to ``(outputs, targets) -> one number per sample``, optional
        Measured beside the loss. Classification losses include the accuracy without being asked.
    batch_size : int, optional
        By default found in a short trial. It is recorded, because the last bits of sums depend on
        it.
    reestimation_samples : int, optional
        Number of samples of the first set, evenly spaced, that re-estimate batch-norm statistics;
        by default 1,024, or all if there are fewer. Their batches have ``batch_size`` samples if
        it is given, otherwise 256. A batch's statistics depend on its size, so the size found in
        the trial is never used here.
    precision : "float32", "float64", "tf32", "bfloat16", "float16" or "auto", optional
        Compute in this type, on a copy of the model if its parameters have another type. The three
        after float64 keep the parameters in float32 and multiply in the given type; their deviation
        from float32 is measured, see :attr:`Evaluator.deviation`. With ``"auto"``,
        :func:`losslandscape.evaluate` measures most points in a faster type if a trial finds one,
        and enough in float32 to state the difference; everything else is computed in float32, or
        in float64 if that is the model's type.
    compile : bool
        Compile the model with :func:`torch.compile`; the deviation is measured as well.
    device : torch.device or str, optional
        Where to compute; by default the model's own device.
    dataset_samples : int or dict of int by set, optional
        Size of the data set from which the samples were drawn, for errors against that data set.
        An int is the size for the first set.
    output : str, int or callable, optional
        Which of the model's outputs the loss takes, if there are several: a key, an attribute, a
        position, or a function of all outputs.
    modes : "eval" or "own", optional
        Evaluate every module in eval mode, or each in its own mode. By default, a model in train
        mode as a whole is evaluated in eval mode, and a model in eval mode with modules in train
        mode is refused. See :mod:`losslandscape.problem.modes`.
    hold_bytes : int
        If a set's samples would take more memory than this, in bytes, they are read again batch by
        batch at each point; see ``docs/scaling.md``. 4 GiB by default.
    execution : "auto", "channels_last", "contiguous" or "plain"
        How the model is run. "auto" tries memory formats and shortcuts, and takes the fastest.
        "channels_last" and "contiguous" fix the memory format of a model with convolutions; the
        rest is tried. "plain" is the model itself, row-major, without shortcuts. The values
        agree up to rounding; see ``docs/performance.md``.
    nondeterminism : "refused" or "stated"
        What :func:`losslandscape.evaluate` does if a value changes between evaluations; see
        :mod:`losslandscape.point.determinism`.

    Raises
    ------
    LossLandscapeError
        If an argument has an unknown value or the data cannot be read.

    Examples
    --------
    >>> model = torch.nn.Linear(2, 1)
    >>> objective = Objective(model, "mse", (torch.zeros(8, 2), torch.zeros(8, 1)))
    >>> objective.quantities
    {'loss': 'mean squared error'}
    """

    @public(
        loss=ANYTHING,
        data=ANYTHING,
        batch_norm=Word(bn.MODES),
        metrics=METRICS,
        reestimation_samples=COUNT,
        precision=Word((*arithmetics.NAMES, arithmetics.AUTO)),
        compile=FLAG,
        device=ANYTHING,
        dataset_samples=Either(Table("set -> size of its data set", COUNT), COUNT),
        output=ANYTHING,
        modes=Word(MODES),
        nondeterminism=Word(POLICIES),
        hold_bytes=Whole(0),
        execution=Word(EXECUTIONS),
    )
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
        output: Output = None,
        modes: str | None = None,
        nondeterminism: str = "refused",
        hold_bytes: int = HOLD_BYTES,
        execution: str = AUTO,
    ):
        check_modes(model, modes)
        self.model = model
        self.modes = modes
        self.nondeterminism = nondeterminism
        self.factors: dict[str, float] | None = None  # of the terms, if the loss is a sum
        self.same_samples: dict[str, str] = {}  # of each term, the first one with its samples
        self.losses: dict[str, Loss]
        by_set = loss if isinstance(loss, _Terms) else None
        if isinstance(output, bool):
            raise LossLandscapeError(
                f"output is {output}; pass a key, an attribute, a position or a function"
            )
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
            name: COUNT.check(f"dataset_samples['{name}']", size)
            for name, size in dataset_samples.items()
        }
        for name, size in self.dataset_samples.items():
            if name not in self.sets or size < len(self.sets[name]):
                raise LossLandscapeError(
                    f"dataset_samples: {size} for '{name}', which "
                    + (
                        f"has {len(self.sets[name])} samples; the data set cannot be smaller"
                        if name in self.sets
                        else f"is not a set; choose from {', '.join(self.sets)}"
                    )
                )
        self.batch_norm: str = batch_norm if bn.keeps_statistics(model) else "none"
        if self.batch_norm == "reestimated" and modes == "own":
            refuse_batch_norm(model)
        self.batch_size = batch_size
        if by_set is not None:
            self.factors = by_set.factors
            self.same_samples = same_samples_of(self.sets)
            self.losses = {
                name: resolve(one, None, output).fitted([self.sets[name]])
                for name, one in by_set.losses.items()
            }
        else:
            one_loss = resolve(loss, metrics, output).fitted(self.sets.values())
            self.losses = dict.fromkeys(self.sets, one_loss)
        moving = next((p for p in model.parameters() if p.requires_grad), None)
        own = (
            (torch.float32, torch.device("cpu"))
            if moving is None
            else (moving.dtype, moving.device)
        )
        self.device = _usable(device) if device is not None else own[1]
        self.auto = precision == arithmetics.AUTO
        if self.auto:
            wide = own[0] in arithmetics.PRECISIONS.values()
            precision = arithmetics.type_name(own[0]) if wide else "float32"
        self.arithmetic = arithmetics.resolve(precision, self.device) if precision else None
        self.precision = self.arithmetic.parameters if self.arithmetic else None
        self.dtype = self.precision or own[0]
        convert = self._fit(own[0])
        # of floating-point data; None leaves them as they are
        self.data_dtype = self.dtype if convert else None
        self.compile = compile
        self.execution: str | Configuration = execution
        main = next(iter(self.sets.values()))
        if reestimation_samples is not None and reestimation_samples > len(main):
            raise LossLandscapeError(
                f"reestimation_samples={reestimation_samples}: the data have {len(main)} samples; "
                "pass at most that (--reestimation-samples)"
            )
        wanted = min(reestimation_samples or _REESTIMATION_SAMPLES, len(main))
        self.reestimation = main if main.ragged else main.subset(wanted)
        self._reestimation_batch: int | None = None  # another size than follows from batch_size

    @classmethod
    @public(terms=ANYTHING, options=ANYTHING)
    def sum(cls, model: nn.Module, terms: Mapping[str, tuple], **options: Any) -> Objective:
        """A weighted sum of mean losses, each over a set of its own.

        The sum is ``loss``; the terms are stored beside it, without their factors. Its standard
        error is sqrt(sum factor^2 error^2), as of independent sets. Sets with the same inputs in
        the same order are taken as the same samples, and the error accounts for it.

        Parameters
        ----------
        terms : dict of str to (data, loss, factor)
            Data and loss as for :class:`Objective`; the factor is a number above 0, by default 1.
        options
            As for :class:`Objective`, without ``metrics`` and ``dataset_samples``.

        Raises
        ------
        LossLandscapeError
            If a term is not such a tuple.

        Examples
        --------
        >>> model = torch.nn.Linear(1, 1)
        >>> inside, ends = torch.rand(8, 1), torch.tensor([[0.0], [1.0]])
        >>> slope = lambda model, batch: (model(batch[0]) ** 2).squeeze(1)
        >>> terms = {"inside": ((inside,), slope, 1.0), "ends": ((ends, 0 * ends), "mse", 10.0)}
        >>> list(Objective.sum(model, terms).quantities)
        ['loss', 'inside_loss', 'ends_loss']
        """
        data, losses, factors = split_terms(terms)
        for name in ("metrics", "dataset_samples"):
            if options.get(name) is not None:
                raise LossLandscapeError(f"{name}: a sum of several sets has none; leave it out")
        return cls(model, _Terms(losses, factors), data, **options)  # type: ignore[arg-type]

    def _fit(self, own: torch.dtype) -> bool:
        """Try each loss on a few samples; whether the data have to be converted."""
        convert = bool(self.precision)
        tried: dict[int, Loss] = {}
        for name, samples in self.sets.items():
            loss = self.losses[name]
            found, convert = fitted(
                tried.get(id(loss), loss), self.model, samples, own, self.modes, convert
            )
            # sets that share a loss share how it is called, which the first one decides
            self.losses[name] = tried.setdefault(id(loss), found)
        return convert

    @property
    def loss(self) -> Loss:
        """The loss of the first set."""
        return next(iter(self.losses.values()))

    @property
    def precision_name(self) -> str:
        """The type of products, such as ``float32``; of "auto" that of what is not fast."""
        return self.arithmetic.name if self.arithmetic else arithmetics.type_name(self.dtype)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of values by sample of each set, that of a sum first."""
        found = {name: len(samples) for name, samples in self.sets.items()}
        return found if self.factors is None else {SUM: sum(found.values()), **found}

    @public(stated=ANYTHING)
    def may_have_code(self, stated: Any) -> bool:
        """Whether the hash of the loss's code from a file can belong to this objective."""
        if self.factors is None:
            return self.loss.may_have_code(stated)
        return isinstance(stated, dict) and all(
            loss.may_have_code(stated.get(name)) for name, loss in self.losses.items()
        )

    @property
    def reestimation_batch_size(self) -> int:
        """Number of samples per batch when batch-norm statistics are re-estimated."""
        return self._reestimation_batch or self.batch_size or _REESTIMATION_BATCH

    @public(size=Maybe(COUNT))
    def with_reestimation_batches(self, size: int | None) -> Objective:
        """The same objective with re-estimation batches of this size; None changes nothing."""
        other = copy.copy(self)
        other._reestimation_batch = size or self._reestimation_batch
        return other

    @public(mode=Word((*bn.MODES, "none")))
    def with_batch_norm(self, mode: str) -> Objective:
        """The same objective with another treatment of batch norm."""
        other = copy.copy(self)
        if bn.keeps_statistics(self.model):
            other.batch_norm = mode
        return other

    @public(configuration=Maybe(Table("the configuration in a landscape's provenance")))
    def with_execution(self, configuration: Mapping[str, Any] | None) -> Objective:
        """The same objective, computed as a file records it; None changes nothing.

        Parameters
        ----------
        configuration : dict, optional
            ``landscape.provenance["objective"]["configuration"]``.

        Raises
        ------
        LossLandscapeError
            If it is not a configuration.
        """
        other = copy.copy(self)
        if configuration is not None:
            found = Configuration.from_json(configuration)
            if found is None:
                raise LossLandscapeError(
                    f"{shown(configuration)} does not say how points are computed; pass "
                    "landscape.provenance['objective']['configuration'], or execution= to Objective"
                )
            other.execution = found
        return other

    def in_float32(self) -> Objective:
        """The same objective computed in plain float32, not compiled."""
        other = self.in_precision("float32")
        other.compile = False
        return other

    @public(name=Word(arithmetics.NAMES))
    def in_precision(self, name: str) -> Objective:
        """The same objective computed in another type."""
        other = copy.copy(self)
        other.auto = False
        other.arithmetic = arithmetics.resolve(name, self.device)
        other.precision = other.dtype = other.data_dtype = other.arithmetic.parameters
        return other

    @public(valid_range=Pair(), clip=FLAG, place=Entry())
    def over_inputs(
        self,
        valid_range: tuple[float, float] | None = None,
        *,
        clip: bool = False,
        place: int | str | None = None,
    ) -> Objective:
        """The same loss as a function of the inputs: the samples move, the network is fixed.

        Use it with :meth:`Subspace.inputs`. The model of the new objective has the inputs as its
        only trainable parameter, shape (samples, ...); the network's values are shared.

        Parameters
        ----------
        valid_range : (low, high), optional
            Range of valid input values, such as (0, 1) for images. The landscape then has
            ``outside_range``, the mean share of the input values that lie outside at each point.
        clip : bool
            Evaluate the network at inputs clipped to ``valid_range``. The recipe states it, and
            ``outside_range`` is the share that is clipped. By default nothing is clipped.
        place : int or str, optional
            Position or key of the inputs in a batch; by default the first part of a tuple, or the
            first key of a dict that holds floating-point numbers and no targets.

        Raises
        ------
        LossLandscapeError
            If there are several sets of samples, batch norm is re-estimated, the model is to be
            compiled, the inputs are not floating-point numbers, or lie outside ``valid_range``.

        Examples
        --------
        >>> model = nn.Linear(2, 1)
        >>> over = Objective(model, "mse", (torch.rand(8, 2), torch.rand(8, 1))).over_inputs()
        >>> [(name, tuple(p.shape)) for name, p in over.model.named_parameters() if p.requires_grad]
        [('inputs', (8, 2))]
        """
        if len(self.sets) > 1:
            raise LossLandscapeError(
                f"a landscape over the inputs is of one set of samples, and there are "
                f"{len(self.sets)} ({', '.join(self.sets)}); pass one"
            )
        if self.batch_norm == "reestimated":
            raise LossLandscapeError(
                "batch_norm='reestimated' over the inputs would make the statistics depend on the "
                "inputs that move; use batch_norm='fixed'"
            )
        if self.compile:
            raise LossLandscapeError("compile=True has no effect over the inputs; omit it")
        if self.factors is not None:
            raise LossLandscapeError("a sum of several sets has no landscape over its inputs")
        ((name, samples),) = self.sets.items()
        other = copy.copy(self)
        other.model, loss, moved = moving_inputs(
            self.model, self.loss, samples, valid_range, clip, place
        )
        other.losses = dict.fromkeys(self.sets, loss)
        other.sets, other.reestimation = {name: moved}, moved
        return other

    @public()
    def limited(self, count: int) -> Objective:
        """The same objective on at most ``count`` first samples of its first set alone."""
        other = copy.copy(self)
        name, samples = next(iter(self.sets.items()))
        other.sets = {name: SampleSet(samples.first(count), name)}
        return other

    @public()
    def shuffled(self, seed: int) -> Objective:
        """The same objective with every set's samples in a random order."""
        other = copy.copy(self)
        other.sets = {name: samples.shuffled(seed) for name, samples in self.sets.items()}
        return other

    @property
    def quantities(self) -> dict[str, str]:
        """Names and titles of the losses; metrics become known with the first measurement."""
        titles = {name: loss.title for name, loss in self.losses.items()}
        titles[SUM] = "sum of losses"
        return {
            f"{prefix}loss": f"{name} {titles[name]}" if prefix else titles[name]
            for name, prefix in self.prefixes.items()
        }

    @property
    def prefixes(self) -> dict[str, str]:
        """Name of each set -> prefix of its variables; empty for the first set, or the sum."""
        return {name: f"{name}_" if i else "" for i, name in enumerate(self.sizes)}

    def to_json(self) -> dict:
        """Describe what is measured, for the file."""
        found: dict[str, Any] = {
            "model": _model_name(self.model),
            "model_structure": hashlib.sha256(repr(self.model).encode()).hexdigest(),
            "frozen_parameters": sha256(
                [p for _, p in sorted(self.model.named_parameters()) if not p.requires_grad]
            ),
            "loss": self.loss.name,
            "loss_code": self.loss.code_hash(),
            "sets": {name: samples.to_json() for name, samples in self.sets.items()},
            "batch_norm": self.batch_norm,
            "precision": arithmetics.AUTO if self.auto else self.precision_name,
            "device": self.device.type,
            "training_modules": training_modules(self.model) if self.modes == "own" else [],
        }
        if how := self.loss.to_json():
            found["loss_call"] = how
        if self.factors is not None:
            self._describe_sum(found)
        if converted := self._converted():
            found["converted_data"] = converted
        if self.compile:
            found["compile"] = True
        if streamed := [name for name, samples in self.sets.items() if samples.streamed]:
            found["streamed"] = streamed
        if self.batch_norm == "reestimated":
            found["reestimation_samples"] = len(self.reestimation)
            found["reestimation_batch_size"] = self.reestimation_batch_size
        return found

    def _describe_sum(self, found: dict[str, Any]) -> None:
        found.pop("loss_call", None)
        found["loss"] = SUM
        found["loss_code"] = {name: loss.code_hash() for name, loss in self.losses.items()}
        found["terms"] = {
            name: {"factor": factor, "loss": self.losses[name].name, **self.losses[name].to_json()}
            for name, factor in (self.factors or {}).items()
        }
        for name, first in self.same_samples.items():
            if name != first:
                found["terms"][name]["same_samples_as"] = first
        together = hashlib.sha256(repr(sorted(found["sets"].items())).encode()).hexdigest()
        whole = {"samples": self.sizes[SUM], "source": "all sets", "sha256": together}
        found["sets"] = {SUM: whole, **found["sets"]}

    def _converted(self) -> dict[str, str]:
        """Types of data that are converted because the model does not take them, by set."""
        if self.precision is not None or self.data_dtype is None:
            return {}
        found = {}
        for name, samples in self.sets.items():
            first = next(iter(samples.stored()))
            kinds = {t.dtype for t in tensors_of(first) if t.is_floating_point()}
            names = sorted(arithmetics.type_name(kind) for kind in kinds - {self.data_dtype})
            if names:
                told = arithmetics.type_name(self.data_dtype)
                found[name] = f"{' and '.join(names)} to {told}"
        return found


def _model_name(model: nn.Module) -> str:
    if isinstance(model, InputsModel):
        return f"inputs of {type(model.network).__name__}"
    return type(model).__name__


def _named_sets(data: Any) -> dict[str, Any]:
    if isinstance(data, Mapping):
        if not data:
            raise LossLandscapeError("data: the dict is empty; pass at least one set of samples")
        if all(isinstance(value, (Tensor, np.ndarray)) for value in data.values()):
            return {"train": data}
        if {"input_ids", *TARGET_KEYS} & set(data):  # a batch, as tokenizers return it
            return {"train": {key: _as_array(key, value) for key, value in data.items()}}
        return dict(data)
    return {"train": data}


def _as_array(key: Any, value: Any) -> Any:
    """An entry of a batch as a tensor, if it is a list of numbers."""
    if not isinstance(value, (list, tuple)) or any(isinstance(one, Tensor) for one in value):
        return value
    try:
        return torch.tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LossLandscapeError(
            f"data: the entry {key!r} is a list that makes no tensor ({error}); pad its rows to "
            "one length (padding=True, return_tensors='pt' of a tokenizer)"
        ) from error


def _check_names(what: str, names: Mapping[str, Any]) -> None:
    """Raise a LossLandscapeError if a name cannot be part of a variable's name in the file."""
    for name in names:
        if not str(name).isidentifier() or name in _RESERVED or name in ("trajectory", "model"):
            raise LossLandscapeError(
                f"{what} {name!r}: the name is taken, or not an identifier; use letters, digits "
                "and _, with a letter first"
            )


def _usable(device: torch.device | str) -> torch.device:
    """A device of this machine; ``cuda`` becomes ``cuda:0``, as tensors name their device."""
    try:
        found = torch.device(device)
        if found.type == "cuda" and found.index is None:
            found = torch.device("cuda", torch.cuda.current_device())
        if found.type == "meta":
            raise ValueError("tensors there have no values")
        torch.empty(0, device=found)
    except Exception as error:  # each device raises its own type
        reason = str(error).partition("\n")[0]
        raise LossLandscapeError(
            f"device {str(device)!r} cannot be used here ({reason}); pass 'cpu', 'cuda' if "
            "torch.cuda.is_available(), 'cuda:1', 'mps' or another of PyTorch's devices"
        ) from error
    return found
