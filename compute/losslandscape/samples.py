"""The samples a loss is averaged over: read once, in a fixed order, cut into batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from losslandscape.errors import LossLandscapeError
from losslandscape.parameters import sha256

Batch = Any  # tuple of tensors, or dict of name -> tensor; dimension 0 is the sample


class SampleSet:
    """Samples in a fixed order.

    Parameters
    ----------
    data : tuple of tensors, map-style Dataset, or re-iterable DataLoader of tuples or dicts
        Dimension 0 of every tensor is the sample. A Dataset or DataLoader is read once, so random
        augmentation is frozen as it was drawn, and a shuffling loader's order is fixed as it came.
    name : str
        For messages.

    Raises
    ------
    LossLandscapeError
        If the data are empty, not tensors, or disagree about the number of samples.

    Examples
    --------
    >>> samples = SampleSet((torch.zeros(10, 3), torch.arange(10)), "train")
    >>> len(samples), [len(batch[1]) for batch in samples.batches(4)]
    (10, [4, 3, 3])
    """

    def __init__(self, data: Any, name: str = "data"):
        self.name = name
        self.source = type(data).__name__
        self._ragged: list[Batch] | None = None
        self._described: dict | None = None  # where the order is another than the one given
        if isinstance(data, (tuple, list, Mapping)):
            self._whole = map_batch(lambda value: _tensor(value, name), data)
        else:
            self._whole = self._read(data)
        sizes = {len(tensor) for batch in self.stored() for tensor in tensors_of(batch)[:1]}
        for batch in self.stored():
            lengths = {len(tensor) for tensor in tensors_of(batch)}
            if len(lengths) > 1:
                raise LossLandscapeError(
                    f"{name}: tensors of {', '.join(map(str, sorted(lengths)))} samples in one "
                    "batch; dimension 0 of every tensor is the sample"
                )
        if not sizes or sizes == {0}:
            raise LossLandscapeError(f"{name}: there are no samples")

    def _read(self, data: Any) -> Batch | None:
        loader: Iterable = data
        if isinstance(data, DataLoader):
            if isinstance(data.sampler, RandomSampler):
                self.source = "DataLoader (shuffled; read once, order kept)"
        elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            loader = DataLoader(data, batch_size=256)
        elif isinstance(data, Iterator) or not hasattr(data, "__iter__"):
            raise LossLandscapeError(
                f"{self.name}: {type(data).__name__} is neither a tuple of tensors, a map-style "
                "Dataset nor a DataLoader"
            )
        try:
            # iterating draws from torch's generator; so a shuffling loader's order repeats
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                batches = [map_batch(lambda value: _tensor(value, self.name), b) for b in loader]
        except LossLandscapeError:
            raise
        except Exception as error:  # whatever the user's data set raises
            raise LossLandscapeError(
                f"{self.name}: reading the {type(data).__name__} failed: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not batches:
            raise LossLandscapeError(f"{self.name}: there are no samples")
        shapes = {tuple(tuple(t.shape[1:]) for t in tensors_of(batch)) for batch in batches}
        if len(shapes) > 1:  # padded to different lengths: the loader's own batches are kept
            self._ragged = batches
            return None
        return _join(batches)

    def stored(self) -> list[Batch]:
        """The samples as they are kept: one batch, or the loader's own."""
        return [self._whole] if self._ragged is None else self._ragged

    def __len__(self) -> int:
        return sum(len(tensors_of(batch)[0]) for batch in self.stored())

    @property
    def ragged(self) -> bool:
        """Whether the loader's own batches are kept because their tensors differ in shape."""
        return self._ragged is not None

    def batches(
        self,
        size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
    ) -> list[Batch]:
        """Batches of nearly equal size, at most ``size``, in order, on a device.

        Floating-point tensors are converted to ``dtype``; images (4-D) laid out channels-last
        where asked for, else row-major. Batches are views of the samples kept here where these are
        so already; see :meth:`lay_out`.
        """

        def place(tensor: Tensor) -> Tensor:
            return placed(tensor, device, dtype, channels_last)

        if self._ragged is not None:
            return [map_batch(place, batch) for batch in self._ragged]
        parts = math.ceil(len(self) / size)
        split = map_batch(lambda tensor: torch.tensor_split(tensor, parts), self._whole)

        def part(i: int) -> Batch:
            return map_batch(lambda chunks: place(chunks[i]), split)

        return [part(i) for i in range(parts)]

    def lay_out(self, channels_last: bool) -> None:
        """Keep images (4-D) channels-last from now on, or row-major: the same values elsewhere.

        Batches of this order are then views, so that the samples are in memory once, unless
        someone else holds the tensors that were given.
        """

        def laid_out(tensor: Tensor) -> Tensor:
            return placed(tensor, tensor.device, None, channels_last)

        if self._ragged is None:
            self._whole = map_batch(laid_out, self._whole)
        else:
            self._ragged = [map_batch(laid_out, batch) for batch in self._ragged]

    def first(self, count: int) -> Batch:
        """The first samples, at most ``count``, as one batch."""
        return map_batch(lambda tensor: tensor[:count], self.stored()[0])

    def subset(self, count: int) -> SampleSet:
        """``count`` samples evenly spaced in the order; itself where it has no more."""
        if count >= len(self):
            return self
        if self._ragged is not None:
            raise LossLandscapeError(
                f"{self.name}: batches of different shapes cannot be thinned to {count} samples"
            )
        index = torch.arange(count) * len(self) // count
        return SampleSet(map_batch(lambda tensor: tensor[index], self._whole), self.name)

    def shuffled(self, seed: int) -> SampleSet:
        """The same samples in a random order, which are described as these.

        Raises
        ------
        LossLandscapeError
            If the loader's batches are of different shapes.
        """
        if self._ragged is not None:
            raise LossLandscapeError(
                f"{self.name}: batches of different shapes cannot be put into another order"
            )
        index = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        other = SampleSet(map_batch(lambda tensor: tensor[index], self._whole), self.name)
        other._described = self.to_json()
        return other

    def to_json(self) -> dict:
        """Number, source and hash of the samples."""
        if self._described is not None:
            return self._described
        tensors = [tensor for batch in self.stored() for tensor in tensors_of(batch)]
        return {"samples": len(self), "source": self.source, "sha256": sha256(tensors)}


def place_batch(
    batch: Batch,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
    channels_last: bool = False,
) -> Batch:
    """A batch on a device; see :meth:`SampleSet.batches`."""
    return map_batch(lambda tensor: placed(tensor, device, dtype, channels_last), batch)


def placed(
    tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None, channels_last: bool
) -> Tensor:
    """A tensor on a device; floating-point ones of a type, images (4-D) in a memory order."""
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


def describe(batch: Batch) -> str:
    """Shapes of a batch, for messages."""
    if isinstance(batch, Mapping):
        return ", ".join(f"{key} {tuple(value.shape)}" for key, value in batch.items())
    return ", ".join(str(tuple(value.shape)) for value in batch)


def _tensor(value: Any, name: str) -> Tensor:
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise LossLandscapeError(
            f"{name}: a batch holds a {type(value).__name__} where a tensor is expected; "
            "give tuples or dicts of tensors"
        )
    if value.dim() == 0:
        raise LossLandscapeError(f"{name}: a batch holds a scalar; dimension 0 is the sample")
    return value.detach()


def map_batch(function: Callable[[Any], Any], batch: Batch) -> Batch:
    """A batch of the same kind with the function of each of its tensors."""
    if isinstance(batch, Mapping):
        return {key: function(value) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(function(value) for value in batch)
    return (function(batch),)


def tensors_of(batch: Batch) -> list[Tensor]:
    """The tensors of a batch."""
    return list(batch.values()) if isinstance(batch, Mapping) else list(batch)


def _join(batches: list[Batch]) -> Batch:
    first = batches[0]
    if isinstance(first, Mapping):
        return {key: torch.cat([batch[key] for batch in batches]) for key in first}
    return tuple(torch.cat(parts) for parts in zip(*batches))
