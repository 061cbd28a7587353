"""Atomic replacement of files: a file has either its old or its new content, never a mixture.

The new content goes to a temporary file in the same folder, is flushed to disk, and gets its final
name in one step (POSIX ``rename``). A reader, or a crash at any time, finds a complete file.
"""

import errno
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Optional

from losslandscape.errors import LossLandscapeError, OutputExistsError
from losslandscape.files.claims import claim_of
from losslandscape.files.file_kinds import FILE, FOLDER, PathLike, kind_at, reason, shown

TEMPORARY_SUFFIX = ".partial"

_STAGING = re.compile(rf"\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}")
_PROBED_BYTES, _ZEROS = 2**20, bytes(2**14)
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_SPACE = _FULL | {errno.EFBIG}
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
def replace_file(path: PathLike, ending: str = "") -> Iterator[Path]:
    """Yield a temporary path to write to; at the end of the block it replaces `path`.

    The temporary file is in the folder of `path`, because a rename between file systems is not
    atomic. It exists and is empty when the block starts. If the block raises, the temporary file is
    removed and `path` stays as it was. A symbolic link at `path` is followed.

    If the work that goes on has claimed `path` (see `losslandscape.files.outputs`), and another
    program has written a file there since, that file stays. The new content then gets a name of its
    own, which the error states.

    Parameters
    ----------
    ending : str
        Of the temporary file's name, for libraries that choose the format by it.

    Raises
    ------
    OutputExistsError
        If a file appeared at `path`, and the claim does not allow to overwrite it.
    LossLandscapeError
        If the folder does not exist or is read-only, something else than a file is at `path`, the
        disk is full, or the drive is no longer reachable.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with replace_file(folder / "numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> [file.name for file in folder.iterdir()]
    ['numbers.txt']
    """
    require_regular(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}{ending}")
    try:
        # Created before the block, so that a read-only folder is found before any long work;
        # with the umask's permissions (mkstemp would give 0600).
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        permissions = temporary.stat().st_mode
    except OSError as error:
        raise explained(error, target) from error
    try:
        try:
            yield temporary
            temporary.chmod(permissions)  # some writers (safetensors) replace the file by their own
            _flush_to_disk(temporary)
        except Exception as error:  # libraries report a full disk in words of their own
            if full := no_space(temporary):
                raise explained(full, target) from error
            raise
        _give_name(temporary, target)
        _flush_folder_to_disk(target.parent)
    except OSError as error:
        if error.errno in _NO_SPACE | _GONE or error.filename in (os.fspath(temporary), temporary):
            raise explained(error, target) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def require_regular(path: PathLike, advice: str = "give the name of a regular file") -> None:
    """Check that nothing but a regular file, or a link to one, is at a path to write.

    A link to a name that does not exist is allowed: the file is created there.

    Parameters
    ----------
    advice : str
        What to do, for the message.

    Raises
    ------
    LossLandscapeError
        If a folder, pipe, socket or device is there, or a loop of links.

    Examples
    --------
    >>> require_regular("/dev/null")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: /dev/null: is a device; give the name of a regular file
    """
    try:
        kind = kind_at(path)
    except (OSError, ValueError) as error:
        raise LossLandscapeError(f"{shown(path)}: cannot be written: {reason(error)}") from error
    if kind == FOLDER:
        raise LossLandscapeError(f"{shown(path)}: is a folder; {advice}")
    if kind not in (None, FILE):
        led = f"is a link to {kind}" if os.path.islink(path) else f"is {kind}"
        raise LossLandscapeError(f"{shown(path)}: {led}; {advice}")


def _give_name(temporary: Path, target: Path) -> None:
    """Give a finished file its name, unless a file appeared there that may not be replaced."""
    require_regular(target)
    claim = claim_of(target)
    new = claim is not None and not claim.overwrite and claim.stamp is None
    if claim is not None and (claim.is_lost() or (new and not _gave_new_name(temporary, target))):
        kept = _keep(temporary, target)
        raise OutputExistsError(
            f"{target}: a file appeared there during the work, and was not replaced; the result "
            f"is in {kept}"
        )
    if not new:
        os.replace(temporary, target)
    if claim is not None:
        claim.note()


def _gave_new_name(temporary: Path, name: Path) -> bool:
    """Give a file a name that must be free, in one step; False if it is not."""
    try:
        os.link(temporary, name)
    except FileExistsError:
        return False
    except (OSError, AttributeError):  # a file system without hard links
        if os.path.lexists(name):
            return False
        os.replace(temporary, name)
    return True


def _keep(temporary: Path, target: Path) -> Path:
    """Give finished work the first free name like that of the target: ``x.1.nc`` for ``x.nc``."""
    for number in itertools.count(1):
        name = target.with_name(f"{target.stem}.{number}{target.suffix}")
        if _gave_new_name(temporary, name):
            return name
    raise AssertionError


def no_space(file: Path) -> Optional[OSError]:
    """The error of a full disk, if nothing more can be written to a file or beside it.

    Many libraries report a full disk as something else. The file is extended to find out, so it
    must be a temporary one.
    """
    try:
        with open(file, "ab", buffering=0) as stream:
            for _ in range(_PROBED_BYTES // len(_ZEROS)):
                stream.write(_ZEROS)
            os.fsync(stream.fileno())
    except OSError as error:
        return error if error.errno in _NO_SPACE else None
    return None


def remove_leftovers(path: PathLike) -> None:
    """Remove temporary files of `path` left by killed writers. Call it only under the lock."""
    target = Path(os.path.realpath(path))
    name = re.compile(
        rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}(\.\w+)?"
    )
    for file in target.parent.iterdir():
        if name.fullmatch(file.name):
            file.unlink(missing_ok=True)


def staging_in(folder: Path) -> Path:
    """A new folder in a folder of results, for results that are not complete yet."""
    staging = folder / f".{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    staging.mkdir()
    return staging


def is_staging(name: str) -> bool:
    """Whether a name is one that :func:`staging_in` gives."""
    return _STAGING.fullmatch(name) is not None


def remove_staging(folder: Path) -> None:
    """Remove what killed writers left in a folder of results. Call it only under the lock."""
    for entry in folder.iterdir():
        if is_staging(entry.name):
            shutil.rmtree(entry, ignore_errors=True)


def make_folder(path: PathLike) -> Path:
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
    if error.errno == errno.EFBIG:
        return LossLandscapeError(
            f"{target}: would be larger than files may be here (limit of the disk, or ulimit -f); "
            "write to another disk or raise the limit (the existing file, if any, is unchanged)"
        )
    if error.errno in _FULL:
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
    if error.errno == errno.ENOENT and not target.parent.exists():
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
