"""Reader of a netCDF file's contents, and their checksum; runs in :mod:`.limited_process`."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from losslandscape.formats.content_stream import ContentError, Sender, little_endian
from losslandscape.formats.limited_process import Limits

CHECKSUM = "content_sha256"
LIMITS = Limits(
    compression=1032,  # largest ratio of deflate (follows from its format, RFC 1951)
    values=8 * 2**30,
    copies=2,  # the array, and one in the file's byte order
    computing=(4.0, 20e6),
    clock=(30.0, 2e6),
)
_MAX_VARIABLES = 10_000


def prepare() -> None:
    import netCDF4  # noqa: F401


def send(files: Sequence[str], options: None, most: int, sender: Sender) -> None:
    read_variables(os.path.abspath(files[0]), most, sender.start, sender.values)


def read_variables(
    path: str, most: int, started: Callable[[list], Any], take: Callable[[Any], Any]
) -> None:
    """Read every numeric variable in turn, and verify the checksum of the contents.

    Parameters
    ----------
    most
        Most bytes that all variables together may have.
    started
        Called once with ``[name, dimensions, type, shape]`` of the variables that follow.
    take
        Called with the values of each variable.

    Raises
    ------
    ContentError
        If the file declares more than ``most`` bytes, or its checksum differs.
    OSError, RuntimeError
        From libhdf5, if the file is damaged.
    """
    import netCDF4

    with netCDF4.Dataset(path) as dataset:
        readable = _readable(dataset)
        declared = sum(math.prod(v.shape) * v.dtype.itemsize for v in readable)
        if declared > most:
            raise ContentError(
                f"it declares {declared:,} bytes of values, but at most {most:,} bytes are allowed "
                "in a file of its size"
            )
        started([[v.name, list(v.dimensions), v.dtype.str, list(v.shape)] for v in readable])
        expected = getattr(dataset, CHECKSUM, None)
        if expected is None:  # written by another program or an older version
            for variable in readable:
                take(variable[...])
        elif content_sha256(dataset, take) != expected:
            raise ContentError(
                "its contents differ from what was written: it was damaged, or changed by another "
                f"program (if the change was intended, delete its attribute {CHECKSUM})"
            )


def content_sha256(dataset: Any, take: Callable[[Any], Any] = lambda values: None) -> str:
    """SHA-256 of the variables and attributes of an open netCDF4.Dataset.

    It covers the global attributes (except this one) as JSON, then every variable in the file's
    order: name, dimensions, type, attributes and shape as JSON, and its bytes. Chunks, compression
    and anything else that affects only the storage of values are excluded.
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
            digest.update(little_endian(values))
            take(values)
    return digest.hexdigest()


def _readable(dataset: Any) -> list[Any]:
    """The variables of numbers or characters; a landscape has no others."""
    dataset.set_auto_maskandscale(False)
    if len(dataset.variables) > _MAX_VARIABLES:
        raise ContentError(
            f"it has {len(dataset.variables):,} variables, but at most {_MAX_VARIABLES:,} are "
            "allowed"
        )
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
