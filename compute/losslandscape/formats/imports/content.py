"""Reader of a file of another tool, as a landscape's variables.

It runs in :mod:`..limited_process`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape.formats import netcdf
from losslandscape.formats.content_stream import ContentError, Sender
from losslandscape.formats.imports import readers
from losslandscape.formats.imports.source import Options, Source
from losslandscape.formats.limited_process import Limits

LIMITS = Limits(
    compression=1032,  # largest ratio of deflate (follows from its format, RFC 1951)
    values=2 * 2**30,
    copies=4,  # as read, as float64, for comparing the two, and as sent
    computing=(10.0, 0.5e6),  # text tables are read line by line
    clock=(60.0, 0.2e6),
)


def prepare() -> None:
    # modules that would otherwise be imported on first use, when no other file can be opened
    import encodings.cp437  # names in a zip archive
    import encodings.utf_8_sig  # noqa: F401
    import tokenize  # noqa: F401  NumPy headers written by Python 2

    readers.load()
    with suppress(ModuleNotFoundError):  # the HDF5 reader tells what to install
        import h5py  # noqa: F401


def send(files: Sequence[str], asked: dict[str, Any], most: int, sender: Sender) -> None:
    options = Options(**asked["options"])
    landscape = readers.read(Source(Path(files[0])), asked["format"], options, asked["title"])
    variables = _Variables()
    netcdf.fill(variables, landscape)
    size = sum(variable.values.nbytes for variable in variables.found.values())
    if size > most:
        raise ContentError(
            f"it contains {size:,} bytes of values, but at most {most:,} bytes are allowed in a "
            "file of its size"
        )
    sender.start(
        [
            [name, list(v.dimensions), v.values.dtype.str, list(v.values.shape)]
            for name, v in variables.found.items()
        ]
    )
    for variable in variables.found.values():
        sender.values(variable.values)


class _Variables:
    """Replaces an empty netCDF4.Dataset, and keeps the variables in memory."""

    def __init__(self) -> None:
        self.found: dict[str, _Variable] = {}

    def createDimension(self, name: str, size: int) -> None:
        pass

    def createVariable(
        self, name: str, dtype: Any, dimensions: Sequence[str], **storage: Any
    ) -> _Variable:
        self.found[name] = _Variable(dimensions)
        return self.found[name]

    def setncattr(self, name: str, value: Any) -> None:
        pass


class _Variable:
    def __init__(self, dimensions: Sequence[str]):
        self.dimensions = dimensions

    def __setitem__(self, where: Any, values: np.ndarray) -> None:
        self.values = np.asarray(values)  # all of it: `where` is [...] or [:]
