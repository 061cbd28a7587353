"""What lies at a path: a regular file, a folder, or something that only looks like a file.

Opening a pipe waits for its other end, and replacing a device destroys it. Inputs and outputs are
therefore looked at before they are opened.
"""

import os
import stat
from pathlib import Path
from typing import Optional, Union

PathLike = Union[str, "os.PathLike[str]"]

FILE, FOLDER = "a file", "a folder"
LANDSCAPE_ENDINGS = (".nc", ".llnc")
_SPECIAL = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_at(path: PathLike) -> Optional[str]:
    """What a path leads to, in words; None if nothing is there. Links are followed.

    Raises
    ------
    OSError
        If the system cannot tell, for example in a loop of links.
    ValueError
        If no file can have such a name.

    Examples
    --------
    >>> import tempfile
    >>> kind_at(tempfile.mkdtemp()), kind_at(os.devnull), kind_at("no such name")
    ('a folder', 'a device', None)
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISDIR(mode):
        return FOLDER
    return _SPECIAL.get(stat.S_IFMT(mode), "a special file")


def shown(path: PathLike) -> str:
    """A path for a message: a part of it that is not UTF-8 is escaped.

    Examples
    --------
    >>> shown("a" + chr(0xdcff) + ".nc")
    'a\\\\udcff.nc'
    """
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def is_utf8(text: str) -> bool:
    """Whether text can be stored: not with a part of a name that is no UTF-8.

    Examples
    --------
    >>> is_utf8("é"), is_utf8(chr(0xdcff))
    (True, False)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def reason(error: Exception) -> str:
    """Why the system refuses a path, in words."""
    if isinstance(error, ValueError):
        return "it contains a null character, which no name can have"
    return getattr(error, "strerror", None) or str(error)


def is_same_file(one: PathLike, other: PathLike) -> bool:
    """Whether two paths lead to the same place, through links and hard links too."""
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except (OSError, ValueError):
        pass
    try:
        return os.path.realpath(one) == os.path.realpath(other)
    except (OSError, ValueError):  # no name that a file can have
        return False


def first_existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            return place
    return folder
