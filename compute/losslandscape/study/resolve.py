"""Import of a user's function that is named on the command line as ``package.module:function``."""

import importlib
import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import own_code

_MISSING = object()


def resolve(name: str) -> Callable[..., Any]:
    """Import ``package.module:function`` and return the function.

    The current folder is searched first, as by ``python -m``, so a script there is enough:
    ``my_model:build`` names ``build`` in ``my_model.py``. After the colon, a dotted name reaches
    into classes.

    Raises
    ------
    LossLandscapeError
        If the name has no colon, the module or function does not exist, or the module raises
        during import.

    Examples
    --------
    >>> resolve("math:hypot")(3, 4)
    5.0
    """
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise LossLandscapeError(
            f"{name!r}: not of the form package.module:function, such as my_model:build for the "
            "function build in my_model.py"
        )
    if module_name.endswith(".py") or os.sep in module_name:
        dotted = module_name.removesuffix(".py").strip("./").replace(os.sep, ".")
        raise LossLandscapeError(
            f"{name!r}: names a file, but a module is expected; write {dotted}:{function_name} "
            "and start from the folder that contains it"
        )
    if not all([*module_name.split("."), *function_name.split(".")]):
        raise LossLandscapeError(
            f"{name!r}: a name is missing beside a dot; write package.module:function without "
            "leading or trailing dots, such as my_model:build"
        )
    folder = _working_folder()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    found = _imported(name, module_name, folder)
    for part in function_name.split("."):
        with own_code(name):  # a module may have a __getattr__ of its own
            inside, found = found, getattr(found, part, _MISSING)
        if found is _MISSING:
            public = [other for other in dir(inside) if not other.startswith("_")]
            similar = get_close_matches(part, public, n=3) or public[:10]
            raise LossLandscapeError(
                f"{name!r}: {module_name} has no function {part!r}; it contains "
                f"{', '.join(similar)}"
            )
    if not callable(found):
        raise LossLandscapeError(
            f"{name!r}: is of type {type(found).__name__}, not a function; write a function "
            "without arguments that returns it"
        )
    return found


def _imported(name: str, module_name: str, folder: str) -> Any:
    try:
        with own_code(f"{name}: importing {module_name}"):
            return importlib.import_module(module_name)
    except LossLandscapeError as error:
        missing = error.__cause__
        if not isinstance(missing, ModuleNotFoundError) or missing.name is None:
            raise
        if not f"{module_name}.".startswith(f"{missing.name}."):
            raise  # the user's module exists, but imports one that does not
        raise LossLandscapeError(
            f"{name!r}: there is no module {missing.name!r} in {folder} or among the installed "
            "packages; start from the folder that contains it, or set PYTHONPATH"
        ) from missing


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise LossLandscapeError(
            "the working folder no longer exists; change to another one and start again"
        ) from error
