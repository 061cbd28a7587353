"""A model's parameters, moved in place through a subspace and put back."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from losslandscape.planes.parameters import sharing, span
from losslandscape.planes.subspace import Subspace, combine
from losslandscape.problem.batches import aligned, same_values

# Below this mean size of a parameter a vector operation for each costs more than moving it.
_BYTES_WORTH_A_CALL = 1 << 16
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class MovingParameters:
    """The parameters of a model at a point theta0 + a * d1 + b * d2 of a subspace.

    A point is written by two vector operations over the memory that the model reads, always from
    the origin. Large parameters move in the model's own memory, so that there is no second copy of
    them; small ones, and those whose memory is not theirs alone, in one flat buffer. Convolution
    kernels lie in the order of the subspace's layout in both.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters are changed until :meth:`restore`.
    subspace : Subspace
        Of the model, on its device and of its type.
    at_origin : collection of str, optional
        Parameters that are known to have the values of the subspace's origin; others are compared.

    Attributes
    ----------
    at_origin : frozenset of str
        Parameters that were there before they were moved.
    coordinates : tuple of float or None
        The point where the parameters are; None where they are not on the subspace.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> origin = dict(model.named_parameters())
    >>> line = Subspace(origin, [{"weight": torch.ones(1, 1)}])
    >>> value = model.weight.item()
    >>> parameters = MovingParameters(model, line)
    >>> parameters.move((2.0,))
    >>> round(model.weight.item() - value, 5)
    2.0
    >>> parameters.restore()
    >>> model.weight.item() == value
    True
    """

    def __init__(self, model: nn.Module, subspace: Subspace, at_origin: Collection[str] = ()):
        self.subspace = subspace
        segments = subspace.layout.segments
        self._groups = sharing(model, [segment.name for segment in segments])
        self._own_data = [(p, p.data) for group in self._groups.values() for p in group]
        origin = subspace.layout.views(subspace.origin)
        first = {name: group[0].data for name, group in self._groups.items()}
        separate = subspace.origin.nbytes >= _BYTES_WORTH_A_CALL * len(segments)
        self._in_place = separate and _own_their_memory(model, self._groups)
        self._values: dict[str, Tensor] = {}
        self.at_origin: frozenset[str] = frozenset()
        if self._in_place:
            self._values = {
                name: origin[name]
                if name in at_origin or _same_bits(data, origin[name])
                else data.clone()
                for name, data in first.items()
            }
            own = {n for n, value in self._values.items() if value is origin[n]}
            self.at_origin = frozenset(own)
            copies: dict[int, torch.UntypedStorage] = {}
            parts = [_vector(aligned(first[segment.name], copies)) for segment in segments]
        else:
            flat = torch.empty_like(subspace.origin)
            parts = [flat[segment.start : segment.stop] for segment in segments]
        self.views: dict[str, Tensor] = {
            segment.name: dataclasses.replace(
                segment, start=0, stop=segment.stop - segment.start
            ).view(part)
            for segment, part in zip(segments, parts)
        }
        pieces = (
            [(s.name, part, slice(s.start, s.stop)) for part, s in zip(parts, segments)]
            if separate
            else [("", flat, slice(None))]
        )
        self._runs = {
            name: (part, subspace.origin[where], [d[where] for d in subspace.directions])
            for name, part, where in pieces
        }
        self._left: tuple[Sequence[float], frozenset[str]] | None = None
        self.coordinates: tuple[float, ...] | None = None
        try:
            for name, group in self._groups.items():
                for parameter in group:
                    parameter.data = self.views[name]
            self.move((0.0,) * subspace.dimensions)
        except BaseException:
            self.restore()
            raise

    @property
    def groups(self) -> dict[str, list[nn.Parameter]]:
        """For each name, the parameters of the model that are tied to it."""
        return self._groups

    @torch.no_grad()
    def altered(self, besides: Collection[str] = ()) -> list[str]:
        """Names of the parameters that are not what they were last moved to, but ``besides``.

        A forward function may write to its parameters, or put other tensors in their place.
        """
        assert self.coordinates is not None
        checked = self.subspace.checked(self.coordinates)
        layout = self.subspace.layout
        origin = layout.views(self.subspace.origin)
        directions = [layout.views(direction) for direction in self.subspace.directions]
        altered = []
        for name in self._groups.keys() - set(besides):
            moved = torch.empty_like(origin[name])
            combine(checked, origin[name], [d[name] for d in directions], moved)
            if not same_values(self._groups[name][0].data, moved):
                altered.append(name)
        return sorted(altered)

    @torch.no_grad()
    def move(self, coordinates: Sequence[float], leaving: frozenset[str] = frozenset()) -> None:
        """Set the parameters to a point of the subspace.

        Those named in ``leaving`` may stay where they are until :meth:`catch_up`.
        """
        leaving = leaving & self._runs.keys()
        self.coordinates = None  # of an interrupted move
        self._rebind()
        self._left = (tuple(coordinates), leaving) if leaving else None
        self._move(coordinates, [name for name in self._runs if name not in leaving])
        self.coordinates = tuple(coordinates)

    @torch.no_grad()
    def spoil(self, names: frozenset[str]) -> None:
        """Write NaN over parameters until :meth:`catch_up`: whoever reads them will show it."""
        if names:
            assert self.coordinates is not None
            for name in names:
                self.views[name].fill_(torch.nan)
            spoiled = names & self._runs.keys() or frozenset(self._runs)
            self._left = self.coordinates, spoiled

    @torch.no_grad()
    def catch_up(self) -> None:
        """Move the parameters that were left where they were, or spoiled."""
        if self._left is not None:
            coordinates, names = self._left
            self._left = None
            self._move(coordinates, names)

    def _move(self, coordinates: Sequence[float], names: Iterable[str]) -> None:
        checked = self.subspace.checked(coordinates)
        for name in names:
            target, origin, directions = self._runs[name]
            combine(checked, origin, directions, target)

    def _rebind(self) -> None:
        """Let parameters whose tensor a forward function replaced be those that move again."""
        for name, view in self.views.items():
            for parameter in self._groups[name]:
                if parameter.data_ptr() != view.data_ptr():
                    parameter.data = view

    @torch.no_grad()
    def assign(self, parameters: Mapping[str, Tensor]) -> None:
        """Set the parameters to any values, name -> tensor."""
        self._left = self.coordinates = None
        self._rebind()
        for name, view in self.views.items():
            view.copy_(parameters[name])

    def restore(self) -> None:
        """Give the model its own tensors and values again; it may be called again."""
        try:
            self._restore()
        except KeyboardInterrupt:  # a second Ctrl-C: first the model, then the end
            self._restore()
            raise

    @torch.no_grad()
    def _restore(self) -> None:
        for parameter, data in self._own_data:
            parameter.data = data
        for name, value in self._values.items():
            self._groups[name][0].data.copy_(value)


@contextmanager
def others_set(
    model: nn.Module, parameters: Mapping[str, Tensor], besides: Collection[str]
) -> Iterator[None]:
    """Inside the context, parameters of the model besides these have the given values.

    Those that have them already are left alone.
    """
    changed = [
        (parameter, parameter.detach().clone())
        for name, parameter in model.named_parameters()
        if name not in besides
        and name in parameters
        and not torch.equal(parameters[name].to(parameter), parameter)
    ]
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    try:
        with torch.no_grad():
            for parameter, _ in changed:
                parameter.data.copy_(parameters[named[id(parameter)]])
        yield
    finally:
        with torch.no_grad():
            for parameter, before in changed:
                parameter.data.copy_(before)


def _own_their_memory(model: nn.Module, groups: Mapping[str, Sequence[nn.Parameter]]) -> bool:
    """Whether the memory of the parameters to move is theirs alone.

    It is not where several parameters or buffers overlap without being tied, where one value is
    expanded to many, or where other processes share it: these would see it move.
    """
    moving = {id(parameter) for group in groups.values() for parameter in group}
    tensors = [group[0].data for group in groups.values()]
    for tensor in tensors:
        if type(tensor) is not Tensor or tensor.layout is not torch.strided or not _dense(tensor):
            return False
        if tensor.is_inference() or (tensor.device.type == "cpu" and tensor.is_shared()):
            return False
    others = (p for p in model.parameters() if id(p) not in moving and not is_lazy(p))
    tensors += [p.data for p in others]
    tensors += list(model.buffers())
    spans = sorted(span(t) for t in tensors if t.layout is torch.strided and t.numel())
    return all(end <= start for (_, end), (start, _) in zip(spans, spans[1:]))


def _dense(tensor: Tensor) -> bool:
    """Whether the tensor fills its span of memory, each element once."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape)):
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


def _vector(tensor: Tensor) -> Tensor:
    """The memory of a dense tensor as one dimension."""
    return tensor.as_strided((tensor.numel(),), (1,))


def _same_bits(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors of one type hold the same bits, NaNs and signs of zeros included."""
    integer = _INTEGERS.get(left.element_size())
    if left.dtype != right.dtype or integer is None:
        return False
    return torch.equal(left.view(integer), right.view(integer))
