"""Atomic replacement of files: a file has either its old or its new content, never a mixture.

The new content goes to a temporary file in the same folder, is flushed to disk, and gets its final
name in one step (POSIX ``rename``). A reader, or a crash at any time, finds a complete file.
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
# errors of a drive that is no longer reachable; no system defines all of them
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
    """Yield a temporary path to write to; at the end of the block it replaces `path`.

    The temporary file is in the folder of `path`, because a rename between file systems is not
    atomic. It exists and is empty when the block starts. If the block raises, the temporary file is
    removed and `path` stays as it was. A symbolic link at `path` is followed.

    Raises
    ------
    LossLandscapeError
        If the folder does not exist or is read-only, `path` is a folder, the disk is full, or the
        drive is no longer reachable.

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
        raise LossLandscapeError(f"{path}: is a folder; give a file name")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        # Created before the block, so that a read-only folder is found before any long work;
        # with the umask's permissions (mkstemp would give 0600).
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        permissions = temporary.stat().st_mode
    except OSError as error:
        raise explained(error, target) from error
    try:
        yield temporary
        temporary.chmod(permissions)  # some writers (safetensors) replace the file by their own
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
    """Remove temporary files of `path` left by killed writers. Call it only under the lock."""
    target = Path(os.path.realpath(path))
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}")
    for file in target.parent.iterdir():
        if name.fullmatch(file.name):
            file.unlink(missing_ok=True)


def make_folder(path: Union[str, "os.PathLike[str]"]) -> Path:
    """Create a folder, and its parents if they are missing.

    Raises
    ------
    LossLandscapeError
        If a file has this name, or the parent folder is read-only.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise LossLandscapeError(
            f"{folder}: cannot be created, because a file has this name; give another name"
        ) from error
    except OSError as error:
        raise explained(error, folder) from error
    return folder


def explained(error: OSError, target: Path) -> LossLandscapeError:
    """The system's error on writing `target`, as a message that says what to do."""
    if error.errno in _NO_SPACE:
        return LossLandscapeError(
            f"{target}: no space left on the disk; free some space or write to another disk "
            "(the existing file, if any, is unchanged)"
        )
    if error.errno in _GONE:
        return LossLandscapeError(
            f"{target}: cannot be written ({error.strerror}); is its drive still connected? "
            "When it is, run the same command again to continue "
            "(the existing file, if any, is unchanged)"
        )
    if error.errno in _NOT_ALLOWED:
        return LossLandscapeError(
            f"{target}: cannot write into {target.parent} ({error.strerror}); "
            "choose a folder where you have write permission"
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
    """Make the rename itself survive a power failure; some systems cannot open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
