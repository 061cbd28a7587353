"""The program that reads a file of unknown origin under resource limits.

:mod:`.guarded_child` starts it as ``python limited_process.py MODULE FILES OPTIONS``; FILES and
OPTIONS are JSON. The module, the reader, has

- ``LIMITS``: the :class:`Limits` for its kind of file;
- ``prepare()``: imports libraries, which open files and use memory, before the limits apply;
- ``send(files, options, most, sender)``: reads the files and passes at most ``most`` bytes of
  values to the :class:`~.content_stream.Sender`. The parent process reports what it raises.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple

_SMALLEST_LIMIT = 2**20  # a file without data still has names and attributes
_ROOM_TO_WORK = 2**28  # bytes that reading takes in addition to the values


class Limits(NamedTuple):
    """Limits on reading files, by their size.

    Attributes
    ----------
    compression : int
        Most bytes of values per byte of the file.
    values : int
        Most bytes of values, for any file size.
    copies : int
        Most copies of the values in memory.
    computing, clock : (seconds, bytes per second)
        Most CPU time and most wall-clock time: the seconds, plus the file size over the rate.
    """

    compression: int
    values: int
    copies: int
    computing: tuple[float, float]
    clock: tuple[float, float]

    def bytes_of_values(self, file_bytes: int) -> int:
        """Most bytes that all variables of a file together may have."""
        return min(self.values, max(file_bytes * self.compression, _SMALLEST_LIMIT))

    def seconds(self, file_bytes: int) -> float:
        """Most seconds of wall-clock time, enough for a busy machine with a slow disk."""
        start, rate = self.clock
        return start + file_bytes / rate


def main(module: Any, files: Sequence[str], options: Any, output: BinaryIO) -> None:
    """Send the contents of the files, or the error that occurred."""
    from losslandscape.errors import LossLandscapeError
    from losslandscape.formats.content_stream import ContentError, Sender

    sender = Sender(output)
    error: Exception | None = None
    try:
        size = sum(os.stat(file).st_size for file in files)
        module.prepare()
        limit_this_process(module.LIMITS, size)
        module.send(files, options, module.LIMITS.bytes_of_values(size), sender)
    except MemoryError:
        error = ContentError("it needs more memory than allowed for a file of its size")
    except (ContentError, LossLandscapeError) as found:
        error = found
    except Exception as found:  # a malicious file can raise any: a message, no traceback
        error = ContentError(f"damaged, or of another format ({type(found).__name__}: {found})")
    sender.finish(error)


def limit_this_process(limits: Limits, file_bytes: int) -> None:
    """Have the kernel end this process if it exceeds the limits for a file of this size."""
    try:
        import resource
    except ImportError:  # Windows: only the time is limited, by the parent process
        return
    start, rate = limits.computing
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = {
        "RLIMIT_CPU": math.ceil(used.ru_utime + used.ru_stime + start + file_bytes / rate),
        "RLIMIT_FSIZE": 0,  # cannot write files
        "RLIMIT_CORE": 0,
        # Only one file at a time: files that it refers to (external links and storage, virtual
        # data sets, filters to load) cannot be opened.
        "RLIMIT_NOFILE": _next_descriptor() + 1,
    }
    space = _address_space()
    if space:
        values = limits.bytes_of_values(file_bytes)
        wanted["RLIMIT_AS"] = space + limits.copies * values + _ROOM_TO_WORK
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            least = value if hard == resource.RLIM_INFINITY else min(value, hard)
            # a second more: at the hard limit the signal does not tell that time was the cause
            more = least + 1 if name == "RLIMIT_CPU" else least
            most = more if hard == resource.RLIM_INFINITY else min(more, hard)
            resource.setrlimit(kind, (least, most))


def _next_descriptor() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def _address_space() -> int:
    """Address space in bytes; 0 if the system does not tell (it then ignores RLIMIT_AS too)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its modules are not top-level modules
    main(
        import_module(sys.argv[1]),
        json.loads(sys.argv[2]),
        json.loads(sys.argv[3]),
        sys.stdout.buffer,
    )
