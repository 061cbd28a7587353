"""The loss at a point: a model whose parameters move in place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from losslandscape.adaptive.allotment import Allotment, GivenCount
from losslandscape.argument_kinds import ANYTHING, FLAG, Instance, Maybe, With
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.point import configuration_cache
from losslandscape.point.batch_size import SMALLEST, pass_rate, seconds_of_pass, trial_batch_size
from losslandscape.point.buffers import PointBuffers
from losslandscape.point.carried_buffers import CarriedBuffers
from losslandscape.point.convolution_trial import Seen, fastest_formats, seen_convolutions
from losslandscape.point.deviation import Points, deviation
from losslandscape.point.device_memory import out_of_memory, release_cpu_memory
from losslandscape.point.forward_pass import ForwardPass
from losslandscape.point.generators import seed_generators, torch_generators_kept
from losslandscape.point.halving import HalvingBatchSize
from losslandscape.point.measurement import Measurement, joined, mean_loss, values_of
from losslandscape.point.memory_format import runs_channels_last
from losslandscape.point.module_state import copied, kept_state
from losslandscape.point.moving import MovingParameters, others_set
from losslandscape.point.point_batches import PointBatches
from losslandscape.point.shortcut import Setting
from losslandscape.point.shortcuts import Shortcuts
from losslandscape.point.trial import Trial
from losslandscape.point.unseen_parameters import without_effect
from losslandscape.problem import batch_norm as bn
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.batches import Batch, batch_length
from losslandscape.problem.configuration import Configuration
from losslandscape.problem.execution import AUTO, CHANNELS_LAST, CONTIGUOUS
from losslandscape.problem.modes import set_modes
from losslandscape.problem.objective import Objective
from losslandscape.problem.own_statistics import OwnStatistics, candidates
from losslandscape.problem.sample_weights import check_same
from losslandscape.problem.sums import SUM, pooled
from losslandscape.public_calls import TENSORS, public

CONFIGURATION = Maybe(
    Instance(
        "losslandscape.problem.configuration:Configuration",
        "Configuration.of(objective.execution), of losslandscape.problem.configuration",
    )
)
ALLOTMENT = With("suffices", "an Allotment")
_TRIED_ON, _TRIED_ON_MOST = 16, 1024  # samples in the batches of trials
_WORTH_TRIALS = 0.005  # seconds of a pass over the samples; below, trials cost more than they save
_CERTAINLY_WORTH = 0.03
_TRIED_SECONDS = 0.02
_WORTH_KEEPING = 0.05  # seconds of the trials of an opening
_SEEN_ON = 32  # samples that show how a module renews its running statistics


class Evaluator:
    """Measures an objective at points of a subspace, or at any parameters; a context manager.

    Inside the context the model's parameters move in place, see
    :class:`losslandscape.point.moving.MovingParameters`, and its buffers are the origin's, or those
    that belong to the point, see :class:`losslandscape.point.carried_buffers.CarriedBuffers`.
    Buffers and torch's random generator are the same at the start of a point whenever it is
    measured, so its value does not depend on those before it. On leaving, the model has its own
    tensors and modes again.

    A batch size found by trial may be halved in the first measurement; see
    :class:`losslandscape.point.halving.HalvingBatchSize`. Memory format, convolutions and shortcuts
    are found by trial as well, unless a ``configuration`` says them, or the objective does.

    Attributes
    ----------
    objective : Objective
    model : torch.nn.Module
        The objective's, or a copy on its device and of its type.
    subspace : Subspace
        Inside the context on the device, of the type and in the memory order of the model.
    seed : int
        Of torch's random generator at the start of every point; 0.
    weights : dict of str -> dict of str -> ndarray, shape (n,)
        How much each sample weighs, by set and quantity, where samples weigh differently; from the
        first point that was measured. Those of the others must be the same.
    parameters, buffers, carried, batches, shortcuts
        Inside the context, the parts that it is made of.
    """

    seed = 0

    @public(configuration=CONFIGURATION)
    def __init__(
        self,
        objective: Objective,
        subspace: Subspace,
        batch_size: int | None = None,
        configuration: Configuration | None = None,
    ):
        model = objective.model
        subspace = subspace.fitted_to(model)
        subspace.check_model(model)
        self.objective = objective
        own = dict(model.named_parameters())[subspace.layout.segments[0].name]
        if own.device != objective.device or objective.precision not in (None, own.dtype):
            model = copied(model, objective.device, objective.precision)
        self.model = model
        self.subspace = self._given = subspace
        self.batches = PointBatches(objective)
        self.parameters: MovingParameters | None = None
        self._forward = ForwardPass(objective, model)
        self._reestimates = objective.batch_norm == "reestimated"
        self._norms = bn.layers(model) if self._reestimates else []
        self._own_statistics: list[OwnStatistics] = []
        self._size = HalvingBatchSize(
            batch_size or objective.batch_size, type(model).__name__, objective.device
        )
        self._wanted = configuration or Configuration.of(objective.execution)
        self._rates: dict[int, float] = {}  # samples a second, by batch size, of the trials so far
        self._sample_seconds: float | None = None  # of the model itself, where it was timed
        self._channels_last = False
        self._convolutions = self._wanted.convolutions
        self._deviation: dict[str, Any] | None = None
        self.weights: dict[str, dict[str, np.ndarray]] = {}

    def __enter__(self) -> Evaluator:
        with ExitStack() as stack:
            try:
                self._open(stack)
            except Exception as error:
                self._size.explain(error)
                raise
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _open(self, stack: ExitStack) -> None:
        """Make everything ready; what undoes it goes on the stack first."""
        device, arithmetic = self.objective.device, self.objective.arithmetic
        release_cpu_memory(device)  # of what made the model and the directions
        stack.callback(kept_state(self.model))
        self.buffers = PointBuffers(self.model)
        stack.callback(self.buffers.restore)
        stack.callback(self._restore_parameters)
        self.shortcuts = Shortcuts(self._forward.plain)
        stack.callback(self.shortcuts.undo)
        stack.callback(self.batches.forget)
        stack.enter_context(torch_generators_kept(device))
        stack.enter_context(arithmetics.arithmetic(arithmetic.tf32 if arithmetic else False))
        set_modes(self.model, self.objective.modes)
        self.buffers.start_from(self._given.buffers)
        trial = Trial(self._given, self._forward, self.batches, self.buffers, self._start)

        wanted, key = self._wanted, ""
        if not wanted.decided:
            dimensions = self.subspace.dimensions
            key = configuration_cache.key_of(
                self.objective, self.model, dimensions, self._size.given
            )
            wanted = configuration_cache.kept(key) or wanted
            self._convolutions = wanted.convolutions
        runs_channels_last(
            self.model,
            self._lay_out,
            lambda: trial.begin(self._moving, self._size.given),
            allowed=wanted.memory_format != CONTIGUOUS,
            required=self.objective.execution == CHANNELS_LAST,
        )
        with seen_convolutions(self.model) as seen:
            begun = time.perf_counter()
            self.unreached = trial.unreached(self._moving)
            few = time.perf_counter() - begun
        begun = time.perf_counter()
        if not wanted.decided and seen and self._worth_trials(few):
            self._choose_formats(wanted, seen, trial)
        self.batches.keep_order()
        about = (self.objective, self.model, self.subspace, self._moving, self._channels_last)
        setting = Setting(*about, self._forward.by, self._convolutions)
        self.shortcuts.choose(setting, trial, wanted.shortcuts)
        if not wanted.decided and self.shortcuts.optional and self._worth_trials(few):
            batch = self.batches.first(self._tried)
            seconds = self.shortcuts.keep_fast(batch, self._moving)
            self._rates[batch_length(batch)] = batch_length(batch) / seconds
        if not self._size.known:
            known = wanted.batch_size
            size = min(known, self._samples) if known else self._fastest_batch_size()
            self._size.found(size)
        if not wanted.decided and time.perf_counter() - begun >= _WORTH_KEEPING:
            configuration_cache.keep(key, self.configuration)
        self._cut_batches()
        self._own_statistics = self._seen_statistics() if self._reestimates else []
        self.carried = CarriedBuffers(self.model, self._given, self._own_statistics)
        release_cpu_memory(device)  # of the trials

    def _lay_out(self, channels_last: bool) -> None:
        """Put the parameters at the origin, and new batches, into memory of this order."""
        known = self.parameters.at_origin if self.parameters is not None else ()
        self._restore_parameters()
        self.batches.channels_last = self._channels_last = channels_last
        names = [f"{name}.weight".lstrip(".") for name in self._row_major]
        self.subspace = self._given.placed(
            self.objective.device, self.objective.dtype, channels_last, names
        )
        self.parameters = MovingParameters(self.model, self.subspace, known)

    @property
    def _row_major(self) -> frozenset[str]:
        """Names of the convolutions whose kernels are row-major in a channels-last model."""
        ways = Configuration(convolutions=self._convolutions)
        return ways.row_major

    @property
    def _samples(self) -> int:
        return len(next(iter(self.objective.sets.values())))

    @property
    def _tried(self) -> int:
        """Samples in the batches of trials of memory formats and shortcuts.

        A few where they take long; as many as take a while where calls would outweigh them.
        """
        most = self._size.given or max(self._samples // 4, 1)
        if not self._sample_seconds:
            return min(most, _TRIED_ON)
        return min(
            most, max(_TRIED_ON, min(_TRIED_ON_MOST, int(_TRIED_SECONDS / self._sample_seconds)))
        )

    @torch.no_grad()
    def _worth_trials(self, few: float) -> bool:
        """Whether a point takes so long that trials may pay; a few samples took ``few`` seconds."""
        if few >= _CERTAINLY_WORTH:
            return True
        if few * self._samples < _WORTH_TRIALS:
            return False
        if self._sample_seconds is None:
            batch = self.batches.first(self._tried)
            try:
                self._sample_seconds = seconds_of_pass(self._forward.plain, batch) / batch_length(
                    batch
                )
            except Exception as error:
                if not out_of_memory(error):
                    raise
                self._sample_seconds = 0.0  # memory does not hold the batch of a trial
        return self._sample_seconds * self._samples >= _WORTH_TRIALS

    def _choose_formats(
        self, wanted: Configuration, seen: Mapping[str, Seen], trial: Trial
    ) -> None:
        """Find out which memory format is the fastest, and lay out everything in it."""
        objective = self.objective
        before = self._channels_last
        allowed = {True, False} if before and wanted.memory_format == AUTO else {before}
        if objective.compile:
            return  # a trial of each format would take minutes of compilation
        if objective.device.type == "cpu":
            autocast = objective.arithmetic.autocast if objective.arithmetic else None
            with arithmetics.autocast(objective.device, autocast):
                found = fastest_formats(seen, self._tried, allowed)
            self._convolutions = found.convolutions
            if found.channels_last != before or self._row_major:
                self._lay_out(found.channels_last)
                trial.laid_out_anew(self._moving)
        elif len(allowed) > 1:
            times = {}
            for last in (True, False):
                if last != self._channels_last:
                    self._lay_out(last)
                    trial.laid_out_anew(self._moving)
                batch = self.batches.first(self._tried)
                times[last] = seconds_of_pass(self._forward.plain, batch)
            if times[True] <= times[False]:
                self._lay_out(True)
                trial.laid_out_anew(self._moving)

    @property
    def _moving(self) -> MovingParameters:
        assert self.parameters is not None
        return self.parameters

    def _restore_parameters(self) -> None:
        if self.parameters is not None:
            self.parameters.restore()
        self.parameters = None

    @torch.no_grad()
    def _fastest_batch_size(self) -> int:
        """The size of the highest rate in a short trial on the first set."""
        samples = next(iter(self.objective.sets.values()))

        def rate(batch: Batch) -> float:
            once = self._rates.pop(batch_length(batch), None)
            if once is not None:  # a second time it is measured
                return once
            self.shortcuts.at_batches([batch])
            self.shortcuts.before_batches()
            return pass_rate(self.shortcuts.run, batch)

        if samples.ragged:
            return len(samples)
        known = {size: found for size, found in self._rates.items() if size < SMALLEST}
        return trial_batch_size(self.batches.first, rate, len(samples), known)

    @torch.no_grad()
    def _seen_statistics(self) -> list[OwnStatistics]:
        """The user's modules whose running statistics can be re-estimated."""
        batch = self.batches.first(_SEEN_ON)
        seen = (
            OwnStatistics.seen(module, batch, self._forward.plain, self._start)
            for module in candidates(self.model).values()
            if not module.training
        )
        return [one for one in seen if one is not None]

    def _cut_batches(self) -> None:
        """Cut the samples into batches of the present size."""
        self.batches.cut(self._size.size)
        self.shortcuts.at_batches(self.batches)

    @property
    def passes(self) -> int:
        """Forward passes of a point, those that re-estimate batch-norm statistics included."""
        return self.batches.passes

    @property
    def batch_size(self) -> int:
        """Samples in a batch, at most."""
        return self._size.size

    @property
    def configuration(self) -> Configuration:
        """How points are computed; inside the context. Another evaluator can be given it."""
        return Configuration(
            CHANNELS_LAST if self._channels_last else CONTIGUOUS,
            self.shortcuts.names,
            self._convolutions,
            self.batch_size,
        )

    @property
    def deviation(self) -> dict[str, Any] | None:
        """As :meth:`deviation_on` the subspace's default grid, when first asked for."""
        if self._deviation is None:
            self._deviation = self.deviation_on(self._given.default_grid())
        return self._deviation

    @public()
    def deviation_on(self, grid: Grid) -> dict[str, Any] | None:
        """How far the first set's loss is from that of plain arithmetic; None where it is that.

        Measured inside the context; see :func:`losslandscape.point.deviation.deviation`.
        """

        def plain(points: Points) -> list[float]:
            with self.shortcuts.unwrapped(), self._forward.in_plain_arithmetic():
                return own(points)

        def own(points: Points) -> list[float]:
            return [mean_loss(self.measure(point)) for point in points]

        def in_float32(points: Points) -> list[float]:
            in_float32 = self.objective.in_float32()
            with Evaluator(in_float32, self._given, self.batch_size) as exact:
                return [mean_loss(exact.measure(point)) for point in points]

        return deviation(self.objective, grid, own, plain, in_float32)

    def altered_buffers(self) -> list[str]:
        """Names of the buffers that are not what they were before the last point was measured.

        Statistics that are gathered anew at each point are meant to change.
        """
        own = [one.module for one in self._own_statistics]
        return self.buffers.altered(besides=[*self._norms, *own])

    def altered_parameters(self) -> list[str]:
        """Names of the parameters that were written to since they were moved to the origin."""
        return self._moving.altered(besides=self.shortcuts.left)

    def frozen_marks(self) -> dict[str, tuple[int, str, str]]:
        """What would differ for each parameter that the subspace does not move, were it changed."""
        return {
            name: (parameter._version, *_sums(parameter.detach()))
            for name, parameter in self.model.named_parameters()
            if not (parameter.requires_grad or is_lazy(parameter))
        }

    @public(measured=ANYTHING)
    def without_effect(self, measured: Measurement) -> list[str]:
        """Names of parameters that change no loss, where ``measured`` is the origin's."""
        if not self.unreached:
            return []

        def same(parameters: Mapping[str, Tensor]) -> bool:
            found = self.measure_parameters(parameters, self._given.buffers)
            return all(
                np.array_equal(values["loss"], found[name]["loss"], equal_nan=True)
                for name, values in measured.items()
            )

        origin = self._given.parameters_at((0.0,) * self._given.dimensions)
        return without_effect(self.unreached, origin, same)

    @public()
    def move(self, coordinates: Sequence[float]) -> None:
        """Set the model's parameters to a point of the subspace."""
        self._moving.move(coordinates, self.shortcuts.left)
        self.shortcuts.at_point(coordinates)

    @public(allotment=ALLOTMENT)
    def measure(
        self, coordinates: Sequence[float], allotment: Allotment | GivenCount | None = None
    ) -> Measurement:
        """Values by sample at a point of the subspace.

        With an ``allotment``, of as many of each set's first samples as it takes.

        Raises
        ------
        LossLandscapeError
            If the model cannot take the data, or the loss is not one number a sample.
        """
        self.move(coordinates)
        self._carry(coordinates)
        return self._measure(allotment)

    def _carry(self, coordinates: Sequence[float]) -> None:
        """Let the buffers that go with the weights be those of the point."""
        if self.carried:
            if self.carried.recomputed:
                self._moving.catch_up()
            carried = {**self.carried.at(coordinates), **self.carried.from_weights()}
            self.buffers.start_from({**self._given.buffers, **carried})

    @public(parameters=TENSORS, buffers=TENSORS, own_statistics=FLAG)
    def measure_parameters(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        own_statistics: bool = False,
    ) -> Measurement:
        """Values by sample at any parameters, with their own buffers.

        ``parameters`` may also hold those that the subspace does not move. With
        ``own_statistics``, running statistics are never re-estimated: the values are those of the
        model as it is.
        """
        self.subspace.layout.check(parameters, "parameters to measure")
        self._moving.assign(parameters)
        self.shortcuts.at_point(None)
        with (
            others_set(self.model, parameters, besides=self._moving.views),
            self.buffers.starting_from(buffers),
        ):
            return self._measure(reestimate=not own_statistics)

    def _measure(
        self, allotment: Allotment | GivenCount | None = None, reestimate: bool = True
    ) -> Measurement:
        return self._size.measured(
            lambda: self._measure_once(allotment, reestimate), self._cut_batches
        )

    # Not torch.inference_mode: what a model caches in forward would be unusable in training.
    @torch.no_grad()
    def _measure_once(
        self, allotment: Allotment | GivenCount | None, reestimate: bool
    ) -> Measurement:
        self._start(always=False)
        if reestimate and (self._norms or self._own_statistics):
            bn.reestimate(
                self._norms, self.batches.reestimation, self._forward.plain, self._own_statistics
            )
        self.shortcuts.before_batches()
        measured: Measurement = {}
        for name, batches in self.batches.sets.items():
            count = len(self.objective.sets[name])
            with self._forward.of_set(name):
                parts = values_of(self.shortcuts.run, batches, allotment, count)
            measured[name], weights = joined(parts)
            loss = self.objective.losses[name].name
            check_same(self.weights.setdefault(name, weights), weights, loss)
        if self.objective.factors is None:
            return measured
        losses = {name: values["loss"] for name, values in measured.items()}
        total = pooled(losses, self.objective.factors, self.objective.same_samples)
        return {SUM: {"loss": total}, **measured}

    def _start(self, always: bool = True) -> None:
        """Buffers and generators as at the start of every point."""
        self.buffers.reset(always)
        # a model that draws numbers in evaluation draws the same everywhere
        seed_generators(self.objective.device, self.seed)


def _sums(tensor: Tensor) -> tuple[str, str]:
    """Two sums of a tensor's values, which other values do not have but by chance."""
    values = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    values = values.to(torch.float32 if tensor.device.type == "mps" else torch.float64)
    return str(float(values.sum())), str(float(values.square().sum()))
