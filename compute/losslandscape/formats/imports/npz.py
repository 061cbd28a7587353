"""NumPy's ``.npz``: named arrays; some may be coordinates, recognized by name."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np

from losslandscape.formats.imports.npy import read_stream
from losslandscape.formats.imports.source import (
    Imported,
    Options,
    Source,
    chosen,
    grid_from_bounds,
    grid_of,
    in_order,
)

TOOL = "NumPy arrays"
OPTIONS = ("bounds", "array", "transposed")
COORDINATE_NAMES = (("alpha", "beta", "gamma"), ("x", "y", "z"), ("xcoordinates", "ycoordinates"))


def recognizes(source: Source) -> bool:
    return source.is_zip and bool(names_in(source))


def names_in(source: Source) -> list[str]:
    """Names of the arrays in an ``.npz`` file; empty if it is not such a file."""
    try:
        with zipfile.ZipFile(source.path) as archive:
            return [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return []


def read_arrays(source: Source) -> dict[str, np.ndarray]:
    """Every array of an ``.npz`` file.

    Raises
    ------
    FileFormatError
        If the file is damaged, or an array does not contain numbers or is too large.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(source.path) as archive:
            for member in archive.infolist():
                if not member.filename.endswith(".npy"):
                    continue
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as file:
                    arrays[name] = read_stream(file, source, member.file_size, f"array '{name}'")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise source.error(f"damaged, or not a .npz file ({error})") from error
    return arrays


def read(source: Source, options: Options) -> Imported:
    arrays = read_arrays(source)
    notes: list[str] = []
    axes: list[np.ndarray] = []
    for names in COORDINATE_NAMES:
        if names[0] in arrays and arrays[names[0]].ndim == 1:
            axes = [arrays.pop(name) for name in names if name in arrays]
            break
    loss = chosen(source, [n for n, a in arrays.items() if a.ndim], options, ("loss",))
    if options.transposed:
        arrays = {name: values.T for name, values in arrays.items()}
    shape = arrays[loss].shape
    if axes and options.bounds is None:
        axes, turned = in_order(axes, notes)
        grid = grid_of(source, axes, notes)
        if grid.shape != shape:
            raise source.error(
                f"'{loss}' has shape {shape}, but its coordinates (slowest first) {grid.shape}; "
                "if the first index belongs to alpha, pass transposed=True (--transposed)"
            )
        arrays = {n: turned(a) if a.shape == shape else a for n, a in arrays.items()}
    else:
        grid = grid_from_bounds(source, shape, options.bounds)
    on_grid = {name: values for name, values in arrays.items() if values.shape == shape}
    left_out = [name for name in arrays if name not in on_grid]
    if left_out:
        notes.append(f"left out, not on the grid: {', '.join(left_out)}")
    return Imported(grid, on_grid, loss, notes=notes)
