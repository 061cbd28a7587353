"""``.vtp`` files of Li et al.'s ``h52vtp.py``: a surface with the array ``zvalue``.

The text is parsed here and not by VTK, which reads the numbers as float32 and stops at ``nan``.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from losslandscape.formats.imports.source import (
    Imported,
    Options,
    Source,
    grid_from_bounds,
    grid_of,
)

TOOL = "h52vtp of loss-landscape (Li et al. 2018)"
OPTIONS = ("bounds",)
_NAME = re.compile(r"_(?P<array>(train|test)_(loss|acc))(_zmax=(?P<top>[^_]+?))?(_log)?\.vtp$")


def recognizes(source: Source) -> bool:
    return source.vtk_type == "PolyData" and b'Name="zvalue"' in source.head


def read(source: Source, options: Options) -> Imported:
    points, heights = _parsed(source)
    if points.size != 3 * heights.size:
        raise source.error(
            f"has {heights.size} heights for {points.size / 3:g} points; was it truncated?"
        )
    x, y = points.reshape(-1, 3).T[:2]
    source.check_size((heights.size,))
    columns = int(np.argmax(y != y[0])) or heights.size
    rows = heights.size // columns
    notes: list[str] = []
    if rows * columns != heights.size or (x.reshape(rows, columns) != x[:columns]).any():
        raise source.error("its points do not run along x, row by row, on a regular grid")
    grid = grid_of(source, [x[:columns], y[::columns]], notes)
    if (y.reshape(rows, columns) != y[::columns, None]).any():
        raise source.error("its points do not run along x, row by row, on a regular grid")
    if options.bounds is not None:
        grid = grid_from_bounds(source, grid.shape, options.bounds)
    name, title, logarithm = _meaning(source, notes)
    return Imported(
        grid,
        {name: heights.reshape(grid.shape)},
        name,
        titles={name: title},
        not_evaluated=None if logarithm else -1.0,
        notes=notes,
    )


def _parsed(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates, shape (3 n,), and heights, shape (n,), as float64."""
    text = source.path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise source.error("contains XML declarations, which h52vtp does not write")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise source.error(f"damaged or truncated: {error}") from error
    found = {a.get("Name"): a for a in root.iter("DataArray")}
    arrays = []
    for name in ("Points", "zvalue"):
        if name not in found or found[name].get("format") != "ascii":
            raise source.error(
                f"not a h52vtp file: it has no array '{name}' in text form (found: "
                f"{', '.join(str(n) for n in found) or 'nothing'})"
            )
        try:
            arrays.append(np.array((found[name].text or "").split(), dtype=np.float64))
        except ValueError as error:
            raise source.error(f"array '{name}': {error}") from error
        if not arrays[-1].size:
            raise source.error(f"array '{name}' is empty")
    return arrays[0], arrays[1]


def _meaning(source: Source, notes: list[str]) -> tuple[str, str, bool]:
    """Name and title of the heights, and whether they are logarithms, from the file name."""
    found = _NAME.search(source.path.name)
    if not found:
        notes.append("the file's name does not say whether heights were cut or are logarithms")
        return "zvalue", "zvalue", False
    title = found["array"].replace("_", " ")
    if found["top"]:
        notes.append(f"values above {found['top']} were cut to it by h52vtp")
    logarithm = source.path.name.endswith("_log.vtp")
    if logarithm:
        title = f"ln({title} + 0.1)"
        notes.append("values are ln(value + 0.1), as h52vtp --log writes them")
    return found["array"], title, logarithm
