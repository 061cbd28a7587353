"""The variables of a netCDF file of unknown origin, read by a process of its own.

libhdf5 is a large parser in C, and a file made for it may crash it, hang it or have it ask for any
amount of memory. Here that ends a child process and becomes an error. ``docs/security.md`` says
what this guards against, and what not.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.formats import file_seal
from losslandscape.formats.netcdf_content import MORE, ContentError, Variable, allowed_bytes
from losslandscape.formats.netcdf_content import read_variables as _read_variables

LIMIT = 8 * 2**30  # bytes of values
SIGNATURES = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")
_PROGRAM = Path(__file__).with_name("netcdf_content.py")
_SECONDS, _BYTES_PER_SECOND = 30.0, 2_000_000  # a busy machine and a slow disk
_MAX_HEADER = 2**26
_written: dict[Path, tuple[int, ...]] = {}


def read(path: Path, limit: int = LIMIT) -> dict[str, Variable]:
    """All numeric variables of a netCDF file, by name.

    In this process where it wrote the file itself, else in a child.

    Parameters
    ----------
    limit : int
        Bytes that the variables may hold together.

    Raises
    ------
    FileFormatError
        The file is missing, no netCDF file, damaged, or declares more values than it can hold.
    """
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file")
    try:
        stamp = _stamp(path)
        with path.open("rb") as file:
            start = file.read(8)
        sealed = file_seal.check(path)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not start.startswith(SIGNATURES):
        raise FileFormatError(f"{path}: not a netCDF file, or damaged from its first bytes on")
    if sealed is False:
        raise FileFormatError(f"{path}: damaged since it was written (its checksum differs)")
    if _written.get(path.resolve()) == stamp:
        return _read_here(path, limit)
    return _read_in_child(path, limit)


def remember_own(path: Path) -> None:
    """This process has just written the file: as it is now it needs no child to be read."""
    _written[path.resolve()] = _stamp(path)


def _stamp(path: Path) -> tuple[int, ...]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size


def _read_here(path: Path, limit: int) -> dict[str, Variable]:
    heads: list[Any] = []
    values: list[np.ndarray] = []
    try:
        _read_variables(os.fspath(path), limit, heads.extend, values.append)
    except ContentError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except (OSError, RuntimeError) as error:
        raise FileFormatError(f"{path}: damaged ({error})") from error
    return {head[0]: Variable(tuple(head[1]), array) for head, array in zip(heads, values)}


def _read_in_child(path: Path, limit: int) -> dict[str, Variable]:
    if not sys.executable:
        raise LossLandscapeError(f"{path}: no Python program to read it with (sys.executable)")
    environment = {
        **os.environ,
        # what this process imports from, but not the folder it happens to be in
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
    }
    # -S: the folders are given, so that none need be looked for
    command = [sys.executable, "-S", "-s", str(_PROGRAM), os.path.abspath(path), str(limit)]
    seconds = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        overdue = threading.Timer(seconds, child.kill)
        overdue.start()
        try:
            assert child.stdout is not None
            return receive(child.stdout, path, limit)
        except EOFError as error:
            code = child.wait()
            raise FileFormatError(f"{path}: {ended_by(code, seconds)}") from error
        finally:
            child.kill()  # whatever else it may be about
            overdue.cancel()


def receive(pipe: IO[bytes], path: Path, limit: int) -> dict[str, Variable]:
    """What :mod:`.netcdf_content` writes; believed no more than the file.

    Raises
    ------
    FileFormatError
        The child says what is wrong with the file, or what it says does not fit together.
    EOFError
        It ended before the end.
    """
    try:
        header = json.loads(_exactly(pipe, _length(pipe)).tobytes())
        if "error" in header:
            raise FileFormatError(f"{path}: {header['error']}")
        most = allowed_bytes(path.stat().st_size, limit)
        variables = {}
        for name, dimensions, kind, shape in header["variables"]:
            dtype = np.dtype(kind)
            size = math.prod(shape) * dtype.itemsize
            most -= size
            if dtype.kind not in "fiuS" or most < 0 or min(shape, default=0) < 0:
                raise FileFormatError(f"{path}: its variables are larger than declared")
            if _exactly(pipe, 1).tobytes() != MORE:
                raise FileFormatError(f"{path}: {json.loads(pipe.read(_MAX_HEADER))['error']}")
            values = _exactly(pipe, size).view(dtype.newbyteorder("=")).reshape(shape)
            if sys.byteorder == "big":
                values = values.byteswap()
            variables[str(name)] = Variable(tuple(map(str, dimensions)), values)
        _exactly(pipe, 1)
        last = json.loads(pipe.read(_MAX_HEADER))
        if "error" in last:
            raise FileFormatError(f"{path}: {last['error']}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileFormatError(f"{path}: could not be read ({error})") from error
    return variables


def ended_by(code: int, seconds: float) -> str:
    """Why a child ended early, in words."""
    if code == -signal.SIGKILL:
        return f"could not be read within {seconds:.0f} s and the memory that such a file may take"
    if hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU:
        return "took more computing time than a file of its size may; it is damaged"
    if code < 0:
        return f"the library that reads it broke down ({signal.Signals(-code).name}); it is damaged"
    return f"could not be read (exit code {code} of the process that reads it)"


def _length(pipe: IO[bytes]) -> int:
    length = int.from_bytes(_exactly(pipe, 8).tobytes(), "little")
    if length > _MAX_HEADER:
        raise ValueError(f"a header of {length} bytes")
    return length


def _exactly(pipe: IO[bytes], size: int) -> np.ndarray:
    content = np.empty(size, np.uint8)
    done = 0
    while done < size:
        count = pipe.readinto(content[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count
    return content
