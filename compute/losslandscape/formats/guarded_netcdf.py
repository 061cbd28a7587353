"""Reading of netCDF files of unknown origin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape.errors import FileFormatError
from losslandscape.files.file_kinds import LANDSCAPE_ENDINGS
from losslandscape.files.inputs import input_file
from losslandscape.formats import file_seal, guarded_child, netcdf_content
from losslandscape.formats.content_stream import ContentError, Variable

SIGNATURES = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")
_written: dict[Path, tuple[int, ...]] = {}


def read(path: Path) -> dict[str, Variable]:
    """All numeric variables of a netCDF file, by name.

    The file is read in this process if this process wrote it, otherwise in a child process.

    Raises
    ------
    FileFormatError
        If the file is missing, is not a netCDF file, is damaged, or declares more values than it
        can hold.
    """
    input_file(path, endings=LANDSCAPE_ENDINGS)
    try:
        stamp = _stamp(path)
        with path.open("rb") as file:
            start = file.read(8)
        sealed = file_seal.check(path)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not start.startswith(SIGNATURES):
        raise FileFormatError(f"{path}: not a netCDF file, or its first bytes are damaged")
    if sealed is False:
        raise FileFormatError(f"{path}: damaged since it was written (its checksum differs)")
    if _written.get(path.resolve()) == stamp:
        return _read_here(path)
    return guarded_child.read(netcdf_content.__name__, [path])


def remember_own(path: Path) -> None:
    """Note that this process wrote the file: unchanged, it needs no child process to be read."""
    _written[path.resolve()] = _stamp(path)


def _stamp(path: Path) -> tuple[int, ...]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size


def _read_here(path: Path) -> dict[str, Variable]:
    heads: list[Any] = []
    values: list[np.ndarray] = []
    most = netcdf_content.LIMITS.bytes_of_values(path.stat().st_size)
    try:
        netcdf_content.read_variables(os.fspath(path), most, heads.extend, values.append)
    except ContentError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except (OSError, RuntimeError) as error:
        raise FileFormatError(f"{path}: damaged ({error})") from error
    return {head[0]: Variable(tuple(head[1]), array) for head, array in zip(heads, values)}
