"""The list of a training trajectory's checkpoints, ``trajectory.json``: its format and checks."""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losslandscape.errors import FileFormatError
from losslandscape.files.guarded_reading import read_json_object

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "trajectory.json"
FORMAT, VERSION = "losslandscape trajectory", 1
WITH_BASE = 2  # the version of a list whose frozen parameters are in a file of their own
BASE = "frozen.safetensors"


def read_manifest(file: Path) -> dict[str, Any]:
    """The list of checkpoints, checked.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, of another format or version, or no list of a trajectory.
    """
    if not os.path.lexists(file):
        raise FileFormatError(
            f"{file.parent}: not a recorded trajectory ({file.name} is missing); "
            "record one with losslandscape.TrajectoryRecorder"
        )
    manifest = read_json_object(file, "the list of a trajectory")
    found = manifest.get("format"), manifest.get("format_version")
    if found[0] != FORMAT:
        raise FileFormatError(f"{file}: expected format {FORMAT!r}, found {found[0]!r}")
    if found[1] not in (VERSION, WITH_BASE):
        raise FileFormatError(
            f"{file}: format version {found[1]}, but this losslandscape reads versions {VERSION} "
            f"and {WITH_BASE}; update losslandscape"
        )
    if "sha256" in manifest and manifest["sha256"] != manifest_sha256(manifest):
        raise FileFormatError(f"{file}: damaged since it was written (its checksum differs)")
    if not _is_manifest(manifest):
        raise FileFormatError(f"{file}: damaged, or not the list of a trajectory")
    return manifest


def manifest_sha256(manifest: dict[str, Any]) -> str:
    """SHA-256 of everything except the checksum itself; it detects a damaged step or loss."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode("ascii")).hexdigest()


def lists_checkpoints(manifest: Any, with_files: bool) -> bool:
    """Whether a value has what a trajectory reads from a list, with the names of files or not."""
    try:
        for entry in (*manifest["parameters"], *manifest["buffers"]):
            if not isinstance(entry["name"], str):
                return False
            tuple(entry["shape"])
        for entry in manifest["checkpoints"]:
            float(entry["step"])
            if with_files:
                entry["file"]
        return not with_files or "frozen" not in manifest or bool(manifest["frozen"]["file"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return False


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
        base = [manifest["frozen"]] if manifest["format_version"] == WITH_BASE else []
        for entry in [*base, *manifest["checkpoints"]]:
            if type(entry["bytes"]) is not int or not isinstance(entry["sha256"], str):
                return False
        for entry in manifest["checkpoints"]:
            for value in entry["numbers"].values():
                float(value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return False
    return True


def descriptions(tensors: "dict[str, Tensor]") -> list[dict[str, Any]]:
    """Name, shape and type of each tensor, as the list has them."""
    return [
        {
            "name": name,
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
        }
        for name, tensor in tensors.items()
    ]


def file_sha256(file: Path) -> str:
    """SHA-256 of the bytes of a file."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
    except OSError as error:
        raise FileFormatError(f"{file}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def files_sha256(files: Sequence[Path]) -> str:
    """SHA-256 of a file, or of the sums of several."""
    if len(files) == 1:
        return file_sha256(files[0])
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
