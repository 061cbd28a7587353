"""Landscapes that other tools measured, read into landscapes like any other.

Files are parsed by a process of their own (:mod:`.content`), of which the landscape comes as from a
file of this package.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.errors import LossLandscapeError
from losslandscape.formats import guarded_child, netcdf
from losslandscape.formats.imports import content
from losslandscape.formats.imports.readers import FORMATS
from losslandscape.formats.imports.source import Options, Source

if TYPE_CHECKING:
    from losslandscape.landscape.landscape import Landscape


def read(
    path: str | os.PathLike,
    format: str | None = None,
    *,
    bounds: Sequence[tuple[float, float]] | None = None,
    array: str | None = None,
    transposed: bool = False,
    not_evaluated: float | None = None,
    directions: str | os.PathLike | None = None,
    trajectory: str | os.PathLike | None = None,
    function: str | None = None,
    distance: float | None = None,
    title: str = "",
) -> Landscape:
    """Read a file of another tool; ``docs/import.md`` describes each format.

    Parameters
    ----------
    format : one of ``FORMATS``, optional
        By default found from the content. An array of ``loss-landscapes`` cannot be told from any
        other and has to be named; so does nothing else.
    bounds : sequence of (low, high), optional
        Ends of each axis, alpha first, where the file has no coordinates, or to replace them.
    array : str, optional
        Which of a file's arrays is the loss.
    transposed : bool
        The first index of a bare array is alpha's; by default the last index is.
    not_evaluated : float, optional
        The value (NaN as well) that stands for a point that was not evaluated. By default what the
        format says: -1 in files of Li et al.'s program, else none.
    directions, trajectory : path, optional
        ``li-h5``: the direction file, which gives lengths in parameter space, and the file of the
        projected trajectory.
    function : str, optional
        ``loss-landscapes``: the function that returned the array.
    distance : float, optional
        ``loss-landscapes``: its argument ``distance``.
    title : str
        For people.

    Returns
    -------
    Landscape
        Values unchanged; ``provenance["imported"]`` names the file, its SHA-256, format and tool.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, of no known layout, or holds no regular grid; or reading
        it takes more time or memory than it may.
    LossLandscapeError
        If an option is missing or does not belong to the format.
    """
    options = Options(
        bounds=None if bounds is None else [(float(low), float(high)) for low, high in bounds],
        array=array, transposed=bool(transposed), not_evaluated=not_evaluated,
        directions=directions and os.fspath(directions),
        trajectory=trajectory and os.fspath(trajectory),
        function=function, distance=distance,
    )  # fmt: skip
    if format is not None and format not in FORMATS:
        raise LossLandscapeError(f"format '{format}' is not one of {', '.join(FORMATS)}")
    files = [Path(name) for name in (path, directions, trajectory) if name is not None]
    for file in files:
        Source(file)  # is there, and may be read
    asked = {"format": format, "title": title, "options": asdict(options)}
    landscape = netcdf.landscape_of(guarded_child.read(content.__name__, files, asked), files[0])
    landscape.path = None  # of no file yet
    return landscape
