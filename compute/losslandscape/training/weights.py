"""Weights files: safetensors, and PyTorch's own files, read without executing pickled code."""

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.guarded_reading import check_zip, file_inside, read_json_object

if TYPE_CHECKING:
    from torch import Tensor, nn

PathLike = Union[str, "os.PathLike[str]"]

# Keys under which training scripts store the weights in a larger checkpoint.
_WRAPPING_KEYS = ("state_dict", "model_state_dict", "model")
# Prefixes that DistributedDataParallel and torch.compile add to every name.
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")
# Counts batches. No output depends on it, and files from before PyTorch 0.4.1 lack it.
_OPTIONAL_BUFFER = "num_batches_tracked"
# Weights files in a folder, in order of preference: of `losslandscape train`, and of Hugging
# Face's save_pretrained, as one file or in shards.
_INDEX = ".safetensors.index.json"
_IN_A_FOLDER = ("weights.safetensors", "model.safetensors", f"model{_INDEX}")


def parameter_tensors(model: "nn.Module") -> "dict[str, Tensor]":
    """The parameters by name, not copied; tied parameters once, under their first name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def buffer_tensors(model: "nn.Module") -> "dict[str, Tensor]":
    """The buffers of the state dict by name, not copied (batch norm's running statistics, ...).

    Buffers registered with ``persistent=False`` are left out: the model creates them itself.
    """
    persistent = model.state_dict().keys()
    return {name: buffer.detach() for name, buffer in model.named_buffers() if name in persistent}


def save_weights(
    weights: "Union[nn.Module, Mapping[str, Tensor]]",
    path: PathLike,
    metadata: Optional[str] = None,
) -> None:
    """Write a model's parameters and buffers, or any named tensors, to one safetensors file.

    Tied parameters are stored once, under their first name. Strides (channels-last) are not
    stored: values are written in row-major order. The file is written atomically.

    Parameters
    ----------
    metadata
        A text to store in the file's header. Only one: the order of several would differ between
        processes, and equal weights should give equal files.

    Raises
    ------
    LossLandscapeError
        If the file cannot be written.
    """
    if isinstance(weights, torch.nn.Module):
        weights = {**parameter_tensors(weights), **buffer_tensors(weights)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    header = None if metadata is None else {"losslandscape": metadata}
    with replace_file(path) as temporary:
        try:
            save_file(_without_shared_memory(tensors), os.fspath(temporary), metadata=header)
        except SafetensorError as error:  # the library reports a full disk this way, as text
            raise LossLandscapeError(f"{path}: cannot be written: {error}") from error


def load_weights(path: PathLike) -> "dict[str, Tensor]":
    """Read named tensors from a file to the CPU.

    ``.safetensors`` files are read as safetensors. Files with any other suffix (``.pt``, ``.pth``,
    ``.ckpt``) are read as files of ``torch.save``, with ``weights_only=True``, so no code in the
    file is executed; weights under ``state_dict``, ``model_state_dict`` or ``model`` in a larger
    checkpoint are found. ``.safetensors.index.json`` is the index of a sharded checkpoint, as
    Hugging Face's ``save_pretrained`` writes it, with its shards beside it. For a folder, its
    ``weights.safetensors`` (written by ``losslandscape train``) is read, or else its
    ``model.safetensors`` or ``model.safetensors.index.json``.

    Tensors of safetensors files are memory-mapped: their values are read on first access.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or contains something other than named tensors; or if a
        shard is missing, is in another folder, or lacks a tensor listed in the index.
    """
    file = Path(path)
    if file.is_dir():
        inside = [file / name for name in _IN_A_FOLDER]
        file = next((one for one in inside if one.is_file()), inside[0])
    if not file.is_file():
        raise FileFormatError(
            f"{file}: no such file; a weights file is expected (.safetensors, .pt, .pth)"
        )
    if file.name.endswith(_INDEX):
        return _load_shards(file)
    if file.suffix == ".safetensors":
        return _load_safetensors(file)
    return _named_tensors(_load_torch(file), file)


def _load_safetensors(file: Path) -> "dict[str, Tensor]":
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise FileFormatError(
            f"{file}: damaged, or not a safetensors file ({error}); write it again"
        ) from error


def _load_shards(index: Path) -> "dict[str, Tensor]":
    """The tensors of all shards, in the order of the index."""
    places = read_json_object(index, "the index of a sharded checkpoint").get("weight_map")
    if not isinstance(places, dict) or not places:
        raise FileFormatError(
            f"{index}: not the index of a sharded checkpoint (it has no weight_map)"
        )
    files = {name: file_inside(index.parent, name, index) for name in places.values()}
    shards = {name: _load_safetensors(file) for name, file in files.items()}
    for tensor, name in places.items():
        if tensor not in shards[name]:
            raise FileFormatError(
                f"{files[name]}: lacks tensor {tensor!r}, which {index.name} lists in it; "
                "do the index and the shards belong to the same checkpoint?"
            )
    return {tensor: shards[name][tensor] for tensor, name in places.items()}


def load_into(model: "nn.Module", weights: "Mapping[str, Tensor]", source: str = "weights") -> None:
    """Copy named tensors into a model's parameters and buffers, in place.

    Every tensor of the model must be present with its shape; types are converted. A tied parameter
    may have any of its names. The prefixes ``module.`` (DistributedDataParallel) and ``_orig_mod.``
    (torch.compile) are removed. If anything does not match, the model is left unchanged.

    Parameters
    ----------
    source
        Where the weights come from, for the error message.

    Raises
    ------
    LossLandscapeError
        If a tensor is missing or has another shape, or the model lacks it. The message names the
        first such tensor, in the model's order.

    Examples
    --------
    >>> import torch
    >>> load_into(torch.nn.Linear(2, 1), {"weight": torch.zeros(1, 3), "bias": torch.zeros(1)})
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: weights: tensor 'weight' has shape (1, 3), but the
    model Linear has (1, 2); were these weights made for another model?
    """
    targets = {**parameter_tensors(model), **buffer_tensors(model)}
    first_names = _first_names(model)
    first_bare_names = {_bare(name): first for name, first in first_names.items()}
    given: dict[str, tuple[str, Tensor]] = {}
    unexpected = None
    for name, tensor in weights.items():
        first_name = first_names.get(name) or first_bare_names.get(_bare(name))
        if first_name is None:
            unexpected = unexpected or name
        else:
            given.setdefault(first_name, (name, tensor))

    kind = type(model).__name__
    hint = "were these weights made for another model?"
    for name, target in targets.items():
        if name not in given:
            if name.endswith(_OPTIONAL_BUFFER):
                continue
            other = f" (it has {unexpected!r})" if unexpected else ""
            raise LossLandscapeError(
                f"{source}: tensor {name!r} of the model {kind} is missing{other}; {hint}"
            )
        given_name, tensor = given[name]
        if tensor.shape != target.shape:
            raise LossLandscapeError(
                f"{source}: tensor {given_name!r} has shape {tuple(tensor.shape)}, but the model "
                f"{kind} has {tuple(target.shape)}; {hint}"
            )
    if unexpected is not None:
        raise LossLandscapeError(
            f"{source}: tensor {unexpected!r} is unknown to the model {kind}; {hint}"
        )
    for name, (_, tensor) in given.items():
        targets[name].copy_(tensor)


def _bare(name: str) -> str:
    for prefix in _WRAPPER_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _first_names(model: "nn.Module") -> dict[str, str]:
    """Map every name in the state dict to the first name of the same tensor."""
    persistent = model.state_dict().keys()
    first: dict[int, str] = {}
    names = {}
    for name, tensor in [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]:
        if name in persistent:
            names[name] = first.setdefault(id(tensor), name)
    return names


def _without_shared_memory(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Copy tensors that share memory with an earlier one, because safetensors refuses them."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return separate


def _load_torch(file: Path) -> object:
    if zipfile.is_zipfile(file):
        check_zip(file, "torch.save")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FileFormatError(
            f"{file}: contains Python objects other than tensors, or is not a PyTorch file; "
            "loading such a file could execute arbitrary code, so it was not read. "
            "Save only the weights: torch.save(model.state_dict(), ...)"
        ) from error
    except Exception as error:  # a malicious file can raise any
        raise FileFormatError(
            f"{file}: damaged, or not a PyTorch file ({type(error).__name__}: {error})"
        ) from error


def _named_tensors(content: object, file: Path) -> "dict[str, Tensor]":
    for key in _WRAPPING_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise FileFormatError(
            f"{file}: contains {type(content).__name__}; named tensors (a state dict) are expected"
        )
    for name, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise FileFormatError(
                f"{file}: entry {name!r} is {type(value).__name__}, not a tensor; a state dict is "
                f"expected, alone or under one of {', '.join(map(repr, _WRAPPING_KEYS))}"
            )
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise FileFormatError(f"{file}: tensor {name!r} is not a dense tensor of numbers")
    return dict(content)
