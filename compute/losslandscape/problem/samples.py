"""The samples over which a loss is averaged: read once, in a fixed order, cut into batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import own_code, told
from losslandscape.planes.parameters import sha256
from losslandscape.problem.batches import (
    Batch,
    as_batch,
    batch_bytes,
    batch_length,
    check_lengths,
    join,
    map_batch,
    placed,
    sample_shapes,
    tensors_of,
)
from losslandscape.problem.collate import Collate
from losslandscape.problem.drawn_samples import how_drawn
from losslandscape.problem.random_draws import fixed_draws, own_generators
from losslandscape.problem.streamed_samples import LOOKED_AT, StreamedBatches, StreamedSamples
from losslandscape.public_calls import users_line

# Larger sets are read again at each point. While a set is read into memory, it takes twice its
# size.
HOLD_BYTES = 4 << 30


class SampleSet:
    """Samples in a fixed order.

    Parameters
    ----------
    data : tuple of tensors, list of samples, map-style Dataset, or re-iterable DataLoader
        A sample is a tuple or a dict; a DataLoader returns batches of these.
        Dimension 0 of every tensor is the sample. A Dataset or DataLoader is read once, which
        freezes random augmentation and a shuffling loader's order. The order is drawn with a fixed
        seed, even if the loader has its own generator, which is then restored.
    name : str
        For messages.
    hold_bytes : int
        Data that would take more memory, in bytes, are not held. They are read batch by batch
        whenever they are needed, in the same order; see
        :mod:`losslandscape.problem.streamed_samples`.

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

    def __init__(self, data: Any, name: str = "data", hold_bytes: int = HOLD_BYTES):
        self.name = name
        self.source = type(data).__name__
        self._reading = f"{name}: reading the {self.source}"
        self._hold_bytes = hold_bytes
        self._whole: Batch | None = None
        self._ragged: list[Batch] | None = None
        self._described: dict | None = None  # set if the order differs from the given one
        if isinstance(data, DataLoader):
            self.source = self._drawn(data)
        if _is_list_of_samples(data):
            data = _Listed(data, name)
        elif isinstance(data, (tuple, list, Mapping)):
            data = as_batch(data, name)
            check_lengths(data, name)
        with own_code(self._reading):
            self._streamed = StreamedSamples.too_large(data, name, hold_bytes)
        if self._streamed is not None:
            self._streamed.scan()
        elif isinstance(data, (tuple, Mapping)):
            self._whole = data
        else:
            self._whole = self._read(data)
        if self._streamed is None:
            for batch in self.stored():
                check_lengths(batch, name)
        if not len(self):
            raise LossLandscapeError(f"{name}: there are no samples")

    def _drawn(self, loader: DataLoader) -> str:
        """How a loader draws its samples, for the file; a warning where it may draw copies."""
        source, warning = how_drawn(loader)
        if warning:
            warnings.warn(f"{self.name}: {warning}", stacklevel=users_line())
        return source

    def _loader(self, data: Any) -> Iterable:
        """What gives the data batch by batch."""
        if isinstance(data, DataLoader):
            return data
        if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            return DataLoader(data, batch_size=256, collate_fn=Collate(self.name))
        if isinstance(data, Iterator):
            raise LossLandscapeError(
                f"{self.name}: a {type(data).__name__} can be read only once; pass list(...) of it"
            )
        if not hasattr(data, "__iter__"):
            raise LossLandscapeError(
                f"{self.name}: {type(data).__name__} is neither a tuple of tensors, a map-style "
                "Dataset nor a DataLoader"
            )
        if iter(data) is iter(data):
            raise LossLandscapeError(
                f"{self.name}: the {type(data).__name__} always gives the same iterator, which can "
                "be read only once; pass list(...) of it"
            )
        if isinstance(data, IterableDataset) and _yields_samples(data):
            return DataLoader(data, batch_size=256, collate_fn=Collate(self.name))
        return data

    def _read(self, data: Any) -> Batch | None:
        with own_code(self._reading):
            loader = self._loader(data)
        try:
            # so that a shuffling loader's order repeats
            with fixed_draws(0, own_generators(data) if isinstance(data, DataLoader) else ()):
                batches = [as_batch(batch, self.name) for batch in loader]
        except (LossLandscapeError, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever the user's data set raises
            raise LossLandscapeError(
                f"{self.name}: reading the {type(data).__name__} failed: {told(error)}"
            ) from error
        if not batches:
            raise LossLandscapeError(f"{self.name}: there are no samples")
        if len({sample_shapes(batch) for batch in batches}) > 1:
            # padded to different lengths: keep the loader's own batches
            self._ragged = batches
            return None
        return join(batches)

    def stored(self) -> Iterable[Batch]:
        """The samples as held: one batch, or the loader's batches. Streamed samples are read."""
        if self._streamed is not None:
            return self._streamed.read(self._streamed.own_ranges())
        return [self._whole] if self._ragged is None else self._ragged

    def __len__(self) -> int:
        if self._streamed is not None:
            return len(self._streamed)
        return sum(batch_length(batch) for batch in self.stored() if tensors_of(batch))

    @property
    def streamed(self) -> bool:
        """Whether the samples are not held, but read again at each point."""
        return self._streamed is not None

    @property
    def ragged(self) -> bool:
        """Whether the loader's own batches are kept because their samples differ in shape."""
        return self._ragged is not None or bool(
            self._streamed is not None and self._streamed.ragged
        )

    def batches(
        self,
        size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
    ) -> Sequence[Batch]:
        """Batches of nearly equal size, at most ``size`` samples, in order, on a device.

        Floating-point tensors are converted to ``dtype``. Images (4-D) are stored channels-last if
        ``channels_last`` is set, otherwise row-major. Batches are views of the samples if these
        already have this type, order and device; see :meth:`lay_out`. Streamed samples are read
        during iteration.
        """

        def place(tensor: Tensor) -> Tensor:
            return placed(tensor, device, dtype, channels_last)

        if self._ragged is not None:
            return [map_batch(place, batch) for batch in self._ragged]
        parts = math.ceil(len(self) / size)
        if self._streamed is not None:
            ranges = self._streamed.own_ranges() if self.ragged else _ranges(len(self), parts)
            return StreamedBatches(self._streamed, ranges, place)
        split = map_batch(lambda tensor: torch.tensor_split(tensor, parts), self._whole)

        def part(i: int) -> Batch:
            return map_batch(lambda chunks: place(chunks[i]), split)

        return [part(i) for i in range(parts)]

    def lay_out(self, channels_last: bool) -> None:
        """Store images (4-D) channels-last, or row-major, from now on; the values stay the same.

        Batches in this order are then views, so the samples are in memory once, unless the caller
        still holds the original tensors.
        """

        def laid_out(tensor: Tensor) -> Tensor:
            return placed(tensor, tensor.device, None, channels_last)

        if self._streamed is not None:
            return  # each batch is laid out when it is read
        if self._ragged is None:
            self._whole = map_batch(laid_out, self._whole)
        else:
            self._ragged = [map_batch(laid_out, batch) for batch in self._ragged]

    def first(self, count: int) -> Batch:
        """At most ``count`` first samples as one batch."""
        if self._streamed is not None and not self.ragged:
            return next(self._streamed.read([(0, min(count, len(self)))]))
        return map_batch(lambda tensor: tensor[:count], next(iter(self.stored())))

    def subset(self, count: int) -> SampleSet:
        """``count`` samples, evenly spaced in the order; the set itself if it has no more.

        Raises
        ------
        LossLandscapeError
            If the loader's batches have different shapes.
        """
        if count >= len(self):
            return self
        if self.ragged:
            raise LossLandscapeError(
                f"{self.name}: the batches have different shapes, so {count} samples cannot be "
                "picked from them"
            )
        index = torch.arange(count) * len(self) // count
        return self._picked(index)

    def shuffled(self, seed: int) -> SampleSet:
        """The same samples in a random order; :meth:`to_json` describes the original order.

        Raises
        ------
        LossLandscapeError
            If the loader's batches have different shapes.
        """
        if self.ragged:
            raise LossLandscapeError(
                f"{self.name}: the batches have different shapes, so their samples cannot be "
                "reordered"
            )
        index = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        other = self._picked(index)
        other._described = self.to_json()
        return other

    def _picked(self, index: Tensor) -> SampleSet:
        """The samples of these numbers, in this order."""
        if self._streamed is None:
            whole = map_batch(lambda tensor: tensor[index], self._whole)
            return SampleSet(whole, self.name, self._hold_bytes)
        picked = self._streamed.picked(index.numpy())
        few = next(picked.read([(0, min(LOOKED_AT, len(picked)))]))
        if batch_bytes(few) * len(picked) <= self._hold_bytes * batch_length(few):
            whole = next(picked.read([(0, len(picked))]))
            return SampleSet(whole, self.name, self._hold_bytes)
        other = object.__new__(SampleSet)
        vars(other).update(vars(self))
        other._streamed, other._described = picked, None
        return other

    def to_json(self) -> dict:
        """Number, source and hash of the samples, for the file."""
        if self._described is not None:
            return self._described
        if self._streamed is not None:
            digest = self._streamed.sha256()
            self._described = {"samples": len(self), "source": self.source, "sha256": digest}
            return self._described
        tensors = [tensor for batch in self.stored() for tensor in tensors_of(batch)]
        return {"samples": len(self), "source": self.source, "sha256": sha256(tensors)}


def _yields_samples(data: IterableDataset) -> bool:
    """Whether an iterable data set yields samples, not batches: no common first dimension."""
    with fixed_draws(0):
        first = next(iter(data), None)
    return isinstance(first, (tuple, list, Mapping)) and _is_sample(first)


def _is_sample(item: Any) -> bool:
    """Whether an item is surely one sample: a batch has one first dimension in all its tensors.

    So have the tokens, mask and labels of one text; but ``input_ids`` of a batch have two.
    """
    if isinstance(item, Mapping) and len(getattr(item.get("input_ids"), "shape", ())) == 1:
        return True
    parts = item.values() if isinstance(item, Mapping) else item
    shapes = [tuple(getattr(part, "shape", ())) for part in parts]
    return not all(shapes) or len({shape[0] for shape in shapes}) > 1


def _is_list_of_samples(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], (tuple, list, Mapping))


class _Listed:
    """A list of samples as a data set: each a tuple or a dict.

    Raises
    ------
    LossLandscapeError
        If the items may as well be batches: their tensors have a common first dimension.
    """

    def __init__(self, items: list, name: str):
        if not any(map(_is_sample, items)):
            raise LossLandscapeError(
                f"{name}: a list of {len(items)} items whose tensors agree in their first "
                "dimension: they may be samples or batches. For samples, pass a tuple of tensors "
                "stacked with torch.stack; for batches, one of tensors joined with torch.cat"
            )
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, i: int) -> Any:
        return self._items[i]


def _ranges(count: int, parts: int) -> list[tuple[int, int]]:
    """The ranges (start, stop) into which torch.tensor_split cuts."""
    least, more = divmod(count, parts)
    ends = [0]
    for i in range(parts):
        ends.append(ends[-1] + least + (i < more))
    return list(zip(ends, ends[1:]))
