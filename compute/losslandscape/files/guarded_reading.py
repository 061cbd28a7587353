"""What is asked of every file whose origin is unknown, before it is parsed.

``docs/security.md`` says what is guarded against, and how.
"""

import json
import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Union

from losslandscape.errors import FileFormatError

MAX_TEXT_BYTES = 2**26  # of a list or a report; one of 100,000 checkpoints takes half of it


def file_inside(folder: Path, name: Any, where: Union[str, "os.PathLike[str]"]) -> Path:
    """The file that another one names, which must lie in that one's folder or under it.

    Parameters
    ----------
    where
        The naming file, for the message.

    Raises
    ------
    FileFormatError
        The name is no text, absolute (of any system), or leaves the folder by ``..``.

    Examples
    --------
    >>> file_inside(Path("run"), "a/b.safetensors", "run/list.json").as_posix()
    'run/a/b.safetensors'
    >>> file_inside(Path("run"), "../secret", "run/list.json")
    Traceback (most recent call last):
    losslandscape.errors.FileFormatError: run/list.json: names a file outside of its folder,
    '../secret', which is not read
    """
    if isinstance(name, str) and name and "\0" not in name:
        paths = PurePosixPath(name), PureWindowsPath(name)
        if not any(p.is_absolute() or p.anchor or ".." in p.parts for p in paths):
            return folder / name
    raise FileFormatError(
        f"{os.fspath(where)}: names a file outside of its folder, {name!r}, which is not read"
    )


def read_json_object(file: Path, what: str) -> dict[str, Any]:
    """A file's JSON object.

    Parameters
    ----------
    what
        What it should be, for the message: ``"the list of a trajectory"``.

    Raises
    ------
    FileFormatError
        It is larger than 64 MiB, no JSON, nested too deeply, or something else than an object.
    """
    try:
        if file.stat().st_size > MAX_TEXT_BYTES:
            raise ValueError("larger than any such file")
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{file}: damaged, or not {what} ({error})") from error
    if not isinstance(found, dict):
        raise FileFormatError(f"{file}: damaged, or not {what}")
    return found


def check_zip(file: Path, writer: str) -> None:
    """Raise where a zip archive says that it holds more than its own bytes, or its CRCs differ.

    For archives whose writer never compresses, as ``torch.save``: then no member can be a bomb.

    Raises
    ------
    FileFormatError
        It is compressed, damaged, or its members overlap.
    """
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            compressed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]
            if compressed or sum(m.file_size for m in members) > size:
                raise FileFormatError(
                    f"{file}: its content would be larger than the file; {writer} writes no such "
                    "files, so it was not read"
                )
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError) as error:
        raise FileFormatError(f"{file}: a damaged file of {writer} ({error})") from error
    except (RuntimeError, EOFError, IndexError, KeyError) as error:  # encrypted, or odd fields
        raise FileFormatError(f"{file}: no file of {writer} ({error})") from error
    if damaged is not None:
        raise FileFormatError(f"{file}: damaged: the checksum of '{damaged}' in it differs")
