"""The draws of a bootstrap over samples: how often each sample was drawn.

B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 6.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK_BYTES = 64 << 20


def bootstrap_counts(
    draws: int, samples: int, seed: int, row: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of draws, and how often each sample is in them.

    Each draw takes as many samples as there are, with replacement. The size of the blocks does not
    change the draws.

    Parameters
    ----------
    draws, samples, seed : int
    row : int, optional
        How many float64 a draw takes, which bounds the draws of a block to ``BLOCK_BYTES``; the
        number of samples by default.

    Yields
    ------
    some : slice
        The draws of the block.
    counts : int64 ndarray, shape (draws of the block, samples)
        Each row adds up to ``samples``.

    Examples
    --------
    >>> [(some, counts)] = bootstrap_counts(draws=4, samples=3, seed=0)
    >>> some, counts.sum(axis=1)
    (slice(0, 4, None), array([3, 3, 3, 3]))
    """
    generator = np.random.default_rng(seed)
    share = np.full(samples, 1 / samples)
    for some in blocks(draws, samples if row is None else row):
        yield some, generator.multinomial(samples, share, some.stop - some.start)


def blocks(length: int, row: int) -> Iterator[slice]:
    """Cover ``length`` rows of ``row`` float64 each in blocks of at most ``BLOCK_BYTES``.

    Examples
    --------
    >>> list(blocks(5, BLOCK_BYTES // 16))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, BLOCK_BYTES // (8 * row))
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
