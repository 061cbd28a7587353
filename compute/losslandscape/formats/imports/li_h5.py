"""HDF5 files of Li et al.'s program (``loss-landscape``): surface, directions, trajectory.

A surface has ``xcoordinates``, ``ycoordinates`` (2-D only), ``dir_file`` and, for each quantity, an
array of shape (x, y) that is initialized with -1. The program numbers the points with x fastest
and writes point n to the n-th element of that array. If the sides are unequal, the array is
therefore the grid (y, x) in the wrong shape; it is read in its flat order.

HDF5 is read with h5py, not netCDF4, which follows external storage into other files and crashes on
some valid files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.formats.imports.source import (
    Imported,
    Options,
    Source,
    chosen,
    grid_from_bounds,
    grid_of,
    in_order,
)
from losslandscape.landscape.overlays import ProjectedTrajectory

TOOL = "loss-landscape (Li et al. 2018)"
OPTIONS = ("array", "bounds", "directions", "trajectory")
NOT_CALCULATED = -1.0
_TITLES = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_acc": "training accuracy (%)",
    "test_acc": "test accuracy (%)",
}
_MARKED = re.compile(r"(_loss|_acc|^loss_vals)$")  # quantities that cannot be -1 themselves


def recognizes(source: Source) -> bool:
    return source.is_hdf5


def read(source: Source, options: Options) -> Imported:
    with _opened(source) as file:
        _check_is_surface(file, source)
        axes = [
            _array(file, name, source) for name in ("xcoordinates", "ycoordinates") if name in file
        ]
        notes: list[str] = []
        axes, turned = in_order(axes, notes if options.bounds is None else [])
        grid = grid_of(source, axes, notes)
        if options.bounds is not None:
            grid = grid_from_bounds(source, grid.shape, options.bounds)
        arrays, left_out = {}, []
        for name in file:
            if name in ("xcoordinates", "ycoordinates", "dir_file"):
                continue
            if _is_numeric(file, name) and file[name].shape == grid.counts:
                # in the order of the point numbers, see above
                values = _array(file, name, source).reshape(grid.shape)
                arrays[name] = turned(values) if options.bounds is None else values
            else:
                left_out.append(name)
        details = _directions_named(file, source)
    if left_out:
        notes.append(f"left out, not on the grid: {', '.join(left_out)}")
    loss = chosen(source, list(arrays), options, ("train_loss", "test_loss", "loss_vals"))
    for name, values in arrays.items():
        if name != loss and _MARKED.search(name):
            arrays[name] = np.where(values == NOT_CALCULATED, np.nan, values)
    if grid.dimensions == 2 and grid.counts[0] != grid.counts[1]:
        notes.append(
            "a rectangle of unequal sides: taken in the order in which the program evaluates, not "
            "in the shape it writes"
        )
    gram = None
    if options.directions is not None:
        directions = Source(Path(options.directions))
        gram = _gram_matrix(directions, grid.dimensions)
        details["directions"] = {"file": directions.path.name, "sha256": directions.sha256}
    trajectories: list[ProjectedTrajectory] = []
    if options.trajectory is not None:
        projected = Source(Path(options.trajectory))
        trajectories, note = _trajectory(projected, grid.dimensions, gram)
        notes.append(note)
        details["trajectory"] = {"file": projected.path.name, "sha256": projected.sha256}
    return Imported(
        grid,
        arrays,
        loss,
        titles=_TITLES,
        not_evaluated=NOT_CALCULATED,
        gram_matrix=gram,
        trajectories=trajectories,
        details=details,
        notes=notes,
    )


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    """Open the file; any error of HDF5 becomes one message."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise LossLandscapeError(
            f"{source.path}: reading HDF5 files needs h5py: pip install h5py"
        ) from error
    if not source.is_hdf5:
        raise source.error(f"not an HDF5 file ({source.described()})")
    try:
        with h5py.File(source.path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise source.error(f"damaged or truncated HDF5 file ({error})") from error


def _own(group, name: str):
    """The group or dataset of this name; None if there is none, or it is a link."""
    import h5py

    linked = not isinstance(group.get(name, getlink=True), h5py.HardLink)
    return None if linked else group.get(name)  # a link can point to another file


def _is_numeric(group, name: str) -> bool:
    """Whether there is an array of numbers with this name."""
    import h5py

    dataset = _own(group, name)
    return isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "fiu"


def _array(group, name: str, source: Source) -> np.ndarray:
    """Read an array of numbers; its size is checked before memory is allocated.

    Raises
    ------
    FileFormatError
        If it is not an array of numbers, is too large, or is stored in another file.
    """
    if not _is_numeric(group, name):
        raise source.error(f"'{name}' is not an array of numbers in this file")
    dataset = group[name]
    if dataset.external or dataset.is_virtual:
        raise source.error(
            f"'{name}' is stored in another file, which was not opened; copy it into this file"
        )
    source.check_size(dataset.shape, dataset.dtype.itemsize, f"'{name}'")
    return np.asarray(dataset[()])


def _check_is_surface(file, source: Source) -> None:
    names = list(file)
    if "xcoordinates" in names:
        return
    found = f"(found: {', '.join(names) or 'nothing'})"
    if "proj_xcoord" in names:
        raise source.error(
            "contains a projected trajectory, but no loss surface: import the surface file, and "
            "give this file as its trajectory (--trajectory)"
        )
    if "xdirection" in names:
        raise source.error(
            "contains directions, but no loss surface: import the surface file, and give this "
            "file as its directions (--directions)"
        )
    if {"provenance", "status", "alpha"} <= set(names):
        raise source.error("is already a landscape file; there is nothing to import")
    raise source.error(f"has no xcoordinates, so it is not a surface of {TOOL} {found}")


def _directions_named(file, source: Source) -> dict[str, Any]:
    """The name of the direction file in the surface file, without its folders."""
    import h5py

    dataset = _own(file, "dir_file")
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != () or dataset.external:
        return {}
    source.check_size((dataset.dtype.itemsize,), what="'dir_file'")
    value = dataset[()]
    name = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return {"dir_file": re.split(r"[/\\]", name)[-1]}


def _gram_matrix(source: Source, dimensions: int) -> np.ndarray:
    """Inner products of the directions in a direction file, float64, shape (dimensions,) * 2.

    Scalar entries, which are counters of batch norm, are left out, as in the program's projections.
    """
    import h5py

    names = ("xdirection", "ydirection")[:dimensions]
    with _opened(source) as file:
        for name in names:
            if not isinstance(_own(file, name), h5py.Group):
                raise source.error(
                    f"not the direction file of a {dimensions}-D surface: {name} is missing "
                    f"(found: {', '.join(file) or 'nothing'})"
                )
        gram = np.zeros((dimensions, dimensions))
        for part in file[names[0]]:
            vectors = []
            for name in names:
                if part not in file[name]:
                    raise source.error(f"{names[0]} has an entry {part}, but {name} has none")
                vectors.append(_array(file[name], part, source).astype(np.float64))
            if len({vector.shape for vector in vectors}) != 1:
                raise source.error(f"entry {part} has another shape in each direction")
            if vectors[0].ndim:
                stacked = np.stack([vector.ravel() for vector in vectors])
                gram += stacked @ stacked.T
    return gram


def _trajectory(
    source: Source, dimensions: int, gram: np.ndarray | None
) -> tuple[list[ProjectedTrajectory], str]:
    """A projected trajectory, in multiples of the directions, and a note on its conversion."""
    names = ("proj_xcoord", "proj_ycoord")
    if dimensions != 2:
        raise source.error("a projected trajectory needs a 2-D surface, but this one has 1 axis")
    with _opened(source) as file:
        for name in names:
            if name not in file:
                raise source.error(
                    f"not a projected trajectory: {name} is missing "
                    f"(found: {', '.join(file) or 'nothing'})"
                )
        columns = [_array(file, name, source) for name in names]
    if columns[0].ndim != 1 or columns[0].shape != columns[1].shape or not columns[0].size:
        raise source.error(f"its coordinates have shapes {columns[0].shape} and {columns[1].shape}")
    coordinates = np.stack(columns, axis=1).astype(np.float64)
    count = len(coordinates)
    if source.path.name.endswith("_lstsq.h5"):
        note = "trajectory: multiples of the directions, as in its file"
    elif gram is None:
        note = (
            "trajectory: lengths along the directions, as in its file, which are coordinates where "
            "the directions are orthogonal and of length 1 (principal components); name the "
            "direction file where they are not"
        )
    else:
        # the file has l_i = <p, d_i> / |d_i|; the orthogonal projection of p solves G a = <p, d_i>
        try:
            coordinates = np.linalg.solve(gram, (coordinates * np.sqrt(np.diag(gram))).T).T
        except np.linalg.LinAlgError as error:
            raise source.error("its directions are parallel, so they span no plane") from error
        note = (
            "trajectory: coordinates of the orthogonal projections, from the lengths in its file "
            "and the inner products of the directions"
        )
    unknown = np.full(count, np.nan)
    projected = ProjectedTrajectory(
        label=os.path.splitext(source.path.name)[0],
        step=np.arange(count, dtype=np.float64),
        coordinates=coordinates,
        loss=unknown,
        checkpoint_loss=unknown.copy(),
        distance_to_plane=unknown.copy(),
    )
    return [projected], note + "; its losses and steps are not in the file"
