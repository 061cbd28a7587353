"""Recording a training trajectory from inside a training loop.

Each checkpoint is one safetensors file, and ``trajectory.json`` lists them. Both appear atomically,
the list after the file, so a training run that is killed leaves a trajectory that opens. Parameters
that are frozen at the first checkpoint are stored once, beside the checkpoints.
"""

import json
import math
import os
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

import torch
from safetensors import safe_open

from losslandscape.argument_checks import FINITE
from losslandscape.argument_kinds import FLAG, Number
from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.files.atomic_files import make_folder, replace_file
from losslandscape.files.outputs import OutputFolder, check_output
from losslandscape.public_calls import public, users_line
from losslandscape.training.finite_values import bad_values
from losslandscape.training.manifest import (
    BASE,
    FORMAT,
    MANIFEST,
    VERSION,
    WITH_BASE,
    descriptions,
    file_sha256,
    manifest_sha256,
    read_manifest,
)
from losslandscape.training.trajectory import Trajectory
from losslandscape.training.weights import buffer_tensors, parameter_tensors, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

PathLike = Union[str, "os.PathLike[str]"]


class TrajectoryRecorder:
    """Records a model's parameters and buffers from any training loop.

    One recorder at a time writes a folder. If another one, in this process or another, has written
    there since, a recorder refuses to go on.

    Parameters
    ----------
    model
        The model being trained. Tied parameters are stored once. Parameters that are frozen
        (``requires_grad=False``) at the first checkpoint are stored once, and again in each later
        checkpoint in which they have other values.
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

    @public(resume=FLAG)
    def __init__(
        self, model: "nn.Module", path: PathLike, *, overwrite: bool = False, resume: bool = False
    ) -> None:
        if overwrite and resume:
            raise LossLandscapeError("overwrite and resume exclude each other; give one of them")
        self.path = Path(path)
        self._model = model
        self._checkpoints: list[dict[str, Any]] = []
        self._base: Optional[dict[str, Any]] = None  # the entry of the frozen parameters' file
        self._resumed = False
        self._closed = False
        self._written = ""  # the checksum of the list that this recorder wrote last
        self._parameters = descriptions(parameter_tensors(model))
        self._buffers = descriptions(buffer_tensors(model))

        # whether it may be replaced is decided below
        check_output(OutputFolder(self.path, [MANIFEST, BASE], overwrite=True))
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

    @public(step=FINITE, numbers=Number())
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
            changed, another process or recorder has written into the folder, the disk is full, or
            the recorder's ``with`` block has ended.
        """
        if self._closed:
            raise LossLandscapeError(
                f"{self.path}: the recorder is closed; call record() inside its 'with' block"
            )
        self._require_own_list()
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
        self._require_same(self._parameters, descriptions(parameters))
        self._require_same(self._buffers, descriptions(buffers))

        self._warn_of_not_finite(parameters, step)
        if not self._checkpoints:
            self._write_base(parameters)
        file = self.path / f"checkpoint_{len(self._checkpoints):06d}.safetensors"
        save_weights({**self._moved(parameters), **buffers}, file)
        self._checkpoints.append(
            {
                "step": step,
                "file": file.name,
                "bytes": file.stat().st_size,
                "sha256": file_sha256(file),
                "numbers": _numbers_to_json(numbers),
            }
        )
        self._write_manifest()

    def _warn_of_not_finite(self, parameters: dict[str, torch.Tensor], step: float) -> None:
        """Warn of the first parameter that is not finite: no plane can contain the checkpoint."""
        name = next((name for name, values in parameters.items() if bad_values(values)), None)
        if name is not None:
            warnings.warn(
                f"{self.path}: step {step:g}: parameter {name!r} is not finite; the checkpoint is "
                "recorded as it is, and no plane can contain it",
                stacklevel=users_line(),
            )

    @public(numbers=Number())
    def add_numbers(self, **numbers: float) -> None:
        """Add scalars to the last checkpoint, such as a validation loss that was computed later.

        Raises
        ------
        LossLandscapeError
            If there is no checkpoint yet, another process or recorder has written into the folder,
            or the recorder's ``with`` block has ended.

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
        self._require_own_list()
        self._checkpoints[-1]["numbers"].update(_numbers_to_json(numbers))
        self._write_manifest()

    @public(step=FINITE)
    def resume_from(self, step: float) -> None:
        """Drop the checkpoints at `step` and later, because training resumes before them."""
        self._require_own_list()
        self._resumed = False
        kept = [checkpoint for checkpoint in self._checkpoints if checkpoint["step"] < step]
        if len(kept) < len(self._checkpoints):
            self._checkpoints = kept
            self._write_manifest()
            self._remove_unlisted()

    def _write_base(self, parameters: "dict[str, Tensor]") -> None:
        """Store the frozen parameters, unless all are frozen, as in a copy of averaged weights."""
        moving = {name for name, one in self._model.named_parameters() if one.requires_grad}
        frozen = {name: value for name, value in parameters.items() if name not in moving}
        self._base = None
        if not frozen or len(frozen) == len(parameters):
            return
        file = self.path / BASE
        save_weights(frozen, file)
        self._base = {
            "file": file.name,
            "bytes": file.stat().st_size,
            "sha256": file_sha256(file),
        }

    def _moved(self, parameters: "dict[str, Tensor]") -> "dict[str, Tensor]":
        """Without those that have the values of the frozen parameters' file."""
        if self._base is None:
            return parameters
        with safe_open(os.fspath(self.path / self._base["file"]), framework="pt") as base:
            stored = set(base.keys())
            return {
                name: value
                for name, value in parameters.items()
                if name not in stored or not torch.equal(base.get_tensor(name), value.cpu())
            }

    def _take_up(self) -> None:
        if not (self.path / MANIFEST).exists():
            return  # the earlier run was killed while writing its first checkpoint
        before = Trajectory.open(self.path)
        self._checkpoints = before._checkpoints
        self._base = before._base
        self._resumed = True
        self._require_same(before._parameters, self._parameters)
        self._require_same(before._buffers, self._buffers)

    def _require_same(self, expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
        if difference := _first_difference(expected, found):
            raise LossLandscapeError(
                f"{self.path}: {difference}; a trajectory belongs to one model: record another "
                "model in another folder"
            )

    def _require_own_list(self) -> None:
        """Check that the list of checkpoints is the one that this recorder wrote last.

        A lock would do the same earlier, but a recorder need not be closed: it may live as long as
        a notebook, in which the same cell makes another one.
        """
        try:
            own = read_manifest(self.path / MANIFEST).get("sha256") == self._written
        except FileFormatError:
            own = False
        if not own:
            raise LossLandscapeError(
                f"{self.path}: something else has written or removed its list of checkpoints since "
                "this recorder did; record each run in a folder of its own, and in distributed "
                "training in one process alone (rank 0)"
            )

    def _write_manifest(self) -> None:
        manifest = {
            "format": FORMAT,
            "format_version": VERSION if self._base is None else WITH_BASE,
            "parameters": self._parameters,
            "buffers": self._buffers,
            "checkpoints": self._checkpoints,
            **({} if self._base is None else {"frozen": self._base}),
        }
        manifest["sha256"] = seal = manifest_sha256(manifest)
        with replace_file(self.path / MANIFEST) as temporary:
            temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        self._written = seal

    def _remove_unlisted(self) -> None:
        listed = {checkpoint["file"] for checkpoint in self._checkpoints}
        for file in self.path.glob("checkpoint_*.safetensors"):
            if file.name not in listed:
                file.unlink()
        if self._base is None:
            (self.path / BASE).unlink(missing_ok=True)
        for file in self.path.glob(".*.partial"):  # left by a killed process
            file.unlink()


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
