"""File formats: the landscape file (:mod:`.netcdf`), exports, and imports (:mod:`.imports`).

Each export format is a module with ``FILES`` (all file names that it may write),
``applies(landscape)`` and ``write(landscape, folder) -> list of paths``, listed in ``_EXPORTERS``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.argument_kinds import FLAG
from losslandscape.errors import LossLandscapeError
from losslandscape.files.outputs import OutputFolder, claimed, complete_results
from losslandscape.public_calls import FORMATS, public

if TYPE_CHECKING:
    from losslandscape.landscape.opening import LandscapeOrPath

_EXPORTERS = {
    "vti": "image_data",
    "vtp": "poly_data",
    "pvd": "collection",
    "ply": "ply",
    "csv": "csv_table",
}
NAMES = tuple(_EXPORTERS)
_PARTS = {"pvd": {"vti", "vtp"}}  # formats of the files that a collection refers to


@public(formats=FORMATS, alone=FLAG)
def export(
    landscape: LandscapeOrPath,
    folder: str | os.PathLike,
    formats: Sequence[str] | None = None,
    *,
    alone: bool = False,
) -> list[Path]:
    """Write a landscape in some formats, by default in all that apply to it.

    A file of one of these formats that an earlier export left and that this export does not write
    is removed, because it belongs to another surface. With ``alone``, the files of all other
    formats are removed too.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    LossLandscapeError
        If a format is unknown, a named format cannot hold this landscape, or the folder cannot be
        written to.
    """
    from losslandscape.landscape.opening import opened  # without it, importing costs less

    landscape = opened(landscape)
    if formats is not None and not formats:
        raise LossLandscapeError("formats is empty, so nothing would be written; leave it out")
    for name in formats or ():
        if name not in _EXPORTERS:
            raise LossLandscapeError(f"format '{name}' is not one of {', '.join(_EXPORTERS)}")
    folder = Path(folder)
    wanted = set(NAMES if formats is None else formats)
    wanted |= {part for name in wanted for part in _PARTS.get(name, ())}
    modules = {name: import_module(f"{__name__}.{one}") for name, one in _EXPORTERS.items()}
    for name in NAMES:
        if formats is not None and name in wanted and not modules[name].applies(landscape):
            raise LossLandscapeError(
                f"format '{name}' cannot hold this landscape: it needs two dimensions and at least "
                "one grid cell with finite losses at all corners"
            )
    with claimed(OutputFolder(folder, export_files(), overwrite=True)):
        with complete_results(folder) as place:
            written = [
                file.name
                for name in NAMES
                if name in wanted and modules[name].applies(landscape)
                for file in modules[name].write(landscape, place)
            ]
        older = [file for name in NAMES if name in wanted or alone for file in modules[name].FILES]
        for file in set(older) - set(written):
            (folder / file).unlink(missing_ok=True)
    return [folder / file for file in written]


def export_files() -> list[str]:
    """The names of all files that an export may write."""
    modules = (import_module(f"{__name__}.{module}") for module in _EXPORTERS.values())
    return [file for module in modules for file in module.FILES]
