"""Operations on a batch of samples, which is a tuple of tensors or a dict of name -> tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError

Batch = Any  # tuple of tensors, or dict of name -> tensor; dimension 0 is the sample
_BOUNDARY = 64  # bytes
_COPIED_AT_MOST = 4 << 30  # bytes; larger data may be a memory-mapped file


def place_batch(
    batch: Batch,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
    channels_last: bool = False,
) -> Batch:
    """Move a batch to a device; see :meth:`losslandscape.problem.samples.SampleSet.batches`."""
    return map_batch(lambda tensor: placed(tensor, device, dtype, channels_last), batch)


def placed(
    tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None, channels_last: bool
) -> Tensor:
    """Move a tensor to a device.

    Floating-point tensors are converted to ``dtype``; images (4-D) are stored channels-last or
    row-major.
    """
    if dtype is not None and tensor.is_floating_point():
        tensor = tensor.to(dtype)
    tensor = tensor.to(device)
    if tensor.dim() == 4:
        order = torch.channels_last if channels_last else torch.contiguous_format
        tensor = tensor.contiguous(memory_format=order)
    return tensor


def batch_length(batch: Batch) -> int:
    """Number of samples of a batch."""
    return len(tensors_of(batch)[0])


def batch_bytes(batch: Batch) -> int:
    """Memory of a batch's values, in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(batch))


def describe(batch: Batch) -> str:
    """The shapes in a batch, for messages."""
    if isinstance(batch, Mapping):
        return ", ".join(f"{key} {tuple(value.shape)}" for key, value in batch.items())
    return ", ".join(str(tuple(value.shape)) for value in batch)


def as_batch(value: Any, name: str) -> Batch:
    """Convert what a data set returned to a batch of tensors.

    Raises
    ------
    LossLandscapeError
        If the value holds anything but tensors and arrays of at least one dimension. The message
        begins with ``name``, the name of the set.
    """
    return map_batch(lambda one: _tensor(one, name), value)


def check_lengths(batch: Batch, name: str) -> None:
    """Raise a LossLandscapeError if the tensors have different numbers of samples."""
    lengths = {len(tensor) for tensor in tensors_of(batch)}
    if len(lengths) > 1:
        raise LossLandscapeError(
            f"{name}: one batch holds tensors of {', '.join(map(str, sorted(lengths)))} samples; "
            "dimension 0 of every tensor is the sample"
        )


def _tensor(value: Any, name: str) -> Tensor:
    if isinstance(value, np.ndarray):
        value = from_array(value, name)
    if not isinstance(value, Tensor):
        raise LossLandscapeError(
            f"{name}: a batch holds a {type(value).__name__} where a tensor is expected; "
            "pass tuples or dicts of tensors, and leave out what is no number (of a data set of "
            "Hugging Face: remove_columns)"
        )
    if value.dim() == 0:
        raise LossLandscapeError(f"{name}: a batch holds a scalar; dimension 0 is the sample")
    if value.layout is not torch.strided:
        raise LossLandscapeError(
            f"{name}: a tensor is not dense ({value.layout}); pass tensor.to_dense()"
        )
    return aligned(value.detach())


def from_array(array: np.ndarray, name: str) -> Tensor:
    """A tensor of an array's values, in its memory if PyTorch can use that.

    Raises
    ------
    LossLandscapeError
        If the array holds no numbers that PyTorch has.

    Examples
    --------
    >>> from_array(np.arange(3, dtype=">f4")[::-1], "data")
    tensor([2., 1., 0.])
    """
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise LossLandscapeError(
            f"{name}: an array has {int(np.ma.getmaskarray(array).sum())} masked values, and a "
            "tensor has no mask; leave these samples out, or fill them: array.filled(...)"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:  # long double
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise LossLandscapeError(
            f"{name}: an array of type {array.dtype} holds no numbers that PyTorch has; convert "
            "it, such as np.stack(array) for an array of arrays of one shape"
        ) from error


def aligned(tensor: Tensor, copies: dict[int, torch.UntypedStorage] | None = None) -> Tensor:
    """The tensor in memory aligned to 64 bytes, as PyTorch allocates it.

    The last bits of sums depend on the alignment. Memory from NumPy or a file may be aligned
    otherwise; in a worker process PyTorch allocates it, and the sums would differ. The whole
    storage is copied, as on the way to a worker, so that a view keeps its offset. ``copies`` holds
    the copies of earlier calls, by address.
    """
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided or not tensor.numel():
        return tensor
    storage = tensor.untyped_storage()
    address = storage.data_ptr()
    if address % _BOUNDARY == 0 or storage.nbytes() > _COPIED_AT_MOST:
        return tensor
    copies = {} if copies is None else copies
    if address not in copies:
        copies[address] = storage.clone()
    empty = torch.empty(0, dtype=tensor.dtype)
    return empty.set_(copies[address], tensor.storage_offset(), tensor.shape, tensor.stride())


def map_batch(function: Callable[[Any], Any], batch: Batch) -> Batch:
    """Apply a function to each tensor; the result is a batch of the same kind."""
    if isinstance(batch, Mapping):
        return {key: function(value) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(function(value) for value in batch)
    return (function(batch),)


def tensors_of(batch: Batch) -> list[Tensor]:
    """The tensors of a batch."""
    return list(batch.values()) if isinstance(batch, Mapping) else list(batch)


def sample_shapes(batch: Batch) -> tuple[tuple[int, ...], ...]:
    """The shape of one sample in each tensor of a batch."""
    return tuple(tuple(tensor.shape[1:]) for tensor in tensors_of(batch))


def join(batches: list[Batch]) -> Batch:
    """Concatenate batches along the samples."""
    first = batches[0]
    if isinstance(first, Mapping):
        return {key: torch.cat([batch[key] for batch in batches]) for key in first}
    return tuple(torch.cat(parts) for parts in zip(*batches))


def same_values(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one shape have the same values; NaN equals NaN."""
    same = a == b
    if a.is_floating_point():
        same |= a.isnan() & b.isnan()
    return bool(same.all())
