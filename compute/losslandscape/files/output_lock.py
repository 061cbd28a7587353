"""A lock that allows one writer per output.

A running evaluation holds a lock on ``vgg11.nc.lock``, beside its output, from before it reads the
journal until it ends. The file names the process that holds the lock. A process that adds to a
file, or keeps a journal of finished parts, holds the same lock. The kernel releases the lock when
the process ends for any reason, so the lock file of a killed run blocks nobody.

Some file systems, and Windows, have no such locks (``flock``). There the content of the lock file
decides: it is ignored if it names a process of this machine that no longer exists (not on
Windows); a process of another machine cannot be checked.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import explained, remove_leftovers, remove_staging

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FOLDER_LOCK = ".losslandscape.lock"  # in a folder of results
_START = '{"pid": '  # of the content
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def lock_path(output: str | os.PathLike) -> Path:
    """Path of the lock of an output file."""
    return Path(f"{os.fspath(output)}.lock")


class OutputLock:
    """The exclusive right to write an output; a context manager.

    Entering the block also removes temporary files that a killed writer of the output left.

    Parameters
    ----------
    output : path
        The file to write; the lock file has ``.lock`` added to its name.
    elsewhere : bool
        Whether the message should suggest another output.
    inside : bool
        Whether the output is a folder; the lock file is then in it, because the folder around it
        may be read-only.

    Raises
    ------
    LossLandscapeError
        If another process is writing the output (the message names its process ID and host), or
        the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> output = Path(tempfile.mkdtemp()) / "x.nc"
    >>> with OutputLock(output) as lock:
    ...     lock.path.exists()
    True
    >>> lock.path.exists()
    False
    """

    def __init__(self, output: str | os.PathLike, elsewhere: bool = True, inside: bool = False):
        self.output = Path(output)
        self.elsewhere = elsewhere
        self.inside = inside
        self.path = self.output / FOLDER_LOCK if inside else lock_path(output)
        self._file = -1

    def __enter__(self) -> OutputLock:
        try:
            self._acquire()
            if self.inside:
                remove_staging(self.output)
            else:
                remove_leftovers(self.output)
                remove_leftovers(f"{os.fspath(self.output)}.journal")
        except OSError as error:
            self._release()
            raise explained(error, self.output) from error
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            if fcntl is None:  # Windows cannot remove an open file
                self._release()
            with suppress(OSError):
                self.path.unlink()  # while still locked, so that no other process holds it
        self._release()

    def _release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _acquire(self) -> None:
        while True:
            # not through a link: its target would be emptied
            if os.path.islink(self.path):
                raise self._taken("is a link")
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o666)
            try:
                locks = _lock(self._file)
            except BlockingIOError:
                raise self._refusal(_owner(self._file), locks=True) from None
            if not locks and (owner := _owner(self._file)) and not _gone(owner):
                raise self._refusal(owner, locks=False)
            # the previous holder may have removed the file after it was opened here
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), os.stat(self.path)):
                    break
            self._release()
        if not _is_lock(self._file):
            raise self._taken("is not a lock")
        text = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            }
        )
        try:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, text.encode())
        except OSError:  # a full disk
            with suppress(OSError):
                self.path.unlink()
            raise

    def _taken(self, what: str) -> LossLandscapeError:
        return LossLandscapeError(
            f"{self.path}: {what}, but losslandscape needs this name for its lock while it writes "
            f"{self.output}; rename it, or give another output"
        )

    def _refusal(self, owner: dict[str, Any], locks: bool) -> LossLandscapeError:
        who = (
            f"process {owner['pid']} on {owner['host']} has been writing it since {owner['since']}"
            if owner
            else "another process is writing it"
        )
        advice = "wait for it or stop it"
        if locks and owner and _gone(owner):
            who = (
                f"process {owner['pid']}, which was writing it, has ended, but its workers are "
                "still running"
            )
            advice = "stop them"
        if self.elsewhere:
            advice += ", or give another output"
        if not locks:
            advice += f"; if that process no longer exists, delete {self.path}"
        return LossLandscapeError(f"{self.output}: {who}; {advice}")


def _lock(file: int) -> bool:
    """Lock the file for this process; False if the file system does not support locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _owner(file: int) -> dict[str, Any]:
    """The holder named in the lock file; empty if the file does not name one (yet)."""
    try:
        os.lseek(file, 0, os.SEEK_SET)
        owner = json.loads(os.read(file, 4096))
        return {key: owner[key] for key in ("pid", "host", "since")}
    except (ValueError, KeyError, TypeError):
        return {}


def _is_lock(file: int) -> bool:
    """Whether the content may be that of a lock, even of one whose writer was killed."""
    os.lseek(file, 0, os.SEEK_SET)
    start, expected = os.read(file, len(_START)), _START.encode()
    return expected.startswith(start)


def _gone(owner: dict[str, Any]) -> bool:
    """Whether the process is known to have ended."""
    if owner["host"] != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's process
        return False
    return False
