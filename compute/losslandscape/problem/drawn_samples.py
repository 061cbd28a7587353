"""Which samples of its data set a DataLoader draws, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, RandomSampler, WeightedRandomSampler

from losslandscape.problem.random_draws import fixed_draws, own_generators


def drawn_batches(loader: DataLoader) -> list[np.ndarray]:
    """The numbers of the samples of each batch, in the order in which the loader reads them.

    No sample is read. The draws are those of the loader itself with a fixed seed, and its own
    generators are then restored.

    Parameters
    ----------
    loader : DataLoader
        With a batch sampler.

    Returns
    -------
    list of int64 arrays

    Raises
    ------
    ValueError, TypeError
        If a sampler draws other keys than whole numbers.

    Examples
    --------
    >>> [batch.tolist() for batch in drawn_batches(DataLoader(range(5), batch_size=2))]
    [[0, 1], [2, 3], [4]]
    """
    # draws as the loader itself does, and so has the same order
    order = DataLoader(
        _Numbers(),
        batch_sampler=loader.batch_sampler,
        collate_fn=list,
        generator=loader.generator,
    )
    with fixed_draws(0, own_generators(loader)):
        return [np.asarray(part, np.int64) for part in order]


def how_drawn(loader: DataLoader) -> tuple[str, str | None]:
    """How a loader draws its samples, for the file, and a warning where it draws copies.

    Returns
    -------
    source : str
        Names the sampler and the part of the data set that is left out, where there is one.
    warning : str or None

    Examples
    --------
    >>> how_drawn(DataLoader(range(5), batch_size=2, drop_last=True))
    ('DataLoader (4 of 5 samples)', None)
    """
    sampler = _sampler(loader)
    kind = type(sampler).__name__
    copies = isinstance(sampler, WeightedRandomSampler) or getattr(sampler, "replacement", False)
    said = []
    if copies or isinstance(sampler, RandomSampler):
        said = [f"drawn by {kind}" if copies else "shuffled", "read once, order kept"]
    drawn, different, samples = _counts(loader)
    if different < samples:
        said.append(f"{different:,} of {samples:,} samples")
    source = f"DataLoader ({'; '.join(said)})" if said else "DataLoader"
    if not copies and different == drawn:
        return source, None
    counts = f": {drawn:,} draws of {different:,} different samples" if different < drawn else ""
    return source, (
        f"the loader's {kind} may draw a sample several times{counts}. The mean loss and its "
        "standard error are those of its draws, which count as independent; for those of the "
        "data set give the data set itself"
    )


def _sampler(loader: DataLoader) -> Any:
    """What chooses the samples: that of the batch sampler, where the user passed one."""
    batches = loader.batch_sampler
    if batches is None:
        return loader.sampler
    inner = getattr(batches, "sampler", None)
    return batches if inner is None else inner


def _counts(loader: DataLoader) -> tuple[int, int, int]:
    """How many samples are drawn, how many different ones, and how many there are; 0 if unknown."""
    samplers = (loader.batch_sampler, _sampler(loader))
    if loader.batch_sampler is None or any(isinstance(one, Iterator) for one in samplers):
        return 0, 0, 0  # an iterator must not be used up
    try:
        samples = len(loader.dataset)  # type: ignore[arg-type]
        numbers = np.concatenate([np.empty(0, np.int64), *drawn_batches(loader)])
    except (Exception, SystemExit):  # the user's code; reported when the samples are read
        return 0, 0, 0
    return len(numbers), len(np.unique(numbers)), samples


class _Numbers(Dataset):
    """Item i is i."""

    def __getitem__(self, index: int) -> int:
        return index
