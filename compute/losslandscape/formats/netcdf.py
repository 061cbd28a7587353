"""The landscape file in netCDF-4; ``docs/file_format.md`` describes it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape import __version__
from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.file_kinds import LANDSCAPE_ENDINGS, is_utf8
from losslandscape.files.outputs import OutputFile, claimed
from losslandscape.formats import file_seal, guarded_netcdf
from losslandscape.formats.content_stream import Variable
from losslandscape.formats.netcdf_content import CHECKSUM, content_sha256
from losslandscape.landscape.consistency import wrong_provenance
from losslandscape.landscape.landscape import FORMAT_VERSION, Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.landscape.overlays import ModelPoint, ProjectedTrajectory, array_names
from losslandscape.planes.grid import AXIS_NAMES, Grid
from losslandscape.public_calls import public

_NAME = re.compile(r"\w[^/\x00-\x1f\x7f]*(?<! )")  # of netCDF, and of at most 256 bytes
_NAME_BYTES = 256
# VTK's own netCDF reader sorts names, and reads first what has the dimensions of the first one.
_GRAM_MATRIX = "subspace_gram_matrix"  # after "loss"
_FORMER_GRAM_MATRIX = "gram_matrix"
_STATUS = ("not_evaluated", "evaluated", "interpolated", "evaluated_and_not_finite")  # 0, 1, 2, 3
_TRAJECTORY_FIELDS = {
    "step": "training step",
    "loss": "loss at the projection",
    "checkpoint_loss": "loss of the checkpoint",
    "distance_to_plane": "distance from the checkpoint to its projection, in parameter space",
}


def save(landscape: Landscape, path: str | os.PathLike, overwrite: bool = False) -> None:
    """Write a landscape file atomically, and set the landscape's path.

    Raises
    ------
    OutputExistsError
        If the file exists and ``overwrite`` is not set.
    LossLandscapeError
        If the file cannot be written, or another process is writing it.
    """
    with claimed(OutputFile(Path(path), overwrite, name_endings=LANDSCAPE_ENDINGS)):
        write(landscape, path)
    landscape.path = Path(path)


@public()
def write(landscape: LandscapeOrPath, path: str | os.PathLike) -> None:
    """Write a landscape file atomically, with its checksums.

    Raises
    ------
    LossLandscapeError
        If the file cannot be written.
    """
    landscape = opened(landscape)
    check_attributes(landscape.provenance)
    import netCDF4  # only for writing: a child process reads files of unknown origin

    with replace_file(path) as temporary:
        try:
            with netCDF4.Dataset(temporary, "w") as dataset:
                fill(dataset, landscape)
                dataset.setncattr(CHECKSUM, content_sha256(dataset))
            file_seal.seal(temporary)
        except RuntimeError as error:  # of libhdf5
            raise LossLandscapeError(f"{path}: cannot be written ({error})") from error
    guarded_netcdf.remember_own(Path(path))


def fill(dataset, landscape: Landscape) -> None:
    """Write the contents of a landscape to an empty netCDF4.Dataset, or an equivalent object."""
    _write_grid(dataset, landscape)
    _write_samples(dataset, landscape)
    _write_models(dataset, landscape)
    _write_trajectories(dataset, landscape)
    _write_provenance(dataset, landscape.description())


def _variable(dataset, name, dimensions, values, long_name="", compress=False):
    values = np.asarray(values)
    variable = dataset.createVariable(
        name, values.dtype, dimensions, zlib=compress, complevel=4, shuffle=compress,
        fletcher32=True, fill_value=False,
    )  # fmt: skip
    variable.units = "1"
    if long_name:
        variable.long_name = long_name
    variable[...] = values
    return variable


def _write_grid(dataset, landscape: Landscape) -> None:
    grid = landscape.grid
    names = landscape.provenance.get("direction_names", grid.axis_names)
    for axis, title, values in zip(grid.axis_names, names, grid.axes()):
        dataset.createDimension(axis, len(values))
        _variable(dataset, axis, (axis,), values, f"coordinate along direction {title}")
    dimensions = grid.axis_names[::-1]
    titles = landscape.provenance.get("quantities", {})
    for name, values in landscape.fields.items():
        _variable(dataset, name, dimensions, values.astype(np.float64), titles.get(name, name))
    status = _variable(
        dataset, "status", dimensions, landscape.status.astype(np.int8),
        "0 not evaluated, 1 evaluated, 2 interpolated, 3 evaluated and not finite",
    )  # fmt: skip
    status.flag_values = np.arange(len(_STATUS), dtype=np.int8)
    status.flag_meanings = " ".join(_STATUS)
    for dimension in ("direction", "other_direction"):
        dataset.createDimension(dimension, grid.dimensions)
    _variable(
        dataset, _GRAM_MATRIX, ("direction", "other_direction"), landscape.gram_matrix,
        "inner products of the directions",
    )  # fmt: skip


def _write_samples(dataset, landscape: Landscape) -> None:
    for name, values in landscape.samples.items():
        dimension = name.replace("loss_samples", "sample")
        dataset.createDimension(dimension, values.shape[-1])
        dimensions = (*landscape.grid.axis_names[::-1], dimension)
        _variable(dataset, name, dimensions, values.astype(np.float32), "loss by sample", True)


def _write_models(dataset, landscape: Landscape) -> None:
    if not landscape.models:
        return
    dataset.createDimension("model", len(landscape.models))
    for i, axis in enumerate(landscape.grid.axis_names):
        coordinates = np.array([model.coordinates[i] for model in landscape.models])
        _variable(dataset, f"model_{axis}", ("model",), coordinates)
    losses = np.array([model.loss for model in landscape.models])
    _variable(dataset, "model_loss", ("model",), losses, "loss of the labelled models")
    own = [model.own_loss for model in landscape.models]
    if any(loss is not None for loss in own):
        values = np.array([np.nan if loss is None else loss for loss in own])
        title = "loss of the labelled models with all their own tensors"
        _variable(dataset, "model_own_loss", ("model",), values, title)


def _write_trajectories(dataset, landscape: Landscape) -> None:
    trajectories = landscape.trajectories
    if not trajectories:
        return
    dataset.createDimension("step", sum(len(t.step) for t in trajectories))
    index = np.repeat(
        np.arange(len(trajectories), dtype=np.int32), [len(t.step) for t in trajectories]
    )
    _variable(dataset, "trajectory_index", ("step",), index, "trajectory of this row")
    coordinates = np.concatenate([t.coordinates for t in trajectories])
    for i, axis in enumerate(landscape.grid.axis_names):
        _variable(dataset, f"trajectory_{axis}", ("step",), coordinates[:, i])
    for name, long_name in _TRAJECTORY_FIELDS.items():
        values = np.concatenate([getattr(t, name) for t in trajectories]).astype(np.float64)
        _variable(dataset, f"trajectory_{name}", ("step",), values, long_name)
    for name in array_names(trajectories):
        values = np.concatenate([t.array(name) for t in trajectories]).astype(np.float64)
        _variable(dataset, f"trajectory_{name}", ("step",), values, name.replace("_", " "))


def check_attributes(provenance: Mapping[str, Any]) -> None:
    """Check that the entries of a provenance can be stored.

    Raises
    ------
    LossLandscapeError
        If a name, or the title or command, is not one that netCDF can hold.

    Examples
    --------
    >>> check_attributes({"a/b": 1})
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: provenance entry 'a/b': the name must be text in UTF-8
    of at most 256 bytes that begins with a letter, a digit or _, and has no '/'
    """
    for key in provenance:
        if not (isinstance(key, str) and is_utf8(key) and _NAME.fullmatch(key)) or (
            len(key.encode()) > _NAME_BYTES
        ):
            raise LossLandscapeError(
                f"provenance entry {key!r}: the name must be text in UTF-8 of at most "
                f"{_NAME_BYTES} bytes that begins with a letter, a digit or _, and has no '/'"
            )
    for key in ("title", "command"):
        text = provenance.get(key, "")
        if not (isinstance(text, str) and is_utf8(text) and "\0" not in text):
            raise LossLandscapeError(
                f"{key} {text!r}: must be text in UTF-8, without null characters"
            )


def _write_provenance(dataset, provenance: dict[str, Any]) -> None:
    text = json.dumps(provenance, ensure_ascii=True).encode("ascii")
    dataset.createDimension("provenance_length", len(text))
    variable = dataset.createVariable(
        "provenance", "S1", ("provenance_length",), fletcher32=True, fill_value=False
    )
    variable[:] = np.frombuffer(text, dtype="S1")
    dataset.Conventions = "CF-1.10"
    dataset.title = provenance.get("title", "")
    dataset.source = f"losslandscape {__version__}"
    dataset.history = provenance.get("command", "")
    for key, value in provenance.items():
        if key not in ("title", "command"):
            dataset.setncattr(key, json.dumps(value))


@public()
def read(path: str | os.PathLike) -> Landscape:
    """Read a landscape file; its origin may be unknown.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or not a landscape file; the message says which.
    """
    path = Path(path)
    return landscape_of(guarded_netcdf.read(path), path)


def landscape_of(variables: dict[str, Variable], path: Path) -> Landscape:
    """Build the landscape from a file's variables.

    Raises
    ------
    FileFormatError
        If they are inconsistent.
    """
    try:
        return _landscape(variables, path)
    except FileFormatError:
        raise
    except (
        LossLandscapeError, KeyError, TypeError, ValueError, IndexError, AttributeError,
        OverflowError,
    ) as error:  # fmt: skip
        raise FileFormatError(
            f"{path}: not a landscape file, or a damaged one ({type(error).__name__}: {error})"
        ) from error


def _landscape(variables: dict[str, Variable], path: Path) -> Landscape:
    for needed in ("loss", "status", "alpha", "provenance"):
        if needed not in variables:
            raise FileFormatError(
                f"{path}: variable '{needed}' is missing; is it a losslandscape file? "
                f"(found: {', '.join(variables) or 'nothing'})"
            )
    provenance = _provenance(variables["provenance"].values, path)
    dimensions = variables["loss"].dimensions
    axes = AXIS_NAMES[: len(dimensions)]
    if dimensions != axes[::-1]:
        raise FileFormatError(f"{path}: 'loss' has dimensions {dimensions}, not {axes[::-1]}")
    grid = _grid(variables, axes, provenance, path)
    fields, samples = {}, {}
    for name, variable in variables.items():
        if name in (*axes, "status") or variable.values.dtype.kind not in "fiu":
            continue
        if variable.dimensions == dimensions:
            fields[name] = variable.values
        elif variable.dimensions[: len(dimensions)] == dimensions:
            samples[name] = variable.values
    if variables["status"].dimensions != dimensions:
        raise FileFormatError(f"{path}: 'status' is not on the grid")
    gram_matrix = np.full((grid.dimensions,) * 2, np.nan)
    for name in (_GRAM_MATRIX, _FORMER_GRAM_MATRIX):
        if name in variables:
            gram_matrix = variables[name].values.reshape(gram_matrix.shape)
            break
    return Landscape(
        grid=grid,
        fields=fields,
        status=variables["status"].values,
        gram_matrix=gram_matrix,
        provenance=provenance,
        samples=samples,
        models=_read_models(variables, axes, provenance),
        trajectories=_read_trajectories(variables, axes, provenance),
        path=path,
    )


def _provenance(characters: np.ndarray, path: Path) -> dict[str, Any]:
    try:
        provenance = json.loads(characters.tobytes().decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: its provenance is not JSON ({error})") from error
    if not isinstance(provenance, dict):
        raise FileFormatError(f"{path}: its provenance is not a JSON object")
    if wrong := wrong_provenance(provenance):
        raise FileFormatError(f"{path}: {wrong}")
    if provenance.get("format_version", 0) > FORMAT_VERSION:
        raise FileFormatError(
            f"{path}: format version {provenance['format_version']} is newer than the version "
            f"that this program reads ({FORMAT_VERSION}); update losslandscape"
        )
    return provenance


def _grid(variables, axes, provenance, path: Path) -> Grid:
    for axis in axes:
        if variables[axis].dimensions != (axis,):
            raise FileFormatError(f"{path}: coordinate '{axis}' has another dimension")
    coordinates = [variables[axis].values.astype(np.float64) for axis in axes]
    try:
        if "grid" in provenance:
            grid = Grid.from_json(provenance["grid"])
        else:
            ends = tuple((c[0], c[-1]) for c in coordinates)
            grid = Grid(tuple(len(c) for c in coordinates), ends)
    except LossLandscapeError as error:
        raise FileFormatError(f"{path}: {error}") from error
    shape = variables["loss"].values.shape
    if grid.shape != shape:
        raise FileFormatError(f"{path}: 'loss' has shape {shape}, but its grid has {grid.shape}")
    for axis, found, expected, step in zip(axes, coordinates, grid.axes(), grid.spacing):
        if not np.allclose(found, expected, rtol=0, atol=1e-6 * step):
            raise FileFormatError(f"{path}: coordinate '{axis}' differs from the grid's")
    return grid


def _read_models(variables, axes, provenance) -> list[ModelPoint]:
    if "model_loss" not in variables:
        return []
    coordinates = np.stack([variables[f"model_{axis}"].values for axis in axes], axis=1)
    labels = _labels(provenance.get("models"), len(coordinates), "model")
    losses = variables["model_loss"].values
    own: list[float | None] = [None] * len(labels)
    if "model_own_loss" in variables:
        own = [float(loss) for loss in variables["model_own_loss"].values]
    return [
        ModelPoint(label, tuple(map(float, row)), float(loss), own_loss)
        for label, row, loss, own_loss in zip(labels, coordinates, losses, own, strict=True)
    ]


def _read_trajectories(variables, axes, provenance) -> list[ProjectedTrajectory]:
    if "trajectory_index" not in variables:
        return []
    index = variables["trajectory_index"].values
    if not len(index) or index.min() < 0 or index.max() >= len(index):
        raise ValueError("'trajectory_index' is not 0, 1, ... with at least one row each")
    coordinates = np.stack([variables[f"trajectory_{axis}"].values for axis in axes], axis=1)
    columns = {name: variables[f"trajectory_{name}"].values for name in _TRAJECTORY_FIELDS}
    labels = _labels(provenance.get("trajectories"), index.max() + 1, "trajectory")
    known = {"index", *axes, *columns}
    further = {
        name.removeprefix("trajectory_"): variable.values
        for name, variable in variables.items()
        if name.startswith("trajectory_")
        and name.removeprefix("trajectory_") not in known
        and variable.dimensions == ("step",)
        and variable.values.dtype.kind in "fiu"
    }
    return [
        ProjectedTrajectory(
            label=label,
            coordinates=coordinates[index == i],
            arrays={
                name: column[index == i]
                for name, column in further.items()
                if not np.isnan(column[index == i]).all()  # those of another trajectory
            },
            **{name: column[index == i] for name, column in columns.items()},
        )
        for i, label in enumerate(labels)
    ]


def _labels(found: Any, count: int, what: str) -> list[str]:
    if isinstance(found, list) and len(found) == count:
        return [str(label) for label in found]
    return [f"{what} {i}" for i in range(count)]
