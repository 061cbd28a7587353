"""A training trajectory: the model's parameters and buffers at each checkpoint.

A recorded trajectory is a folder: ``trajectory.json`` lists the checkpoints, and each checkpoint is
one safetensors file with all parameters and buffers. Those that are frozen may be in one file for
all checkpoints, ``frozen.safetensors``. See
:class:`losslandscape.training.recorder.TrajectoryRecorder`, which writes it. Checkpoints that a
training script saved are read where they are; see :mod:`losslandscape.training.checkpoint_files`.
"""

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from losslandscape.argument_checks import COUNT, FINITE
from losslandscape.argument_kinds import ANYTHING, TEXT, WHOLE, Either, Items, Names
from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.file_kinds import FOLDER
from losslandscape.files.guarded_reading import file_inside
from losslandscape.files.inputs import input_kind
from losslandscape.public_calls import TRAJECTORY, public
from losslandscape.training.checkpoint_files import listed_checkpoints
from losslandscape.training.manifest import (
    MANIFEST,
    file_sha256,
    files_sha256,
    lists_checkpoints,
    read_manifest,
)
from losslandscape.training.tensor_names import partners

if TYPE_CHECKING:
    from torch import Tensor, nn

PathLike = Union[str, "os.PathLike[str]"]
# the name of a source, or the steps
STEPS = Either(Items(FINITE, "steps, one per checkpoint"), TEXT)


class Block(NamedTuple):
    """A piece of one parameter tensor at every checkpoint."""

    name: str
    start: int  # first index in the flattened (row-major) tensor
    stop: int  # one past the last index
    values: np.ndarray  # float64, shape (checkpoints, stop - start)


class Trajectory:
    """A training trajectory: recorded (`Trajectory.open`), or of files (`of_checkpoints`).

    Attributes
    ----------
    path
        The folder.
    steps
        The steps, float64, shape (checkpoints,), ascending.
    step_source
        Where the steps are from, in words.
    parameter_names, shapes
        The parameters' names in the model's order, and a dictionary name -> shape.
    frozen
        Names of the parameters that were frozen in the model and are the same everywhere.
    """

    @public(manifest=ANYTHING, files=ANYTHING, opened=ANYTHING, step_source=TEXT)
    def __init__(
        self,
        path: Path,
        manifest: dict[str, Any],
        files: "Optional[Sequence[tuple[Path, ...]]]" = None,
        opened: Optional[Callable[[int], Any]] = None,
        step_source: str = "recorded",
    ) -> None:
        self.path = path = Path(path)
        if not lists_checkpoints(manifest, files is None):
            raise LossLandscapeError(
                f"{path}: manifest is not the list of a trajectory; open a recorded folder with "
                "Trajectory.open(...), and checkpoints with Trajectory.of_checkpoints(...)"
            )
        self.step_source = step_source
        self._parameters: list[dict[str, Any]] = manifest["parameters"]
        self._buffers: list[dict[str, Any]] = manifest["buffers"]
        self._checkpoints: list[dict[str, Any]] = manifest["checkpoints"]
        if files is not None and not isinstance(files, (list, tuple)):
            raise LossLandscapeError(f"{path}: files is no list of a checkpoint's paths")
        if opened is not None and not callable(opened):
            raise LossLandscapeError(f"{path}: opened is no function of a checkpoint's number")
        self._files: Sequence[tuple[Path, ...]] = files or [
            (file_inside(path, entry["file"], path / MANIFEST),) for entry in self._checkpoints
        ]
        self._base: Optional[dict[str, Any]] = manifest.get("frozen")
        if self._base is not None:
            base = file_inside(path, self._base["file"], path / MANIFEST)
            self._files = [(*files, base) for files in self._files]
        self._opened = opened or (
            lambda index: (
                _open_safetensors(self._files[index][0])
                if self._base is None
                else _WithBase(*map(_open_safetensors, self._files[index]))
            )
        )
        # checkpoint -> its files when their checksums were compared
        self._unchanged: dict[int, list[tuple[int, ...]]] = {}
        self._base_unchanged = False
        self._base_stamp: tuple[int, ...] = ()
        self.steps = np.array([entry["step"] for entry in self._checkpoints], dtype=np.float64)
        self.parameter_names: list[str] = [entry["name"] for entry in self._parameters]
        self.shapes: dict[str, tuple[int, ...]] = {
            entry["name"]: tuple(entry["shape"]) for entry in self._parameters
        }
        self.frozen: frozenset[str] = frozenset(
            entry["name"] for entry in self._parameters if entry.get("frozen")
        )

    @classmethod
    @public()
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
        if (kind := input_kind(folder)) != FOLDER:
            what = f"is {kind}" if kind is not None else "no such folder"
            raise FileFormatError(f"{folder}: {what}; the folder of a trajectory is expected")
        trajectory = cls(folder, read_manifest(folder / MANIFEST))
        moved: set[str] = set()
        for index in range(len(trajectory)):
            moved |= trajectory._check(index)
        if trajectory._base is not None:
            trajectory.frozen = frozenset(trajectory.shapes.keys() - moved)
        return trajectory

    @classmethod
    @public(paths=ANYTHING, steps=STEPS)
    def of_checkpoints(
        cls,
        paths: "Union[PathLike, Iterable[PathLike]]",
        model: "nn.Module",
        key: Optional[str] = None,
        steps: "Union[str, Sequence[float], None]" = None,
    ) -> "Trajectory":
        """The trajectory of checkpoints that a training script saved.

        The files are read where they are, as by :func:`losslandscape.load_weights`: no code in
        them is executed, and parts that wrappers add to names are ignored. They are mapped into
        memory; a value is read when it is needed.

        Parameters
        ----------
        paths
            A pattern such as ``"run/epoch_*.pt"``; a folder of files or of numbered folders, such
            as Hugging Face's ``checkpoint-500``; or a list of files and folders.
        model
            The model that was trained, in any state. Its parameters that are frozen
            (``requires_grad=False``) may be missing from the files, as in those of adapters.
        key
            The entry of each file that holds the weights, such as ``"ema"``; see
            :func:`losslandscape.load_weights`.
        steps
            Where the steps are: ``"name"``, ``"global_step"``, ``"epoch"`` or ``"step"``; or the
            steps themselves, one per checkpoint of the list. By default the numbers in the names,
            or else the first of these entries that every file has and that differ. A list whose
            checkpoints have neither is taken in its order.

        Raises
        ------
        LossLandscapeError
            If a checkpoint cannot be read or does not fit the model; the weights of two are under
            different keys; two have the same step; no steps are found; or two sources of steps
            order the checkpoints differently. The message names the file.

        Warns
        -----
        UserWarning
            If a prefix before all names is removed, frozen parameters are taken from the model, or
            the types of the checkpoints differ.

        Examples
        --------
        >>> import tempfile
        >>> model = torch.nn.Linear(2, 1)
        >>> folder = tempfile.mkdtemp()
        >>> for epoch in (9, 10):
        ...     torch.save({"model": model.state_dict()}, f"{folder}/epoch_{epoch}.pt")
        >>> trajectory = Trajectory.of_checkpoints(f"{folder}/epoch_*.pt", model)
        >>> trajectory.steps, trajectory.step_source
        (array([ 9., 10.]), "the number after 'epoch' in the names")
        """
        checkpoints, manifest, types, source = listed_checkpoints(paths, model, key, steps)
        places = [one.path.absolute() for one in checkpoints]
        if len(places) > 1:
            places = [place.parent for place in places]
        trajectory = cls(
            Path(os.path.commonpath(places)),
            manifest,
            [one.files for one in checkpoints],
            lambda index: checkpoints[index].open(types),
            source,
        )
        for index in range(len(trajectory)):  # their checksums have just been computed
            trajectory._unchanged[index] = _stamps(trajectory._files[index])
        return trajectory

    def __len__(self) -> int:
        return len(self._checkpoints)

    @property
    def label(self) -> str:
        """The name of the folder, or of its parent if it is just ``trajectory``."""
        path = self.path.resolve()
        generic = "trajectory" if self.step_source == "recorded" else "checkpoints"
        return path.parent.name if path.name == generic and path.parent.name else path.name

    @public(parameters=Names(), buffers=Names())
    def named_as(self, parameters: Iterable[str], buffers: Iterable[str] = ()) -> "Trajectory":
        """The same trajectory with the names of a model, whatever wrappers add to one of them.

        Names without a partner stay. The trajectory itself is returned if nothing changes.

        Examples
        --------
        >>> import tempfile
        >>> from losslandscape import TrajectoryRecorder
        >>> folder, model = tempfile.mkdtemp() + "/trajectory", torch.nn.Linear(3, 2)
        >>> with TrajectoryRecorder(torch.nn.DataParallel(model), folder) as recorder:
        ...     recorder.record(0)
        >>> Trajectory.open(folder).named_as(["weight", "bias"]).parameter_names
        ['weight', 'bias']
        """
        new = partners(self.parameter_names, parameters)
        new.update(partners([entry["name"] for entry in self._buffers], buffers))
        if all(one == other for one, other in new.items()):
            return self
        other = copy.copy(self)
        own = {name: name for name in self.shapes}
        own.update({entry["name"]: entry["name"] for entry in self._buffers})
        own.update({wanted: name for name, wanted in new.items()})
        for name in ("_parameters", "_buffers"):
            entries = [
                {**entry, "name": new.get(entry["name"], entry["name"])}
                for entry in getattr(self, name)
            ]
            setattr(other, name, entries)
        other.parameter_names = [entry["name"] for entry in other._parameters]
        other.shapes = {entry["name"]: tuple(entry["shape"]) for entry in other._parameters}
        other.frozen = frozenset(new.get(name, name) for name in self.frozen)
        other._opened = lambda index: _Renamed(self._opened(index), own)
        return other

    @property
    def identity(self) -> str:
        """SHA-256 of the steps, the checkpoints' checksums and their scalars."""
        facts: Any = self._checkpoints
        if self._base is not None:
            facts = [self._base["sha256"], facts]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def __repr__(self) -> str:
        return (
            f"<Trajectory {str(self.path)!r}: {len(self)} checkpoints, "
            f"{sum(map(math.prod, self.shapes.values())):,} parameters, steps"
            f"{_range_of(self.steps)} ({self.step_source})>"
        )

    @public()
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

    @public(index=WHOLE, names=Names())
    def parameters(
        self, index: int, names: Optional[Collection[str]] = None
    ) -> "dict[str, Tensor]":
        """The parameters at checkpoint `index`, in the model's order; of `names` if given.

        A negative `index` counts from the end. Other parameters are not read.
        """
        wanted = self.parameter_names
        if names is not None:
            wanted = [name for name in wanted if name in names]
        return self._tensors(index, wanted)

    @public(index=WHOLE)
    def buffers(self, index: int) -> "dict[str, Tensor]":
        """The buffers at checkpoint `index`, such as batch norm's running statistics."""
        return self._tensors(index, [entry["name"] for entry in self._buffers])

    @public(start=WHOLE, stop=WHOLE, index=WHOLE)
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

    @public(max_bytes=COUNT)
    def blocks(self, max_bytes: int = 64 * 2**20) -> Iterator[Block]:
        """Iterate over all parameters at all checkpoints in blocks, in bounded memory.

        A block takes at most `max_bytes` bytes, but holds at least one value per checkpoint.
        Together the blocks cover every parameter once, in the model's order. The principal
        components of a trajectory need only sums over such blocks, so the model can be of any size.

        Examples
        --------
        >>> import tempfile, torch
        >>> from losslandscape import TrajectoryRecorder
        >>> folder = tempfile.mkdtemp() + "/trajectory"
        >>> model = torch.nn.Linear(3, 2)
        >>> with TrajectoryRecorder(model, folder) as recorder:
        ...     recorder.record(0)
        ...     recorder.record(1)
        >>> [(b.name, b.start, b.stop) for b in Trajectory.open(folder).blocks(max_bytes=48)]
        [('weight', 0, 3), ('weight', 3, 6), ('bias', 0, 2)]
        """
        yield from joint_blocks([self], max_bytes)

    def verify(self) -> None:
        """Read every checkpoint and compare it with its recorded SHA-256.

        Raises
        ------
        FileFormatError
            If a checkpoint has changed since it was recorded; the message names the first one.
        """
        self._base_unchanged = False
        for index in range(len(self)):
            self._compare_checksum(index)

    def _compare_checksum(self, index: int) -> None:
        entry, files = self._checkpoints[index], self._files[index]
        if self._base is not None:
            files, base = files[:1], files[1]
            if not self._base_unchanged and file_sha256(base) != self._base["sha256"]:
                raise FileFormatError(
                    f"{base}: the frozen parameters have changed since they were recorded (their "
                    "SHA-256 differs); restore the file or record the trajectory again"
                )
            self._base_unchanged = True
        if files_sha256(files) != entry["sha256"]:
            raise FileFormatError(
                f"{files[0]}: the checkpoint of step {entry['step']:g} has changed since it was "
                "recorded (its SHA-256 differs); restore it or record the trajectory again"
            )

    def _tensors(self, index: int, names: list[str]) -> "dict[str, Tensor]":
        with self._reading(index) as file:
            return {name: file.get_tensor(name) for name in names}

    def _reading(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise LossLandscapeError(
                f"{self.path}: no checkpoint {index}; there are {len(self)}, from 0 to "
                f"{len(self) - 1}"
            )
        index %= len(self)
        opened = self._opened(index)
        stamps = _stamps(self._files[index])
        if self._unchanged.get(index) != stamps:  # only once: it reads the whole file
            if self._base is not None and self._base_stamp != stamps[-1]:
                self._base_unchanged, self._base_stamp = False, stamps[-1]
            self._compare_checksum(index)
            self._unchanged[index] = stamps
        return opened

    def _check(self, index: int) -> set[str]:
        """Compare a checkpoint with the list; the names of its own tensors."""
        entry = self._checkpoints[index]
        file, *base = self._files[index]
        for one in base:
            assert self._base is not None
            if not one.is_file() or one.stat().st_size != self._base["bytes"]:
                raise FileFormatError(
                    f"{one}: the frozen parameters are missing or damaged; restore the file or "
                    "record the trajectory again"
                )
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
        with self._opened(index) as opened:
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
            return opened.own_names if isinstance(opened, _WithBase) else names


def joint_blocks(
    trajectories: "Sequence[Trajectory]",
    max_bytes: int = 64 * 2**20,
    names: Optional[Collection[str]] = None,
) -> Iterator[Block]:
    """As :meth:`Trajectory.blocks`, of the checkpoints of several trajectories of one model.

    Parameters
    ----------
    names
        Of the parameters that are read; by default all.
    """
    count = sum(map(len, trajectories))
    if not count:
        return
    most = max(1, max_bytes // (8 * count))
    with ExitStack() as stack:
        files: list[Any] = []
        mapped = 0  # bytes of blocks read since the files were opened
        for name, shape in trajectories[0].shapes.items():
            if names is not None and name not in names:
                continue
            for start, stop in _aligned_ranges(shape, most):
                if not files or mapped > max_bytes:
                    # The files are memory-mapped: pages that were read count as this
                    # process's memory until the files are closed.
                    stack.close()
                    files = [
                        stack.enter_context(one._reading(i))
                        for one in trajectories
                        for i in range(len(one))
                    ]
                    mapped = 0
                mapped += 8 * count * (stop - start)
                # not assigned to a name, which would keep it alive while the next one is read
                yield _read_block(files, name, shape, start, stop)


def labeled_runs(given: Any) -> "dict[str, Trajectory]":
    """One or several trajectories by their labels; by default the names of their folders.

    Parameters
    ----------
    given
        A trajectory, a list of them, or a dictionary from label to trajectory.

    Raises
    ------
    LossLandscapeError
        If it is something else, empty, or two have the same label.
    """
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, (list, tuple)):
        pairs = [(getattr(one, "label", None), one) for one in given]
    else:
        pairs = [(getattr(given, "label", None), given)]
    if not pairs:
        raise LossLandscapeError("no trajectory was given: the list is empty")
    for _, one in pairs:
        TRAJECTORY.check("trajectory", one)
    runs: dict[str, Trajectory] = {}
    for label, one in pairs:
        if not isinstance(label, str) or not label.strip():
            raise LossLandscapeError(f"{one.path}: label {label!r} is not a name of the run")
        if label in runs:
            raise LossLandscapeError(
                f"{runs[label].path} and {one.path}: both runs have the label {label!r}; give each "
                'its own: {"SGD": a, "Adam": b} (--labels)'
            )
        runs[label] = one
    return runs


class _WithBase:
    """An opened checkpoint, and the frozen parameters for what it does not have itself."""

    def __init__(self, checkpoint: Any, base: Any) -> None:
        self._checkpoint, self._base = checkpoint, base
        self.own_names = set(checkpoint.keys())

    def __enter__(self) -> "_WithBase":
        self._checkpoint, self._base = self._checkpoint.__enter__(), self._base.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._checkpoint.__exit__(*error)
        self._base.__exit__(*error)

    def keys(self) -> set[str]:
        return self.own_names | set(self._base.keys())

    def get_tensor(self, name: str) -> "Tensor":
        return self._holder(name).get_tensor(name)

    def get_slice(self, name: str) -> Any:
        return self._holder(name).get_slice(name)

    def _holder(self, name: str) -> Any:
        return self._checkpoint if name in self.own_names else self._base


class _Renamed:
    """An opened checkpoint whose tensors have other names."""

    def __init__(self, opened: Any, own: dict[str, str]) -> None:
        self._opened, self._own = opened, own

    def __enter__(self) -> "_Renamed":
        self._opened = self._opened.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(*error)

    def get_tensor(self, name: str) -> "Tensor":
        return self._opened.get_tensor(self._own[name])

    def get_slice(self, name: str) -> Any:
        return self._opened.get_slice(self._own[name])


def _stamps(files: Sequence[Path]) -> list[tuple[int, ...]]:
    """What changes when one of the files is written again."""
    try:
        facts = [file.stat() for file in files]
    except OSError as error:
        raise FileFormatError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return [(one.st_ino, one.st_size, one.st_mtime_ns) for one in facts]


def _range_of(steps: np.ndarray) -> str:
    return f" {steps[0]:g} to {steps[-1]:g}" if len(steps) else ""


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
