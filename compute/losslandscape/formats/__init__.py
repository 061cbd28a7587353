"""Files: the landscape's own (:mod:`.netcdf`), what other programs read, and, in :mod:`.imports`,
what they write.

A format to export to is one module with ``FILES`` (all names it may write), ``applies(landscape)``
and ``write(landscape, folder) -> list of paths``, named in ``_EXPORTERS``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import make_folder

if TYPE_CHECKING:
    from losslandscape.landscape.landscape import Landscape

_EXPORTERS = {
    "vti": "image_data",
    "vtp": "poly_data",
    "pvd": "collection",
    "ply": "ply",
    "csv": "csv_table",
}
NAMES = tuple(_EXPORTERS)
_PARTS = {"pvd": {"vti", "vtp"}}  # what a collection names


def export(
    landscape: Landscape,
    folder: str | os.PathLike,
    formats: Sequence[str] | None = None,
    *,
    alone: bool = False,
) -> list[Path]:
    """Write a landscape in the named formats (all that apply by default); returns the files.

    A file of one of these formats that an earlier export left, and that this one does not write, is
    removed: it would be drawn with a surface that is not its own. With ``alone``, so are those of
    all other formats.
    """
    for name in formats or ():
        if name not in _EXPORTERS:
            raise LossLandscapeError(f"format '{name}' is not one of {', '.join(_EXPORTERS)}")
    folder = make_folder(folder)
    wanted = set(NAMES if formats is None else formats)
    wanted |= {part for name in wanted for part in _PARTS.get(name, ())}
    written: list[Path] = []
    older: list[Path] = []
    for name, module_name in _EXPORTERS.items():
        module = import_module(f"{__name__}.{module_name}")
        if name in wanted or alone:
            older += [folder / file for file in module.FILES]
        if name not in wanted:
            continue
        if module.applies(landscape):
            written += module.write(landscape, folder)
        elif formats is not None:
            raise LossLandscapeError(
                f"format '{name}' cannot hold this landscape: it takes 2-dimensional ones with at "
                "least one grid cell of finite corners"
            )
    for path in set(older) - set(written):
        path.unlink(missing_ok=True)
    return written
