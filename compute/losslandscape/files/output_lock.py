"""One writer an output.

A running evaluation holds a lock on ``vgg11.nc.lock`` beside its output from before its first
look at the journal to its end, and that file says who holds it; so does whoever adds to a file, or
keeps a list of finished parts. The kernel takes the lock from a process that ends in whatever way,
so a file that a killed run left behind stops nobody. Where the file system, or Windows, has no
locks (``flock``), what the file says decides: a process of this machine that is gone is taken for
what it is (not on Windows), one of another machine cannot be asked.
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
from losslandscape.files.atomic_files import explained, remove_leftovers

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class OutputLock:
    """The right to write an output; a context manager.

    Having it, temporary files that a killed writer of the output left behind are removed.

    Parameters
    ----------
    output : path
        What will be written; the lock is the file of this name with ``.lock`` behind it.
    elsewhere : bool
        Whether another output could be given, for the message.

    Raises
    ------
    LossLandscapeError
        If another process is writing the output (the message names its process id and host), or
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

    def __init__(self, output: str | os.PathLike, elsewhere: bool = True):
        self.output = Path(output)
        self.elsewhere = elsewhere
        self.path = Path(f"{os.fspath(output)}.lock")
        self._file = -1

    def __enter__(self) -> OutputLock:
        try:
            self._acquire()
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
            if fcntl is None:  # Windows removes no open file
                self._release()
            with suppress(OSError):
                self.path.unlink()  # while it is locked: nobody has taken it up
        self._release()

    def _release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _acquire(self) -> None:
        while True:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                locks = _lock(self._file)
            except BlockingIOError:
                raise self._refusal(_owner(self._file), locks=True) from None
            if not locks and (owner := _owner(self._file)) and not _gone(owner):
                raise self._refusal(owner, locks=False)
            # the former holder may have removed the file between its opening and its locking here
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), os.stat(self.path)):
                    break
            self._release()
        text = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            }
        )
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, text.encode())

    def _refusal(self, owner: dict[str, Any], locks: bool) -> LossLandscapeError:
        who = (
            f"process {owner['pid']} on {owner['host']} has been writing it since {owner['since']}"
            if owner
            else "another process is writing it"
        )
        advice = "wait for it or stop it"
        if locks and owner and _gone(owner):
            who = f"process {owner['pid']}, which was writing it, has ended, but not its workers"
            advice = "end them"
        if self.elsewhere:
            advice += ", or give another output"
        if not locks:
            advice += f"; if there is no such process any more, delete {self.path}"
        return LossLandscapeError(f"{self.output}: {who}; {advice}")


def _lock(file: int) -> bool:
    """Lock the file for this process; False where the file system has no locks."""
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
    """Who the file says holds the lock; empty where it says nothing (yet)."""
    try:
        os.lseek(file, 0, os.SEEK_SET)
        owner = json.loads(os.read(file, 4096))
        return {key: owner[key] for key in ("pid", "host", "since")}
    except (ValueError, KeyError, TypeError):
        return {}


def _gone(owner: dict[str, Any]) -> bool:
    """Whether the process is known to have ended."""
    if owner["host"] != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False
