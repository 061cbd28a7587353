"""The loss at a point: a model whose parameters move in place."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.adaptive.allotment import Allotment
from losslandscape.argument_checks import check_kind
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.grid import Grid
from losslandscape.planes.subspace import Subspace
from losslandscape.point.batch_size import (
    BatchMemoryError,
    fastest_batch_size,
    out_of_memory,
    release_memory,
)
from losslandscape.point.cuda_graphs import GraphedRun
from losslandscape.point.fused_convolutions import FusedConvolutions
from losslandscape.point.input_products import InputProducts
from losslandscape.point.measurement import Measurement, joined, mean_loss
from losslandscape.point.module_state import copied, kept_state
from losslandscape.point.moving import MovingParameters
from losslandscape.point.pixel_convolutions import PixelConvolutions
from losslandscape.problem import batch_norm as bn
from losslandscape.problem import precision as arithmetics
from losslandscape.problem.batches import (
    Batch,
    batch_length,
    describe,
    map_batch,
    place_batch,
    same_values,
    tensors_of,
)
from losslandscape.problem.losses import NAMES
from losslandscape.problem.modes import set_modes
from losslandscape.problem.objective import Objective
from losslandscape.problem.samples import SampleSet

_TRIAL_SECONDS = 0.02
_FUSION_SAMPLES = 8
_TRIAL_SHARES = (0.5, 0.125, 0.03125)  # of the way to a corner of the grid


def _generators_kept(device: torch.device) -> AbstractContextManager[None]:
    """Put the random generators of the processor and of the device back in the end."""
    return torch.random.fork_rng([device.index] if device.type == "cuda" else [])


class Evaluator:
    """Measures an objective at points of a subspace, or at any parameters; a context manager.

    Inside the context the model's parameters move in place, see
    :class:`losslandscape.point.moving.MovingParameters`, and its buffers are the origin's. Buffers
    and torch's random generator are the same at the start of every point, so a point's value does
    not depend on those before it. On leaving, the model has its own tensors and modes again.

    A batch size that was found by trial is halved, down to 1, while the first measurement does not
    fit into memory. From then on it stays, because the last bits of the values depend on it.

    Attributes
    ----------
    seed : int
        Of torch's random generator at the start of every point; 0.
    """

    seed = 0

    def __init__(self, objective: Objective, subspace: Subspace, batch_size: int | None = None):
        check_kind("objective", objective, Objective, "objective first, then the subspace")
        check_kind("subspace", subspace, Subspace, "objective first, then the subspace")
        model = objective.model
        subspace.check_model(model)
        self.objective = objective
        own = model.get_parameter(subspace.layout.segments[0].name)
        if own.device != objective.device or objective.precision not in (None, own.dtype):
            model = copied(model, objective.device, objective.precision)
        self.model = model
        self._given = subspace
        self._point_buffers: list[tuple[Any, str, Tensor, Tensor]] = []
        self._versions: list[int] = []
        self._batch_norms = bn.layers(model)
        self._reestimated = objective.batch_norm == "reestimated"
        self._batch_size = batch_size or objective.batch_size
        self._halves = self._batch_size is None  # while memory runs out
        self._deviation: dict[str, Any] | None = None

    def __enter__(self) -> Evaluator:
        with ExitStack() as stack:
            try:
                self._open(stack)
            except Exception as error:
                self._explain(error)
                raise
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _open(self, stack: ExitStack) -> None:
        """Make everything ready; what undoes it goes on the stack first."""
        self._release_memory()  # of what made the model and the directions
        modules = list(self.model.modules())
        stack.callback(kept_state(self.model))
        self._saved_buffers = [
            (module, name, buffer, buffer.detach().clone())
            for module in modules
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        stack.callback(self._restore_buffers)
        self._parameters: MovingParameters | None = None
        stack.callback(self._restore_parameters)
        self._products: InputProducts | None = None
        self._pixels: PixelConvolutions | None = None
        self._fused: FusedConvolutions | None = None
        stack.callback(self._forget)
        stack.enter_context(_generators_kept(self.objective.device))
        arithmetic = self.objective.arithmetic
        stack.enter_context(arithmetics.arithmetic(arithmetic.tf32 if arithmetic else False))
        self._autocast = arithmetic.autocast if arithmetic else None
        self._copies = False  # give the model copies of the batches, since it writes to them
        self._unseen_writes = False  # reset buffers at each point, whatever their versions say
        self._called: Any = self.model
        self._run: Any = self._values
        set_modes(self.model, self.objective.modes)
        self._set_origin_buffers()
        self._choose_memory_format()
        self._choose_shortcuts()
        if self._batch_size is None:
            self._batch_size = self._fastest_batch_size()
        self._cut_batches()
        self._release_memory()  # of the trials

    def _release_memory(self) -> None:
        # a GPU's is left to whoever else uses it, as a training that pauses for this
        if self.objective.device.type == "cpu":
            release_memory(self.objective.device)

    def _cut_batches(self) -> None:
        """Cut the samples into batches of the present size."""
        self._batches = {
            name: self._batched(samples, self.batch_size)
            for name, samples in self.objective.sets.items()
        }
        self._reestimation_batches = (
            self._batched(self.objective.reestimation, self.objective.reestimation_batch_size)
            if self._reestimated
            else []
        )
        if self._products is not None:
            self._products.of(itertools.chain(*self._batches.values(), self._reestimation_batches))

    def _restore_buffers(self) -> None:
        with torch.no_grad():
            for module, name, buffer, value in self._saved_buffers:
                module._buffers[name] = buffer
                buffer.copy_(value)

    def _restore_parameters(self) -> None:
        if self._parameters is not None:
            self._parameters.restore()
        self._parameters = None

    def _forget(self) -> None:
        if self._products is not None:
            self._products.remove()
        if self._pixels is not None:
            self._pixels.remove()
        self._products = self._pixels = self._fused = self._called = self._run = None
        self._batches, self._reestimation_batches = {}, []

    @property
    def passes(self) -> int:
        """Forward passes of a point, those that re-estimate batch-norm statistics included."""
        return sum(map(len, self._batches.values())) + len(self._reestimation_batches)

    @property
    def batch_size(self) -> int:
        assert self._batch_size is not None
        return self._batch_size

    @property
    def deviation(self) -> dict[str, Any] | None:
        """How far the first set's loss is from that of plain arithmetic; None where it is that.

        As :meth:`deviation_on` the subspace's default grid, when first asked for.
        """
        if self._deviation is None:
            self._deviation = self.deviation_on(self._given.default_grid())
        return self._deviation

    def deviation_on(self, grid: Grid) -> dict[str, Any] | None:
        """How far the first set's loss is from that of plain arithmetic; None where it is that.

        Measured inside the context, at the origin and half way to the corners of the grid:
        ``points`` and, in their order, ``loss`` and ``reference_loss``; ``largest_absolute`` and
        ``largest_relative`` of their differences where both are finite; ``reference``, the type
        that the reference is computed in. A model whose own parameters are of 16 bits is compared
        with itself in float32, with a warning: its parameters move in steps.
        """
        arithmetic = self.objective.arithmetic
        coarse = self.objective.dtype in arithmetics.COARSE
        if not (coarse or self.objective.compile or (arithmetic and arithmetic.reduced)):
            return None
        ends = [(low / 2, high / 2) for low, high in grid.bounds]
        points = [(0.0,) * len(ends), *itertools.product(*ends)]
        if not coarse:
            return self._deviations(points, self._losses_in_both(points), self.objective.dtype)
        name = arithmetics.type_name(self.objective.dtype)
        advice = (
            f"{type(self.model).__name__} has parameters of {name}, which move in steps: a fine "
            "surface is a staircase. precision='float32' (--precision float32) gives the surface "
            "itself, on a copy of the model"
        )
        own = [mean_loss(self.measure(point)) for point in points]
        try:
            with Evaluator(self.objective.in_float32(), self._given, self._batch_size) as exact:
                reference = [mean_loss(exact.measure(point)) for point in points]
        except LossLandscapeError as error:
            warnings.warn(f"{advice}, if the model could: {error}", stacklevel=2)
            return None
        found = self._deviations(points, np.array([own, reference]), torch.float32)
        spread = np.ptp(np.array(reference)[np.isfinite(reference)]) if reference else 0.0
        warnings.warn(
            f"{advice}. The loss is off by up to {found['largest_absolute']:.3g} here, where it "
            f"spans {spread:.3g}",
            stacklevel=2,
        )
        return found

    def _losses_in_both(self, points: Sequence[Sequence[float]]) -> np.ndarray:
        """Losses in the faster arithmetic and in the plain one, shape (2, points)."""
        losses = np.empty((2, len(points)))
        for i, point in enumerate(points):
            self.move(point)
            losses[0, i] = mean_loss(self._measure())
            faster = self._called, self._run, self._autocast
            self._called, self._run, self._autocast = self.model, self._values, None
            try:
                with arithmetics.arithmetic():
                    losses[1, i] = mean_loss(self._measure())
            finally:
                self._called, self._run, self._autocast = faster
        return losses

    @staticmethod
    def _deviations(
        points: Sequence[Sequence[float]], losses: np.ndarray, reference: torch.dtype
    ) -> dict[str, Any]:
        finite = np.isfinite(losses).all(axis=0)
        difference = np.abs(losses[0] - losses[1])[finite]
        size = np.abs(losses[1])[finite]
        relative = np.divide(difference, size, out=np.zeros_like(size), where=difference > 0)
        return {
            "reference": arithmetics.type_name(reference),
            "points": [[float(c) for c in point] for point in points],
            "loss": losses[0].tolist(),
            "reference_loss": losses[1].tolist(),
            "largest_absolute": float(difference.max(initial=0.0)),
            "largest_relative": float(relative.max(initial=0.0)),
        }

    def move(self, coordinates: Sequence[float]) -> None:
        """Set the model's parameters to a point of the subspace."""
        assert self._parameters is not None
        if self._products is None:
            self._parameters.move(coordinates)
        else:
            self._parameters.move(coordinates, self._products.weights)
            self._products.coordinates = [float(c) for c in coordinates]

    def measure(
        self, coordinates: Sequence[float], allotment: Allotment | None = None
    ) -> Measurement:
        """Values by sample at a point of the subspace.

        With an ``allotment``, of as many of each set's first samples as it takes.

        Raises
        ------
        LossLandscapeError
            If the model cannot take the data, or the loss is not one number a sample.
        """
        self.move(coordinates)
        return self._measure(allotment)

    def measure_parameters(
        self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]
    ) -> Measurement:
        """Values by sample at any parameters, with their own buffers (batch-norm statistics)."""
        self.subspace.layout.check(parameters, "parameters to measure")
        assert self._parameters is not None
        origin = self._point_buffers
        self._parameters.assign(parameters)
        if self._products is not None:
            self._products.coordinates = None
        self._point_buffers = self._with_values(buffers)
        self._reset_buffers(always=True)
        try:
            return self._measure()
        finally:
            self._point_buffers = origin
            self._reset_buffers(always=True)

    def _measure(self, allotment: Allotment | None = None) -> Measurement:
        again = True  # at the same size: what another program took may be free again
        while True:
            try:
                measured = self._measure_once(allotment)
            except Exception as error:
                halve = self._halves and self.batch_size > 1
                if not (out_of_memory(error) and (again or halve)):
                    self._explain(error)
                    raise
            else:
                self._halves = False
                return measured
            # outside of the handler: the traceback held the tensors of the failed pass
            release_memory(self.objective.device)
            if again:
                again = False
            else:
                self._halve()

    def _halve(self) -> None:
        self._batch_size = self.batch_size // 2
        if isinstance(self._run, GraphedRun):  # its graphs hold memory for the larger batches
            self._run = GraphedRun(self._values)
        self._cut_batches()

    # Not torch.inference_mode: what a model caches in forward would be unusable in training.
    @torch.no_grad()
    def _measure_once(self, allotment: Allotment | None) -> Measurement:
        self._reset_buffers()
        self._seed()  # a model that draws numbers in evaluation draws the same everywhere
        if self._reestimated:
            bn.reestimate(self._batch_norms, self._reestimation_batches, self._eager_values)
        if self._fused is not None:
            self._fused.forget()
        return {
            name: joined(
                [self._run(batch) for batch in batches]
                if allotment is None
                else self._enough(batches, allotment, len(self.objective.sets[name]))
            )
            for name, batches in self._batches.items()
        }

    def _enough(
        self, batches: Sequence[Batch], allotment: Allotment, of: int
    ) -> list[dict[str, Tensor]]:
        """Values of batches until their sampling error is the one allotted."""
        parts: list[dict[str, Tensor]] = []
        losses: list[np.ndarray] = []
        for batch in batches:
            parts.append(self._run(batch))
            losses.append(parts[-1]["loss"].double().cpu().numpy())
            if allotment.suffices(np.concatenate(losses), of):
                break
        return parts

    def _seed(self) -> None:
        device = self.objective.device
        # torch.manual_seed takes 0.2 ms more: it seeds every kind of device there could be
        torch.default_generator.manual_seed(self.seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(self.seed)
        elif device.type != "cpu":
            torch.manual_seed(self.seed)

    def _explain(self, error: Exception) -> None:
        """Raise a BatchMemoryError if memory is used up."""
        if out_of_memory(error):
            samples = f"{self._batch_size} samples" if self._batch_size else "one sample"
            raise BatchMemoryError(
                f"{type(self.model).__name__}: the memory of {self.objective.device} does not hold "
                f"a batch of {samples}; give a smaller batch_size, fewer reestimation_samples, or "
                "another device"
            ) from error

    def _values(self, batch: Batch) -> dict[str, Tensor]:
        values = self._loss(self._called, batch)
        if (
            self._fused is not None
            and self._called is self._fused.called
            and not values["loss"].isfinite().all()
        ):
            return self._loss(self.model, batch)
        return values

    def _eager_values(self, batch: Batch) -> dict[str, Tensor]:
        """Values by the model itself: a compiled or captured one keeps its mode."""
        return self._loss(self.model, batch)

    def _loss(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        if self._copies:
            batch = map_batch(torch.clone, batch)
        try:
            # for each batch: a thread's own, and points may be measured in another one
            with arithmetics.autocast(self.objective.device, self._autocast):
                return self.objective.loss(model, batch)
        except LossLandscapeError:
            raise
        except Exception as error:  # whatever the user's model raises
            if out_of_memory(error):
                raise
            raise LossLandscapeError(
                f"{type(self.model).__name__} cannot take the data (a batch of {describe(batch)}): "
                f"{type(error).__name__}: {error}"
            ) from error

    def _batched(self, samples: SampleSet, size: int) -> Sequence[Batch]:
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
        has_convolutions = any(
            isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in self.model.modules()
        )
        if has_convolutions:
            self._lay_out(channels_last=True)
            try:
                self._try_few()
            except LossLandscapeError:
                pass  # row-major then; if it is not that, the trial below says what it is
            else:
                if self.objective.device.type == "cpu":  # elsewhere the batches are copies anyway
                    for samples in (*self.objective.sets.values(), self.objective.reestimation):
                        samples.lay_out(channels_last=True)
                return
        self._lay_out(channels_last=False)
        self._try_few()

    @torch.no_grad()
    def _try_few(self) -> None:
        """Try two samples, or a whole batch of a given size where the model takes nothing else.

        That a batch of a given size fits into memory is seen without a copy of it.
        """
        size = self._batch_size or 2
        try:
            self._try(min(2, size))
        except LossLandscapeError:
            if size <= 2:
                raise
            self._try(size)
        else:
            if size > 2:
                self._values(self._trial(size))

    @torch.no_grad()
    def _try(self, count: int) -> None:
        """Pass a few samples through the model, and see what else it writes to."""
        trial = self._trial(count)
        batch = map_batch(torch.clone, trial)
        versions = [tensor._version for tensor in tensors_of(batch)]
        self._reset_buffers(always=True)
        self._values(batch)
        self._copies |= versions != [tensor._version for tensor in tensors_of(batch)] or not all(
            map(same_values, tensors_of(batch), tensors_of(trial))
        )
        for (module, name, buffer, value), version in zip(self._point_buffers, self._versions):
            unseen = module._buffers[name] is buffer and buffer._version == version
            self._unseen_writes |= unseen and not same_values(buffer, value)

    def _lay_out(self, channels_last: bool) -> None:
        """Put the parameters at the origin into memory of this order."""
        self._restore_parameters()
        self._channels_last = channels_last
        self.subspace = self._given.placed(
            self.objective.device, self.objective.dtype, channels_last
        )
        self._parameters = MovingParameters(self.model, self.subspace)

    def _choose_shortcuts(self) -> None:
        """Compilation where it is asked for, CUDA graphs on CUDA, else fewer multiplications."""
        if self.objective.compile:
            self._called = torch.compile(self.model, dynamic=False)
        elif self.objective.device.type == "cuda":
            self._run = GraphedRun(self._values)
        elif self.objective.device.type == "cpu":  # where it was measured to pay
            self._pixels = PixelConvolutions(self.model)
            arithmetic = self.objective.arithmetic
            # a function of the user's may do more to the model than call it
            if self.objective.loss.name in NAMES and not (arithmetic and arithmetic.reduced):
                if not any(samples.streamed for samples in self.objective.sets.values()):
                    self._keep_products()  # else a batch's memory would be another one's later
                if self._channels_last and self.objective.dtype == torch.float32:
                    self._fuse()

    def _keep_products(self) -> None:
        assert self._parameters is not None
        self._products = InputProducts(self.model, self.subspace, self._parameters.catch_up)
        if not self._products_agree():
            self._products.remove()
            self._products = None
            self._parameters.catch_up()

    @torch.no_grad()
    def _fuse(self) -> None:
        """Call the model with fused convolutions, if that gives what the model gives."""
        fused = FusedConvolutions(self.model)
        if fused.called is None:
            return
        self._release_memory()  # of one trial, before the next
        trial = self._trial(_FUSION_SAMPLES)

        def losses(point: Sequence[float], called: Any) -> Tensor:
            self._start_trial(point)
            fused.forget()
            return self._loss(called, trial)["loss"]

        with fused.everywhere():
            agree = self._agree(
                lambda point: losses(point, self.model),
                lambda point: losses(point, fused.called),
                rtol=1e-4,
            )
        if agree:
            self._fused, self._called = fused, fused.called

    def _start_trial(self, point: Sequence[float]) -> None:
        self.move(point)
        self._reset_buffers(always=True)
        self._seed()

    def _agree(
        self,
        plain: Callable[[Sequence[float]], Tensor],
        fast: Callable[[Sequence[float]], Tensor],
        rtol: float,
    ) -> bool:
        """Whether two ways to the losses by sample at a point agree, the second a shortcut.

        At the origin and half way to two opposite corners of the plane's default grid; nearer to
        the origin where losses there are not finite, since NaN would agree with anything. Where no
        finite losses are found, nothing is known, and that is not agreement.
        """
        corners = zip(*self._given.default_grid().bounds)
        for corner in [(0.0,) * self._given.dimensions, *corners]:
            for share in _TRIAL_SHARES:
                point = [share * end for end in corner]
                expected = plain(point)
                if expected.isfinite().all():
                    break
            else:
                return False
            try:
                found = fast(point)
            except LossLandscapeError:  # the plain way can take the data
                return False
            if not torch.allclose(found, expected, rtol=rtol, atol=1e-5):
                return False
        return True

    @torch.no_grad()
    def _products_agree(self) -> bool:
        """Whether kept products give the loss of plain passes; a model may write its weights."""
        assert self._products is not None
        assert self._parameters is not None
        if not self._products.layers:
            return False
        trial = self._trial(2)
        products, parameters = self._products, self._parameters
        products.of([trial])

        def plain(point: Sequence[float]) -> Tensor:
            self._start_trial(point)
            products.coordinates = None
            return self._values(trial)["loss"]

        def kept(point: Sequence[float]) -> Tensor:
            self._start_trial(point)
            for name in products.weights:  # whoever reads the weight besides the layer shows it
                parameters.views[name].fill_(torch.nan)
            return self._values(trial)["loss"]

        return self._agree(plain, kept, rtol=1e-3)

    def _set_origin_buffers(self) -> None:
        self._point_buffers = self._with_values(self._given.buffers)
        self._reset_buffers(always=True)

    def _with_values(self, values: Mapping[str, Tensor]) -> list[tuple[Any, str, Tensor, Tensor]]:
        """All buffers as they are at the start of a point: these values, else the model's own.

        A buffer that is registered under several names has its values under one of them.
        """
        names = {id(module): name for name, module in self.model.named_modules()}
        given: dict[int, Tensor] = {}
        for module, name, buffer, own in self._saved_buffers:
            full = f"{names[id(module)]}.{name}".lstrip(".")
            if full in values:
                given[id(buffer)] = values[full].to(own)
        return [
            (module, name, buffer, given.get(id(buffer), own))
            for module, name, buffer, own in self._saved_buffers
        ]

    @torch.no_grad()
    def _reset_buffers(self, always: bool = False) -> None:
        """Undo what a forward pass did to the buffers.

        PyTorch counts what is written to a tensor, but not through ``buffer.data``.
        """
        if not (always or self._unseen_writes):
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
        return len(samples) if samples.ragged else fastest_batch_size(self._rate, len(samples))

    @torch.no_grad()
    def _rate(self, size: int) -> float:
        """Samples a second with batches of a size."""
        trial = self._trial(size)
        if self._fused is not None:
            self._fused.forget()
        if self._products is not None:
            self._products.of([trial])
            self._products.coordinates = [0.0] * self.subspace.dimensions
        run = GraphedRun(self._values) if isinstance(self._run, GraphedRun) else self._run
        run(trial)["loss"].cpu()  # warm-up: allocations, kernels chosen, graphs captured
        passes: list[float] = []
        while len(passes) < 2 or (sum(passes) < _TRIAL_SECONDS and len(passes) < 20):
            start = time.perf_counter()
            run(trial)["loss"].cpu()  # waits for an asynchronous device
            passes.append(time.perf_counter() - start)
        return batch_length(trial) / min(passes)
