"""Opening of input files: a regular file, or a sentence that says what is there instead."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from losslandscape.errors import FileFormatError
from losslandscape.files.file_kinds import (
    FILE,
    FOLDER,
    PathLike,
    is_utf8,
    kind_at,
    reason,
    shown,
)

_LISTED = 3  # names of a folder's files in a message


def input_file(path: PathLike, wanted: str = "", endings: Sequence[str] = ()) -> Path:
    """The path of a file to read, once it is clear that reading it does not hang.

    Parameters
    ----------
    wanted : str
        What the file should be, for the message: ``"a weights file is expected (.safetensors)"``.
    endings : sequence of str
        Endings of such files: if a folder is given, the message names those in it.

    Raises
    ------
    FileFormatError
        If nothing is there, or a folder, a pipe, a socket or a device.

    Examples
    --------
    >>> input_file("no/such.nc")
    Traceback (most recent call last):
    losslandscape.errors.FileFormatError: no/such.nc: no such file
    >>> input_file(os.devnull)
    Traceback (most recent call last):
    losslandscape.errors.FileFormatError: /dev/null: is a device, which cannot be read as a file;
    save its content to a file and give that
    """
    more = f"; {wanted}" if wanted else ""
    kind = input_kind(path)
    if kind == FILE:
        if not is_utf8(os.path.abspath(path)):
            raise FileFormatError(
                f"{shown(os.path.abspath(path))}: the name is not UTF-8, which the libraries that "
                "read it need; rename it"
            )
        return Path(path)
    if kind is None:
        if os.path.islink(path):
            raise FileFormatError(
                f"{shown(path)}: is a link to {shown(os.readlink(path))}, which does not exist"
            )
        raise FileFormatError(f"{shown(path)}: no such file{more}")
    if kind == FOLDER:
        raise FileFormatError(
            f"{shown(path)}: is a folder; give a file in it{_inside(Path(path), endings)}{more}"
        )
    raise FileFormatError(
        f"{shown(path)}: is {kind}, which cannot be read as a file; save its content to a file "
        "and give that"
    )


def input_kind(path: PathLike) -> Optional[str]:
    """What lies at an input, as of :func:`~losslandscape.files.file_kinds.kind_at`.

    Raises
    ------
    FileFormatError
        If no file can have this name, or the system refuses to look.
    """
    try:
        return kind_at(path)
    except NotADirectoryError:
        return None
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{shown(path)}: cannot be read: {reason(error)}") from error


def _inside(folder: Path, endings: Sequence[str]) -> str:
    """The first of a folder's files with one of the endings, in brackets."""
    try:
        names = sorted(file.name for file in folder.iterdir() if file.suffix in endings)
    except OSError:
        return ""
    if not names:
        return ""
    return f" ({', '.join(map(shown, names[:_LISTED]))}{', ...' if len(names) > _LISTED else ''})"
