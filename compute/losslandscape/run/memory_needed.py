"""The memory that a landscape takes, before it is measured."""

from __future__ import annotations

from losslandscape.memory import require_memory
from losslandscape.planes.grid import Grid


def require_landscape_memory(grid: Grid, samples: int = 0) -> None:
    """Refuse a grid that memory does not hold.

    Counted are of each point its coordinates, three float64 (the loss, its standard error, one
    more quantity) and the kept per-sample losses, float32, once each. The model, batches and the
    copies that are made while a file is written come on top.

    Parameters
    ----------
    samples : int
        Number of per-sample losses that are kept for each point.

    Raises
    ------
    LossLandscapeError
        If less memory is available.

    Examples
    --------
    >>> require_landscape_memory(Grid.square(51), samples=1000)
    """
    needed = grid.size * (8 * (grid.dimensions + 3) + 4 * samples)
    kept = f", with {samples:,} per-sample losses each," if samples else ""
    way_out = "measure fewer points"
    if samples:
        way_out += ", or keep no per-sample losses (keep_samples=False, --no-keep-samples)"
    counts = " x ".join(map(str, grid.counts))
    require_memory(needed, f"a grid of {counts} points{kept}", way_out)
