"""Value, gradient and Hessian of the mean loss in the coordinates of a subspace, by autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, Union

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.instancenorm import _InstanceNorm

from losslandscape.argument_checks import shortened
from losslandscape.argument_kinds import Word
from losslandscape.argument_kinds import coordinates as coordinates_of
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import sharing
from losslandscape.planes.subspace import Subspace
from losslandscape.point.carried_buffers import CarriedBuffers
from losslandscape.point.differentiable_kernels import differentiable_kernels
from losslandscape.point.module_state import copied, kept_state
from losslandscape.problem import batch_norm as bn
from losslandscape.problem.batches import Batch, map_batch
from losslandscape.problem.modes import refuse, set_modes, training_modules
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import PRECISIONS
from losslandscape.problem.sample_weights import WEIGHT, linearized
from losslandscape.problem.samples import SampleSet
from losslandscape.problem.sums import pooled
from losslandscape.public_calls import TENSORS, public

Parameters = dict[str, Tensor]
Coordinates = Union[Sequence[float], np.ndarray]
# parameters and buffers of a point, made of fresh leaves, and these leaves
Place = tuple[Parameters, dict[str, Tensor]]
Make = Callable[[], tuple[Place, list[Tensor]]]
T = TypeVar("T")


@dataclass(frozen=True)
class Expansion:
    """The mean loss around a point to second order.

    Attributes
    ----------
    gradient : float64 ndarray, shape (dimensions,)
        Per unit of the coordinates.
    hessian : float64 ndarray, shape (dimensions, dimensions)
    """

    value: float
    gradient: np.ndarray
    hessian: np.ndarray


class PlaneDerivatives:
    """Derivatives of the loss that :func:`losslandscape.evaluate` measures; a context manager.

    The loss of the first set of samples is differentiated through coordinates -> theta0 + a d1 +
    b d2 by :func:`torch.func.functional_call`. Graphs are kept for one batch at a time. Attention
    and recurrent layers use kernels that have a second derivative.

    Buffers that go with the weights are those of the point. Interpolated ones are differentiated.
    The vectors of spectral norm are constants: the gradient is still that of the loss, by the
    envelope theorem, and the Hessian is not. That is for
    :class:`losslandscape.point.differenced_gradients.DifferencedGradients`, as
    :func:`losslandscape.point.checked_derivatives.checked_derivatives` chooses it.

    With re-estimated batch norm the loss is a function of the coordinates and of the statistics
    s, which are themselves one: the mean over the re-estimation batches of each batch's means and
    unbiased variances, with every layer's input normalised by its own batch, as in training. With
    J = ds/dc gathered in a first pass, the second differentiates the loss at s + J (c - c0), whose
    derivatives are the loss's but for the term of d2s/dc2; a third pass adds that. Nothing is
    taken for constant.

    Parameters
    ----------
    precision : "float32" or "float64", optional
        The objective's own by default; another one computes on a copy of the model.
    batch_size : int, optional
        Samples a pass, which bounds the memory; the objective's own, or all at once, by default.
    reestimation_batch_size : int, optional
        Samples of a re-estimation batch, which the loss itself depends on; the objective's own by
        default.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 2.0)
    >>> objective = Objective(model, "mse", (torch.ones(4, 1), torch.zeros(4, 1)))
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> with PlaneDerivatives(objective, line) as loss:
    ...     loss.expansion((1.0,))
    Expansion(value=9.0, gradient=array([6.]), hessian=array([[2.]]))
    """

    @public(precision=Word(tuple(PRECISIONS)))
    def __init__(
        self,
        objective: Objective,
        subspace: Subspace,
        precision: str | None = None,
        batch_size: int | None = None,
        reestimation_batch_size: int | None = None,
    ):
        if precision is not None and precision not in PRECISIONS:
            raise LossLandscapeError(
                f"precision {precision!r} is not one of {', '.join(PRECISIONS)}"
            )
        subspace = subspace.fitted_to(objective.model)
        subspace.check_model(objective.model)
        model = objective.model
        if objective.modes == "own":
            refuse(model, training_modules(model), "has derivatives in eval mode alone")
        names = [segment.name for segment in subspace.layout.segments]
        own = dict(model.named_parameters())[names[0]]
        wanted = PRECISIONS[precision] if precision else objective.precision
        self.dtype = wanted or own.dtype
        self._device = objective.device
        named = {id(parameter): name for name, parameter in model.named_parameters()}
        # a parameter and those tied to it by their memory get one tensor
        self._names = {
            name: [f"model.{named[id(parameter)]}" for parameter in group]
            for name, group in sharing(model, names).items()
        }
        if own.dtype != self.dtype or own.device != self._device:
            model = copied(model, self._device, wanted)
        # row-major, which every model can take
        placed = subspace.placed(self._device, self.dtype, channels_last=False)
        self._origin = placed.layout.views(placed.origin)
        self.spacing = np.ones(subspace.dimensions)
        self._directions = [placed.layout.views(direction) for direction in placed.directions]
        self.carried = CarriedBuffers(model, subspace)
        self._loss = _LossModule(model, objective, self.carried)
        self._buffers = {
            f"model.{name}": subspace.buffers.get(name, own).to(own)
            for name, own in model.named_buffers()
        }
        self._carried_at_origin = {
            f"model.{name}": value.to(self._device)
            for name, value in self.carried.at((0.0,) * subspace.dimensions).items()
        }
        self._slopes = {
            f"model.{name}": [one.to(self._device) for one in slopes]
            for name, slopes in self.carried.slopes().items()
        }

        def batched(samples: SampleSet, size: int) -> Sequence[Batch]:
            return samples.batches(size, self._device, wanted or objective.data_dtype)

        size = batch_size or objective.batch_size
        self._terms = _Terms(
            self._loss,
            objective,
            {
                name: batched(samples, size or len(samples))
                for name, samples in objective.sets.items()
            },
            self._total_weight,
        )
        self._statistics: _Statistics | None = None
        self._reestimation_batches: Sequence[Batch] = []
        if objective.batch_norm == "reestimated":
            self._statistics = _Statistics(bn.layers(model))
            self._reestimation_batches = batched(
                objective.reestimation, reestimation_batch_size or objective.reestimation_batch_size
            )

    def __enter__(self) -> PlaneDerivatives:
        self._restore = kept_state(self._loss)
        try:
            set_modes(self._loss, "eval")
        except LossLandscapeError:
            self._restore()
            raise
        with ExitStack() as stack:
            stack.callback(self._restore)
            stack.callback(torch.set_rng_state, torch.get_rng_state())
            stack.enter_context(torch.autocast(self._device.type, enabled=False))
            stack.enter_context(differentiable_kernels(self._loss))
            if self._statistics is not None:
                self._statistics.install()
                stack.callback(self._statistics.remove)
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def dimensions(self) -> int:
        return len(self._directions)

    @property
    def relative_rounding(self) -> float:
        """An eigenvalue of the Hessian below this share of the largest has no sign."""
        return float(torch.finfo(self.dtype).eps ** 0.5)

    @public()
    def gradient(self, coordinates: Coordinates) -> np.ndarray:
        """Gradient per unit of the coordinates, float64, shape (dimensions,)."""
        return self.value_and_gradient(coordinates)[1]

    @public()
    def value_and_gradient(self, coordinates: Coordinates) -> tuple[float, np.ndarray]:
        """The mean loss, and its gradient per unit of the coordinates, float64, (dimensions,)."""
        value, (gradient,) = self._gradient(lambda: self._on_plane(coordinates))
        return value, gradient.cpu().numpy()

    @public()
    def full_gradient_norm(self, coordinates: Coordinates) -> float:
        """Euclidean norm of the gradient in the space of all parameters that move."""
        _, gradients = self._gradient(lambda: self._free(coordinates))
        return float(sum(g.double().square().sum() for g in gradients) ** 0.5)

    @public()
    def full_gradient(self, coordinates: Coordinates) -> tuple[float, Parameters]:
        """The mean loss, and its gradient by all parameters that move, name -> tensor."""
        value, gradients = self._gradient(lambda: self._free(coordinates))
        return value, dict(zip(self._origin, gradients))

    @public()
    def expansion(self, coordinates: Coordinates) -> Expansion:
        """Value, gradient and Hessian.

        Raises
        ------
        LossLandscapeError
            If a part of the model or the loss cannot be differentiated twice.
        """
        value, total = 0.0, 0.0
        gradient = torch.zeros(self.dimensions, dtype=torch.float64)
        hessian = torch.zeros(self.dimensions, self.dimensions, dtype=torch.float64)
        measured = jacobian = weight = None
        torch.manual_seed(0)  # a model that draws numbers draws those of the evaluation
        if self._statistics is not None:
            measured, jacobian = self._measured_statistics(coordinates)
            weight = torch.zeros_like(measured)
        for batch in self._terms:
            place, (leaf,) = self._on_plane(coordinates)
            sources = [leaf]
            if self._statistics is not None and measured is not None and jacobian is not None:
                sources.append(measured.clone().requires_grad_())
                # J (c - c0): zero, with the derivative J
                self._statistics.use(sources[1] + jacobian @ (leaf - leaf.detach()).to(self.dtype))

            def twice(losses: Tensor, sources: Sequence[Tensor] = sources) -> list[Tensor]:
                loss = summed(losses)
                first = differentiate(loss, sources, create_graph=True)
                return [loss.detach(), _rows(first[0], sources[0]), *(f.detach() for f in first)]

            loss, rows, *first = self._within(place, batch, twice)
            total += self._loss.weight
            value += float(loss)
            gradient += first[0].cpu()
            hessian += rows
            if weight is not None:
                weight += first[1]
        if self._statistics is not None and weight is not None:
            torch.manual_seed(0)
            for batch in self._reestimation_batches:
                place, (leaf,) = self._on_plane(coordinates)

                def weighted(
                    statistics: Tensor, leaf: Tensor = leaf, weight: Tensor = weight
                ) -> Tensor:
                    first = differentiate(weight @ statistics, [leaf], create_graph=True)
                    return _rows(first[0], leaf)

                hessian += self._gathered(place, batch, weighted) / len(self._reestimation_batches)
        hessian = (hessian + hessian.T) / 2
        return Expansion(value / total, (gradient / total).numpy(), (hessian / total).numpy())

    @public()
    def sample_gradients(self, coordinates: Coordinates) -> np.ndarray:
        """The gradient of each sample's loss, float64, shape (samples, dimensions).

        If samples weigh differently, it is that of their linearized losses; see
        :func:`losslandscape.problem.sample_weights.linearized`.

        With re-estimated batch norm the statistics, which every sample's loss depends on, are
        differentiated as well, and the re-estimation batches are taken as they are.

        Raises
        ------
        LossLandscapeError
            If a part of the model or the loss cannot be differentiated twice.

        Examples
        --------
        >>> model = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(model.weight, 2.0)
        >>> data = torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)
        >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
        >>> with PlaneDerivatives(Objective(model, "mse", data), line) as loss:
        ...     loss.sample_gradients((0.0,))
        array([[ 4.],
               [16.]])
        """
        measured = jacobian = None
        torch.manual_seed(0)
        if self._statistics is not None:
            measured, jacobian = self._measured_statistics(coordinates)

        def make() -> tuple[Place, Callable[[Tensor], Tensor]]:
            place, (leaf,) = self._on_plane(coordinates)
            if self._statistics is not None and measured is not None and jacobian is not None:
                self._statistics.use(measured + jacobian @ (leaf - leaf.detach()).to(self.dtype))
            return place, partial(_jacobian, leaf=leaf)

        return self._by_sample(make)

    @torch.no_grad()
    @public()
    def sample_losses(self, coordinates: Coordinates) -> np.ndarray:
        """Each sample's loss, float64, shape (samples,); linearized if samples have weights."""
        return self._sample_losses_at(self._on_plane(coordinates)[0])

    @torch.no_grad()
    def _sample_losses_at(self, place: Place) -> np.ndarray:
        torch.manual_seed(0)
        if self._statistics is not None:
            self._statistics.use(self._mean_statistics(lambda: (place, [])))
        return self._by_sample(lambda: (place, lambda losses: losses.double()[:, None]))[:, 0]

    def _by_sample(
        self, make: Callable[[], tuple[Place, Callable[[Tensor], Tensor]]]
    ) -> np.ndarray:
        """Columns of numbers by sample whose means are those of the loss.

        For each batch ``make`` gives the place, and what to make of the per-sample losses there.
        """
        rows, weights = [], []
        for batch in self._terms:
            place, use = make()
            rows.append(self._within(place, batch, use))
            weights.append(self._loss.weights)
        terms = self._terms
        if terms.factors is None:
            return _linearized(torch.cat(rows), weights)
        found: dict[str, np.ndarray] = {}
        start = 0
        for name, batches in terms.batches.items():
            part = slice(start, start + len(batches))
            start += len(batches)
            raw = torch.cat(rows[part]) / terms.scales[name]
            found[name] = _linearized(raw, weights[part])
        columns = range(rows[0].shape[1])
        return np.stack(
            [
                pooled({n: v[:, i] for n, v in found.items()}, terms.factors, terms.same_samples)
                for i in columns
            ],
            axis=1,
        )

    def _sources(
        self,
        vectors: Parameters,
        parameters: Parameters,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Parameters, list[Tensor], list[Tensor]]:
        """Parameters to differentiate by: by name, as a list, and the vectors along them.

        The re-estimated ``statistics`` and their change, if given, end the lists and are used.
        """
        leaves = {name: parameters[name].detach().requires_grad_() for name in vectors}
        sources = list(leaves.values())
        tangents = [vectors[name].to(leaf) for name, leaf in leaves.items()]
        if self._statistics is not None and statistics is not None:
            measured, along = statistics
            sources.append(measured.clone().requires_grad_())
            tangents.append(along)
            self._statistics.use(sources[-1])
        return leaves, sources, tangents

    @public(vectors=TENSORS)
    def hessian_product(
        self, vectors: Parameters, coordinates: Coordinates | None = None
    ) -> Parameters:
        """H v for the parameters that ``vectors`` names; the others are constants.

        H is the Hessian of the mean loss with respect to these parameters alone, at the origin or
        at other coordinates. With re-estimated batch norm the statistics are differentiated.

        Raises
        ------
        LossLandscapeError
            If a part cannot be differentiated twice.

        Examples
        --------
        >>> model = nn.Linear(2, 1, bias=False)
        >>> data = torch.tensor([[1.0, 2.0]]), torch.zeros(1, 1)
        >>> plane = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 2)}])
        >>> with PlaneDerivatives(Objective(model, "mse", data), plane) as loss:
        ...     loss.hessian_product({"weight": torch.tensor([[1.0, 0.0]])})
        {'weight': tensor([[2., 4.]])}
        """
        parameters, carried = self._place_of(vectors, coordinates)
        products: list[Tensor] | None = None
        statistics: tuple[Tensor, Tensor] | None = None
        total = 0.0
        torch.manual_seed(0)
        if self._statistics is not None:
            statistics = self._statistics_along(vectors, parameters, carried)[:2]
        for batch in self._terms:
            leaves, sources, tangents = self._sources(vectors, parameters, statistics)

            def product(
                losses: Tensor,
                sources: Sequence[Tensor] = sources,
                tangents: Sequence[Tensor] = tangents,
            ) -> list[Tensor]:
                first = differentiate(summed(losses), sources, create_graph=True)
                rate = torch.stack([(g * t).sum() for g, t in zip(first, tangents)]).sum()
                return [*differentiate(rate, sources), *first[len(vectors) :]]

            place = {**parameters, **leaves}, carried
            products = added(products, self._within(place, batch, product))
            total += self._loss.weight
        if products is not None and self._statistics is not None:
            *products, pulled, weight = products
            torch.manual_seed(0)
            for batch in self._reestimation_batches:
                leaves, sources, tangents = self._sources(vectors, parameters)

                def share(
                    statistics: Tensor,
                    sources: Sequence[Tensor] = sources,
                    tangents: Sequence[Tensor] = tangents,
                    weight: Tensor = weight,
                    pulled: Tensor = pulled,
                ) -> list[Tensor]:
                    first = differentiate(weight @ statistics, sources, create_graph=True)
                    rate = torch.stack([(g * t).sum() for g, t in zip(first, tangents)]).sum()
                    whole = (rate + pulled @ statistics) / len(self._reestimation_batches)
                    return differentiate(whole, sources)

                place = {**parameters, **leaves}, carried
                products = added(products, self._gathered(place, batch, share))
        return dict(zip(vectors, (part / total for part in products or [])))

    @public(vectors=TENSORS)
    def sample_curvatures(
        self, vectors: Parameters, coordinates: Coordinates | None = None
    ) -> np.ndarray:
        """v^T H_i v of each sample's loss, float64, shape (samples,).

        At the origin, or at other coordinates. If samples weigh differently, it is that of their
        linearized losses. With re-estimated batch norm the statistics, which every sample's loss
        depends on, are differentiated as well, and the re-estimation batches are taken as they are.

        Raises
        ------
        LossLandscapeError
            If a part cannot be differentiated twice.

        Examples
        --------
        >>> model = nn.Linear(1, 1, bias=False)
        >>> data = torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)
        >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
        >>> with PlaneDerivatives(Objective(model, "mse", data), line) as loss:
        ...     loss.sample_curvatures({"weight": torch.tensor([[1.0]])})
        array([2., 8.])
        """
        parameters, carried = self._place_of(vectors, coordinates)
        torch.manual_seed(0)
        found: tuple[Tensor, Tensor, Tensor] | None = None
        if self._statistics is not None:
            found = self._statistics_along(vectors, parameters, carried)

        def make() -> tuple[Place, Callable[[Tensor], Tensor]]:
            leaf = torch.zeros((), dtype=self.dtype, device=self._device, requires_grad=True)
            moved = {n: parameters[n] + leaf * v.to(parameters[n]) for n, v in vectors.items()}
            if self._statistics is not None and found is not None:
                start, slope, bend = found
                self._statistics.use(start + leaf * slope + leaf**2 / 2 * bend)

            def twice(losses: Tensor) -> Tensor:
                # reverse mode: linear in the dual, whose derivative separates the samples
                dual = torch.zeros_like(losses, requires_grad=True)
                (first,) = differentiate(losses, [leaf], dual, create_graph=True)
                (second,) = differentiate(first, [leaf], create_graph=True)
                return differentiate(second, [dual])[0].detach()[:, None]

            return ({**parameters, **moved}, carried), twice

        return self._by_sample(make)[:, 0]

    def _place_of(self, vectors: Parameters, coordinates: Coordinates | None) -> Place:
        """The place, for products with vectors whose names and shapes are the parameters'."""
        if not vectors:
            raise LossLandscapeError("vectors is empty; pass a dict: name -> tensor")
        for name, vector in vectors.items():
            if name not in self._origin:
                known = shortened(", ".join(self._origin))
                raise LossLandscapeError(
                    f"vectors: the subspace has no parameter '{name}' (found: {known})"
                )
            own = self._origin[name].shape
            if vector.shape != own or vector.is_complex():
                raise LossLandscapeError(
                    f"vectors[{name!r}] is a {vector.dtype} tensor of shape {tuple(vector.shape)}; "
                    f"pass real numbers of the parameter's shape, {tuple(own)}"
                )
        return self._place(coordinates)

    def _place(self, coordinates: Coordinates | None) -> Place:
        """Parameters and buffers as constants, at the origin by default."""
        if coordinates is None:
            return self._origin, self._carried_at_origin
        with torch.no_grad():
            return self._on_plane(coordinates)[0]

    def _statistics_along(
        self, vectors: Parameters, parameters: Parameters, carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The statistics at a place, and their first two derivatives along a vector."""
        sums: list[Tensor] | None = None
        for batch in self._reestimation_batches:
            leaf = torch.zeros((), dtype=self.dtype, device=self._device, requires_grad=True)
            moved = {n: parameters[n] + leaf * v.to(parameters[n]) for n, v in vectors.items()}

            def derivatives(found: Tensor, leaf: Tensor = leaf) -> list[Tensor]:
                dual = torch.zeros_like(found, requires_grad=True)
                (first,) = differentiate(found, [leaf], dual, create_graph=True)
                (slope,) = differentiate(first, [dual], retain_graph=True)
                (second,) = differentiate(first, [leaf], create_graph=True)
                return [found, slope, *differentiate(second, [dual])]

            place = {**parameters, **moved}, carried
            sums = added(sums, self._gathered(place, batch, derivatives))
        assert sums is not None
        start, slope, bend = (one / len(self._reestimation_batches) for one in sums)
        return start, slope, bend

    def _gradient(self, make: Make) -> tuple[float, list[Tensor]]:
        """The mean loss and its gradient at the leaves of ``make``."""
        value, total, gradients = 0.0, 0.0, None
        measured = weight = None
        torch.manual_seed(0)
        if self._statistics is not None:
            measured = self._mean_statistics(make)
            weight = torch.zeros_like(measured)
        for batch in self._terms:
            place, sources = make()
            if self._statistics is not None and measured is not None:
                sources = [*sources, measured.clone().requires_grad_()]
                self._statistics.use(sources[-1])

            def once(losses: Tensor, sources: Sequence[Tensor] = sources) -> list[Tensor]:
                loss = summed(losses)
                return [loss.detach(), *self._once(loss, sources)]

            loss, *parts = self._within(place, batch, once)
            total += self._loss.weight
            value += float(loss)
            if weight is not None:
                weight += parts.pop()
            gradients = added(gradients, parts)
        if weight is not None:
            torch.manual_seed(0)
            for batch in self._reestimation_batches:
                place, sources = make()

                def share(
                    statistics: Tensor,
                    sources: Sequence[Tensor] = sources,
                    weight: Tensor = weight,
                ) -> list[Tensor]:
                    part = weight @ statistics / len(self._reestimation_batches)
                    return self._once(part, sources)

                gradients = added(gradients, self._gathered(place, batch, share))
        return value / total, [g / total for g in gradients or []]

    def _once(self, output: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
        """The derivative of an output by sources, which are leaves."""
        return differentiate(output, sources)

    @torch.no_grad()
    def _total_weight(self, batches: Iterable[Batch]) -> float:
        """How much all samples of some batches weigh; it does not depend on the place."""
        total = 0.0
        for batch in batches:
            place, _ = self._on_plane((0.0,) * self.dimensions)
            self._within(place, batch, torch.Tensor.detach)
            total += self._loss.weight
        return total

    def _on_plane(self, coordinates: Coordinates) -> tuple[Place, list[Tensor]]:
        """Parameters and buffers as functions of the coordinates."""
        leaf = torch.tensor(
            coordinates_of("coordinates", coordinates, self.dimensions),
            dtype=torch.float64,
            requires_grad=True,
        )
        factors = leaf.to(self._device, self.dtype)
        moved = {}
        for name, origin in self._origin.items():
            value = origin
            for factor, direction in zip(factors, self._directions):
                value = value + factor * direction[name]
            moved[name] = value
        carried = {}
        for name, start in self._carried_at_origin.items():
            value = start
            for factor, slope in zip(leaf, self._slopes[name]):
                value = value + factor.to(self._device) * slope
            carried[name] = value.to(self.dtype)
        return (moved, carried), [leaf]

    def _free(self, coordinates: Coordinates) -> tuple[Place, list[Tensor]]:
        """Parameters as leaves."""
        with torch.no_grad():
            moved, carried = self._on_plane(coordinates)[0]
        leaves = {name: value.detach().requires_grad_() for name, value in moved.items()}
        return (leaves, carried), list(leaves.values())

    def _within(self, place: Place, batch: Batch, use: Callable[[Tensor], T]) -> T:
        """What ``use`` makes of the per-sample losses while the model is at a place.

        Checkpointed layers run again in the backward pass, and must find the model there.
        """
        parameters, carried = place
        tensors = {alias: parameters[name] for name in parameters for alias in self._names[name]}
        # copies, because a forward pass may write to its buffers
        tensors.update((name, buffer.clone()) for name, buffer in self._buffers.items())
        tensors.update((name, buffer.clone()) for name, buffer in carried.items())
        return functional_call(self._loss, tensors, (batch, use))

    def _gathered(self, place: Place, batch: Batch, use: Callable[[Tensor], T]) -> T:
        """What ``use`` makes of a batch's statistics of all layers, one vector."""
        statistics = self._statistics
        assert statistics is not None
        statistics.gather()
        return self._within(place, batch, lambda _: use(statistics.gathered()))

    def _mean_statistics(self, make: Make) -> Tensor:
        """The statistics at a point, the mean over the re-estimation batches."""
        with torch.no_grad():
            place = make()[0]
            batches = self._reestimation_batches
            found = [self._gathered(place, batch, lambda one: one) for batch in batches]
            return sum(found) / len(batches)  # type: ignore[return-value]

    def _measured_statistics(self, coordinates: Coordinates) -> tuple[Tensor, Tensor]:
        """The statistics s and their Jacobian ds/dc, shape (statistics, dimensions)."""
        total = jacobian = None
        for batch in self._reestimation_batches:
            place, (leaf,) = self._on_plane(coordinates)

            def both(found: Tensor, leaf: Tensor = leaf) -> tuple[Tensor, Tensor]:
                return found.detach(), _jacobian(found, leaf)

            statistics, columns = self._gathered(place, batch, both)
            total = added(total, [statistics])
            jacobian = added(jacobian, [columns])
        count = len(self._reestimation_batches)
        assert total is not None
        assert jacobian is not None
        return total[0] / count, jacobian[0] / count


class _LossModule(nn.Module):
    """Model and loss as one module, so that functional_call reaches whatever the loss reads.

    Attributes
    ----------
    weights : Tensor or None
        How much each sample of the last batch weighs, if samples weigh differently. Its losses are
        then multiplied by it.
    weight : float
        Their sum, or else the number of samples.
    of : str or None
        The term of a sum that the loss is; None for the loss of the first set.
    scale : float
        Multiplies the losses of a term, so that the mean over all samples is the sum.
    """

    def __init__(self, model: nn.Module, objective: Objective, carried: CarriedBuffers):
        super().__init__()
        self.model = model
        self._objective = objective
        self.weights: Tensor | None = None
        self.weight = 0.0
        self.of: str | None = None
        self.scale: float | None = None
        self._carried = carried

    def forward(self, batch: Batch, use: Callable[[Tensor], T]) -> T:
        with torch.no_grad():
            for name, value in self._carried.from_weights().items():
                self.model.get_buffer(name).copy_(value)
        # copies, because a forward pass may write to its inputs
        objective = self._objective
        loss = objective.loss if self.of is None else objective.losses[self.of]
        with torch.set_grad_enabled(torch.is_grad_enabled() or loss.gradients):
            values = loss(self.model, map_batch(torch.clone, batch))
        losses, weights = values["loss"], values.get(f"loss{WEIGHT}")
        self.weights = None if weights is None else weights.detach()
        self.weight = float(len(losses) if weights is None else weights.double().sum())
        if self.scale is not None:
            losses, self.weight = losses * self.scale, float(len(losses))
        if torch.is_grad_enabled() and not losses.requires_grad:
            raise LossLandscapeError(
                f"loss {self._objective.loss.name}: its values cannot be differentiated by the "
                "parameters (were they detached?)"
            )
        return use(losses)


class _Statistics:
    """Batch-norm and instance-norm layers whose statistics autograd sees.

    PyTorch's running statistics are constants to autograd, and its evaluation mode does not
    differentiate by them; while installed, the layers normalise by formulas that do.
    """

    def __init__(self, layers: Sequence[Any]):
        self._layers = list(layers)
        self._calls: dict[nn.Module, list[Tensor]] = {}
        self._used: dict[nn.Module, tuple[Tensor, Tensor]] | None = None

    def install(self) -> None:
        for layer in self._layers:
            layer.forward = lambda inputs, layer=layer: self._forward(layer, inputs)

    def remove(self) -> None:
        for layer in self._layers:
            del layer.forward
        self._calls, self._used = {}, None

    def gather(self) -> None:
        """From now on normalise by each batch's own statistics, and keep them."""
        self._calls, self._used = {layer: [] for layer in self._layers}, None

    def gathered(self) -> Tensor:
        """Means and unbiased variances of the layers since ``gather``, one vector.

        A layer called several times a pass keeps the mean of its calls; one never called keeps
        PyTorch's initial 0 and 1.
        """
        parts = []
        for layer in self._layers:
            calls = self._calls[layer]
            if calls:
                parts.append(torch.stack(calls).mean(0))
            else:
                like = layer.running_mean
                parts.append(torch.cat([torch.zeros_like(like), torch.ones_like(like)]))
        return torch.cat(parts)

    def use(self, statistics: Tensor) -> None:
        """From now on normalise by these statistics, laid out as ``gathered`` does."""
        sizes = [layer.num_features for layer in self._layers for _ in range(2)]
        parts = statistics.split(sizes)
        self._used = {
            layer: (mean, variance)
            for layer, mean, variance in zip(self._layers, parts[::2], parts[1::2])
        }

    def _forward(self, layer: Any, inputs: Tensor) -> Tensor:
        if self._used is None:
            instances = isinstance(layer, _InstanceNorm)
            axes = [*([] if instances else [0]), *range(2, inputs.dim())]
            variance, mean = torch.var_mean(inputs, axes)  # unbiased, as running statistics are
            if instances:
                mean, variance = mean.mean(0), variance.mean(0)
            self._calls[layer].append(torch.cat([mean, variance]))
            if instances:
                return functional.instance_norm(
                    inputs, None, None, layer.weight, layer.bias, use_input_stats=True,
                    eps=layer.eps,
                )  # fmt: skip
            return functional.batch_norm(
                inputs, None, None, layer.weight, layer.bias, training=True, eps=layer.eps
            )
        mean, variance = self._used[layer]
        scale = (variance + layer.eps).rsqrt()
        if layer.weight is not None:
            scale = scale * layer.weight
        shift = -mean * scale if layer.bias is None else layer.bias - mean * scale
        shape = (1, -1, *(1,) * (inputs.dim() - 2))
        return inputs * scale.view(shape) + shift.view(shape)


def summed(losses: Tensor) -> Tensor:
    return losses.sum(dtype=torch.float64)


def differentiate(
    output: Tensor,
    sources: Sequence[Tensor],
    direction: Tensor | None = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> list[Tensor]:
    """torch.autograd.grad, zero where the output does not depend on a source."""
    if not output.requires_grad:
        return [torch.zeros_like(source) for source in sources]
    try:
        found = torch.autograd.grad(
            output, sources, direction, create_graph=create_graph, retain_graph=retain_graph,
            allow_unused=True,
        )  # fmt: skip
    except (RuntimeError, NotImplementedError) as error:
        if "not implemented" not in str(error) and "differentiable" not in str(error):
            raise
        raise LossLandscapeError(
            f"the model or the loss cannot be differentiated twice: {str(error).splitlines()[0]}"
        ) from error
    return [torch.zeros_like(s) if g is None else g for g, s in zip(found, sources)]


class _Terms:
    """The batches of the loss: those of the first set, or of all terms of a sum.

    While a term's batches are given out, the loss module computes its loss, with the factor
    c_k N / W_k: then the sum over all batches, over the number N of all samples, is the sum of the
    terms. W_k is the weight of all samples of the term.
    """

    def __init__(
        self,
        loss: _LossModule,
        objective: Objective,
        batches: dict[str, Sequence[Batch]],
        weight_of: Callable[[Iterable[Batch]], float],
    ):
        self.factors = objective.factors
        self.same_samples = objective.same_samples
        first = next(iter(batches))
        self.batches = batches if self.factors is not None else {first: batches[first]}
        self.scales: dict[str, float] = {}
        self._loss, self._weight_of = loss, weight_of
        self._count = sum(objective.sizes[name] for name in self.batches)

    def __iter__(self) -> Iterator[Batch]:
        loss = self._loss
        if self.factors is None:
            yield from next(iter(self.batches.values()))
            return
        try:
            for name, batches in self.batches.items():
                loss.of, loss.scale = name, None
                if name not in self.scales:
                    share = self.factors[name] / self._weight_of(batches)
                    self.scales[name] = share * self._count
                loss.scale = self.scales[name]
                yield from batches
        finally:
            loss.of = loss.scale = None


def _linearized(columns: Tensor, weights: Sequence[Tensor | None]) -> np.ndarray:
    """Columns by sample, float64, linearized if the samples of each batch have weights."""
    wide = columns.double().cpu().numpy()
    parts = [part.double().cpu().numpy() for part in weights if part is not None]
    if not parts:
        return wide
    each = np.concatenate(parts)
    return np.stack([linearized(column, each) for column in wide.T], axis=1)


def _jacobian(outputs: Tensor, leaf: Tensor) -> Tensor:
    """J, the derivative of outputs by the leaf, shape (outputs, dimensions).

    By reverse mode twice: J^T u is linear in u, and its derivative by u is J.
    """
    dual = torch.zeros_like(outputs, requires_grad=True)
    (transposed,) = differentiate(outputs, [leaf], dual, create_graph=True)
    columns = [differentiate(row, [dual], retain_graph=True)[0] for row in transposed.unbind()]
    return torch.stack(columns, dim=1).detach()


def _rows(gradient: Tensor, leaf: Tensor) -> Tensor:
    """The derivative of a gradient by the leaf, shape (dimensions, dimensions)."""
    rows = [differentiate(entry, [leaf], retain_graph=True)[0] for entry in gradient.unbind()]
    return torch.stack(rows).detach().cpu()


def added(total: list[Tensor] | None, parts: Sequence[Tensor]) -> list[Tensor]:
    if total is None:
        return [part.detach() for part in parts]
    return [one + part.detach() for one, part in zip(total, parts)]
