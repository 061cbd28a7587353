"""The readers of other tools' formats.

Each format is a module with ``TOOL`` (the program that writes it), ``OPTIONS`` (names of the
:class:`~.source.Options` that it takes), ``recognizes(source) -> bool`` and ``read(source,
options) -> Imported``, listed in ``_READERS``. The first one that recognizes a file reads it.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from losslandscape.errors import FileFormatError
from losslandscape.formats.imports.source import Options, Source, landscape_of
from losslandscape.landscape.landscape import Landscape

# format -> module; specific formats before general ones
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


def load() -> None:
    """Import all readers."""
    for name in FORMATS:
        _module(name)


def read(source: Source, format_name: str | None, options: Options, title: str) -> Landscape:
    """Parse a file in this process.

    Raises
    ------
    FileFormatError
        If it is damaged, of an unknown format, or has no regular grid.
    LossLandscapeError
        If an option is missing or does not belong to the format.
    """
    name = format_name or _recognized(source)
    reader = _module(name)
    options.check(name, reader.OPTIONS)
    return landscape_of(reader.read(source, options), source, options, name, reader.TOOL, title)


def _recognized(source: Source) -> str:
    for name in FORMATS:
        if _module(name).recognizes(source):
            return name
    raise FileFormatError(
        f"{source.path}: unknown format ({source.described()}); supported formats are "
        f"{', '.join(FORMATS)}, see docs/import.md"
    )


def _module(name: str) -> ModuleType:
    return import_module(f"losslandscape.formats.imports.{_READERS[name]}")
