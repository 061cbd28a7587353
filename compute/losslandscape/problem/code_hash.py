"""A hash of a function's code, to check whether a file was measured with this function.

The hash covers the bytecode with the names it refers to, the defaults, and the constants in the
function's closure, in its module's variables and in its attributes; it follows functions of the
same module, and the fields of frozen dataclasses. It leaves out variables that the function itself
sets, such as a counter, and objects that can change in place, such as a list or a model: they may
have changed by the next check.

Bytecode depends on the version of Python, so the hash names that version.
"""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from losslandscape.planes.parameters import sha256

_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}:"
_CONSTANTS: tuple[type, ...] = (
    type(None), bool, int, float, complex, str, bytes, type(Ellipsis),
    torch.dtype, torch.device, np.generic, enum.Enum,
)  # fmt: skip


def code_hash(function: Callable) -> str:
    """The hash of a callable; it is the same in every process of one version of Python.

    Examples
    --------
    >>> def power(k):
    ...     return lambda x: x**k
    >>> code_hash(power(2)) == code_hash(power(2)), code_hash(power(2)) == code_hash(power(3))
    (True, False)
    """
    described = repr(_callable(function, ()))
    return _PYTHON + hashlib.sha256(described.encode()).hexdigest()


def is_code_of(stated: str | None, function: Callable) -> bool:
    """Whether a hash from a file can belong to a function.

    A hash of another version of Python cannot be compared, so the answer is True. Older files hold
    a hash of bytecode and constants alone, and none for a callable object.

    Examples
    --------
    >>> is_code_of(code_hash(abs), abs), is_code_of("python2.7:0123", abs), is_code_of("0", abs)
    (True, True, False)
    """
    if stated is not None and stated.startswith("python"):
        return not stated.startswith(_PYTHON) or stated == code_hash(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return stated is None
    return stated == hashlib.sha256(code.co_code + repr(_old_constants(code)).encode()).hexdigest()


def _old_constants(code: Any) -> list:
    return [(c.co_code, _old_constants(c)) if hasattr(c, "co_code") else c for c in code.co_consts]


def _callable(value: Any, within: tuple[int, ...]) -> Any:
    """What a callable does; ``within`` holds the ids of the functions that led here."""
    if id(value) in within:
        return "itself"
    within = (*within, id(value))
    if isinstance(value, FunctionType):
        return _function(value, within)
    if isinstance(value, MethodType):
        return _callable(value.__func__, within), _attributes(value.__self__)
    if isinstance(value, functools.partial):
        keywords = sorted((name, _value(one, within)) for name, one in value.keywords.items())
        return (
            _callable(value.func, within),
            [_value(one, within) for one in value.args],
            keywords,
        )
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return _name(value)
    called = type(value).forward if isinstance(value, nn.Module) else type(value).__call__
    return _callable(called, within), _attributes(value)


def _function(function: FunctionType, within: tuple[int, ...]) -> Any:
    code = function.__code__
    instructions = [instruction for part in _codes(code) for instruction in _instructions(part)]
    set_here = {i.argval for i in instructions if i.opname in ("STORE_DEREF", "STORE_GLOBAL")}
    cells = dict(zip(code.co_freevars, function.__closure__ or ()))
    closed = {name: _content(cell) for name, cell in cells.items()}
    names = {i.argval for i in instructions if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    variables = {name: function.__globals__[name] for name in names & set(function.__globals__)}
    own = {
        name: value
        for name, value in variables.items()
        if not isinstance(value, FunctionType) or value.__globals__ is function.__globals__
    }
    return (
        _code(code),
        _value(function.__defaults__, within),
        _named(function.__kwdefaults__ or {}, within),
        _named({n: v for n, v in closed.items() if n not in set_here}, within),
        _named({n: v for n, v in own.items() if n not in set_here}, within),
    )


def _code(code: CodeType) -> Any:
    constants = [
        _code(constant) if isinstance(constant, CodeType) else _value(constant, ())
        for constant in code.co_consts
    ]
    return code.co_code, code.co_names, constants


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those of the functions defined inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


@functools.lru_cache(maxsize=1024)
def _instructions(code: CodeType) -> list[dis.Instruction]:
    return list(dis.get_instructions(code))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # the cell is still empty


def _named(values: dict[str, Any], within: tuple[int, ...]) -> list:
    return [(name, _value(values[name], within)) for name in sorted(values)]


def _value(value: Any, within: tuple[int, ...]) -> Any:
    """A value that a function refers to if it cannot change in place; otherwise only its type."""
    if isinstance(value, _CONSTANTS):
        return type(value).__name__, repr(value)
    if isinstance(value, tuple):
        return [_value(one, within) for one in value]
    if isinstance(value, frozenset):
        return sorted(repr(_value(one, within)) for one in value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.shape, value.dtype.str, hashlib.sha256(value.tobytes()).hexdigest()
    if isinstance(value, Tensor) and not value.requires_grad:
        return sha256([value])
    if isinstance(value, (FunctionType, MethodType, functools.partial)):
        return _callable(value, within)
    if _is_frozen(value):
        fields = dataclasses.fields(value)
        return _name(value), _named({f.name: getattr(value, f.name) for f in fields}, within)
    if isinstance(value, nn.modules.loss._Loss):
        return _attributes(value), [(n, sha256([tensor])) for n, tensor in value.named_buffers()]
    return _name(value)


def _is_frozen(value: Any) -> bool:
    """Whether this is an instance of a frozen dataclass, whose fields stay as they are."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _attributes(value: Any) -> Any:
    """The constant attributes of an object, except those that its methods set."""
    if isinstance(value, type):
        return _name(value)
    methods = [
        method.__code__
        for kind in type(value).__mro__
        for name, method in vars(kind).items()
        if isinstance(method, FunctionType) and name != "__init__"
    ]
    set_later = {
        instruction.argval
        for method in methods
        for code in _codes(method)
        for instruction in _instructions(code)
        if instruction.opname == "STORE_ATTR"
    }
    kinds = (*_CONSTANTS, tuple, frozenset, np.ndarray, Tensor)
    constants = [
        (name, _value(one, ()))
        for name, one in sorted(getattr(value, "__dict__", {}).items())
        if isinstance(one, kinds) and name not in set_later
    ]
    return _name(value), constants


def _name(value: Any) -> str:
    """The name of a class, module or built-in function; for other objects, that of the class."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{getattr(named, '__module__', '')}:{named.__qualname__}".replace("__mp_", "__")
