"""Import of a user's function that is named on the command line as ``package.module:function``."""

import importlib
import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from losslandscape.errors import LossLandscapeError


def resolve(name: str) -> Callable[..., Any]:
    """Import ``package.module:function`` and return the function.

    The current folder is searched first, as by ``python -m``, so a script there is enough:
    ``my_model:build`` names ``build`` in ``my_model.py``. After the colon, a dotted name reaches
    into classes.

    Raises
    ------
    LossLandscapeError
        If the name has no colon, or the module or function does not exist. An error that the
        module itself raises during import is not caught: its traceback shows where it occurred.

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
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the user's module exists, but imports one that does not
        raise LossLandscapeError(
            f"{name!r}: there is no module {error.name!r} in {folder} or among the installed "
            "packages; start from the folder that contains it, or set PYTHONPATH"
        ) from error
    for part in function_name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            public = [other for other in dir(found) if not other.startswith("_")]
            similar = get_close_matches(part, public, n=3) or public[:10]
            raise LossLandscapeError(
                f"{name!r}: {module_name} has no function {part!r}; it contains "
                f"{', '.join(similar)}"
            ) from error
    if not callable(found):
        raise LossLandscapeError(
            f"{name!r}: is of type {type(found).__name__}, not a function; write a function "
            "without arguments that returns it"
        )
    return found
