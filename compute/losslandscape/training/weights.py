"""Weights files: safetensors, and PyTorch's own files, read without executing pickled code."""

import os
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Union

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.file_kinds import FOLDER
from losslandscape.files.guarded_reading import file_inside, read_json_object
from losslandscape.files.inputs import input_file, input_kind
from losslandscape.public_calls import public, users_line
from losslandscape.training.tensor_names import bare_name, bare_names
from losslandscape.training.torch_files import read_content, state_dicts, under_key

if TYPE_CHECKING:
    from torch import Tensor, nn

PathLike = Union[str, "os.PathLike[str]"]

# Keys under which training scripts store the weights in a larger checkpoint.
_WRAPPING_KEYS = ("state_dict", "model_state_dict", "model")
# Counts batches. No output depends on it, and files from before PyTorch 0.4.1 lack it.
OPTIONAL_BUFFER = "num_batches_tracked"
_AVERAGE_COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel
# Weights files in a folder, in order of preference: of `losslandscape train`, of Hugging Face's
# save_pretrained, as one file or in shards, and of PEFT, which saves the adapters alone.
_INDEX = ".index.json"
IN_A_FOLDER = (
    "weights.safetensors",
    *(
        f"{name}{shards}"
        for name in ("model.safetensors", "pytorch_model.bin")
        for shards in ("", _INDEX)
    ),
    "adapter_model.safetensors",
    "adapter_model.bin",
)


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


@public()
def load_weights(model: "nn.Module", path: PathLike, key: Optional[str] = None) -> None:
    """Copy the weights in a file into a model's parameters and buffers, in place.

    No code in the file is executed. What is not a tensor is left out. If the file holds several
    state dicts of which one alone fits the model, that one is loaded. If several fit, name one.
    Parts that wrappers add to names, such as ``module.`` and ``_orig_mod.``, are ignored. One more
    prefix before all names is removed with a warning.

    Parameters
    ----------
    model
        If anything does not match, it is left unchanged.
    path
        A ``.safetensors`` file, a file of ``torch.save``, the index of a sharded checkpoint, or a
        folder.
    key
        The entry of the file that holds the weights, such as ``"ema"``; ``"ema.module"`` for an
        entry of an entry, ``"models.0"`` for the first of a list, ``""`` for the top level. It may
        lead to any entry, also to those that are not searched (optimizers, schedulers).

    Raises
    ------
    LossLandscapeError
        If the file cannot be read, several state dicts in it fit, or the weights do not fit the
        model; the message names the keys or the first such tensor.

    Examples
    --------
    >>> import tempfile, torch
    >>> model = torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = f"{folder}/w.pt"
    ...     torch.save({"ema": {"weight": torch.ones(1, 2), "bias": torch.ones(1)}}, file)
    ...     load_weights(model, file, key="ema")
    >>> model.weight.tolist()
    [[1.0, 1.0]]
    """
    load_into(model, _read(path, key, model), source=os.fspath(path))


def read_weights(path: PathLike, key: Optional[str] = None) -> "dict[str, Tensor]":
    """Read named tensors from a file to the CPU.

    ``.safetensors`` files are read as safetensors. Files with any other suffix (``.pt``, ``.pth``,
    ``.ckpt``) are read as files of ``torch.save``, with ``weights_only=True``, so no code in the
    file is executed; a state dict in a larger checkpoint is found, or named by ``key``.
    ``.index.json`` is the index of a sharded checkpoint, as
    Hugging Face's ``save_pretrained`` writes it, with its shards beside it. For a folder, its
    ``weights.safetensors`` (written by ``losslandscape train``) is read, or else the
    ``model.safetensors`` or ``pytorch_model.bin`` of Hugging Face, as one file or in shards.

    Tensors of safetensors files are memory-mapped: their values are read on first access.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or contains something other than named tensors; if it
        contains several state dicts and ``key`` names none of them; or if a shard is missing, is
        in another folder, or lacks a tensor listed in the index.
    """
    return _read(path, key, None)


def _read(path: PathLike, key: Optional[str], model: "Optional[nn.Module]") -> "dict[str, Tensor]":
    return read_state_dict(weights_file(path), key, model)[1]


def weights_file(path: PathLike) -> Path:
    """The weights file at a path: itself, or in a folder the one that is preferred there.

    Raises
    ------
    FileFormatError
        If there is no such file.
    """
    file = Path(path)
    if input_kind(file) == FOLDER:
        inside = [file / name for name in IN_A_FOLDER]
        file = next((one for one in inside if one.is_file()), inside[0])
    return input_file(file, "a weights file is expected (.safetensors, .pt, .pth)")


def read_state_dict(
    file: Path,
    key: Optional[str] = None,
    model: "Optional[nn.Module]" = None,
    content: object = None,
) -> "tuple[Optional[str], dict[str, Tensor]]":
    """The key under which a file holds its weights (None if it has no keys), and the weights.

    Parameters
    ----------
    content
        Of a file of ``torch.save`` that has been read already.

    Raises
    ------
    FileFormatError
        See :func:`read_weights`.
    """
    index = file.name.endswith(_INDEX)
    if index or file.suffix == ".safetensors":
        if key is not None:
            holds = "the index of shards" if index else "a safetensors file"
            raise FileFormatError(
                f"{file}: {holds} holds one set of weights, without keys; leave out "
                f"the key {key!r} (--weights-key)"
            )
        return None, _load_shards(file) if index else _load_safetensors(file)
    if content is None:
        content = read_content(file)
    found, chosen = _chosen(content, file, key, model)
    return found, _named_tensors(chosen, file)


def shards_of(index: Path) -> "dict[str, Path]":
    """The shard of each tensor, in the order of an index.

    Raises
    ------
    FileFormatError
        If the file is no index, or names a file outside its folder.
    """
    places = read_json_object(index, "the index of a sharded checkpoint").get("weight_map")
    if not isinstance(places, dict) or not places:
        raise FileFormatError(
            f"{index}: not the index of a sharded checkpoint (it has no weight_map)"
        )
    files = {name: file_inside(index.parent, name, index) for name in places.values()}
    return {tensor: files[name] for tensor, name in places.items()}


def files_of(file: Path) -> "tuple[Path, ...]":
    """A weights file and, if it is the index of shards, these."""
    if not file.name.endswith(_INDEX):
        return (file,)
    return (file, *dict.fromkeys(shards_of(file).values()))


def _chosen(
    content: object, file: Path, key: Optional[str], model: "Optional[nn.Module]"
) -> "tuple[Optional[str], object]":
    """The state dict of ``key``, or the only one, or the only one that fits the model; its key."""
    found = state_dicts(content)
    if key is not None:
        chosen = under_key(content, key)
        if len(chosen) > 1:
            raise FileFormatError(
                f"{file}: {len(chosen)} entries have the key {key!r}; save a file with one of them"
            )
        if not chosen:
            keys = ", ".join(repr(one) for one in found if one)
            raise FileFormatError(
                f"{file}: no state dict under {key!r}; "
                + (f"choose from {keys}" if keys else "the file has no keys, leave it out")
            )
        return key, chosen[0]
    if len(found) > 1:
        fits = {n: one for n, one in found.items() if model is not None and _fits(model, one)}
        found = fits or _more_than_numbers(found) or found
    if len(found) > 1:
        keys = ", ".join(repr(one) if one else "the top level (key '')" for one in [*found][:10])
        raise FileFormatError(
            f"{file}: holds several state dicts, {keys}{', ...' if len(found) > 10 else ''}; "
            'choose one: key="..." in Python, --weights-key on the command line'
        )
    if found:
        return next(iter(found.items()))
    for name in _WRAPPING_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            return name, content[name]
    return None, content


def _more_than_numbers(
    found: "dict[str, dict[str, Tensor]]",
) -> "dict[str, dict[str, Tensor]]":
    """Without the entries that hold only tensors of one number, such as a best accuracy."""
    return {name: one for name, one in found.items() if any(t.dim() for t in one.values())}


def _fits(model: "nn.Module", weights: "Mapping[str, Tensor]") -> bool:
    try:
        matched_names(model, weights, "")
    except LossLandscapeError:
        return False
    return True


def _load_safetensors(file: Path) -> "dict[str, Tensor]":
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise FileFormatError(
            f"{file}: damaged, or not a safetensors file ({error}); write it again"
        ) from error


def _load_shards(index: Path) -> "dict[str, Tensor]":
    """The tensors of all shards, in the order of the index."""
    places = shards_of(index)
    shards = {file: _load_shard(file) for file in dict.fromkeys(places.values())}
    for tensor, file in places.items():
        if tensor not in shards[file]:
            raise FileFormatError(
                f"{file}: lacks tensor {tensor!r}, which {index.name} lists in it; "
                "do the index and the shards belong to the same checkpoint?"
            )
    return {tensor: shards[file][tensor] for tensor, file in places.items()}


def _load_shard(file: Path) -> "dict[str, Tensor]":
    input_file(file, "the index of the shards lists it")
    if file.suffix == ".safetensors":
        return _load_safetensors(file)
    return _named_tensors(read_content(file), file)


def load_into(model: "nn.Module", weights: "Mapping[str, Tensor]", source: str = "weights") -> None:
    """Copy named tensors into a model's parameters and buffers, in place.

    Every tensor of the model must be present with its shape; types are converted. A tied parameter
    may have any of its names. What wrappers add to names is ignored, in any order and place:
    ``module.`` (DistributedDataParallel), ``_orig_mod.`` (torch.compile) and those of FSDP and of
    activation checkpointing. One more prefix common to all names, such as the ``net.`` of a
    Lightning module, is removed with a warning. If anything does not match, the model is left
    unchanged.

    Parameters
    ----------
    source
        Where the weights come from, for the error message.

    Raises
    ------
    LossLandscapeError
        If a tensor is missing or has another shape, the model lacks it, or two names of one tied
        parameter have different values. The message names the first such tensor, in the model's
        order.

    Warns
    -----
    UserWarning
        If a common prefix is removed, or the counter of an AveragedModel is left out.

    Examples
    --------
    >>> import torch
    >>> load_into(torch.nn.Linear(2, 1), {"weight": torch.zeros(1, 3), "bias": torch.zeros(1)})
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: weights: tensor 'weight' has shape (1, 3), but the
    model Linear has (1, 2); were these weights made for another model?
    """
    given, prefix = matched_names(model, weights, source)
    if prefix:
        warnings.warn(
            f"{source}: the prefix {prefix!r} is before every name; it is removed",
            stacklevel=users_line(),
        )
    if counter := _average_counter(model, weights):
        warnings.warn(
            f"{source}: these weights are an average, of torch.optim.swa_utils.AveragedModel "
            f"({counter} = {weights[counter].item()}); {counter!r} is left out",
            stacklevel=users_line(),
        )
    targets = {**parameter_tensors(model), **buffer_tensors(model)}
    for name, (_, tensor) in given.items():
        targets[name].copy_(tensor)


def matched_names(
    model: "nn.Module",
    weights: "Mapping[str, Tensor]",
    source: str,
    not_needed: "Collection[str]" = (),
) -> "tuple[dict[str, tuple[str, Tensor]], str]":
    """The model's name of each tensor -> its name in ``weights`` and its value; and the prefix.

    Names in ``not_needed`` may be missing.

    Raises
    ------
    LossLandscapeError
        See :func:`load_into`.
    """
    targets = {**parameter_tensors(model), **buffer_tensors(model)}
    first_names = _first_names(model)
    prefix = _common_prefix(first_names, weights)
    by_bare_name = bare_names(first_names)
    counter = _average_counter(model, weights)
    given: dict[str, tuple[str, Tensor]] = {}
    unexpected = []
    for name, tensor in weights.items():
        if name == counter:
            continue
        bare = bare_name(name)
        if bare.startswith(prefix):
            bare = bare.removeprefix(prefix)
            first_name = first_names.get(name) or by_bare_name.get(bare)
        else:
            first_name = None
        if first_name is None:
            unexpected.append(name)
            continue
        earlier, value = given.setdefault(first_name, (name, tensor))
        if value is not tensor and not _equal(value, tensor):
            raise LossLandscapeError(
                f"{source}: {earlier!r} and {name!r} hold different values, but the model "
                f"{type(model).__name__} has one tensor for both names (tied weights); were these "
                "weights made for a model in which they are not tied?"
            )

    kind = type(model).__name__
    hint = "were these weights made for another model?"
    for name, target in targets.items():
        if name not in given:
            if name.endswith(OPTIONAL_BUFFER) or name in not_needed:
                continue
            other = f" (it has {_listed(unexpected)})" if unexpected else ""
            raise LossLandscapeError(
                f"{source}: tensor {name!r} of the model {kind} is missing{other}; {hint}"
            )
        given_name, tensor = given[name]
        if tensor.shape != target.shape:
            raise LossLandscapeError(
                f"{source}: tensor {given_name!r} has shape {tuple(tensor.shape)}, but the model "
                f"{kind} has {tuple(target.shape)}; {hint}"
            )
        if kind_of_numbers(tensor) < kind_of_numbers(target) == 1 or (
            kind_of_numbers(tensor) > kind_of_numbers(target)
        ):
            raise LossLandscapeError(
                f"{source}: tensor {given_name!r} has type {tensor.dtype}, but the model {kind} "
                f"has {target.dtype}; are these weights quantized? Save them in the model's type"
            )
    if unexpected:
        if prefix:
            hint = (
                f"the model's own are those that begin with {prefix!r}; if the others are not "
                "needed, save a file without them"
            )
        more = f" (and {len(unexpected) - 1} more: {_listed(unexpected[1:])})"
        raise LossLandscapeError(
            f"{source}: tensor {unexpected[0]!r}{more if unexpected[1:] else ''} is unknown to "
            f"the model {kind}; {hint}"
        )
    return given, prefix


def _listed(names: "list[str]") -> str:
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown}, ..."


def kind_of_numbers(tensor: "Tensor") -> int:
    """0 for integers and truth values, 1 for real numbers, 2 for complex ones."""
    return 2 if tensor.is_complex() else int(tensor.is_floating_point())


def _equal(a: "Tensor", b: "Tensor") -> bool:
    """Whether two tensors have the same shape and values; NaN equals NaN."""
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _average_counter(model: "nn.Module", weights: "Mapping[str, Tensor]") -> str:
    """The name of AveragedModel's own buffer beside the ``module.`` that it averages, or empty."""
    name = next((name for name in weights if bare_name(name) == _AVERAGE_COUNTER), "")
    beside = f"{name.removesuffix(_AVERAGE_COUNTER)}module."
    averaged = (
        bool(name) and len(weights) > 1 and all(n == name or n.startswith(beside) for n in weights)
    )
    if not averaged or weights[name].numel() != 1 or name in _first_names(model):
        return ""
    return name


def _common_prefix(first_names: dict[str, str], weights: "Mapping[str, Tensor]") -> str:
    """The prefix of the file's names before which the model's names follow; empty if none is."""
    bare = {bare_name(name) for name in weights}
    own = bare_names(first_names)
    # a tied tensor has several names, of which one is enough
    needed = [first for first in first_names.values() if not first.endswith(OPTIONAL_BUFFER)]
    if not needed or any(name in bare for name in (*own, *first_names)):
        return ""
    # every name of the first needed tensor is tried: the file may have any one of them
    for begin in sorted((name for name in own if own[name] == needed[0]), key=len):
        for name in sorted(bare):
            if name.endswith(f".{begin}"):
                prefix = name.removesuffix(begin)
                there = {own[n] for n in own if prefix + n in bare}
                if there.issuperset(needed):
                    return prefix
    return ""


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


def _named_tensors(content: object, file: Path) -> "dict[str, Tensor]":
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
