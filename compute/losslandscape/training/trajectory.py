"""The training trajectory: the model's parameters, recorded during training.

A trajectory is a folder. ``trajectory.json`` lists the checkpoints; each checkpoint is one
safetensors file with all parameters and buffers. Both are written atomically, the file before the
list, so a training run that is killed leaves a trajectory that can be opened.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.atomic_files import make_folder, replace_file
from losslandscape.files.guarded_reading import file_inside, read_json_object
from losslandscape.training.weights import buffer_tensors, parameter_tensors, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

PathLike = Union[str, "os.PathLike[str]"]

MANIFEST = "trajectory.json"
_FORMAT, _VERSION = "losslandscape trajectory", 1


class Block(NamedTuple):
    """A piece of one parameter tensor at every checkpoint."""

    name: str
    start: int  # first index in the flattened (row-major) tensor
    stop: int  # one past the last index
    values: np.ndarray  # float64, shape (checkpoints, stop - start)


class TrajectoryRecorder:
    """Records a model's parameters and buffers from any training loop.

    Parameters
    ----------
    model
        The model being trained. Tied parameters are stored once.
    path
        The trajectory's folder, created with its parents.
    overwrite
        Replace an existing trajectory.
    resume
        Continue an existing trajectory (or start one). Checkpoints recorded after the step from
        which training resumes are dropped by `resume_from`; without it, the first `record` drops
        those at its own step and later.

    Raises
    ------
    OutputExistsError
        If there is a trajectory at `path` and neither `overwrite` nor `resume` was given.
    LossLandscapeError
        If the folder cannot be written, or the trajectory to resume belongs to another model.

    Examples
    --------
    >>> import tempfile, torch
    >>> model = torch.nn.Linear(2, 1)
    >>> folder = tempfile.mkdtemp() + "/trajectory"
    >>> with TrajectoryRecorder(model, folder) as recorder:
    ...     recorder.record(0, loss=0.7)
    ...     recorder.record(1, loss=0.5)
    >>> Trajectory.open(folder).numbers("loss")
    array([0.7, 0.5])
    """

    def __init__(
        self, model: "nn.Module", path: PathLike, *, overwrite: bool = False, resume: bool = False
    ) -> None:
        if overwrite and resume:
            raise LossLandscapeError("overwrite and resume exclude each other; give one of them")
        self.path = Path(path)
        self._model = model
        self._checkpoints: list[dict[str, Any]] = []
        self._resumed = False
        self._closed = False
        self._parameters = _descriptions(parameter_tensors(model))
        self._buffers = _descriptions(buffer_tensors(model))

        make_folder(self.path)
        existing = sorted(self.path.glob("checkpoint_*.safetensors"))
        if (self.path / MANIFEST).exists() or existing:
            if resume:
                self._take_up()
            elif not overwrite:
                raise OutputExistsError(
                    f"{self.path}: already contains a trajectory; pass overwrite=True to replace "
                    "it or resume=True to continue it, or choose another folder"
                )
        self._write_manifest()
        self._remove_unlisted()

    def __enter__(self) -> "TrajectoryRecorder":
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._closed = True
        if isinstance(error, KeyboardInterrupt) and self._checkpoints:
            count = len(self._checkpoints)
            error.args = (  # shown as the last line of the traceback
                f"{self.path} contains {count} checkpoint{'s' * (count != 1)}; to continue "
                "training from one, use TrajectoryRecorder(..., resume=True)",
            )

    def record(self, step: float, **numbers: float) -> None:
        """Save the current parameters and buffers as a checkpoint.

        Parameters
        ----------
        step
            An epoch or optimizer step; steps must be ascending.
        **numbers
            Scalars that belong to this checkpoint, such as ``loss=0.3``. NaN and infinities are
            stored as they are.

        Raises
        ------
        LossLandscapeError
            If `step` is not finite or not after the previous one, the shape of a parameter has
            changed, the disk is full, or the recorder's ``with`` block has ended.
        """
        if self._closed:
            raise LossLandscapeError(
                f"{self.path}: the recorder is closed; call record() inside its 'with' block"
            )
        step = float(step)
        if not math.isfinite(step):
            raise LossLandscapeError(f"{self.path}: step {step} is not a finite number")
        if self._resumed:
            self.resume_from(step)
        if self._checkpoints and step <= self._checkpoints[-1]["step"]:
            raise LossLandscapeError(
                f"{self.path}: step {step:g} is not after step "
                f"{self._checkpoints[-1]['step']:g}, which was recorded last; steps must be "
                "ascending"
            )
        parameters, buffers = parameter_tensors(self._model), buffer_tensors(self._model)
        self._require_same(self._parameters, _descriptions(parameters))
        self._require_same(self._buffers, _descriptions(buffers))

        file = self.path / f"checkpoint_{len(self._checkpoints):06d}.safetensors"
        save_weights({**parameters, **buffers}, file)
        self._checkpoints.append(
            {
                "step": step,
                "file": file.name,
                "bytes": file.stat().st_size,
                "sha256": _sha256(file),
                "numbers": _numbers_to_json(numbers),
            }
        )
        self._write_manifest()

    def add_numbers(self, **numbers: float) -> None:
        """Add scalars to the last checkpoint, such as a validation loss that was computed later.

        Raises
        ------
        LossLandscapeError
            If there is no checkpoint yet, or the recorder's ``with`` block has ended.

        Examples
        --------
        >>> import tempfile, torch
        >>> folder = tempfile.mkdtemp() + "/trajectory"
        >>> with TrajectoryRecorder(torch.nn.Linear(2, 1), folder) as recorder:
        ...     recorder.record(0)
        ...     recorder.add_numbers(loss=0.7)
        >>> Trajectory.open(folder).numbers("loss")
        array([0.7])
        """
        if self._closed or not self._checkpoints:
            state = "is closed" if self._closed else "has no checkpoint yet"
            raise LossLandscapeError(
                f"{self.path}: the recorder {state}; add_numbers() adds to the last checkpoint"
            )
        self._checkpoints[-1]["numbers"].update(_numbers_to_json(numbers))
        self._write_manifest()

    def resume_from(self, step: float) -> None:
        """Drop the checkpoints at `step` and later, because training resumes before them."""
        self._resumed = False
        kept = [checkpoint for checkpoint in self._checkpoints if checkpoint["step"] < step]
        if len(kept) < len(self._checkpoints):
            self._checkpoints = kept
            self._write_manifest()
            self._remove_unlisted()

    def _take_up(self) -> None:
        if not (self.path / MANIFEST).exists():
            return  # the earlier run was killed while writing its first checkpoint
        before = Trajectory.open(self.path)
        self._checkpoints = before._checkpoints
        self._resumed = True
        self._require_same(before._parameters, self._parameters)
        self._require_same(before._buffers, self._buffers)

    def _require_same(self, expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
        if difference := _first_difference(expected, found):
            raise LossLandscapeError(
                f"{self.path}: {difference}; a trajectory belongs to one model: record another "
                "model in another folder"
            )

    def _write_manifest(self) -> None:
        manifest = {
            "format": _FORMAT,
            "format_version": _VERSION,
            "parameters": self._parameters,
            "buffers": self._buffers,
            "checkpoints": self._checkpoints,
        }
        manifest["sha256"] = _manifest_sha256(manifest)
        with replace_file(self.path / MANIFEST) as temporary:
            temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def _remove_unlisted(self) -> None:
        listed = {checkpoint["file"] for checkpoint in self._checkpoints}
        for file in self.path.glob("checkpoint_*.safetensors"):
            if file.name not in listed:
                file.unlink()
        for file in self.path.glob(".*.partial"):  # left by a killed process
            file.unlink()


class Trajectory:
    """A recorded trajectory; open one with `Trajectory.open`.

    Attributes
    ----------
    path
        The folder.
    steps
        The recorded steps, float64, shape (checkpoints,), ascending.
    parameter_names, shapes
        The parameters' names in the model's order, and a dictionary name -> shape.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self._parameters: list[dict[str, Any]] = manifest["parameters"]
        self._buffers: list[dict[str, Any]] = manifest["buffers"]
        self._checkpoints: list[dict[str, Any]] = manifest["checkpoints"]
        self._files = [
            file_inside(path, entry["file"], path / MANIFEST) for entry in self._checkpoints
        ]
        self._unchanged: dict[int, tuple[int, ...]] = {}  # checkpoint -> its file when checked
        self.steps = np.array([entry["step"] for entry in self._checkpoints], dtype=np.float64)
        self.parameter_names: list[str] = [entry["name"] for entry in self._parameters]
        self.shapes: dict[str, tuple[int, ...]] = {
            entry["name"]: tuple(entry["shape"]) for entry in self._parameters
        }

    @classmethod
    def open(cls, path: PathLike) -> "Trajectory":
        """Open a folder written by `TrajectoryRecorder`, even while it is still being written.

        The size of every checkpoint, and the names and shapes of its tensors, are compared with
        the list. Values are read, and the file's checksum is compared, on first access.

        Raises
        ------
        FileFormatError
            If the folder or its ``trajectory.json`` is missing, damaged or of another format, it
            names a file outside the folder, or a checkpoint is missing or damaged (the message
            names it).
        """
        folder = Path(path)
        if not folder.is_dir():
            raise FileFormatError(f"{folder}: no such folder; a recorded trajectory is expected")
        trajectory = cls(folder, _read_manifest(folder / MANIFEST))
        for index in range(len(trajectory)):
            trajectory._check(index)
        return trajectory

    def __len__(self) -> int:
        return len(self._checkpoints)

    @property
    def identity(self) -> str:
        """SHA-256 of the steps, the checkpoints' checksums and their scalars."""
        return hashlib.sha256(json.dumps(self._checkpoints).encode()).hexdigest()

    def __repr__(self) -> str:
        return (
            f"<Trajectory {str(self.path)!r}: {len(self)} checkpoints, "
            f"{sum(map(math.prod, self.shapes.values())):,} parameters>"
        )

    def numbers(self, name: str) -> np.ndarray:
        """A recorded scalar, float64, shape (checkpoints,); NaN where it was not recorded.

        Raises
        ------
        LossLandscapeError
            If no checkpoint has it; the message lists the recorded names.
        """
        values = [entry["numbers"].get(name) for entry in self._checkpoints]
        if all(value is None for value in values):
            known = sorted({key for entry in self._checkpoints for key in entry["numbers"]})
            raise LossLandscapeError(
                f"{self.path}: no scalar called {name!r} was recorded; "
                f"recorded: {', '.join(known) or 'none'}"
            )
        return np.array([math.nan if value is None else float(value) for value in values])

    def parameters(self, index: int) -> "dict[str, Tensor]":
        """The parameters at checkpoint `index`, in the model's order.

        A negative `index` counts from the end.
        """
        return self._tensors(index, self.parameter_names)

    def buffers(self, index: int) -> "dict[str, Tensor]":
        """The buffers at checkpoint `index`, such as batch norm's running statistics."""
        return self._tensors(index, [entry["name"] for entry in self._buffers])

    def block(self, name: str, start: int, stop: int, index: int) -> np.ndarray:
        """Part of one parameter at one checkpoint; the rest of it is not read.

        Parameters
        ----------
        start, stop
            Range in the flattened (row-major) tensor.

        Returns
        -------
        float64 array of shape (stop - start,)

        Raises
        ------
        LossLandscapeError
            If there is no such parameter, or the range is empty or not inside it.
        """
        if name not in self.shapes:
            raise LossLandscapeError(f"{self.path}: has no parameter {name!r}")
        size = math.prod(self.shapes[name])
        if not 0 <= start < stop <= size:
            raise LossLandscapeError(
                f"{self.path}: range {start}:{stop} is not inside parameter {name!r} "
                f"of {size} values"
            )
        with self._reading(index) as file:
            piece = _flat_range(file, name, self.shapes[name], start, stop)
            return piece.to(torch.float64, copy=True).numpy()  # not a view of the mapped file

    def blocks(self, max_bytes: int = 64 * 2**20) -> Iterator[Block]:
        """Iterate over all parameters at all checkpoints in blocks, in bounded memory.

        A block takes at most `max_bytes` bytes, but holds at least one value per checkpoint.
        Together the blocks cover every parameter once, in the model's order. The principal
        components of a trajectory need only sums over such blocks, so the model can be of any size.

        Examples
        --------
        >>> import tempfile, torch
        >>> folder = tempfile.mkdtemp() + "/trajectory"
        >>> model = torch.nn.Linear(3, 2)
        >>> with TrajectoryRecorder(model, folder) as recorder:
        ...     recorder.record(0)
        ...     recorder.record(1)
        >>> [(b.name, b.start, b.stop) for b in Trajectory.open(folder).blocks(max_bytes=48)]
        [('weight', 0, 3), ('weight', 3, 6), ('bias', 0, 2)]
        """
        if not len(self):
            return
        most = max(1, max_bytes // (8 * len(self)))
        with ExitStack() as stack:
            files: list[Any] = []
            mapped = 0  # bytes of blocks read since the files were opened
            for name, shape in self.shapes.items():
                for start, stop in _aligned_ranges(shape, most):
                    if not files or mapped > max_bytes:
                        # The files are memory-mapped: pages that were read count as this
                        # process's memory until the files are closed.
                        stack.close()
                        files = [stack.enter_context(self._reading(i)) for i in range(len(self))]
                        mapped = 0
                    mapped += 8 * len(files) * (stop - start)
                    # not assigned to a name, which would keep it alive while the next one is read
                    yield _read_block(files, name, shape, start, stop)

    def verify(self) -> None:
        """Read every checkpoint and compare it with its recorded SHA-256.

        Raises
        ------
        FileFormatError
            If a checkpoint has changed since it was recorded; the message names the first one.
        """
        for index in range(len(self)):
            self._compare_checksum(index)

    def _compare_checksum(self, index: int) -> None:
        entry, file = self._checkpoints[index], self._files[index]
        if _sha256(file) != entry["sha256"]:
            raise FileFormatError(
                f"{file}: the checkpoint of step {entry['step']:g} has changed since it was "
                "recorded (its SHA-256 differs); restore it or record the trajectory again"
            )

    def _tensors(self, index: int, names: list[str]) -> "dict[str, Tensor]":
        with self._reading(index) as file:
            return {name: file.get_tensor(name) for name in names}

    def _reading(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path}: no checkpoint {index}; there are {len(self)}")
        index %= len(self)
        file = self._files[index]
        opened = _open_safetensors(file)
        facts = file.stat()
        stamp = facts.st_ino, facts.st_size, facts.st_mtime_ns
        if self._unchanged.get(index) != stamp:  # only once: it reads the whole file
            self._compare_checksum(index)
            self._unchanged[index] = stamp
        return opened

    def _check(self, index: int) -> None:
        entry = self._checkpoints[index]
        file = self._files[index]
        if not file.is_file():
            raise FileFormatError(
                f"{file}: the checkpoint of step {entry['step']:g} is missing; "
                "restore it or record the trajectory again"
            )
        size = file.stat().st_size
        if size != entry["bytes"]:
            raise FileFormatError(
                f"{file}: the checkpoint of step {entry['step']:g} is damaged: {size} bytes "
                f"instead of {entry['bytes']}; restore it or record the trajectory again"
            )
        with _open_safetensors(file) as opened:
            names = set(opened.keys())
            for expected in [*self._parameters, *self._buffers]:
                name, shape = expected["name"], expected["shape"]
                if name not in names:
                    raise FileFormatError(f"{file}: tensor {name!r} is missing")
                found = opened.get_slice(name).get_shape()
                if found != shape:
                    raise FileFormatError(
                        f"{file}: tensor {name!r} has shape {tuple(found)}, "
                        f"but {tuple(shape)} in the list of the trajectory"
                    )


def _read_manifest(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileFormatError(
            f"{file.parent}: not a recorded trajectory ({file.name} is missing); "
            "record one with losslandscape.TrajectoryRecorder"
        )
    manifest = read_json_object(file, "the list of a trajectory")
    found = manifest.get("format"), manifest.get("format_version")
    if found[0] != _FORMAT:
        raise FileFormatError(f"{file}: expected format {_FORMAT!r}, found {found[0]!r}")
    if found[1] != _VERSION:
        raise FileFormatError(
            f"{file}: format version {found[1]}, but this losslandscape reads version {_VERSION}; "
            "update losslandscape"
        )
    if "sha256" in manifest and manifest["sha256"] != _manifest_sha256(manifest):
        raise FileFormatError(f"{file}: damaged since it was written (its checksum differs)")
    if not _is_manifest(manifest):
        raise FileFormatError(f"{file}: damaged, or not the list of a trajectory")
    return manifest


def _manifest_sha256(manifest: dict[str, Any]) -> str:
    """SHA-256 of everything except the checksum itself; it detects a damaged step or loss."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode("ascii")).hexdigest()


def _is_manifest(manifest: dict[str, Any]) -> bool:
    """Whether all entries that are used later are present and of the right type."""
    try:
        for entry in [*manifest["parameters"], *manifest["buffers"]]:
            if not isinstance(entry["name"], str) or not isinstance(entry["dtype"], str):
                return False
            if not all(type(length) is int and length >= 0 for length in entry["shape"]):
                return False
        steps = [float(entry["step"]) for entry in manifest["checkpoints"]]
        if not all(map(math.isfinite, steps)) or steps != sorted(set(steps)):
            return False
        for entry in manifest["checkpoints"]:
            if type(entry["bytes"]) is not int or not isinstance(entry["sha256"], str):
                return False
            for value in entry["numbers"].values():
                float(value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


def _open_safetensors(file: Path) -> Any:
    try:
        return safe_open(os.fspath(file), framework="pt")
    except (SafetensorError, OSError) as error:
        raise FileFormatError(
            f"{file}: the checkpoint is missing or damaged ({error}); "
            "restore it or record the trajectory again"
        ) from error


def _flat_range(file: Any, name: str, shape: tuple[int, ...], start: int, stop: int) -> "Tensor":
    """Values start..stop-1 of a flattened tensor; only the rows that contain them are read."""
    if not shape:
        return file.get_tensor(name).reshape(1)
    index: list[slice] = []
    for axis in range(len(shape)):
        row = math.prod(shape[axis + 1 :])
        first, last = start // row, (stop - 1) // row
        index.append(slice(first, last + 1))
        start, stop = start - first * row, stop - first * row
        if first != last:
            break
    return file.get_slice(name)[tuple(index)].reshape(-1)[start:stop]


def _read_block(
    files: list[Any], name: str, shape: tuple[int, ...], start: int, stop: int
) -> Block:
    # NumPy's memory, because torch's is aligned: glibc does not reuse freed aligned memory, so
    # memory would grow with the number of blocks
    values = torch.from_numpy(np.empty((len(files), stop - start)))
    for row, file in zip(values, files):
        row.copy_(_flat_range(file, name, shape, start, stop))
    return Block(name, start, stop, values.numpy())


def _aligned_ranges(shape: tuple[int, ...], most: int) -> Iterator[tuple[int, int]]:
    """Divide a flattened tensor into ranges of at most `most` values: whole rows of one axis.

    Reading a slice of a file reads whole rows, so with whole rows no value is read twice.
    """
    axis = next((a for a in range(len(shape)) if math.prod(shape[a + 1 :]) <= most), len(shape))
    row = math.prod(shape[axis + 1 :])
    along = math.prod(shape[axis:])  # values in one run along the axis
    width = max(1, most // row) * row if row else 0
    for begin in range(0, math.prod(shape), along or 1):
        for start in range(begin, begin + along, width or 1):
            yield start, min(start + width, begin + along)


def _descriptions(tensors: "dict[str, Tensor]") -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
        }
        for name, tensor in tensors.items()
    ]


def _first_difference(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> str:
    by_name = {entry["name"]: entry for entry in found}
    for entry in expected:
        other = by_name.pop(entry["name"], None)
        if other is None:
            return f"tensor {entry['name']!r} of the trajectory is missing from the model"
        for key in ("shape", "dtype"):
            if other[key] != entry[key]:
                return (
                    f"tensor {entry['name']!r} has {key} {other[key]} in the model, "
                    f"but {entry[key]} in the trajectory"
                )
    if by_name:
        return f"tensor {next(iter(by_name))!r} of the model is not in the trajectory"
    return ""


def _numbers_to_json(numbers: dict[str, float]) -> dict[str, Union[float, str]]:
    return {name: _to_json(float(value)) for name, value in numbers.items()}


def _to_json(value: float) -> Union[float, str]:
    """JSON has no NaN and no infinity: they are written as text that float() reads."""
    return value if math.isfinite(value) else str(value)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
    except OSError as error:
        raise FileFormatError(f"{file}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
