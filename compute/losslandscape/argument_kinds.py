"""What an argument may be that is no number: an object of ours, a model, a word, a path, ...

As the ranges of :mod:`losslandscape.argument_checks`, each kind has a `check`: it returns the value
in one form, or refuses it with what was given, what is expected and how to get that. Classes are
named by their modules, so nothing is imported here: where a module is not loaded, nothing is an
instance of its classes.
"""

from __future__ import annotations

import difflib
import numbers
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from losslandscape.argument_checks import COORDINATE, FINITE, Whole, shown
from losslandscape.errors import LossLandscapeError

_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # bytes, of Linux's file systems


class Kind(Protocol):
    """What an argument may be."""

    def check(self, name: str, value: Any) -> Any:
        """The value in one form; a LossLandscapeError that says what is expected."""


def described(value: Any) -> str:
    """A value in a few words, for a message, without its content where that is long.

    Examples
    --------
    >>> import numpy as np
    >>> described(np.zeros((2, 3))), described({"a": 1}), described("x.nc"), described(dict)
    ('an array of shape (2, 3)', 'a dict', "'x.nc' (str)", 'the class dict')
    """
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    if isinstance(value, (str, bytes, numbers.Number, os.PathLike)):
        plain = value.item() if hasattr(value, "item") else value  # of NumPy's numbers
        text = shown(plain)
        if text != kind:
            return f"{text} ({kind})"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        what = {"ndarray": "an array", "Tensor": "a tensor"}.get(kind, f"a {kind}")
        return f"{what} of shape {tuple(shape)}"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"the function {value.__qualname__}"
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"


@dataclass(frozen=True)
class Instance:
    """An object of a class.

    Parameters
    ----------
    where : str
        ``"module:class"``.
    how : str
        How to get one, for the message.
    opens : str, optional
        The call that opens one from a path.
    path : bool
        Whether a path is taken as it is, because the function opens it.

    Examples
    --------
    >>> Instance("losslandscape.planes.grid:Grid", "Grid.square(5)").check("grid", 5)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: grid is 5 (int), but a Grid is expected: Grid.square(5)
    """

    where: str
    how: str
    opens: str = ""
    path: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is one."""
        module, _, name = self.where.partition(":")
        return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))

    def check(self, name: str, value: Any) -> Any:
        if self.holds(value):
            return value
        if isinstance(value, (str, os.PathLike)):
            if self.path:
                return PATH.check(name, value)
            if self.opens:
                raise LossLandscapeError(
                    f"{name} is {described(value)}, but {self._expected} is expected: if this is "
                    f"its file or folder, open it with {self.opens}({os.fspath(value)!r})"
                )
        raise LossLandscapeError(
            f"{name} is {described(value)}, but {self._expected} is expected: {self._how(value)}"
        )

    @property
    def _expected(self) -> str:
        word = self.where.rpartition(":")[2]
        words = f"{'an' if word[0] in 'AEIOU' else 'a'} {word}"
        return f"{words}, or the path of its file," if self.path else words

    def _how(self, value: Any) -> str:
        module, _, name = self.where.partition(":")
        own = getattr(sys.modules.get(module), name, None)
        if isinstance(value, type) and own is not None and issubclass(value, own):
            return f"an object of the class, such as {value.__name__}(...)"
        return self.how


class Model(Instance):
    """A PyTorch model."""

    def _how(self, value: Any) -> str:
        if isinstance(value, (str, os.PathLike)):
            return "build the model, then load this file: load_weights(model, path)"
        if isinstance(value, Mapping):
            return "build the model, then model.load_state_dict(...) of this dict"
        if hasattr(value, "model") and self.holds(value.model):
            return "pass its .model"
        if callable(value) and not isinstance(value, type):
            return "call the function, and pass what it returns"
        return super()._how(value)


class Flag:
    """True or False: a text such as ``"no"`` would be true.

    >>> Flag().check("overwrite", "no")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: overwrite is 'no' (str); pass True or False
    """

    def check(self, name: str, value: Any) -> bool:
        if value is True or value is False:
            return value
        kind = str(getattr(value, "dtype", type(value).__name__))
        whole = isinstance(value, int) and value in (0, 1)
        if whole or (kind.endswith("bool") and not getattr(value, "ndim", 0)):
            return bool(value)
        raise LossLandscapeError(f"{name} is {described(value)}; pass True or False")


class Text:
    """Text that a file can hold."""

    def check(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise LossLandscapeError(f"{name} is {described(value)}; pass text (str)")
        if "\0" in value or not _has_bytes(value):
            raise LossLandscapeError(f"{name} is {value!r}, which no file can hold as text")
        return str(value)  # of NumPy's, too


class Entry:
    """The place of an entry in a tuple or a dict.

    >>> Entry().check("place", [0])
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: place is a list; pass a number or a name
    """

    def check(self, name: str, value: Any) -> int | str:
        if isinstance(value, str):
            return value
        if is_whole(value):
            return int(value)
        raise LossLandscapeError(f"{name} is {described(value)}; pass a number or a name")


@dataclass(frozen=True)
class Word:
    """One of a few words; the message proposes the nearest.

    >>> Word(("log", "linear")).check("scale", "lin")
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: scale 'lin' is not one of log, linear; did you mean 'linear'?
    """  # noqa: E501

    words: Sequence[str]

    def check(self, name: str, value: Any) -> str:
        if isinstance(value, str) and value in self.words:
            return str(value)
        words = repr(value) if isinstance(value, str) else f"is {described(value)}, which"
        # torch.float64 says "float64"
        text = value.lower() if isinstance(value, str) else shown(value).rpartition(".")[2]
        near = difflib.get_close_matches(text, self.words, 1, 0.5)
        near = near or [word for word in self.words if len(text) > 1 and word.startswith(text[:2])]
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LossLandscapeError(f"{name} {words} is not one of {', '.join(self.words)}{hint}")


class PathName:
    """A path as text or an os.PathLike of text, which a file system can hold.

    >>> PathName().check("path", 3)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: path is 3 (int); pass the path of a file, as "x.nc"
    """

    def holds(self, value: Any) -> bool:
        """Whether a value is one."""
        return bool(_path_text(value))

    def check(self, name: str, value: Any) -> str | os.PathLike:
        text = _path_text(value)
        if not text:
            raise LossLandscapeError(
                f'{name} is {described(value)}; pass the path of a file, as "x.nc"'
            )
        if "\0" in text or not _has_bytes(text, file=True):
            raise LossLandscapeError(f"{name} is {text!r}: no file can have this name")
        longest = max(len(os.fsencode(part)) for part in text.split(os.sep))
        if longest > _LONGEST_NAME or len(os.fsencode(text)) > _LONGEST_PATH:
            raise LossLandscapeError(
                f"{name} begins with {text[:40]!r} and is too long for a path: a name may have "
                f"{_LONGEST_NAME} bytes, and a path {_LONGEST_PATH}"
            )
        return value


@dataclass(frozen=True)
class Items:
    """A sequence of values of one kind.

    Parameters
    ----------
    kind : Kind
    what : str
        What they are, for the message.
    least : int
        How few there may be.
    one : bool
        Whether a single value stands for a sequence of one.

    Examples
    --------
    >>> Items(Text(), "labels").check("labels", ("SGD", 3))
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: labels[1] is 3 (int); pass text (str)
    """

    kind: Kind
    what: str
    least: int = 0
    one: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is a sequence, whatever is in it."""
        return _is_sequence(value)

    def check(self, name: str, value: Any) -> Any:
        if self.one and (isinstance(value, str) or not _is_sequence(value)):
            return self.kind.check(name, value)
        if not _is_sequence(value):
            raise LossLandscapeError(
                f"{name} is {described(value)}; pass a list or a tuple of {self.what}"
            )
        if len(value) < self.least:
            raise LossLandscapeError(
                f"{name} has {len(value)} entries; pass at least {self.least} {self.what}"
            )
        return [self.kind.check(f"{name}[{i}]", one) for i, one in enumerate(value)]


@dataclass(frozen=True)
class Table:
    """A mapping with names as its keys.

    Parameters
    ----------
    what : str
        What it holds, for the message.
    kind : Kind, optional
        Of the values.
    """

    what: str
    kind: Kind | None = None

    def holds(self, value: Any) -> bool:
        """Whether a value is a dict, whatever is in it."""
        return isinstance(value, Mapping)

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise LossLandscapeError(f"{name} is {described(value)}; pass a dict: {self.what}")
        for key, one in value.items():
            if not isinstance(key, str):
                raise LossLandscapeError(
                    f"{name} has the key {described(key)}; its keys are names (str): {self.what}"
                )
            if self.kind is not None:
                self.kind.check(f"{name}[{key!r}]", one)
        return value


class Coordinates:
    """Finite coordinates, one per direction, as floats.

    Their number is that of the subspace or the grid, which knows it.

    >>> Coordinates().check("position", (0, float("nan")))
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: position[1]=nan: must be a finite number
    """

    def check(self, name: str, value: Any) -> list[float]:
        if not _is_sequence(value):
            raise LossLandscapeError(
                f"{name} is {described(value)}; pass coordinates, one number per direction, such "
                "as (0.5, 0.0)"
            )
        found = [FINITE.check(f"{name}[{i}]", one) for i, one in enumerate(value)]
        return [COORDINATE.check(f"{name}[{i}]", one) for i, one in enumerate(found)]


def coordinates(name: str, value: Any, dimensions: int) -> list[float]:
    """Coordinates as floats, of a space of so many dimensions.

    Raises
    ------
    LossLandscapeError
        If there is not one finite number for each direction.

    Examples
    --------
    >>> coordinates("position", (0.5,), 2)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: position: 1 coordinate was given for 2 directions
    """
    found = Coordinates().check(name, value)
    if len(found) != dimensions:
        raise LossLandscapeError(
            f"{name}: {len(found)} coordinate{'s were' if len(found) != 1 else ' was'} given for "
            f"{dimensions} direction{'s' * (dimensions != 1)}"
        )
    return found


@dataclass(frozen=True)
class Bounds:
    """Pairs (low, high), one for each axis.

    Parameters
    ----------
    kind : Kind
        Of the numbers; finite ones by default.

    Examples
    --------

    >>> Bounds().check("bounds", (-1, 1))
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: bounds[0] is -1 (int); pass a pair of numbers (low, high) for each axis, such as [(-1, 1), (0, 2)]
    """  # noqa: E501

    kind: Kind = FINITE

    def check(self, name: str, value: Any) -> list[tuple[float, float]]:
        if not _is_sequence(value):
            self._refuse(name, value)
        found: list[tuple[float, float]] = []
        for i, pair in enumerate(value):
            if not _is_sequence(pair) or len(pair) != 2:
                self._refuse(f"{name}[{i}]", pair)
            low, high = (self.kind.check(f"{name}[{i}][{j}]", end) for j, end in enumerate(pair))
            found.append((low, high))
        return found

    @staticmethod
    def _refuse(name: str, value: Any) -> None:
        raise LossLandscapeError(
            f"{name} is {described(value)}; pass a pair of numbers (low, high) for each axis, such "
            "as [(-1, 1), (0, 2)]"
        )


@dataclass(frozen=True)
class Either:
    """What the first kind holds is checked by it, and everything else by the second."""

    first: Any
    second: Kind

    def check(self, name: str, value: Any) -> Any:
        return (self.first if self.first.holds(value) else self.second).check(name, value)


@dataclass(frozen=True)
class Maybe:
    """None, or a value of a kind, where None is not the default."""

    kind: Kind

    def check(self, name: str, value: Any) -> Any:
        return None if value is None else self.kind.check(name, value)


class Anything:
    """A value that the function itself looks at."""

    def check(self, name: str, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class With:
    """An object that has a method, whatever its class.

    Parameters
    ----------
    method : str
    what : str
        What it is, for the message.
    """

    method: str
    what: str

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, type) or not callable(getattr(value, self.method, None)):
            raise LossLandscapeError(f"{name} is {described(value)}; pass {self.what}")
        return value


@dataclass(frozen=True)
class Series:
    """What a ``for`` loop takes, such as a list, a generator or a loader.

    Parameters
    ----------
    what : str
        What it is, for the message.

    Examples
    --------
    >>> import numpy as np
    >>> Series("a list of batches").check("batches", np.array(3))
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: batches is an array of shape (); pass a list of batches
    """

    what: str

    def check(self, name: str, value: Any) -> Any:
        # arrays of no dimension only seem to be iterable
        single = isinstance(value, type) or getattr(value, "ndim", 1) == 0
        if single or not callable(getattr(value, "__iter__", None)):
            raise LossLandscapeError(f"{name} is {described(value)}; pass {self.what}")
        return value


class Number:
    """A real number, NaN and the infinities included."""

    def check(self, name: str, value: Any) -> float:
        item = value.item() if getattr(value, "ndim", None) == 0 else value
        return float(item) if isinstance(item, float) else FINITE.check(name, value)


class Names:
    """A collection of names, in any order, such as a set or the keys of a dict."""

    def check(self, name: str, value: Any) -> Any:
        no_collection = isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) == 0
        if no_collection or not isinstance(value, Collection):
            raise LossLandscapeError(f"{name} is {described(value)}; pass a list or set of names")
        for one in value:
            TEXT.check(f"{name}: an entry", one)
        return value


class Pair:
    """Two finite numbers, the lower one first."""

    def check(self, name: str, value: Any) -> tuple[float, float]:
        if not _is_sequence(value) or len(value) != 2:
            raise LossLandscapeError(f"{name} is {described(value)}; pass a pair (low, high)")
        low, high = (FINITE.check(f"{name}[{i}]", one) for i, one in enumerate(value))
        if low >= high:
            raise LossLandscapeError(
                f"{name} runs from {low:g} to {high:g}; the first is the lower"
            )
        return low, high


WHOLE = Whole(None)
PATH = PathName()
FLAG = Flag()
TEXT = Text()
ANYTHING = Anything()


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of any type, and no bool.

    >>> import numpy as np
    >>> is_whole(np.int8(3)), is_whole(3.0), is_whole(True)
    (True, False, False)
    """
    try:
        WHOLE.check("value", value)
    except LossLandscapeError:
        return False
    return True


def _is_sequence(value: Any) -> bool:
    """Whether a value has entries in an order, one of which can be taken by its number."""
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)):
        return False
    if isinstance(value, Sequence):
        return True
    return bool(getattr(value, "ndim", 0)) and hasattr(value, "__getitem__")  # array, tensor


def _path_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, os.PathLike):
        return None
    text = os.fspath(value)
    return text if isinstance(text, str) else None


def _has_bytes(text: str, file: bool = False) -> bool:
    """Whether a text has bytes in UTF-8, or in the file system's encoding."""
    try:
        os.fsencode(text) if file else text.encode()
    except UnicodeEncodeError:
        return False
    return True
