"""Files of ``torch.save``, read without executing code: their content, and the state dicts in it.

``torch.load(weights_only=True)`` reads tensors and a few containers. Training scripts also store
NumPy numbers and plain containers. The classes of these are replaced here by inert ones, so
nothing of NumPy or of the file's own runs.
"""

import contextlib
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losslandscape.errors import FileFormatError
from losslandscape.files.guarded_reading import check_zip

_DEPTH = 3  # of state dicts in a checkpoint, such as ema -> module -> names
# words in the keys of what is not a model's weights, but may hold tensors under their names
_NOT_WEIGHTS = {
    "optim", "optims", "optimizer", "optimizers", "optimiser", "optimisers",
    "sched", "scheds", "scheduler", "schedulers",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NUMBER = re.compile(r"[<>=|][?biufc]\d{1,2}")


class _Inert:
    """Stands for an object whose content is not needed."""

    def __init__(self, *arguments: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _NumberType:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: object, *_: object):
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


def _number(kind: Any, data: Any) -> Any:
    """Stands for the function that makes a NumPy number of its bytes."""
    code, order = getattr(kind, "code", None), getattr(kind, "order", None)
    text = f"{order}{code}"
    if not _NUMBER.fullmatch(text):
        raise pickle.UnpicklingError(f"a NumPy value of type {code!r} is not a number")
    return np.frombuffer(data, np.dtype(text), 1)[0].item()


def _array(*_: object) -> _Inert:
    return _Inert()


def _mapping(*_: object) -> "dict[Any, Any]":
    """Stands for ``defaultdict``: its entries follow one by one."""
    return {}


def _items(items: Any = (), *_: object) -> "list[Any]":
    """Stands for ``deque``."""
    return list(items)


_STAND_INS = {
    _number: ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar"),
    _NumberType: ("numpy.dtype",),
    _array: ("numpy._core.multiarray._reconstruct", "numpy.core.multiarray._reconstruct"),
    _mapping: ("collections.defaultdict",),
    _items: ("collections.deque",),
    _Inert: (
        "numpy.ndarray", "argparse.Namespace", "types.SimpleNamespace",
        "builtins.list", "builtins.dict", "builtins.int", "builtins.float", "builtins.str",
        "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
        "datetime.datetime", "datetime.date", "datetime.timedelta",
    ),
}  # fmt: skip


@contextlib.contextmanager
def _known_containers() -> Iterator[None]:
    safe_globals = getattr(torch.serialization, "safe_globals", None)
    if safe_globals is None:  # PyTorch 2.4 and older: such files are refused
        yield
        return
    pairs: Any = [(one, name) for one, names in _STAND_INS.items() for name in names]
    with safe_globals(pairs):
        yield


def read_content(file: Path, mapped: bool = False, checked: bool = False) -> object:
    """The content of a file of ``torch.save``, on the CPU; no code in it is executed.

    Parameters
    ----------
    mapped
        Map the tensors into memory, so that values are read on first access. Files from before
        PyTorch 1.6 cannot be mapped and are read as a whole.
    checked
        The file's checksums have been compared before.

    Raises
    ------
    FileFormatError
        If the file is damaged, or holds objects other than tensors, numbers and plain containers.
        The message names their classes.
    """
    is_zip = zipfile.is_zipfile(file)
    if is_zip and not checked:
        check_zip(file, "torch.save")
    try:
        with _known_containers():
            return torch.load(
                str(file) if mapped else file,
                map_location="cpu",
                weights_only=True,
                mmap=True if mapped and is_zip else None,
            )
    except pickle.UnpicklingError as error:
        raise FileFormatError(f"{file}: {_refusal(file)}") from error
    except Exception as error:  # a malicious file can raise any
        raise FileFormatError(
            f"{file}: damaged, or not a PyTorch file ({type(error).__name__}: {error})"
        ) from error


def _refusal(file: Path) -> str:
    """Why a file is not read, and what to do."""
    try:
        with _known_containers():
            names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(file)))
    except Exception:  # an older PyTorch, or not a file of torch.save
        names = []
    holds = f"contains Python objects other than tensors ({', '.join(names[:5])})"
    if not names:
        holds = "contains Python objects other than tensors, or is not a PyTorch file"
    reason = f"{holds}; loading such a file could execute arbitrary code, so it was not read. "
    if any(name.startswith("torch.nn.modules.") for name in names):
        return (
            f"{reason}It holds a whole pickled module. If you trust the file, convert it: "
            f'python -c "import torch; torch.save(torch.load({file.name!r}, weights_only=False)'
            ".state_dict(), 'weights.pt')\" (if the module is an entry of a dict, add its key: "
            "[...])"
        )
    return f"{reason}Save only the weights: torch.save(model.state_dict(), ...)"


def state_dicts(content: object) -> "dict[str, dict[str, torch.Tensor]]":
    """The state dicts in a file's content, by the keys that lead to them, joined by dots.

    A state dict is a mapping with tensors under names; whatever else is beside them, such as
    numbers, is left out. The key of the top level is empty. The positions in a list are keys too.
    Optimizers and schedulers are left out; :func:`under_key` finds these as well.

    Examples
    --------
    >>> weights = {"weight": torch.zeros(2)}
    >>> list(state_dicts({"model": weights, "ema": {"module": weights, "decay": 0.9}, "epoch": 3}))
    ['model', 'ema.module']
    >>> list(state_dicts({**weights, "ema": [weights, weights], "optim": {"step": weights}}))
    ['', 'ema.0', 'ema.1']
    """
    found: dict[str, dict[str, torch.Tensor]] = {}

    def search(value: object, path: tuple[str, ...]) -> None:
        if isinstance(value, Mapping) and "param_groups" in value:
            return
        if tensors := _tensors(value):
            key = ".".join(path)
            while key in found:  # such as {0: ..., "0": ...}
                key += " (again)"
            found[key] = tensors
        if len(path) < _DEPTH:
            for name, inner in _entries(value):
                if not _NOT_WEIGHTS.intersection(map(str.lower, _WORD.findall(name))):
                    search(inner, (*path, name))

    search(content, ())
    return found


def under_key(content: object, key: str) -> "list[dict[str, torch.Tensor]]":
    """The state dicts to which a key leads: one, unless two keys of the file read the same.

    Examples
    --------
    >>> optimizer = {"averages": {"weight": torch.zeros(2), "beta": 0.9}}
    >>> [list(one) for one in under_key({"optimizer": optimizer}, "optimizer.averages")]
    [['weight']]
    """
    if not key:
        return [tensors] if (tensors := _tensors(content)) else []
    found = []
    for name, inner in _entries(content):
        if name == key:
            found += under_key(inner, "")
        elif key.startswith(f"{name}."):
            found += under_key(inner, key[len(name) + 1 :])
    return found


def _tensors(value: object) -> "dict[str, torch.Tensor]":
    if not isinstance(value, Mapping):
        return {}
    return {
        name: inner
        for name, inner in value.items()
        if isinstance(name, str) and isinstance(inner, torch.Tensor)
    }


def _entries(value: object) -> "list[tuple[str, object]]":
    if isinstance(value, (list, tuple)):
        return [(str(position), inner) for position, inner in enumerate(value)]
    if not isinstance(value, Mapping):
        return []
    return [(str(name), inner) for name, inner in value.items() if isinstance(name, (str, int))]
