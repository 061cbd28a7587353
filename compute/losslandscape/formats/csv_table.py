"""A CSV table (``surface.csv``) with one row per grid point, for spreadsheets and statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losslandscape.files.atomic_files import replace_file
from losslandscape.landscape.landscape import Landscape

FILE_NAME = "surface.csv"
FILES = (FILE_NAME,)


def applies(landscape: Landscape) -> bool:
    return True


def columns(landscape: Landscape) -> dict[str, np.ndarray]:
    """Coordinates, loss, its standard error if known, status, and the other fields.

    Returns
    -------
    dict of name to ndarray, shape (grid.size,)
        Alpha varies fastest.
    """
    grid, fields = landscape.grid, landscape.fields
    first = [name for name in ("loss", "loss_standard_error") if name in fields]
    table = dict(zip(grid.axis_names, grid.points().T))
    table.update((name, fields[name].ravel()) for name in first)
    table["status"] = landscape.status.ravel()
    table.update((name, fields[name].ravel()) for name in fields if name not in first)
    return table


def write(landscape: Landscape, folder: Path) -> list[Path]:
    path = folder / FILE_NAME
    table = columns(landscape)
    # repr() of a Python float is the shortest text that reads back as the same float64
    texts = [map(repr, values.tolist()) for values in table.values()]
    with replace_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(",".join(table) + "\n")
        file.writelines(",".join(row) + "\n" for row in zip(*texts))
    return [path]
