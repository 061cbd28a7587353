"""Checkpoints that a training script saved: their tensors, under the names of a model.

Files are mapped into memory. A trajectory over them needs no copy on disk, and reads only the
values that are asked for.
"""

import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import torch

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.public_calls import users_line
from losslandscape.training.checkpoint_list import checkpoint_paths, find_steps
from losslandscape.training.manifest import files_sha256
from losslandscape.training.torch_files import read_content, under_key
from losslandscape.training.weights import (
    OPTIONAL_BUFFER,
    buffer_tensors,
    files_of,
    matched_names,
    parameter_tensors,
    read_state_dict,
    weights_file,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

PathLike = Union[str, "os.PathLike[str]"]

_LAST = re.compile(r"last(-v\d+)?\.\w+")  # as Lightning names the newest checkpoint
_COMPARED = 2**22  # values at a time


class MappedTensors:
    """The tensors of a checkpoint, as ``safetensors.safe_open`` gives those of a file."""

    def __init__(self, tensors: "dict[str, Tensor]", types: "Mapping[str, torch.dtype]") -> None:
        self._tensors, self._types = tensors, types

    def __enter__(self) -> "MappedTensors":
        return self

    def __exit__(self, *_: object) -> None:
        self._tensors = {}  # unmaps the file

    def keys(self) -> Iterable[str]:
        return self._tensors.keys()

    def get_tensor(self, name: str) -> "Tensor":
        """A tensor in the trajectory's type; not a view of the file."""
        return self._tensors[name].detach().to(self._types[name], copy=True).contiguous()

    def get_slice(self, name: str) -> "_Slice":
        return _Slice(self._tensors[name].detach(), self._types[name])


class _Slice:
    def __init__(self, tensor: "Tensor", dtype: torch.dtype) -> None:
        self._tensor, self._type = tensor, dtype

    def get_shape(self) -> list[int]:
        return list(self._tensor.shape)

    def __getitem__(self, index: Any) -> "Tensor":
        return self._tensor[index].to(self._type)


class CheckpointFile:
    """One checkpoint on disk, with the place of each tensor of a model in it.

    Attributes
    ----------
    path
        As it was named.
    files
        Its files: one, or the index and the shards.
    key
        The entry that holds the weights; None if the file has no entries.
    names
        The model's name of each tensor -> its name in the file.
    prefix
        That is before all names in the file.
    shapes, types
        Of each tensor, by the model's names.
    numbers
        The numbers at the file's top level, such as ``epoch``.
    """

    def __init__(self, path: Path, model: "nn.Module", key: Optional[str]) -> None:
        self.path = path
        file = weights_file(path)
        self.files = files_of(file)
        content = None
        if len(self.files) == 1 and file.suffix != ".safetensors":
            content = read_content(file, mapped=True)
        self.key, tensors = read_state_dict(file, key, model, content)
        frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
        found, self.prefix = matched_names(model, tensors, os.fspath(file), not_needed=frozen)
        if self.key is not None and len(under_key(content, self.key)) != 1:
            raise FileFormatError(
                f"{file}: several entries have the key {self.key!r}; save a file with one of them"
            )
        self.names = {own: there for own, (there, _) in found.items()}
        # a buffer of the model called "step" counts no checkpoints
        own = self.names.values() if not self.key else ()
        self.numbers = {n: x for n, x in _numbers(content).items() if n not in own}
        self.types = {own: tensor.dtype for own, (_, tensor) in found.items()}
        if not any(name in self.names for name in parameter_tensors(model)):
            raise FileFormatError(f"{file}: holds no parameter of the model {_kind(model)}")

    def open(self, types: "Mapping[str, torch.dtype]") -> MappedTensors:
        """The tensors of ``types``, in these types."""
        file = self.files[0]
        content = None
        if len(self.files) == 1 and file.suffix != ".safetensors":
            content = read_content(file, mapped=True, checked=True)
        if content is not None and self.key is not None:
            stored = under_key(content, self.key)[0]
        else:
            stored = read_state_dict(file, None, None, content)[1]
        try:
            return MappedTensors({name: stored[self.names[name]] for name in types}, types)
        except KeyError as error:
            raise FileFormatError(f"{file}: has changed: tensor {error} is missing now") from error


def listed_checkpoints(
    paths: "Union[PathLike, Iterable[PathLike]]",
    model: "nn.Module",
    key: Optional[str] = None,
    steps: "Union[str, Sequence[float], None]" = None,
) -> "tuple[list[CheckpointFile], dict[str, Any], dict[str, torch.dtype], str]":
    """The checkpoints in the order of training, their list as of a recorded trajectory, the types.

    Returns
    -------
    checkpoints : list of CheckpointFile
    manifest : dict
        ``parameters``, ``buffers`` and ``checkpoints``; see
        :mod:`losslandscape.training.manifest`.
    types : dict of name to torch.dtype
        In which the tensors are read: the widest of the files and the model.
    source : str
        Where the steps are from.

    Raises
    ------
    LossLandscapeError
        See :meth:`losslandscape.Trajectory.of_checkpoints`.
    """
    listed, is_list = checkpoint_paths(paths)
    read = [CheckpointFile(path, model, key) for path in listed]
    try:
        order, found, source = find_steps(listed, [one.numbers for one in read], steps, is_list)
    except LossLandscapeError:
        kept = _without_copies(read) if steps is None or isinstance(steps, str) else read
        if len(kept) == len(read):
            raise
        read, listed = kept, [one.path for one in kept]
        order, found, source = find_steps(listed, [one.numbers for one in read], steps, is_list)
    checkpoints = [read[i] for i in order]
    _require_same_entries(checkpoints)
    names = _common_names(checkpoints, model)
    types = _types(checkpoints, names, model)
    frozen = _unmoved(checkpoints, types, model)
    parameters, buffers = parameter_tensors(model), buffer_tensors(model)

    def described(tensors: "Mapping[str, Tensor]") -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "shape": list(tensor.shape),
                "dtype": str(types[name]).removeprefix("torch."),
                **({"frozen": True} if name in frozen else {}),
            }
            for name, tensor in tensors.items()
            if name in names
        ]

    manifest = {
        "parameters": described(parameters),
        "buffers": described(buffers),
        "checkpoints": [
            {
                "step": step,
                "file": one.path.name,
                "bytes": sum(file.stat().st_size for file in one.files),
                "sha256": files_sha256(one.files),
                "numbers": one.numbers,
                **({"key": one.key} if one.key else {}),
            }
            for step, one in zip(found, checkpoints)
        ],
    }
    return checkpoints, manifest, types, source


def _without_copies(read: Sequence[CheckpointFile]) -> list[CheckpointFile]:
    """Without a ``last.ckpt``, as of Lightning's ``save_last``, that is a copy of another."""
    kept = []
    for one in read:
        others = (other for other in read if not _LAST.fullmatch(other.path.name))
        same = next((other for other in others if _same_tensors(one, other)), None)
        if same is None or not _LAST.fullmatch(one.path.name):
            kept.append(one)
            continue
        warnings.warn(
            f"{one.path}: left out, because it holds the same weights as {same.path}",
            stacklevel=users_line(),
        )
    return kept


def _same_tensors(one: CheckpointFile, other: CheckpointFile) -> bool:
    if one.types != other.types or one.key != other.key:
        return False
    with one.open(one.types) as mine, other.open(other.types) as theirs:
        return all(torch.equal(mine.get_tensor(n), theirs.get_tensor(n)) for n in one.types)


def _numbers(content: object) -> dict[str, float]:
    """The numbers at the top level of a file, such as an epoch and a loss."""
    found = {}
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, torch.Tensor) and value.numel() == 1 and value.dim() == 0:
            value = value.item()
        if isinstance(name, str) and type(value) in (int, float):
            found[name] = float(value)
    return found


def _require_same_entries(checkpoints: Sequence[CheckpointFile]) -> None:
    """The weights of all checkpoints are under one key, such as ``model``, never also ``ema``."""
    first = checkpoints[0]
    for other in checkpoints[1:]:
        if other.key != first.key:
            raise LossLandscapeError(
                f"{other.path}: its weights are under {other.key!r}, but those of {first.path} "
                f"under {first.key!r}; choose one entry: key='...' (--weights-key)"
            )
    prefixes = {one.prefix: one for one in checkpoints}
    if len(prefixes) > 1 or "" not in prefixes:
        places = ", ".join(f"{prefix!r} in {one.path.name}" for prefix, one in prefixes.items())
        warnings.warn(
            f"{first.path.parent}: a prefix is before every name and is removed: {places}",
            stacklevel=users_line(),
        )


def _common_names(checkpoints: Sequence[CheckpointFile], model: "nn.Module") -> set[str]:
    """The tensors that every checkpoint has; the same for all, but counters of batches."""
    names = set.intersection(*(set(one.names) for one in checkpoints))
    for one in checkpoints:
        for name in one.names:
            if name not in names and not name.endswith(OPTIONAL_BUFFER):
                lacking = next(other for other in checkpoints if name not in other.names)
                raise LossLandscapeError(
                    f"{lacking.path}: tensor {name!r} is missing, which {one.path} has"
                )
    absent = [name for name in parameter_tensors(model) if name not in names]
    if absent:
        listed = ", ".join(map(repr, absent[:3])) + (", ..." if len(absent) > 3 else "")
        warnings.warn(
            f"{checkpoints[0].path.parent}: the checkpoints hold {len(names)} tensors; "
            f"{len(absent)} frozen parameters of the model are not in them and are taken from the "
            f"model: {listed}",
            stacklevel=users_line(),
        )
    return names


def _types(
    checkpoints: Sequence[CheckpointFile], names: set[str], model: "nn.Module"
) -> "dict[str, torch.dtype]":
    own = {**parameter_tensors(model), **buffer_tensors(model)}
    types = {}
    warned = False
    for name in own:
        if name not in names:
            continue
        found = {one.types[name]: one for one in reversed(checkpoints)}
        if len(found) > 1 and own[name].is_floating_point() and not warned:
            _warn_of_types(found, name)
            warned = True
        widest = own[name].dtype
        if widest.is_floating_point or widest.is_complex:
            for dtype in found:
                widest = torch.promote_types(widest, dtype)
        types[name] = widest
    return types


def _warn_of_types(found: "dict[torch.dtype, CheckpointFile]", name: str) -> None:
    places = ", ".join(
        f"{str(dtype).removeprefix('torch.')} in {one.path.name}" for dtype, one in found.items()
    )
    warnings.warn(
        f"the checkpoints have different types ({name!r}: {places}): those of lower precision "
        "are rounded, which moves them by up to the rounding error",
        stacklevel=users_line(),
    )


def _unmoved(
    checkpoints: Sequence[CheckpointFile],
    types: "Mapping[str, torch.dtype]",
    model: "nn.Module",
) -> set[str]:
    """The parameters that are frozen in the model and the same in all checkpoints."""
    names = {n for n, p in model.named_parameters() if not p.requires_grad and n in types}
    if not names:
        return names
    kept = {name: types[name] for name in names}
    with checkpoints[0].open(kept) as first:
        for other in checkpoints[1:]:
            with other.open(kept) as opened:
                names -= {name for name in names if not _same(first, opened, name)}
    return names


def _same(one: MappedTensors, other: MappedTensors, name: str) -> bool:
    left, right = one._tensors[name], other._tensors[name]
    pieces = zip(left.reshape(-1).split(_COMPARED), right.reshape(-1).split(_COMPARED))
    return all(torch.equal(a.to(b.dtype), b) for a, b in pieces)


def _kind(model: "nn.Module") -> str:
    return type(model).__name__
