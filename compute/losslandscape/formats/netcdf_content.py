"""What a netCDF file holds, and its checksum. Run as a program: a reader in a process of its own.

``python netcdf_content.py FILE LIMIT`` writes the content of a file to its standard output, under
limits of time, memory and open files, so that a file made to crash libhdf5 ends this process alone
(:mod:`.guarded_netcdf` starts it). Of this package it needs nothing, and so it starts quickly.

Output: length of the header (uint64, little-endian), header (JSON: ``variables``, a list of name,
dimensions, type and shape, or ``error``), then for each variable ``+`` and its bytes, and at the
end ``.`` and a JSON object, empty or with an ``error`` that was found on the way.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

CHECKSUM = "content_sha256"
# Deflate makes at most 1032 bytes of one (its format, RFC 1951): more is not in the file.
LARGEST_COMPRESSION = 1032
MORE, END = b"+", b"."
_SMALLEST_LIMIT = 2**20  # a file without data still has names and attributes
_CPU_SECONDS, _BYTES_PER_SECOND = 4, 20_000_000
_ROOM_TO_WORK = 2**28  # bytes that reading takes besides the values
_MAX_VARIABLES = 10_000


class ContentError(Exception):
    """The file is not to be read; the message says why, without the file's name."""


class Variable(NamedTuple):
    """A variable: dimensions' names, slowest first, and values."""

    dimensions: tuple[str, ...]
    values: Any  # ndarray


def allowed_bytes(file_bytes: int, limit: int) -> int:
    """How much the variables of a file may hold together."""
    return min(limit, max(file_bytes * LARGEST_COMPRESSION, _SMALLEST_LIMIT))


def read_variables(
    path: str, limit: int, started: Callable[[list], Any], take: Callable[[Any], Any]
) -> None:
    """Read every numeric variable, one after the other, and check the content's checksum.

    Parameters
    ----------
    started
        Called once with ``[name, dimensions, type, shape]`` of the variables that follow.
    take
        Called with each one's values.

    Raises
    ------
    ContentError
        The file says that it holds more than it can or than ``limit``, or its checksum differs.
    OSError, RuntimeError
        From libhdf5: it is damaged.
    """
    import netCDF4

    with netCDF4.Dataset(path) as dataset:
        readable = _readable(dataset)
        declared = sum(math.prod(v.shape) * v.dtype.itemsize for v in readable)
        most = allowed_bytes(os.stat(path).st_size, limit)
        if declared > most:
            raise ContentError(
                f"it says that it holds {declared:,} bytes of values, and at most {most:,} are "
                "read from a file of its size"
            )
        started([[v.name, list(v.dimensions), v.dtype.str, list(v.shape)] for v in readable])
        expected = getattr(dataset, CHECKSUM, None)
        if expected is None:  # of another program, or of an older version
            for variable in readable:
                take(variable[...])
        elif content_sha256(dataset, take) != expected:
            raise ContentError(
                "its content is not what was written: it was damaged, or changed by another "
                f"program (if that was meant, delete its attribute {CHECKSUM})"
            )


def content_sha256(dataset: Any, take: Callable[[Any], Any] = lambda values: None) -> str:
    """SHA-256 over the variables and attributes of an open netCDF4.Dataset.

    Of the global attributes (but this one) as JSON, then of every variable in the file's order:
    name, dimensions, type, attributes and shape as JSON, and its bytes. Chunks, compression and
    what else changes only how a value is stored are left out.
    """
    digest = hashlib.sha256()
    attributes = {n: _plain(dataset.getncattr(n)) for n in dataset.ncattrs() if n != CHECKSUM}
    digest.update(_line(attributes))
    readable = {variable.name for variable in _readable(dataset)}
    for variable in dataset.variables.values():
        own = {name: _plain(variable.getncattr(name)) for name in variable.ncattrs()}
        described = [variable.name, list(variable.dimensions), str(variable.dtype), own]
        digest.update(_line([*described, list(variable.shape)]))
        if variable.name in readable:
            values = variable[...]
            digest.update(_little_endian(values))
            take(values)
    return digest.hexdigest()


def _readable(dataset: Any) -> list[Any]:
    """The variables of numbers or characters; no landscape has others."""
    dataset.set_auto_maskandscale(False)
    if len(dataset.variables) > _MAX_VARIABLES:
        raise ContentError(f"it has {len(dataset.variables):,} variables")
    found = []
    for variable in dataset.variables.values():
        if getattr(variable.dtype, "kind", "O") not in "fiuS":
            continue
        if {"scale_factor", "add_offset"} & set(variable.ncattrs()):
            raise ContentError(f"variable '{variable.name}' is packed; unpack it (ncpdq -U)")
        found.append(variable)
    return found


def _plain(value: Any) -> Any:
    dtype = getattr(value, "dtype", None)
    return value if dtype is None else [dtype.str, value.tolist()]


def _line(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode("ascii") + b"\n"


def _little_endian(values: Any) -> Any:
    return values.astype(values.dtype.newbyteorder("<"), order="C", copy=False).tobytes()


def main(path: str, limit: int, output: BinaryIO) -> None:
    """Write the content of a file; what goes wrong is written too."""
    headed = False

    def started(variables: list) -> None:
        nonlocal headed
        _write_header(output, {"variables": variables})
        headed = True

    try:
        _limit_this_process(os.stat(path).st_size, limit)
        read_variables(
            path, limit, started, lambda values: output.writelines((MORE, _little_endian(values)))
        )
        end = {}
    except MemoryError:
        end = {"error": "it asks for more memory than a file of its size may"}
    except ContentError as error:
        end = {"error": str(error)}
    except Exception as error:  # any that a hostile file brings about: a message, no traceback
        end = {"error": f"not a netCDF file, or a damaged one ({type(error).__name__}: {error})"}
    if headed:
        output.write(END + json.dumps(end).encode("ascii"))
    else:
        _write_header(output, end)
    output.flush()


def _write_header(output: BinaryIO, header: dict) -> None:
    text = json.dumps(header).encode("ascii")
    output.write(len(text).to_bytes(8, "little") + text)


def _limit_this_process(file_bytes: int, limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the time alone is limited, by whoever started this
        return
    import netCDF4  # noqa: F401  before the limits: a library is a file to open

    seconds = _CPU_SECONDS + file_bytes // _BYTES_PER_SECOND
    limits = {
        "RLIMIT_CPU": seconds,
        "RLIMIT_FSIZE": 0,  # writes no file
        "RLIMIT_CORE": 0,
        # A single file at a time: what it refers to (external links and storage, virtual data
        # sets, filters to load) cannot be opened.
        "RLIMIT_NOFILE": _next_descriptor() + 1,
    }
    used = _address_space()
    if used:
        # twice: the array, and a copy in the file's byte order
        limits["RLIMIT_AS"] = used + 2 * allowed_bytes(file_bytes, limit) + _ROOM_TO_WORK
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (wanted, wanted))


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
    main(sys.argv[1], int(sys.argv[2]), sys.stdout.buffer)
