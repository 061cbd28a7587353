"""The seal: a last line with the file's size and the SHA-256 of everything before it.

It is checked before any parser reads the file, with the Python standard library alone. netCDF and
HDF5 ignore bytes after their data. The seal detects damage, not forgery: anyone who changes a file
on purpose can seal it again.
"""

from __future__ import annotations

import hashlib
import os
import re

_LINE = b"\nlosslandscape sha256 %s of %020d bytes\n"
_PATTERN = re.compile(rb"\nlosslandscape sha256 ([0-9a-f]{64}) of ([0-9]{20}) bytes\n\Z")
LENGTH = len(_LINE % (b"0" * 64, 0))


def seal(path: str | os.PathLike) -> None:
    """Append the seal to a file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "x")
    >>> _ = file.write_bytes(b"some content")
    >>> seal(file)
    >>> check(file)
    True
    >>> _ = file.write_bytes(file.read_bytes().replace(b"some", b"same"))
    >>> check(file)
    False
    """
    size = os.stat(path).st_size
    line = _LINE % (_sha256(path, size).encode("ascii"), size)
    with open(path, "ab") as file:
        file.write(line)


def check(path: str | os.PathLike) -> bool | None:
    """Whether the file is unchanged since it was sealed; None if it has no seal."""
    size = os.stat(path).st_size - LENGTH
    if size < 0:
        return None
    with open(path, "rb") as file:
        file.seek(size)
        found = _PATTERN.match(file.read(LENGTH))
    if found is None:
        return None
    return int(found[2]) == size and _sha256(path, size) == found[1].decode("ascii")


def _sha256(path: str | os.PathLike, size: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while size > 0 and (piece := file.read(min(size, 2**20))):
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()
