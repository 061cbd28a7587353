"""CSV tables for spreadsheets and statistics.

``surface.csv`` has one row per grid point. If there are several trajectories,
``trajectories.csv`` has one row per checkpoint.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losslandscape.files.atomic_files import replace_file
from losslandscape.formats.report import write_csv
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.overlays import array_names

FILE_NAME = "surface.csv"
TRAJECTORIES_FILE = "trajectories.csv"
FILES = (FILE_NAME, TRAJECTORIES_FILE)


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
    if len(landscape.trajectories) < 2:
        return [path]
    return [path, _write_trajectories(landscape, folder / TRAJECTORIES_FILE)]


def _write_trajectories(landscape: Landscape, path: Path) -> Path:
    """The checkpoints of all trajectories, with the label of their run."""
    names = ("step", "loss", "checkpoint_loss", "distance_to_plane")
    further = array_names(landscape.trajectories)
    rows = [
        [run.label, *map(repr, map(float, (step, *coordinates, *values)))]
        for run in landscape.trajectories
        for step, coordinates, *values in zip(
            run.step,
            run.coordinates,
            *(getattr(run, name) for name in names[1:]),
            *(run.array(name) for name in further),
        )
    ]
    write_csv(path, ("label", "step", *landscape.grid.axis_names, *names[1:], *further), rows)
    return path
