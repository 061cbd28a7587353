"""Samples that do not fit in memory: read batch by batch whenever they are needed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import own_code, told
from losslandscape.problem.batches import (
    Batch,
    as_batch,
    batch_bytes,
    batch_length,
    check_lengths,
    map_batch,
    sample_shapes,
    tensors_of,
)
from losslandscape.problem.collate import Collate
from losslandscape.problem.drawn_samples import drawn_batches
from losslandscape.problem.random_draws import fixed_draws, seed_draws

_PART = 256  # samples read at once by default
LOOKED_AT = 8  # samples read to estimate the size of all
Range = tuple[int, int]


class StreamedSamples:
    """A map-style data set's samples in a fixed order, none of them held.

    Reading a range again returns the same values, in any process. The generators of torch (CPU),
    NumPy and Python are seeded for each reading, so a data set draws the same random numbers from
    them every time; this process's generators are then restored.

    Parameters
    ----------
    loader : DataLoader
        With a batch sampler. The order of a shuffling loader is drawn once, with a fixed seed.
    name : str
        For messages.

    Attributes
    ----------
    ragged : bool or None
        Whether samples of different batches differ in shape, so that the loader's own batches must
        be kept; None before :meth:`scan`.

    Raises
    ------
    LossLandscapeError
        If there are no samples.
    """

    def __init__(self, loader: DataLoader, name: str):
        self.name = name
        self._loader = loader
        with own_code(f"{name}: choosing the order of the samples"):
            parts = drawn_batches(loader)
        if not parts:
            raise LossLandscapeError(f"{name}: there are no samples")
        self._order = np.concatenate(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        self.ragged: bool | None = None

    @classmethod
    def too_large(cls, data: Any, name: str, hold_bytes: int) -> StreamedSamples | None:
        """Streamed samples for data larger than ``hold_bytes``, otherwise None.

        The size is estimated from a few samples. Also None for data that cannot be read in any
        order: an iterable data set, or a loader without a batch sampler.
        """
        if isinstance(data, (tuple, list, Mapping)):
            if batch_bytes(data) <= hold_bytes:
                return None
            return cls(DataLoader(_Rows(data), batch_size=_PART, collate_fn=_itself), name)
        loader = data if isinstance(data, DataLoader) else None
        dataset: Any = loader.dataset if loader is not None else data
        map_style = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        if not map_style or isinstance(dataset, IterableDataset):
            return None
        if loader is None:
            loader = DataLoader(dataset, batch_size=_PART, collate_fn=Collate(name))
        if loader.batch_sampler is None:
            return None
        count = len(dataset)
        try:
            with fixed_draws(0):
                items = [dataset[i] for i in range(min(LOOKED_AT, count))]
            few = as_batch(loader.collate_fn(items), name)
            large = batch_bytes(few) * count > hold_bytes * len(items)
        except (Exception, SystemExit):  # reported when all samples are read
            return None
        return cls(loader, name) if large else None

    def __len__(self) -> int:
        return len(self._order)

    def own_ranges(self) -> list[Range]:
        """The range (start, stop) of each of the loader's own batches."""
        return [(int(a), int(b)) for a, b in zip([0, *self._ends[:-1]], self._ends)]

    def loader(self, ranges: Sequence[Range]) -> DataLoader:
        """A loader of the batches in these ranges of the order."""
        given = self._loader
        return DataLoader(
            _Seeded(given.dataset),
            batch_sampler=_Ranges(self._order, ranges),
            collate_fn=given.collate_fn,
            num_workers=given.num_workers,
            worker_init_fn=given.worker_init_fn,
            multiprocessing_context=given.multiprocessing_context,
            persistent_workers=given.num_workers > 0,
            generator=torch.Generator(),  # workers' seeds must not come from the model's generator
        )

    def read(self, ranges: Sequence[Range], loader: DataLoader | None = None) -> Iterator[Batch]:
        """The batches in these ranges of the order, one after the other.

        Raises
        ------
        LossLandscapeError
            If the data set raises, or does not return tensors of equal length.
        """
        loader = loader or self.loader(ranges)
        try:
            loader.generator.manual_seed(0)
            batches = iter(loader)
            for start, stop in ranges:
                with fixed_draws(start):
                    batch = as_batch(next(batches), self.name)
                check_lengths(batch, self.name)
                if batch_length(batch) != stop - start:
                    raise LossLandscapeError(
                        f"{self.name}: {stop - start} items make a batch of {batch_length(batch)} "
                        "samples; data that are read again at each point need one sample per item "
                        "(or pass a larger hold_bytes)"
                    )
                yield batch
        except (LossLandscapeError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever the user's data set raises
            source = type(self._loader.dataset).__name__
            raise LossLandscapeError(
                f"{self.name}: reading the {source} failed: {told(error)}"
            ) from error

    def scan(self) -> None:
        """Read everything once, to find whether all batches have one shape and one type.

        Raises
        ------
        LossLandscapeError
            If a batch cannot be read, or batches have different types.
        """
        shapes, kinds = set(), set()
        for batch in self.read(self.own_ranges()):
            shapes.add(sample_shapes(batch))
            kinds.add(tuple(tensor.dtype for tensor in tensors_of(batch)))
        if len(kinds) > 1:
            raise LossLandscapeError(
                f"{self.name}: the batches have different types: {kinds}; convert them to one"
            )
        self.ragged = len(shapes) > 1

    def picked(self, index: np.ndarray) -> StreamedSamples:
        """The samples of these numbers, in this order."""
        other = object.__new__(StreamedSamples)
        other.name, other._loader, other.ragged = self.name, self._loader, self.ragged
        other._order = self._order[index]
        other._ends = np.array([*range(_PART, len(index), _PART), len(index)])
        return other

    def sha256(self) -> str:
        """The hash that :func:`losslandscape.planes.parameters.sha256` has for held samples."""
        digest = hashlib.sha256()
        if self.ragged:
            for batch in self.read(self.own_ranges()):
                for tensor in tensors_of(batch):
                    digest.update(_head(len(tensor), tensor))
                    digest.update(_bytes(tensor))
            return digest.hexdigest()
        # hashed tensor by tensor, but read once: the later tensors wait in files
        with ExitStack() as stack:
            heads: list[bytes] = []
            waiting: list[Any] = []
            for batch in self.read(self.own_ranges()):
                first, *others = tensors_of(batch)
                if not heads:
                    heads = [_head(len(self), tensor) for tensor in (first, *others)]
                    waiting = [stack.enter_context(tempfile.TemporaryFile()) for _ in others]
                    digest.update(heads[0])
                digest.update(_bytes(first))
                for file, tensor in zip(waiting, others):
                    file.write(_bytes(tensor))
            for head, file in zip(heads[1:], waiting):
                digest.update(head)
                file.seek(0)
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()


class StreamedBatches(Sequence[Batch]):
    """Batches of streamed samples; each is read and moved to its device when it is needed."""

    def __init__(
        self,
        samples: StreamedSamples,
        ranges: Sequence[Range],
        place: Callable[[Tensor], Tensor],
    ):
        self._samples = samples
        self._ranges = ranges
        self._place = place
        self._loader: DataLoader | None = None  # keeps its worker processes from point to point

    def __len__(self) -> int:
        return len(self._ranges)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> StreamedBatches: ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return StreamedBatches(self._samples, self._ranges[index], self._place)
        return next(iter(StreamedBatches(self._samples, [self._ranges[index]], self._place)))

    def __iter__(self) -> Iterator[Batch]:
        if self._loader is None:
            self._loader = self._samples.loader(self._ranges)
        for batch in self._samples.read(self._ranges, self._loader):
            yield map_batch(self._place, batch)


class _Seeded(Dataset):
    """A data set that seeds the generators before it reads a batch, in the reading process.

    Its attributes are those of the wrapped data set; a ``worker_init_fn`` may read and set them.
    """

    _given: Dataset

    def __init__(self, given: Dataset):
        object.__setattr__(self, "_given", given)

    def __getitems__(self, part: list[Any]) -> Any:
        start, index = part
        seed_draws(start)
        several = getattr(self._given, "__getitems__", None)
        return several(index) if several else [self._given[i] for i in index]

    def __len__(self) -> int:
        return len(self._given)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._given, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._given, name, value)

    def __reduce__(self) -> tuple:
        return type(self), (self._given,)


class _Ranges:
    """A batch sampler of ranges of an order; each batch comes with the start of its range."""

    def __init__(self, order: np.ndarray, ranges: Sequence[Range]):
        self._order, self._ranges = order, ranges

    def __len__(self) -> int:
        return len(self._ranges)

    def __iter__(self) -> Iterator[list[Any]]:
        for start, stop in self._ranges:
            yield [start, self._order[start:stop].tolist()]


class _Rows(Dataset):
    """A data set over tensors, which reads a whole batch of rows at once."""

    def __init__(self, tensors: Batch):
        self._tensors = tensors

    def __len__(self) -> int:
        return batch_length(self._tensors)

    def __getitems__(self, index: list[int]) -> Batch:
        first, last = index[0], index[-1]
        if index == list(range(first, last + 1)):
            return map_batch(lambda tensor: tensor[first : last + 1], self._tensors)
        numbers = torch.tensor(index)
        return map_batch(lambda tensor: tensor[numbers], self._tensors)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])


def _itself(batch: Batch) -> Batch:
    return batch


def _head(count: int, tensor: Tensor) -> bytes:
    return str(((count, *tensor.shape[1:]), str(tensor.dtype))).encode()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
