"""A file of unknown origin, its contents as a reader found them, and the resulting landscape."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape import __version__
from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.inputs import input_file
from losslandscape.landscape.landscape import EVALUATED, NOT_EVALUATED, NOT_FINITE, Landscape
from losslandscape.landscape.overlays import ProjectedTrajectory
from losslandscape.planes.grid import AXIS_NAMES, Grid

LARGEST_ARRAY = 10**8  # values; 0.8 GB
_LARGEST_COMPRESSION = 1100  # above the largest ratio of deflate, 1032
_UNEVEN = 1e-3  # of the spacing: rounded coordinates still count as a regular grid
_HEAD_BYTES = 4096
_TAKEN = {*AXIS_NAMES, "loss", "status", "gram_matrix", "subspace_gram_matrix", "provenance"}


@dataclass(frozen=True)
class Options:
    """Options for a file; :func:`losslandscape.formats.imports.read` describes each."""

    bounds: Sequence[tuple[float, float]] | None = None
    array: str | None = None
    transposed: bool = False
    not_evaluated: float | None = None
    directions: str | os.PathLike | None = None
    trajectory: str | os.PathLike | None = None
    function: str | None = None
    distance: float | None = None

    def check(self, format_name: str, taken: Collection[str]) -> None:
        """Raise a LossLandscapeError if an option was given that the format does not take."""
        for option in fields(self):
            name = option.name
            if name == "not_evaluated" or name in taken:
                continue
            if getattr(self, name) != option.default:
                raise LossLandscapeError(
                    f"format {format_name} takes no option {name}; it takes "
                    f"{', '.join([*taken, 'not_evaluated'])}"
                )


@dataclass
class Source:
    """A file whose first bytes were read, but which is not trusted yet.

    Raises
    ------
    FileFormatError
        If it is missing, empty, a folder, or unreadable.
    """

    path: Path

    def __post_init__(self):
        input_file(self.path)
        try:
            with open(self.path, "rb") as file:
                self.head = file.read(_HEAD_BYTES)
                self.size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise FileFormatError(
                f"{self.path}: cannot be read ({error.strerror or error})"
            ) from error
        if not self.size:
            raise FileFormatError(f"{self.path}: is empty")

    @property
    def is_hdf5(self) -> bool:
        return self.head.startswith(b"\x89HDF\r\n\x1a\n")

    @property
    def is_npy(self) -> bool:
        return self.head.startswith(b"\x93NUMPY")

    @property
    def is_zip(self) -> bool:
        return self.head.startswith(b"PK\x03\x04")

    @property
    def vtk_type(self) -> str:
        """``"ImageData"``, ``"PolyData"``, ...; empty if it is not a VTK XML file."""
        found = re.search(rb"<VTKFile[^>]*?\btype\s*=\s*[\"'](\w+)[\"']", self.head)
        return found.group(1).decode("ascii") if found else ""

    @property
    def is_text(self) -> bool:
        text = self.head.decode("utf-8", errors="ignore")
        return len(text) > 0.9 * len(self.head) and all(
            c.isprintable() or c in "\ufeff\t\r\n" for c in text
        )

    def described(self) -> str:
        """What kind of file it seems to be, for messages."""
        if self.vtk_type:
            return f"found: VTK {self.vtk_type}"
        if self.head.startswith(b"CDF"):
            return "found: classic netCDF"
        if self.head.startswith(b"\x80") or b"torch" in self.head[:64]:
            return "found: possibly a pickle; pickles are never opened, save the array with numpy"
        if self.is_text:
            line = self.head.decode("utf-8", errors="ignore").splitlines()[0][:60]
            return f"found: text beginning with {line!r}"
        return f"found: bytes beginning with {self.head[:8].hex(' ')}"

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
        return digest.hexdigest()

    def check_size(self, shape: Sequence[int], itemsize: int = 1, what: str = "an array") -> None:
        """Refuse an array that is too large, before memory is allocated for it.

        Parameters
        ----------
        itemsize : int
            Bytes per value.

        Raises
        ------
        FileFormatError
            If it is larger than a landscape may be, or than this file can hold even compressed.
        """
        count = 1
        for length in shape:
            count *= int(length)
        size = " x ".join(map(str, shape))
        if count > LARGEST_ARRAY:
            raise FileFormatError(
                f"{self.path}: {what} of {size} values is larger than the limit of "
                f"{LARGEST_ARRAY:,} values; reduce the resolution, or select a part"
            )
        if count * itemsize > _LARGEST_COMPRESSION * self.size:
            raise FileFormatError(
                f"{self.path}: {what} of {size} values does not fit in a file of {self.size} "
                "bytes; the file is damaged"
            )

    def error(self, message: str) -> FileFormatError:
        return FileFormatError(f"{self.path}: {message}")

    def grid(self, counts: Sequence[int], bounds: Sequence[tuple[float, float]]) -> Grid:
        """A grid of what the file says.

        Raises
        ------
        FileFormatError
            If there is no such grid; with the file's name.
        """
        try:
            return Grid(tuple(counts), tuple(bounds))
        except LossLandscapeError as error:
            raise self.error(str(error)) from error


@dataclass
class Imported:
    """The result of a reader.

    Attributes
    ----------
    arrays : dict of name to ndarray, shape ``grid.shape``
        The arrays, under their names in the file.
    loss : str
        The name of the array that is the loss.
    titles : dict of name to str
        Titles of arrays, for axes and legends.
    not_evaluated : float, optional
        The value with which the format marks points that were not evaluated.
    status : int8 ndarray, shape ``grid.shape``, optional
        The status of each point, if the file has it.
    gram_matrix : ndarray, shape (dimensions, dimensions), optional
        Inner products of the directions, if known.
    plane : dict
        Entries for ``subspace`` in the provenance.
    details : dict
        Entries for ``imported`` in the provenance.
    notes : list of str
        Facts about the values that the user should know, one sentence each.
    """

    grid: Grid
    arrays: dict[str, np.ndarray]
    loss: str
    titles: dict[str, str] = field(default_factory=dict)
    not_evaluated: float | None = None
    status: np.ndarray | None = None
    gram_matrix: np.ndarray | None = None
    trajectories: list[ProjectedTrajectory] = field(default_factory=list)
    plane: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def landscape_of(
    found: Imported, source: Source, options: Options, format_name: str, tool: str, title: str
) -> Landscape:
    """Build the landscape; the loss is named ``loss``, the other arrays keep their names."""
    loss = _as_float64(found.arrays[found.loss], source, found.loss)
    mark = found.not_evaluated if options.not_evaluated is None else options.not_evaluated
    status = found.status
    if status is None:
        status = np.where(np.isfinite(loss), EVALUATED, NOT_FINITE).astype(np.int8)
    elif not np.isin(status, (0, 1, 2, 3)).all():
        raise source.error("its status has values other than 0, 1, 2 and 3")
    if mark is not None:
        marked = np.isnan(loss) if np.isnan(mark) else loss == mark
        status = np.where(marked, NOT_EVALUATED, status).astype(np.int8)
        loss = np.where(marked, np.nan, loss)
    fields, quantities = {"loss": loss}, {"loss": found.titles.get(found.loss, found.loss)}
    for name, values in found.arrays.items():
        if name != found.loss:
            plain = _plain_name(name, fields)
            fields[plain] = _as_float64(values, source, name)
            quantities[plain] = found.titles.get(name, name)
    dimensions = found.grid.dimensions
    unknown = np.full((dimensions, dimensions), np.nan)
    return Landscape(
        grid=found.grid,
        fields=fields,
        status=np.asarray(status, np.int8),
        gram_matrix=unknown if found.gram_matrix is None else found.gram_matrix,
        trajectories=found.trajectories,
        provenance={
            "title": title,
            "direction_names": list(found.grid.axis_names),
            "subspace": {"kind": "imported", **found.plane},
            "quantities": quantities,
            "imported": {
                "file": source.path.name,
                "sha256": source.sha256,
                "bytes": source.size,
                "format": format_name,
                "tool": tool,
                "array": found.loss,
                **found.details,
                "notes": found.notes,
            },
            "versions": {"losslandscape": __version__},
        },
    )


def in_order(
    axes: Sequence[np.ndarray], notes: list[str]
) -> tuple[list[np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Axes that fall, turned round; and a function that turns grid arrays (slowest axis first).

    Examples
    --------
    >>> notes = []
    >>> (alpha,), turned = in_order([np.array([1.0, 0.0, -1.0])], notes)
    >>> alpha, turned(np.array([3, 2, 1]))
    (array([-1.,  0.,  1.]), array([1, 2, 3]))
    >>> notes
    ['alpha falls in the file; it is put in rising order']
    """
    falling = [
        number
        for number, axis in enumerate(axes)
        if np.ndim(axis) == 1 and len(axis) > 1 and axis[0] > axis[-1]
    ]
    notes += [f"{AXIS_NAMES[i]} falls in the file; it is put in rising order" for i in falling]
    places = tuple(len(axes) - 1 - number for number in falling)
    ordered = [axis[::-1] if i in falling else axis for i, axis in enumerate(axes)]
    return ordered, lambda values: np.flip(values, places) if places else values


def grid_of(source: Source, axes: Sequence[np.ndarray], notes: list[str] | None = None) -> Grid:
    """The regular grid with the given coordinates, alpha first.

    Raises
    ------
    FileFormatError
        If an axis has fewer than 2 points, or they are not ascending and evenly spaced.
    """
    if not 1 <= len(axes) <= 3:
        raise source.error(f"has {len(axes)} axes; a landscape has 1, 2 or 3")
    bounds = []
    for name, axis in zip(AXIS_NAMES, axes):
        axis = np.asarray(axis, np.float64)
        if axis.ndim != 1 or axis.size < 2:
            raise source.error(
                f"its coordinates along {name} have shape {axis.shape}; 2 or more numbers are "
                "needed"
            )
        if not np.isfinite(axis).all():
            raise source.error(f"its coordinates along {name} are not all finite")
        if not axis[0] < axis[-1]:
            raise source.error(
                f"its coordinates along {name} go from {axis[0]:g} to {axis[-1]:g}; they must rise "
                "or fall"
            )
        even = source.grid((axis.size,), ((axis[0], axis[-1]),))
        away = abs(axis - even.axes()[0]) / even.spacing[0]
        if away.max() > _UNEVEN:
            worst = int(away.argmax())
            raise source.error(
                f"its coordinates along {name} are not evenly spaced: number {worst} is "
                f"{axis[worst]:.9g} instead of {even.axes()[0][worst]:.9g}; a landscape needs a "
                "regular grid"
            )
        if notes is not None and away.max() > 1e-9:
            notes.append(
                f"coordinates along {name} are those of an even grid, at most {away.max():.1g} "
                "cells from the file's"
            )
        bounds.append((float(axis[0]), float(axis[-1])))
    return source.grid([len(axis) for axis in axes], bounds)


def grid_from_bounds(
    source: Source, shape: Sequence[int], bounds: Sequence[tuple[float, float]] | None
) -> Grid:
    """The grid of an array (slowest axis first) with the given bounds (alpha first).

    Raises
    ------
    FileFormatError
        If the array does not have 1 to 3 axes of 2 or more points.
    LossLandscapeError
        If the bounds are missing, or their number differs from the number of axes.
    """
    words = " x ".join(map(str, shape))
    if not 1 <= len(shape) <= 3 or min(shape) < 2:
        raise source.error(
            f"its array has shape ({words}); a landscape has 1, 2 or 3 axes of 2 or more points"
        )
    if bounds is None:
        example = ",".join(["-1,1"] * len(shape))
        raise LossLandscapeError(
            f"{source.path}: has an array of {words} values without coordinates; give the ends of "
            f"each axis, alpha first, for example --bounds={example}"
        )
    if len(bounds) != len(shape):
        raise LossLandscapeError(
            f"{source.path}: {len(bounds)} pairs of bounds for an array of {len(shape)} axes "
            f"({words}); give one pair for each axis, alpha first"
        )
    return Grid.rectangle(tuple(shape)[::-1], bounds)  # the user's own, not the file's


def chosen(source: Source, names: Sequence[str], options: Options, usual: Sequence[str]) -> str:
    """The array that is the loss: the one named by the user, else a usual one, else the only one.

    Raises
    ------
    FileFormatError
        If none of these exists; the message lists the arrays that were found.
    """
    found = f"(found: {', '.join(names) or 'nothing'})"
    if options.array is not None:
        if options.array not in names:
            raise source.error(f"has no array '{options.array}' on the grid {found}")
        return options.array
    for name in usual:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    if not names:
        raise source.error(f"has no array of numbers on a grid {found}")
    raise source.error(f"has several arrays; name the loss with array= (--array) {found}")


def _as_float64(values: np.ndarray, source: Source, name: str) -> np.ndarray:
    """The same numbers as float64.

    Raises
    ------
    FileFormatError
        If they are not real numbers, or float64 cannot represent them exactly.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise source.error(f"'{name}' has type {values.dtype}, which is not real numbers")
    with np.errstate(all="ignore"):
        converted = values.astype(np.float64)
        back = converted.astype(values.dtype)
    # integers beyond 2**53 and long doubles may have no exact float64
    if not np.array_equal(back, values, equal_nan=values.dtype.kind == "f"):
        raise source.error(
            f"'{name}' ({values.dtype}) has values that float64 cannot represent; convert it first"
        )
    return converted


def _plain_name(name: str, others: Collection[str]) -> str:
    """A unique name for the file, of letters, digits and ``_``."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "values"
    if plain[0].isdigit() or plain in _TAKEN or re.match(r"(trajectory|model)_", plain):
        plain = f"imported_{plain}"
    while plain in others:
        plain += "_"
    return plain
