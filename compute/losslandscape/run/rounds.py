"""Which points a run measures next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from losslandscape.adaptive.refinement import Refinement
from losslandscape.progress import Progress


def rounds(
    losses: np.ndarray, refinement: Refinement | None, progress: Progress
) -> Iterator[np.ndarray]:
    """Numbers of the points to measure, one array a round.

    Without a refinement there is one round, of all points. With one, a round follows from the
    losses so far. A resumed run goes through its first rounds again, over the stored losses, and so
    arrives where it was.

    Parameters
    ----------
    losses : float64 ndarray, shape (size,)
        Whoever asks for a round fills in its losses before asking for the next.
    progress : Progress
        Its total and its note follow the rounds.

    Examples
    --------
    >>> with Progress(4, "surface", quiet=True) as progress:
    ...     list(rounds(np.full(4, np.nan), None, progress))
    [array([0, 1, 2, 3])]
    """
    if refinement is None:
        yield np.arange(losses.size)
        return
    measured = np.zeros(losses.size, bool)
    while True:
        numbers = refinement.next_round(losses, measured)
        progress.total = int(measured.sum()) + numbers.size
        progress.note = refinement.describe()
        if not numbers.size:
            return
        yield numbers
        measured[numbers] = True
