"""A model's parameters as one flat buffer with named views.

A point of a landscape is ``theta0 + a * d1 + b * d2``. With all parameters in one buffer, this
takes two vector operations, whatever the number of layers. The model reads the result through
views.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError

_BLOCK = 1 << 22  # elements converted to float64 at a time in inner products: 32 MiB
_HASHED_AT_ONCE = 1 << 18
_OVERLAP_WORK = 1_000_000  # limit of NumPy's search for a shared element


@dataclass(frozen=True)
class Segment:
    """The place of one parameter in the flat buffer, in elements."""

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int
    channels_last: bool

    def view(self, flat: Tensor) -> Tensor:
        """The parameter as a view of ``flat`` (1-D) with the parameter's own shape."""
        part = flat[self.start : self.stop]
        if self.channels_last:
            outputs, inputs, *kernel = self.shape
            return part.view(outputs, *kernel, inputs).movedim(-1, 1)
        return part.view(self.shape)


class ParameterLayout:
    """Names, shapes and places of the parameters that move.

    Tied parameters appear once. Frozen parameters (``requires_grad=False``) are left out.

    Parameters
    ----------
    shapes : mapping of name to shape
    dtype : torch.dtype
        Common type of the parameters.
    channels_last : bool
        Store convolution kernels (4 or 5 dimensions) as (output, height, width, input), the order
        in which channels-last convolutions read them, so that moving them needs no reordering.
        Otherwise they are row-major, which models that reshape a kernel need.
    row_major : collection of str
        Names of kernels that are row-major in any case.

    Examples
    --------
    >>> layout = ParameterLayout.of(torch.nn.Linear(3, 2))
    >>> layout.size, [segment.name for segment in layout.segments]
    (8, ['weight', 'bias'])
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
        row_major: Collection[str] = (),
    ):
        segments, start = [], 0
        for name, shape in shapes.items():
            stop = start + int(np.prod(shape, dtype=np.int64))
            kernel = channels_last and len(shape) in (4, 5) and name not in row_major
            segments.append(Segment(name, tuple(shape), start, stop, kernel))
            start = stop
        self.segments = tuple(segments)
        self.size = start
        self.dtype = dtype

    @classmethod
    def of(cls, model: nn.Module) -> ParameterLayout:
        """The layout of a model's trainable parameters.

        Raises
        ------
        LossLandscapeError
            If no parameter is trainable, or trainable parameters have several types, no shape or
            values yet, or partly shared memory.
        """
        check_tensors(model)
        moving = trainable_parameters(model)
        if not moving:
            raise LossLandscapeError(
                f"{type(model).__name__} has no trainable parameter, so nothing can move: "
                "frozen parameters (requires_grad=False) stay fixed; "
                "call model.requires_grad_(True)"
            )
        for name, parameter in moving.items():
            if nn.parameter.is_lazy(parameter):
                raise LossLandscapeError(
                    f"{type(model).__name__}: '{name}' has no shape yet (a lazy module); "
                    "run one batch through the model first"
                )
        dtypes = {parameter.dtype for parameter in moving.values()}
        if len(dtypes) > 1 or not next(iter(dtypes)).is_floating_point:
            names = ", ".join(sorted(str(dtype) for dtype in dtypes))
            how = (
                "split complex parameters into two real ones, and combine them with "
                "torch.complex in forward; or freeze them (requires_grad=False)"
                if any(dtype.is_complex for dtype in dtypes)
                else "convert with model.float()"
            )
            raise LossLandscapeError(
                f"the trainable parameters of {type(model).__name__} have types {names}; "
                f"a plane needs one real floating-point type: {how}"
            )
        return cls({name: p.shape for name, p in moving.items()}, dtypes.pop())

    def changed(
        self,
        dtype: torch.dtype | None = None,
        channels_last: bool | None = None,
        row_major: Collection[str] = (),
    ) -> ParameterLayout:
        """The layout of the same parameters with another type or kernel order."""
        shapes = {segment.name: segment.shape for segment in self.segments}
        kernels = any(s.channels_last for s in self.segments)
        last = kernels if channels_last is None else channels_last
        return ParameterLayout(shapes, dtype or self.dtype, last, row_major)

    def with_names(self, names: Mapping[str, str]) -> ParameterLayout:
        """The same layout of parameters under other names."""
        other = copy.copy(self)
        other.segments = tuple(replace(one, name=names[one.name]) for one in self.segments)
        return other

    def empty(self, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        """An uninitialized flat buffer, shape (size,)."""
        return torch.empty(self.size, dtype=dtype or self.dtype, device=device)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Name -> view of ``flat`` in the parameter's own shape."""
        return {segment.name: segment.view(flat) for segment in self.segments}

    def flatten(self, tensors: Mapping[str, Tensor], what: str = "parameters") -> Tensor:
        """Copy named tensors into a new flat buffer, shape (size,).

        Raises
        ------
        LossLandscapeError
            If a tensor is missing or has another shape; the message names the first one.
        """
        self.check(tensors, what)
        flat = self.empty()
        for name, view in self.views(flat).items():
            view.copy_(tensors[name].detach())
        return flat

    def check(self, tensors: Mapping[str, Tensor], what: str) -> None:
        """Raise a LossLandscapeError that names the first missing or differently shaped tensor."""
        for segment in self.segments:
            if segment.name not in tensors:
                raise LossLandscapeError(
                    f"{what}: '{segment.name}' {segment.shape} is missing; "
                    "do they belong to another model?"
                )
            shape = tuple(tensors[segment.name].shape)
            if shape != segment.shape:
                raise LossLandscapeError(
                    f"{what}: '{segment.name}' has shape {shape}, the model's has {segment.shape}; "
                    "do they belong to another model?"
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParameterLayout) and self.segments == other.segments

    __hash__ = None  # type: ignore[assignment]


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The model's parameters that move, by name; tied parameters once, under their first name.

    Two parameters on the same memory (``nn.Parameter(other.data)``) count as tied.
    """
    found: dict[str, nn.Parameter] = {}
    seen = set()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if not nn.parameter.is_lazy(parameter):
            if _memory(parameter) in seen:
                continue
            seen.add(_memory(parameter))
        found[name] = parameter
    return found


def sharing(model: nn.Module, names: Iterable[str]) -> dict[str, list[nn.Parameter]]:
    """For each named parameter, all parameters of the model on the same memory."""
    by_memory: dict[tuple, list[nn.Parameter]] = {}
    named = dict(model.named_parameters())
    for parameter in named.values():
        by_memory.setdefault(_memory(parameter), []).append(parameter)
    return {name: by_memory[_memory(named[name])] for name in names}


def check_tensors(model: nn.Module) -> None:
    """Raise a LossLandscapeError if the model's trainable parameters cannot be moved.

    This is the case if they have no values, or share memory with another parameter or buffer of a
    different shape or place: the two would come apart.
    """
    name = type(model).__name__
    spans = []
    for full, tensor, moves in _tensors(model):
        if tensor.is_meta:
            raise LossLandscapeError(
                f"{name}: '{full}' is on the meta device and has no values: build the model on a "
                "real device, or call model.to_empty(device=...) and load its weights"
            )
        if type(tensor) is Tensor and tensor.layout is torch.strided and tensor.numel():
            spans.append((*span(tensor), full, tensor, moves))
    spans.sort(key=lambda entry: entry[:2])
    for i, (_, end, full, tensor, moves) in enumerate(spans):
        for start, _, other_full, other, other_moves in itertools.islice(spans, i + 1, None):
            if start >= end:
                break
            if (moves or other_moves) and _share(tensor, other):
                raise LossLandscapeError(
                    f"{name}: '{full}' {tuple(tensor.shape)} and '{other_full}' "
                    f"{tuple(other.shape)} share memory, as a transposed or partial view does, and "
                    "would come apart when one moves. Register one of them, and compute the other "
                    "from it in forward, as in "
                    "torch.nn.functional.linear(x, self.encoder.weight.T)"
                )


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """(name, values, whether it moves) of each tensor of a model; tied parameters once."""
    tied: dict[tuple, tuple[str, Tensor, bool]] = {}
    for name, parameter in model.named_parameters():
        if not nn.parameter.is_lazy(parameter):
            key = _memory(parameter)
            moves = parameter.requires_grad or (key in tied and tied[key][2])
            tied[key] = tied[key][0] if key in tied else name, parameter.data, moves
    yield from tied.values()
    for name, buffer in model.named_buffers():
        if not nn.parameter.is_lazy(buffer):
            yield name, buffer.detach(), False


def span(tensor: Tensor) -> tuple[int, int]:
    """The first and one-past-last address of a tensor's elements."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))
    start = tensor.data_ptr()
    return start, start + (last + 1) * tensor.element_size()


class _Addresses:
    """The addresses of a tensor's elements, for NumPy; no element is read."""

    def __init__(self, tensor: Tensor):
        size = tensor.element_size()
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{size}",
            "data": (tensor.data_ptr(), True),
            "shape": tuple(tensor.shape),
            "strides": tuple(size * stride for stride in tensor.stride()),
        }


def _share(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors share the memory of an element."""
    if one.device != other.device:
        return False
    left, right = np.asarray(_Addresses(one)), np.asarray(_Addresses(other))
    try:
        return np.shares_memory(left, right, max_work=_OVERLAP_WORK)  # type: ignore[arg-type]
    except RuntimeError:  # numpy.exceptions.TooHardError, in another module in NumPy 1.24
        return True


def _memory(parameter: Tensor) -> tuple:
    """A key that is equal for two views of the same values; empty tensors share nothing."""
    place = parameter.data_ptr() if parameter.numel() else id(parameter)
    return place, tuple(parameter.shape), parameter.stride()


def blocks(size: int) -> Iterator[slice]:
    """Slices that cover ``size`` elements, each small enough to hold in float64."""
    for start in range(0, size, _BLOCK):
        yield slice(start, min(start + _BLOCK, size))


def inner_products(left: Sequence[Tensor], right: Sequence[Tensor]) -> np.ndarray:
    """Inner products of flat vectors, summed in float64; shape (len(left), len(right)).

    Examples
    --------
    >>> inner_products([torch.tensor([1.0, 2.0])], [torch.tensor([3.0, 4.0])])
    array([[11.]])
    """
    result = np.zeros((len(left), len(right)))
    size = left[0].numel() if left else 0
    for part in blocks(size):
        a = torch.stack([vector[part].double().cpu() for vector in left])
        b = torch.stack([vector[part].double().cpu() for vector in right])
        result += (a @ b.T).numpy()
    return result


def sha256(tensors: Sequence[Tensor]) -> str:
    """Hash of the tensors' shapes, types and values in row-major order.

    Whatever the order in memory, the values are read a few rows at a time, without a full copy.
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        tensor = tensor.detach()
        digest.update(str((tuple(tensor.shape), str(tensor.dtype))).encode())
        for rows in _rows(tensor):
            array = rows.cpu().contiguous()
            digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _rows(tensor: Tensor) -> Iterator[Tensor]:
    """Consecutive parts of a tensor along its first dimension, each small or a single row."""
    if tensor.dim() == 0 or tensor.numel() <= _HASHED_AT_ONCE:
        yield tensor
        return
    count = max(1, _HASHED_AT_ONCE * len(tensor) // tensor.numel())
    yield from tensor.split(count)
