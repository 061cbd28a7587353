"""Files of unknown origin, read by a process of its own.

Parsers are large, many of them in C, and a file made for one may crash it, hang it or have it ask
for any amount of memory. Here that ends a child process (:mod:`.limited_process`) and becomes an
error. ``docs/security.md`` says what this guards against, and what not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.formats.content_stream import Variable, receive

_PROGRAM = Path(__file__).with_name("limited_process.py")
_SLICE = 0.5  # seconds


def read(reader: str, files: Sequence[Path], options: Any = None) -> dict[str, Variable]:
    """What a reader sends of files, by name.

    Parameters
    ----------
    reader
        The module's name; see :mod:`.limited_process`.
    files
        The one that is read, by which errors are named, and others that belong to it.
    options
        JSON, for the reader.

    Raises
    ------
    FileFormatError
        They are damaged, or reading them crashes, or takes more time or memory than it may.
    LossLandscapeError
        The options do not fit.
    """
    path = files[0]
    if not sys.executable:
        raise LossLandscapeError(f"{path}: no Python program to read it with (sys.executable)")
    try:
        size = sum(os.stat(file).st_size for file in files)
    except OSError as error:
        raise FileFormatError(
            f"{error.filename}: cannot be read: {error.strerror or error}"
        ) from error
    limits = import_module(reader).LIMITS
    seconds = limits.seconds(size)
    # -S: the folders are given, so that none need be looked for
    command = [sys.executable, "-S", "-s", str(_PROGRAM), reader]
    command += [json.dumps([os.fspath(file) for file in files]), json.dumps(options)]
    ended = threading.Event()
    with subprocess.Popen(
        command,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        threading.Thread(target=end_late, args=(child, seconds, ended), daemon=True).start()
        try:
            assert child.stdout is not None
            return receive(child.stdout, path, limits.bytes_of_values(size))
        except EOFError as error:
            raise FileFormatError(f"{path}: {ended_by(child.wait(), seconds)}") from error
        finally:
            child.kill()  # whatever else it may be about
            ended.set()


def end_late(child: Any, seconds: float, ended: threading.Event) -> None:
    """Kill a child after so many seconds, unless it has ended before.

    They are counted in slices, so that a pause of both processes (a job that is suspended) counts
    as one slice at most and no file is called damaged because of it.
    """
    for _ in range(max(1, round(seconds / _SLICE))):
        if ended.wait(_SLICE):
            return
    child.kill()


def ended_by(code: int, seconds: float) -> str:
    """Why a child ended early, in words."""
    if code == -signal.SIGKILL:
        return f"could not be read within {seconds:.0f} s and the memory that such a file may take"
    if hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU:
        return "took more computing time than a file of its size may; it is damaged"
    if code < 0:
        return f"the library that reads it broke down ({signal.Signals(-code).name}); it is damaged"
    return f"could not be read (exit code {code} of the process that reads it)"


def _environment() -> dict[str, str]:
    package = str(Path(__file__).parents[2])
    # what this process imports from, but not the folder it happens to be in
    folders = [entry for entry in sys.path if entry]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(folders + [package] * (package not in folders)),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
    }
