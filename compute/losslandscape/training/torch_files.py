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


def read_content(file: Path) -> object:
    """The content of a file of ``torch.save``, on the CPU; no code in it is executed.

    Raises
    ------
    FileFormatError
        If the file is damaged, or holds objects other than tensors, numbers and plain containers.
        The message names their classes.
    """
    if zipfile.is_zipfile(file):
        check_zip(file, "torch.save")
    try:
        with _known_containers():
            return torch.load(file, map_location="cpu", weights_only=True)
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


def state_dicts(content: object) -> "dict[str, Mapping[str, Any]]":
    """The state dicts in a file's content, by the keys that lead to them, joined by dots.

    A state dict is a mapping in which every name is a string and every value a tensor. Optimizers
    and schedulers are left out.

    Examples
    --------
    >>> weights = {"weight": torch.zeros(2)}
    >>> list(state_dicts({"model": weights, "ema": {"module": weights, "decay": 0.9}, "epoch": 3}))
    ['model', 'ema.module']
    >>> list(state_dicts(weights))
    ['']
    """
    found: dict[str, Mapping[str, Any]] = {}

    def search(value: object, path: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping) or not value or "param_groups" in value:
            return
        if all(isinstance(n, str) and isinstance(v, torch.Tensor) for n, v in value.items()):
            found[".".join(path)] = value
        elif len(path) < _DEPTH:
            for name, inner in value.items():
                if isinstance(name, str) and not re.search("optim|sched", name.lower()):
                    search(inner, (*path, name))

    search(content, ())
    return found
