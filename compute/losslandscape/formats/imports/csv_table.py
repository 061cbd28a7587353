"""Text tables: columns with a header, one row per point; or a matrix of values alone."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np

from losslandscape.formats.imports.npz import COORDINATE_NAMES
from losslandscape.formats.imports.source import (
    Imported,
    Options,
    Source,
    chosen,
    grid_from_bounds,
    grid_of,
)
from losslandscape.landscape.landscape import EVALUATED, NOT_EVALUATED, NOT_FINITE

TOOL = "text table"
OPTIONS = ("array", "bounds", "transposed")
_DELIMITERS = ";\t,"


def recognizes(source: Source) -> bool:
    if not source.is_text or source.vtk_type:
        return False
    for line in source.head.decode("utf-8-sig", errors="ignore").splitlines():
        cells = _cells(line.lstrip("# "))
        if _has_coordinates(cells):
            return True
        if line.strip() and not line.startswith("#"):
            return all(map(_is_number, cells))
    return False


def read(source: Source, options: Options) -> Imported:
    header, table = _table(source)
    if header is None:
        values = table[0] if 1 in table.shape and table.shape[0] == 1 else table
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        if options.transposed:
            values = values.T
        return Imported(
            grid_from_bounds(source, values.shape, options.bounds), {"loss": values}, "loss"
        )
    return _points(source, options, header, table)


def _cells(line: str) -> list[str]:
    """Split a line at its semicolons, tabs or commas, or else at white space."""
    for delimiter in _DELIMITERS:
        if delimiter in line:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    return line.split()


def _has_coordinates(cells: Sequence[str]) -> bool:
    return any(names[0] in cells for names in COORDINATE_NAMES)


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


def _table(source: Source) -> tuple[list[str] | None, np.ndarray]:
    """The header, if there is one, and the numbers, shape (rows, columns); empty cells are NaN."""
    try:
        lines = source.path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise source.error(f"not text in UTF-8 ({error})") from error
    rows: list[list[float]] = []
    header = None
    width = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = _cells(line.lstrip("# "))
        if line.startswith("#") and (width or not _has_coordinates(cells)):
            continue  # numpy.savetxt writes the header as a comment
        if not width:
            width = len(cells)
            if not all(map(_is_number, cells)):
                header = cells
                continue
        if len(cells) != width:
            raise source.error(f"line {number} has {len(cells)} values, but the first has {width}")
        try:
            rows.append([float(cell or "nan") for cell in cells])
        except ValueError as error:
            raise source.error(f"line {number}: {error}") from error
    if not rows:
        raise source.error("the table has no rows")
    return header, np.array(rows)


def _points(source: Source, options: Options, header: Sequence[str], table: np.ndarray) -> Imported:
    """One row per point, in any order; grid points without a row were not evaluated."""
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise source.error(f"more than one column is called {', '.join(sorted(repeated))}")
    columns = dict(zip(header, table.T))
    names = next((names for names in COORDINATE_NAMES if names[0] in columns), COORDINATE_NAMES[0])
    coordinates = [columns.pop(name) for name in names if name in columns]
    if not coordinates:
        raise source.error(
            f"has no column of coordinates ({' or '.join(n[0] for n in COORDINATE_NAMES)}) "
            f"(found: {', '.join(header)})"
        )
    if options.transposed:
        raise source.error("columns with coordinates cannot be transposed; omit this option")
    if not all(np.isfinite(c).all() for c in coordinates):
        raise source.error("a coordinate is not a finite number")
    found = [np.unique(c, return_inverse=True) for c in coordinates]
    source.check_size([len(axis) for axis, _ in found], what="a grid")
    notes: list[str] = []
    grid = grid_of(source, [axis for axis, _ in found], notes)
    flat = np.ravel_multi_index([places for _, places in found[::-1]], grid.shape)
    if len(np.unique(flat)) != len(flat):
        raise source.error("two rows have the same coordinates")
    if options.bounds is not None:
        grid = grid_from_bounds(source, grid.shape, options.bounds)
    arrays = {}
    for name, column in columns.items():
        values = np.full(grid.size, np.nan)
        values[flat] = column
        arrays[name] = values.reshape(grid.shape)
    there = np.zeros(grid.size, bool)
    there[flat] = True
    if not there.all():
        notes.append(f"{int((~there).sum())} points of the grid have no row: not evaluated")
    given = arrays.pop("status", None)
    loss = chosen(source, list(arrays), options, ("loss",))
    status = np.where(np.isfinite(arrays[loss]), EVALUATED, NOT_FINITE) if given is None else given
    status = np.where(there.reshape(grid.shape), status, NOT_EVALUATED)
    return Imported(grid, arrays, loss, status=status, notes=notes)
