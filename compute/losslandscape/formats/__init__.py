"""Files: the landscape's own (:mod:`.netcdf`), what other programs read, and, in :mod:`.imports`,
what they write.

A format to export to is one module with ``SUFFIX``, ``applies(landscape)`` and ``write(landscape,
folder) -> list of paths``, named in ``_EXPORTERS``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.atomic_files import make_folder
from losslandscape.errors import LossLandscapeError

if TYPE_CHECKING:
    from losslandscape.landscape import Landscape

_EXPORTERS = {
    "vti": "image_data",
    "vtp": "poly_data",
    "pvd": "collection",
    "ply": "ply",
    "csv": "csv_table",
}
NAMES = tuple(_EXPORTERS)


def export(
    landscape: Landscape, folder: str | os.PathLike, formats: Sequence[str] | None = None
) -> list[Path]:
    """Write a landscape in the named formats (all that apply by default); returns the files."""
    for name in formats or ():
        if name not in _EXPORTERS:
            raise LossLandscapeError(f"format '{name}' is not one of {', '.join(_EXPORTERS)}")
    folder = make_folder(folder)
    written: list[Path] = []
    for name, module_name in _EXPORTERS.items():
        module = import_module(f"{__name__}.{module_name}")
        if formats is not None and name not in formats:
            continue
        if module.applies(landscape):
            written += module.write(landscape, folder)
        elif formats is not None:
            raise LossLandscapeError(
                f"format '{name}' cannot hold this landscape: it takes 2-dimensional ones with at "
                "least one grid cell of finite corners"
            )
    return written
