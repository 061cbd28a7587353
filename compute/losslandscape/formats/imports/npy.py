"""NumPy's ``.npy``: one array, without coordinates."""

from __future__ import annotations

from typing import IO

import numpy as np

from losslandscape.formats.imports.source import Imported, Options, Source, grid_from_bounds

TOOL = "NumPy array"
OPTIONS = ("bounds", "transposed")


def recognizes(source: Source) -> bool:
    return source.is_npy


def read(source: Source, options: Options) -> Imported:
    values = read_file(source)
    if options.transposed:
        values = values.T
    return Imported(
        grid_from_bounds(source, values.shape, options.bounds), {"loss": values}, "loss"
    )


def read_file(source: Source) -> np.ndarray:
    """The array of a ``.npy`` file.

    Raises
    ------
    FileFormatError
        If it is not an array of numbers, is damaged, or is too large.
    """
    if not source.is_npy:
        raise source.error(f"not a .npy file ({source.described()})")
    with open(source.path, "rb") as file:
        return read_stream(file, source, source.size, "the array")


def read_stream(file: IO[bytes], source: Source, size: int, what: str) -> np.ndarray:
    """Read an array in NumPy's format, after comparing its header with ``size``, in bytes.

    Raises
    ------
    FileFormatError
        If it is not an array of numbers, is damaged, or is too large.
    """
    try:
        version = np.lib.format.read_magic(file)
        header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = header(file)
        if min(shape, default=0) < 0:
            raise ValueError(f"its shape is {shape}")
    except (ValueError, TypeError, EOFError) as error:
        raise source.error(f"{what} is damaged ({error})") from error
    if dtype.hasobject:
        raise source.error(
            f"{what} contains pickled Python objects, which are never opened; save it as numbers, "
            "with numpy.asarray(values, dtype=float)"
        )
    source.check_size(shape, dtype.itemsize, what)
    needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    there = size - file.tell()
    if there < needed:
        raise source.error(f"{what} is truncated: it has {there} of {needed} bytes")
    # not numpy.fromfile, which opens the file a second time
    try:
        content = file.read(needed)
        if len(content) < needed:
            raise ValueError(f"it has {len(content)} of {needed} bytes")
        values = np.frombuffer(content, dtype) if needed else np.empty(shape, dtype)
        return values.reshape(shape, order="F" if fortran else "C")
    except (ValueError, EOFError, OSError) as error:
        raise source.error(f"{what} is damaged ({error})") from error
