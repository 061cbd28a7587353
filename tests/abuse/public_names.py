"""Every public callable, found by itself: nothing here names one."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import losslandscape

ROOT = Path(__file__).parents[2]


class Public(NamedTuple):
    """A public function, a class, or a method of a public class.

    Attributes
    ----------
    name : str
        ``Grid.square``, or ``export``.
    owner : class or None
        Of a method that needs an object of the class.
    function : callable
        Bound, if it is a class or static method.
    """

    name: str
    owner: type | None
    function: Any

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        found = dict(inspect.signature(self.function).parameters)
        if self.owner is not None:
            found.pop("self")
        return found


def documented() -> Iterator[Any]:
    """What ``losslandscape.__all__`` and the lists of docs/api.md name."""
    for name in losslandscape.__all__:
        yield getattr(losslandscape, name)
    module = ""
    for line in (ROOT / "docs" / "api.md").read_text().splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
        elif found := re.fullmatch(r"   ([A-Za-z_][\w.]*)", line):
            yield resolved(f"{module}.{found[1]}")


def resolved(name: str) -> Any:
    """What a dotted name stands for; a function rather than the module of the same name."""
    module, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), last)
    except (ModuleNotFoundError, AttributeError):
        pass
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(resolved(module), last)


def public_callables() -> list[Public]:
    """All of them with parameters, once each."""
    found: dict[str, Public] = {}
    for thing in documented():
        for one in _of(thing):
            found.setdefault(one.name, one)
    return [one for one in found.values() if one.parameters]


def _of(thing: Any) -> Iterator[Public]:
    if inspect.ismodule(thing):
        names = getattr(thing, "__all__", None) or [n for n in vars(thing) if n[0] != "_"]
        for value in (getattr(thing, name) for name in names):
            if getattr(value, "__module__", "").startswith(thing.__name__):
                yield from _of(value)
    elif inspect.isclass(thing):
        if issubclass(thing, Exception):
            return
        if not _holds_results(thing):
            yield Public(thing.__name__, None, thing)
        for name in dir(thing):
            value = inspect.getattr_static(thing, name)
            if name.startswith("_"):
                continue
            if isinstance(value, (classmethod, staticmethod)):
                yield Public(f"{thing.__name__}.{name}", None, getattr(thing, name))
            elif inspect.isfunction(value):
                yield Public(f"{thing.__name__}.{name}", thing, value)
    else:
        yield Public(thing.__name__, None, thing)


def _holds_results(thing: type) -> bool:
    """Whether this is a plain record, which functions fill: making one checks nothing."""
    return dataclasses.is_dataclass(thing) and not hasattr(thing, "__post_init__")
