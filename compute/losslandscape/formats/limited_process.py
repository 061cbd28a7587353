"""A reader of a file of unknown origin, as a program: what it may take, and what it hands over.

``python limited_process.py MODULE FILES OPTIONS``, both JSON, is started by :mod:`.guarded_child`.
The module has

- ``LIMITS``: the :class:`Limits` of its kind of file;
- ``prepare()``: loads libraries, which take files and memory, before the limits hold;
- ``send(files, options, most, sender)``: reads, and gives at most so many bytes of values to the
  :class:`~.content_stream.Sender`. What it raises is told by the process that asked.
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
_ROOM_TO_WORK = 2**28  # bytes that reading takes besides the values


class Limits(NamedTuple):
    """What reading files of some size may take.

    Attributes
    ----------
    compression : int
        Bytes of values that a byte of the file can hold.
    values : int
        Bytes of values, whatever the size.
    copies : int
        How often the values may be in memory.
    computing, clock : (seconds, bytes a second)
        Of the processor; by the clock.
    """

    compression: int
    values: int
    copies: int
    computing: tuple[float, float]
    clock: tuple[float, float]

    def bytes_of_values(self, file_bytes: int) -> int:
        """How much the variables of a file may hold together."""
        return min(self.values, max(file_bytes * self.compression, _SMALLEST_LIMIT))

    def seconds(self, file_bytes: int) -> float:
        """By the clock, on a busy machine with a slow disk."""
        start, rate = self.clock
        return start + file_bytes / rate


def main(module: Any, files: Sequence[str], options: Any, output: BinaryIO) -> None:
    """Send what the files hold; what goes wrong is sent too."""
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
        error = ContentError("it asks for more memory than a file of its size may")
    except (ContentError, LossLandscapeError) as found:
        error = found
    except Exception as found:  # any that a hostile file brings about: a message, no traceback
        error = ContentError(f"damaged, or of another kind ({type(found).__name__}: {found})")
    sender.finish(error)


def limit_this_process(limits: Limits, file_bytes: int) -> None:
    """Have the kernel end this process where it takes more than such a file may."""
    try:
        import resource
    except ImportError:  # Windows: the time alone is limited, by whoever started this
        return
    start, rate = limits.computing
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = {
        "RLIMIT_CPU": math.ceil(used.ru_utime + used.ru_stime + start + file_bytes / rate),
        "RLIMIT_FSIZE": 0,  # writes no file
        "RLIMIT_CORE": 0,
        # A single file at a time: what it refers to (external links and storage, virtual data
        # sets, filters to load) cannot be opened.
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
            # a second later for the last resort, else the kernel does not say that it was the time
            more = least + 1 if name == "RLIMIT_CPU" else least
            most = more if hard == resource.RLIM_INFINITY else min(more, hard)
            resource.setrlimit(kind, (least, most))


def _next_descriptor() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def _address_space() -> int:
    """Bytes, 0 where the system does not say (and does not keep to RLIMIT_AS either)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose modules are no top-level ones
    main(
        import_module(sys.argv[1]),
        json.loads(sys.argv[2]),
        json.loads(sys.argv[3]),
        sys.stdout.buffer,
    )
