"""Files that are either the old ones or the new ones, never half of each.

The new content goes to a temporary name in the same folder, is flushed to the disk, and takes the
final name in one step (POSIX ``rename``); a reader or a crash at any moment sees a whole file.
"""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Union

from losslandscape.errors import LossLandscapeError

TEMPORARY_SUFFIX = ".partial"

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
# what a drive says that went away; not every system has every one of them
_GONE = {
    getattr(errno, name)
    for name in (
        "EIO",
        "ESTALE",
        "ENOTCONN",
        "ENODEV",
        "ENXIO",
        "ETIMEDOUT",
        "EHOSTDOWN",
        "EREMOTEIO",
    )
    if hasattr(errno, name)
}


@contextmanager
def replace_file(path: Union[str, "os.PathLike[str]"]) -> Iterator[Path]:
    """Give a temporary path to write to; on leaving the block it replaces `path`.

    The temporary file lies in the folder of `path` (a rename between file systems is not atomic),
    exists and is empty when the block starts, and is removed when the block raises, in which case
    `path` stays what it was. A symbolic link at `path` is followed.

    Raises
    ------
    LossLandscapeError
        The folder does not exist or is read-only, `path` is a folder, the disk is full, or the
        drive is gone.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with replace_file(folder / "numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> [file.name for file in folder.iterdir()]
    ['numbers.txt']
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise LossLandscapeError(f"{path}: is a folder; give the name of a file")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        # Created here, before the block, so that a folder that cannot be written to is found
        # before any long work, and with the umask's permissions (mkstemp's would be 0600).
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        permissions = temporary.stat().st_mode
    except OSError as error:
        raise explained(error, target) from error
    try:
        yield temporary
        temporary.chmod(permissions)  # some writers (safetensors) put a file of their own there
        _flush_to_disk(temporary)
        os.replace(temporary, target)
        _flush_folder_to_disk(target.parent)
    except OSError as error:
        if error.errno in _NO_SPACE | _GONE or error.filename in (os.fspath(temporary), temporary):
            raise explained(error, target) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_leftovers(path: Union[str, "os.PathLike[str]"]) -> None:
    """Remove temporary files of `path` that killed writers left; nobody may be writing it now."""
    target = Path(os.path.realpath(path))
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}")
    for file in target.parent.iterdir():
        if name.fullmatch(file.name):
            file.unlink(missing_ok=True)


def make_folder(path: Union[str, "os.PathLike[str]"]) -> Path:
    """Create a folder and its parents where they are missing.

    Raises
    ------
    LossLandscapeError
        A file is in the way, or the place is read-only.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise LossLandscapeError(
            f"{folder}: a file is in the way of this folder; give another name"
        ) from error
    except OSError as error:
        raise explained(error, folder) from error
    return folder


def explained(error: OSError, target: Path) -> LossLandscapeError:
    """What the system says about writing `target`, for people."""
    if error.errno in _NO_SPACE:
        return LossLandscapeError(
            f"{target}: no space left on the disk; free some or write to another one "
            "(nothing there was changed)"
        )
    if error.errno in _GONE:
        return LossLandscapeError(
            f"{target}: cannot be written ({error.strerror}); is its drive still there? "
            "The same command goes on when it is (nothing there was changed)"
        )
    if error.errno in _NOT_ALLOWED:
        return LossLandscapeError(
            f"{target}: cannot write into {target.parent} ({error.strerror}); "
            "give a folder that you may write to"
        )
    if error.errno == errno.ENOENT:
        return LossLandscapeError(f"{target}: the folder {target.parent} does not exist; create it")
    return LossLandscapeError(f"{target}: cannot be written: {error.strerror or error}")


def _flush_to_disk(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder_to_disk(folder: Path) -> None:
    """Make the rename itself survive a power cut; not every system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
