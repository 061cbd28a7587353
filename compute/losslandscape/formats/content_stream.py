"""A stream of arrays from a child process, which the receiver does not trust.

The receiver trusts the sender no more than the file that the sender read.

Layout: length of the header (uint64, little-endian), header (JSON: ``variables``, a list of name,
dimensions, type and shape, or ``error``), then for each variable ``+`` and its bytes, and at the
end ``.`` and a JSON object, which is empty or has the ``error`` that stopped the sender. If the
error is a user's error, ``class`` has the name of its class, and the message is shown unchanged.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np

from losslandscape.errors import FileFormatError, LossLandscapeError

_MORE, _END = b"+", b"."
_MAX_HEADER = 2**26
_CLASSES = {kind.__name__: kind for kind in (FileFormatError, LossLandscapeError)}


class ContentError(Exception):
    """The file was refused; the message says why, without the file name."""


class Variable(NamedTuple):
    """A variable: the names of its dimensions, slowest first, and its values."""

    dimensions: tuple[str, ...]
    values: Any  # ndarray


class Sender:
    """The writing end. Call `start`, then `values` for each variable, then `finish`."""

    def __init__(self, output: BinaryIO):
        self._output = output
        self._started = False

    def start(self, variables: list) -> None:
        """Send ``[name, dimensions, type, shape]`` of each variable that follows, in order."""
        self._header({"variables": variables})

    def values(self, values: np.ndarray) -> None:
        """Send the values of the next variable."""
        self._output.writelines((_MORE, little_endian(values)))

    def finish(self, error: Exception | None = None) -> None:
        """End the stream, because all is sent or because of an error."""
        end = {} if error is None else _described(error)
        if self._started:
            self._output.write(_END + json.dumps(end).encode("ascii"))
        else:
            self._header(end)
        self._output.flush()

    def _header(self, header: dict) -> None:
        self._started = True
        text = json.dumps(header).encode("ascii")
        self._output.write(len(text).to_bytes(8, "little") + text)


def little_endian(values: np.ndarray) -> bytes:
    """The values' bytes, slowest dimension first."""
    return values.astype(values.dtype.newbyteorder("<"), order="C", copy=False).tobytes()


def receive(pipe: IO[bytes], path: Path, most: int) -> dict[str, Variable]:
    """Receive the variables of a `Sender`, by name.

    Parameters
    ----------
    path
        The file that the sender reads, for the messages.
    most : int
        Most bytes that all variables together may have.

    Raises
    ------
    FileFormatError
        If the sender reports an error in the file, or the stream is inconsistent.
    LossLandscapeError
        If the sender reports an error in the options.
    EOFError
        If the stream ends too early.
    """
    try:
        header = json.loads(_exactly(pipe, _length(pipe)).tobytes())
        _raise_said(header, path)
        variables = {}
        for name, dimensions, kind, shape in header["variables"]:
            dtype = np.dtype(kind)
            size = math.prod(shape) * dtype.itemsize
            most -= size
            if dtype.kind not in "fiuS" or most < 0 or min(shape, default=0) < 0:
                raise FileFormatError(f"{path}: its variables are larger than declared")
            if _exactly(pipe, 1).tobytes() != _MORE:
                _raise_said(json.loads(pipe.read(_MAX_HEADER)), path)
                raise ValueError("fewer variables than announced")
            values = _exactly(pipe, size).view(dtype.newbyteorder("=")).reshape(shape)
            if sys.byteorder == "big":
                values = values.byteswap()
            variables[str(name)] = Variable(tuple(map(str, dimensions)), values)
        _exactly(pipe, 1)
        _raise_said(json.loads(pipe.read(_MAX_HEADER)), path)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileFormatError(f"{path}: could not be read ({error})") from error
    return variables


def _described(error: Exception) -> dict[str, str]:
    for name, kind in _CLASSES.items():
        if isinstance(error, kind):
            return {"error": str(error), "class": name}
    return {"error": str(error)}


def _raise_said(header: dict[str, str], path: Path) -> None:
    if "class" in header:
        raise _CLASSES[header["class"]](header["error"])
    if "error" in header:
        raise FileFormatError(f"{path}: {header['error']}")


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
