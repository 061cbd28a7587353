"""Checks of files of unknown origin, made before they are parsed.

``docs/security.md`` describes the threats and the defenses.
"""

import json
import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Union

from losslandscape.errors import FileFormatError
from losslandscape.files.inputs import input_file

MAX_TEXT_BYTES = 2**26  # of a list or report; a list of 100,000 checkpoints takes half of this


def file_inside(folder: Path, name: Any, where: Union[str, "os.PathLike[str]"]) -> Path:
    """The path of a file named in another file; it must be in that file's folder or below.

    Parameters
    ----------
    folder : Path
        The folder of the file that contains the name.
    name
        The name, as found in the file.
    where
        The file that contains the name, for the message.

    Raises
    ------
    FileFormatError
        If the name is not a string, is absolute (on any system), or leaves the folder by ``..``.

    Examples
    --------
    >>> file_inside(Path("run"), "a/b.safetensors", "run/list.json").as_posix()
    'run/a/b.safetensors'
    >>> file_inside(Path("run"), "../secret", "run/list.json")
    Traceback (most recent call last):
    losslandscape.errors.FileFormatError: run/list.json: names a file outside its folder,
    '../secret', which was not read
    """
    if isinstance(name, str) and name and "\0" not in name:
        paths = PurePosixPath(name), PureWindowsPath(name)
        if not any(p.is_absolute() or p.anchor or ".." in p.parts for p in paths):
            return folder / name
    raise FileFormatError(
        f"{os.fspath(where)}: names a file outside its folder, {name!r}, which was not read"
    )


def read_json_object(file: Path, what: str) -> dict[str, Any]:
    """Read a file that contains one JSON object.

    Parameters
    ----------
    what
        What the file should be, for the message: ``"the list of a trajectory"``.

    Raises
    ------
    FileFormatError
        If the file is larger than 64 MiB, is not JSON, is nested too deeply, or is not an object.
    """
    input_file(file)
    try:
        if file.stat().st_size > MAX_TEXT_BYTES:
            raise ValueError("larger than any such file can be")
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{file}: damaged, or not {what} ({error})") from error
    if not isinstance(found, dict):
        raise FileFormatError(f"{file}: damaged, or not {what}")
    return found


def check_zip(file: Path, writer: str) -> None:
    """Check that a zip archive is uncompressed, fits its declared sizes, and has correct CRCs.

    For writers that never compress, such as ``torch.save``: this rules out zip bombs.

    Parameters
    ----------
    writer
        The function that writes such files, for the message.

    Raises
    ------
    FileFormatError
        If the archive is compressed or damaged, or its members overlap.
    """
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            compressed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]
            if compressed or sum(m.file_size for m in members) > size:
                raise FileFormatError(
                    f"{file}: declares more content than the file can hold; {writer} does not "
                    "write such files, so it was not read"
                )
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError) as error:
        raise FileFormatError(f"{file}: damaged {writer} file ({error})") from error
    except (RuntimeError, EOFError, IndexError, KeyError) as error:  # encrypted, or odd fields
        raise FileFormatError(f"{file}: not a {writer} file ({error})") from error
    if damaged is not None:
        raise FileFormatError(f"{file}: damaged: the checksum of its member '{damaged}' differs")
