"""Faults of this package: what the user reads in place of a traceback, and the file to report."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from losslandscape import __version__

_LIBRARIES = ("torch", "numpy", "netCDF4", "vtk")


def report(error: BaseException, command: str, output: Path | None) -> str:
    """The sentence on a fault; its traceback goes to a file.

    Parameters
    ----------
    command : str
        The command line.
    output : path or None
        The command's output, beside which the file is written if that is possible; else it goes to
        the working folder, or to the folder for temporary files.
    """
    line = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    where = _place(error)
    head = f"this is a fault of losslandscape {__version__}, not of yours: {line}{where}."
    file = _written(_text(error, command), output)
    if file is None:
        return f"{head} Please report this line (no folder could be written for the details)"
    return f"{head} Please report this line and the file {file}, which has the details"


def _place(error: BaseException) -> str:
    """The last line of this package that ran."""
    package = Path(__file__).resolve().parents[1]
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(package):
            inside = file.relative_to(package).as_posix()
            return f" ({inside}:{number}, in {frame.f_code.co_name})"
    return ""


def _text(error: BaseException, command: str) -> str:
    loaded = {name: getattr(sys.modules.get(name), "__version__", "") for name in _LIBRARIES}
    versions = [f"losslandscape {__version__}", f"Python {platform.python_version()}"]
    versions += [f"{name} {version}" for name, version in loaded.items() if version]
    lines = [
        f"A fault of losslandscape, {time.strftime('%Y-%m-%d %H:%M:%S')}",
        f"command: {command}",
        f"versions: {', '.join(versions)}",
        f"system: {platform.platform()}",
        "",
        *traceback.format_exception(type(error), error, error.__traceback__),
    ]
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def _written(text: str, output: Path | None) -> Path | None:
    """The file with the text; None if no folder can be written."""
    name = f"losslandscape-fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in _folders(output):
        try:
            with (folder / name).open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return folder / name
    return None


def _folders(output: Path | None) -> Iterator[Path]:
    if output is not None:
        yield output.parent
    yield Path()
    try:
        yield Path(tempfile.gettempdir())
    except OSError:
        return
