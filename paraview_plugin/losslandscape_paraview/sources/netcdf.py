"""Landscape files through VTK's own netCDF reader, which every ParaView ships.

`docs/file_format.md` is the schema. VTK's reader shapes what is done here:

- it gives only arrays whose dimensions are those last asked for, and one that is asked twice
  keeps the first extent: each group of dimensions is read by a fresh reader;
- global attributes are out of its reach, so the provenance is a text variable;
- it reports errors as events and goes on, so they are collected and raised;
- it believes what a file says of its size, and a damaged one may end ParaView: the file's size,
  signature and checksum are looked at before, and the extent before values are read.
"""

import hashlib
import json
import mmap
import os
import re
from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_SIGNED_CHAR, VTK_STRING, VTK_UNSIGNED_CHAR
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline
from vtkmodules.vtkIONetCDF import vtkNetCDFReader

from ..errors import LandscapeFileError

EXTENSIONS = (".nc", ".llnc")
# slowest first, as in the file; a landscape of n dimensions has the last n
GRID_DIMENSIONS = ("gamma", "beta", "alpha")
# The last line of a file that losslandscape wrote: SHA-256 and size of all before it.
_SEAL = re.compile(rb"\nlosslandscape sha256 ([0-9a-f]{64}) of ([0-9]{20}) bytes\n\Z")
_SEAL_LENGTH = len(b"\nlosslandscape sha256  of  bytes\n") + 64 + 20
_SEALED_NAME = b"content_sha256"  # an attribute of every file that was sealed
# Version of HDF5's superblock -> where the file's size stands (HDF5 file format, section II.A).
_END_OF_FILE = {b"\0": 40, b"\1": 44, b"\2": 28, b"\3": 28}
# Bytes of values that are read, in all and for each byte of the file (deflate's best is 1032).
_MOST_BYTES, _MOST_BYTES_PER_BYTE, _ALWAYS_ALLOWED = 8 * 2**30, 1032, 2**20
_SIGNATURES = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02", b"CDF\x05")


class LandscapeFile:
    """What a landscape file holds; values are read when asked for.

    Args:
        path: a `.nc` or `.llnc` file.

    Attributes:
        path: the file, a `Path`.
        variables: dict of variable name -> tuple of its dimensions' names, slowest first.
        grid_dimensions: `("alpha",)`, `("beta", "alpha")` or `("gamma", "beta", "alpha")`.
        grid_arrays: names of the variables on the grid, `loss` first.

    Raises:
        LandscapeFileError: there is no such file, it is no netCDF file, it is damaged, or it is
            not a landscape; the message names the file and what is missing.
    """

    def __init__(self, path):
        self.path = Path(path)
        _check_signature(self.path)
        _check_seal(self.path)
        self.variables = self._read_variables()
        coordinates = [name for name in GRID_DIMENSIONS if self.variables.get(name) == (name,)]
        self.grid_dimensions = tuple(coordinates)
        on_grid = [
            name
            for name, dimensions in self.variables.items()
            if dimensions == self.grid_dimensions and name not in GRID_DIMENSIONS
        ]
        for name in ("alpha", "loss"):
            if name not in self.variables:
                raise LandscapeFileError(
                    f"{self.path}: variable '{name}' is missing, so this is no loss landscape "
                    f"(found: {', '.join(sorted(self.variables)) or 'no variables'})"
                )
        if "loss" not in on_grid:
            raise LandscapeFileError(
                f"{self.path}: variable 'loss' has dimensions "
                f"({', '.join(self.variables['loss'])}), but the file's grid is "
                f"({', '.join(self.grid_dimensions)})"
            )
        self.grid_arrays = sorted(on_grid, key=lambda name: (name != "loss", name))

    def provenance(self):
        """The provenance as its JSON text and as a dict; `("", {})` where the file has none."""
        if "provenance" not in self.variables:
            return "", {}
        characters = self._read(self.variables["provenance"], ["provenance"])["provenance"]
        text = vtk_to_numpy(characters).tobytes().rstrip(b"\0").decode("utf-8", "replace")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LandscapeFileError(
                f"{self.path}: variable 'provenance' is not JSON ({error}); the file is damaged"
            ) from error
        if not isinstance(found, dict) or not isinstance(found.get("models", []), list):
            raise LandscapeFileError(
                f"{self.path}: variable 'provenance' is not that of a landscape"
            )
        return text, found

    def grid_geometry(self):
        """Dimensions, origin and spacing of the grid, each three numbers, alpha first.

        Raises:
            LandscapeFileError: a coordinate is not evenly spaced, so no image data can hold it.
        """
        dimensions, origin, spacing = [1, 1, 1], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
        for axis, name in enumerate(reversed(self.grid_dimensions)):
            values = vtk_to_numpy(self._read((name,), [name])[name]).astype(float)
            dimensions[axis], origin[axis] = len(values), float(values[0])
            if len(values) > 1:
                step = (values[-1] - values[0]) / (len(values) - 1)
                even = values[0] + step * np.arange(len(values))
                if not step > 0 or not np.allclose(values, even, rtol=0, atol=1e-6 * abs(step)):
                    raise LandscapeFileError(
                        f"{self.path}: coordinate '{name}' does not increase in even steps"
                    )
                spacing[axis] = float(step)
        return tuple(dimensions), tuple(origin), tuple(spacing)

    def read_grid(self, names):
        """The named grid variables as VTK arrays, with the file's types and bits."""
        return self._read(self.grid_dimensions, names)

    def read_rows(self, prefix, dimension):
        """Every variable called `prefix...` along one dimension, such as `trajectory_`, `step`.

        Returns:
            dict of name without the prefix -> VTK array; empty where the file has none.
        """
        names = [
            name
            for name, dimensions in self.variables.items()
            if dimensions == (dimension,) and name.startswith(prefix)
        ]
        arrays = self._read((dimension,), names) if names else {}
        return {name[len(prefix) :]: array for name, array in arrays.items()}

    def _read_variables(self):
        reader, errors = _new_reader(self.path)
        reader.UpdateMetaData()
        dimensions = reader.GetVariableDimensions()
        names = reader.GetAllVariableArrayNames()
        if errors:
            raise LandscapeFileError(f"{self.path}: the file is damaged: {errors[0]}")
        return {
            names.GetValue(index): _split(dimensions.GetValue(index))
            for index in range(names.GetNumberOfValues())
        }

    def _read(self, dimensions, names):
        reader, errors = _new_reader(self.path)
        reader.UpdateMetaData()
        reader.SetDimensions(f"({', '.join(dimensions)})")
        for index in range(reader.GetNumberOfVariableArrays()):
            name = reader.GetVariableArrayName(index)
            reader.SetVariableArrayStatus(name, int(name in names))
        self._check_extent(reader, len(names))
        reader.Update()
        output = reader.GetOutput()
        found = {name: output.GetPointData().GetAbstractArray(name) for name in names}
        lost = [name for name, array in found.items() if array is None]
        if errors or lost:
            detail = errors[0] if errors else "VTK could not read it"
            raise LandscapeFileError(
                f"{self.path}: the file is damaged: {', '.join(lost or names)}: {detail}"
            )
        return {name: _as_stored(array) for name, array in found.items()}

    def _check_extent(self, reader, arrays):
        """Raise where the file says that it holds more than it can: VTK would allocate it."""
        reader.UpdateInformation()
        extent = reader.GetOutputInformation(0).Get(vtkStreamingDemandDrivenPipeline.WHOLE_EXTENT())
        points = 1
        for low, high in zip(extent[::2], extent[1::2]):
            points *= max(high - low + 1, 0)
        most = max(os.path.getsize(self.path) * _MOST_BYTES_PER_BYTE, _ALWAYS_ALLOWED)
        if points * arrays * 8 > min(8 * most, _MOST_BYTES):
            raise LandscapeFileError(
                f"{self.path}: the file is damaged: it says that it holds {points:,} points, "
                "more than a file of its size can"
            )


def _check_signature(path):
    """Raise where `path` cannot be opened or does not begin as a netCDF file does."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise LandscapeFileError(f"{path}: {error.strerror or error}") from error
    if not start.startswith(_SIGNATURES):
        raise LandscapeFileError(f"{path}: not a netCDF file, or damaged from its first bytes on")


def _check_seal(path):
    """Raise where a file that ends in its checksum does not have it."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END) - _SEAL_LENGTH
        file.seek(max(size, 0))
        seal = _SEAL.match(file.read())
        if seal is None:
            _require_no_seal(file, path)
            return
        file.seek(0)
        digest, left = hashlib.sha256(), size
        while left > 0:
            piece = file.read(min(left, 1 << 20))
            if not piece:
                break
            digest.update(piece)
            left -= len(piece)
    if int(seal.group(2)) != size or digest.hexdigest().encode("ascii") != seal.group(1):
        raise LandscapeFileError(f"{path}: damaged since it was written (its checksum differs)")


def _require_no_seal(file, path):
    """Raise where a file without a seal is not of the size it states, or had a seal once."""
    file.seek(0)
    start = file.read(64)
    stated = _END_OF_FILE.get(start[8:9]) if start.startswith(b"\x89HDF") else None
    if stated is not None and start[stated : stated + 8] != _size(file).to_bytes(8, "little"):
        raise LandscapeFileError(f"{path}: the file is damaged: its size is not what it states")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(_SEALED_NAME) >= 0:
            raise LandscapeFileError(
                f"{path}: the checksum at its end is missing: it is damaged, or another program "
                "wrote it anew; open and save it with losslandscape.Landscape, which checks it"
            )


def _size(file):
    return os.fstat(file.fileno()).st_size


def _new_reader(path):
    """A fresh reader of `path`, and the list its error messages will go to."""
    reader, errors = vtkNetCDFReader(), []

    def collect(_reader, _event, text):
        errors.append(" ".join(text.split("): ", 1)[-1].split()))

    collect.CallDataType = VTK_STRING  # type: ignore[attr-defined]
    reader.AddObserver("ErrorEvent", collect)  # type: ignore[arg-type]
    reader.SetFileName(str(path))
    return reader, errors


def _as_stored(array):
    """The array with the file's type: VTK reads netCDF's signed bytes as unsigned ones."""
    if array.GetDataType() != VTK_UNSIGNED_CHAR:
        return array
    signed = numpy_to_vtk(vtk_to_numpy(array).view(np.int8), deep=True, array_type=VTK_SIGNED_CHAR)
    signed.SetName(array.GetName())
    return signed


def _split(dimensions):
    """`("beta", "alpha")` for VTK's `"(beta, alpha)"`."""
    return tuple(name.strip() for name in dimensions.strip("()").split(",") if name.strip())
