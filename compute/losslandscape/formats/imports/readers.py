"""Which module reads which format of another tool.

A format is one module with ``TOOL`` (what writes it), ``OPTIONS`` (names of the
:class:`~.source.Options` it takes), ``recognises(source) -> bool`` and ``read(source, options) ->
Imported``, named in ``_READERS``; the first that recognises a file's content reads it.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from losslandscape.errors import FileFormatError
from losslandscape.formats.imports.source import Options, Source, landscape_of
from losslandscape.landscape.landscape import Landscape

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


def load() -> None:
    """Import all of them."""
    for name in FORMATS:
        _module(name)


def read(source: Source, format_name: str | None, options: Options, title: str) -> Landscape:
    """Parse a file in this process.

    Raises
    ------
    FileFormatError
        If it is damaged, of no known layout, or holds no regular grid.
    LossLandscapeError
        If an option is missing or does not belong to the format.
    """
    name = format_name or _recognised(source)
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
    return import_module(f"losslandscape.formats.imports.{_READERS[name]}")
