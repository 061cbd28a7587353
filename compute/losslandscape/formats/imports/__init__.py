"""Import of landscapes that other tools measured.

A child process parses the files (:mod:`.content`) and sends the landscape's variables, as it does
for a file of this package.
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
        By default it is detected from the content. Only ``loss-landscapes`` must be named, because
        its arrays look like any other array.
    bounds : sequence of (low, high), optional
        The ends of each axis, alpha first; required if the file has no coordinates, otherwise they
        replace its coordinates.
    array : str, optional
        The array of the file that is the loss.
    transposed : bool
        The first index of an array without coordinates belongs to alpha; by default the last does.
    not_evaluated : float, optional
        The value (may be NaN) that marks a point that was not evaluated. By default the format's
        own: -1 in files of Li et al.'s program, otherwise none.
    directions, trajectory : path, optional
        ``li-h5``: the direction file, which gives lengths in parameter space, and the file of the
        projected trajectory.
    function : str, optional
        ``loss-landscapes``: the function that returned the array.
    distance : float, optional
        ``loss-landscapes``: the function's argument ``distance``.
    title : str
        A title for the landscape.

    Returns
    -------
    Landscape
        Values unchanged; ``provenance["imported"]`` names the file, its SHA-256, format and tool.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, of an unknown format, or has no regular grid; or if reading
        it exceeds the limits on time or memory.
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
        Source(file)  # raises if it is missing or unreadable
    asked = {"format": format, "title": title, "options": asdict(options)}
    landscape = netcdf.landscape_of(guarded_child.read(content.__name__, files, asked), files[0])
    landscape.path = None  # not saved yet
    return landscape
