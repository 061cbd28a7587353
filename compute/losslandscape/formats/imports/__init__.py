"""Landscapes that other tools measured, read into landscapes like any other.

A format is one module with ``TOOL`` (what writes it), ``OPTIONS`` (names of the
:class:`~.source.Options` it takes), ``recognises(source) -> bool`` and ``read(source, options) ->
Imported``, named in ``_READERS``; the first that recognises a file's content reads it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.formats.imports.source import Options, Source, landscape_of

if TYPE_CHECKING:
    from losslandscape.landscape import Landscape

# format -> module; the more particular before the more general
_READERS = {
    "li-h5": "li_h5",
    "li-vtp": "li_vtp",
    "landscaper": "landscaper",
    "loss-landscapes": "loss_landscapes",
    "vti": "vti",
    "npz": "npz",
    "npy": "npy",
    "csv": "csv_table",
}
FORMATS = tuple(_READERS)


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
        If the file is missing, damaged, of no known layout, or holds no regular grid.
    LossLandscapeError
        If an option is missing or does not belong to the format.
    """
    options = Options(
        bounds=bounds, array=array, transposed=transposed, not_evaluated=not_evaluated,
        directions=directions, trajectory=trajectory, function=function, distance=distance,
    )  # fmt: skip
    source = Source(Path(path))
    if format is not None and format not in _READERS:
        raise LossLandscapeError(f"format '{format}' is not one of {', '.join(FORMATS)}")
    name = format or _recognised(source)
    reader = _module(name)
    options.check(name, reader.OPTIONS)
    return landscape_of(reader.read(source, options), source, options, name, reader.TOOL, title)


def _recognised(source: Source) -> str:
    for name in FORMATS:
        if _module(name).recognises(source):
            return name
    raise FileFormatError(
        f"{source.path}: no format that can be imported ({source.described()}); formats are "
        f"{', '.join(FORMATS)}, see docs/import.md"
    )


def _module(name: str) -> ModuleType:
    return import_module(f"{__name__}.{_READERS[name]}")
