"""Calls of the user's own code: whatever it raises becomes an error that shows their own line.

A model's module, its build function, a data set or a loss may raise anything, end the process
(``sys.exit``) or call itself without end. :func:`own_code` wraps each such call. The error that it
raises says which call failed, what was raised, and the last line of the user's own that ran: no
frame of this package or of a library. The original exception is its cause.
"""

from __future__ import annotations

import inspect
import linecache
import os
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from losslandscape.errors import LossLandscapeError

_PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
_STANDARD_LIBRARY = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "")
_PACKAGES = re.compile(r"[/\\](site|dist)-packages[/\\]")
_LONGEST = 1000  # characters of an exception's text that are shown
# an exception of a DataLoader's worker process carries its traceback as text
_IN_WORKER = re.compile(r"Caught (\w+) in .*?Original Traceback.*?:\n", re.DOTALL)
_FRAME = re.compile(r'  File "(.+)", line (\d+), in (.+)\n(?:    (.*)\n)?')


class _Line(NamedTuple):
    """A line of code that was running."""

    file: str
    number: int
    function: str
    text: str

    @property
    def library(self) -> int:
        """0 for the user's own code, 1 for an installed package, 2 for Python's or this one."""
        path = os.path.abspath(self.file)
        if self.file.startswith("<frozen ") or path.startswith(_PACKAGE):
            return 2
        if _PACKAGES.search(path):
            return 2 if re.search(r"-packages[/\\](torch|numpy)[/\\]", path) else 1
        return 2 if path.startswith(_STANDARD_LIBRARY) else 0

    def describe(self) -> str:
        """The line as ``m.py:18, in build: raise ValueError("no")``."""
        file = self.file
        try:
            inside = os.path.relpath(file)
        except (OSError, ValueError):  # no working folder any more; another drive
            inside = os.pardir
        if os.path.exists(file) and not inside.startswith(os.pardir):
            file = inside
        function = "" if self.function in ("", "<module>") else f", in {self.function}"
        text = self.text.strip()
        return f"{file}:{self.number}{function}" + (f": {text}" if text else "")


@contextmanager
def own_code(what: str) -> Iterator[None]:
    """Call the user's code inside the block; what it raises becomes one error.

    Parameters
    ----------
    what : str
        What is called, for the message, such as ``"m:build"``.

    Raises
    ------
    LossLandscapeError
        If the code raises anything else, ``SystemExit`` included. ``KeyboardInterrupt`` passes.

    Examples
    --------
    >>> with own_code("m:build"):
    ...     raise SystemExit(0)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: m:build: your code ended the process with sys.exit(0)
    (<doctest ...>:2: raise SystemExit(0)); let it return instead
    """
    try:
        yield
    except (LossLandscapeError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise LossLandscapeError(failure(what, error)) from error


def call_without_arguments(name: str, function: Callable[..., Any], **given: Any) -> Any:
    """Call a user's function that needs no arguments besides those ``given``.

    Raises
    ------
    LossLandscapeError
        If it needs others, or raises anything.

    Examples
    --------
    >>> call_without_arguments("m:build", lambda size: size)
    Traceback (most recent call last):
    losslandscape.errors.LossLandscapeError: m:build: needs an argument (size), but is called
    without it; write a function without arguments that returns what is needed
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin without a signature
        signature = None
    if signature is not None:
        try:
            signature.bind(**given)
        except TypeError as error:
            missing = [
                one.name
                for one in signature.parameters.values()
                if one.default is one.empty
                and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
                and one.name not in given
            ]
            several = len(missing) > 1
            raise LossLandscapeError(
                f"{name}: needs {'arguments' if several else 'an argument'} "
                f"({', '.join(missing)}), but is called without {'them' if several else 'it'}; "
                "write a function without arguments that returns what is needed"
            ) from error
    with own_code(name):
        return function(**given)


def failure(what: str, error: BaseException) -> str:
    """The sentence on an exception of the user's code."""
    if isinstance(error, SystemExit):
        return (
            f"{what}: your code ended the process with sys.exit({_code(error)})"
            f"{_in_brackets(error)}; let it return instead"
        )
    endless = "calls itself without end: " if isinstance(error, RecursionError) else "raised "
    return f"{what}: your code {endless}{told(error)}"


def told(error: BaseException) -> str:
    """An exception's type and text, and the last line of the user's own code that ran.

    Examples
    --------
    >>> told(ValueError("no such flavor"))
    'ValueError: no such flavor'
    """
    if isinstance(error, SystemExit):
        return f"sys.exit({_code(error)}){_in_brackets(error)}"
    text = _text(error)
    kind = type(error).__name__
    if found := _IN_WORKER.search(text):
        kind = found[1]
        end = max((frame.end() for frame in _FRAME.finditer(text)), default=found.end())
        text = re.sub(r"^\s*[\^~ ]*\n", "", text[end:])
        text = text.strip().removeprefix(kind).lstrip(": ")
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} ..."
    return f"{kind}: {text}".removesuffix(": ") + _in_brackets(error)


def own_line(error: BaseException) -> str:
    """The last line of the user's own code that ran; empty if none did."""
    lines = list(_lines(error))
    for most in (0, 1):
        for line in reversed(lines):
            if line.library <= most:
                return line.describe()
    return ""


def raised_by_own_code(error: BaseException) -> bool:
    """Whether an exception arose in the user's code, or in what that called."""
    owners = [line.library for line in _lines(error)]
    ours = [i for i, line in enumerate(_lines(error)) if line.file.startswith(_PACKAGE)]
    return 0 in owners[max(ours, default=-1) + 1 :]


def _in_brackets(error: BaseException) -> str:
    line = own_line(error)
    return f" ({line})" if line else ""


def _lines(error: BaseException) -> Iterator[_Line]:
    """The lines of code that were running, the outermost first."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        text = linecache.getline(name, number, frame.f_globals)
        yield _Line(name, number, frame.f_code.co_name, text)
    if isinstance(error, SyntaxError) and error.filename:
        yield _Line(error.filename, error.lineno or 0, "", error.text or "")
    text = _text(error)
    if found := _IN_WORKER.search(text):
        for match in _FRAME.finditer(text, found.end()):
            yield _Line(match[1], int(match[2]), match[3], match[4] or "")


def _code(error: SystemExit) -> str:
    return "" if error.code is None else repr(error.code)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a user's exception may fail even at this
        return ""
