"""Reading of files of unknown origin in a child process.

Parsers are large, and many are written in C. A malicious file may crash one, hang it, or make it
request any amount of memory. Here that ends only a child process (:mod:`.limited_process`) and
becomes an error. ``docs/security.md`` describes what this protects against, and what it does not.
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
    """Read files in a child process; returns the variables by name.

    Parameters
    ----------
    reader
        The name of the reader's module; see :mod:`.limited_process`.
    files
        The file to read, which error messages name, then other files that belong to it.
    options
        Options of the reader, representable as JSON.

    Raises
    ------
    FileFormatError
        If a file is damaged, or reading it crashes or exceeds the limits on time or memory.
    LossLandscapeError
        If the options do not fit the file.
    """
    path = files[0]
    if not sys.executable:
        raise LossLandscapeError(
            f"{path}: cannot be read, because the Python program is unknown (sys.executable is "
            "empty)"
        )
    try:
        size = sum(os.stat(file).st_size for file in files)
    except OSError as error:
        raise FileFormatError(
            f"{error.filename}: cannot be read: {error.strerror or error}"
        ) from error
    limits = import_module(reader).LIMITS
    seconds = limits.seconds(size)
    # -S: all import folders are passed on, so none has to be searched for
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
            child.kill()  # whatever it is still doing
            ended.set()


def end_late(child: Any, seconds: float, ended: threading.Event) -> None:
    """Kill a child process after some seconds, unless it ends before.

    The time is counted in slices: if both processes are paused (a suspended job), the pause counts
    as at most one slice, so that no file is reported as damaged because of it.
    """
    for _ in range(max(1, round(seconds / _SLICE))):
        if ended.wait(_SLICE):
            return
    child.kill()


def ended_by(code: int, seconds: float) -> str:
    """The reason why a child process ended early."""
    if code == -signal.SIGKILL:
        return (
            f"could not be read within {seconds:.0f} s and within the memory limit for a file of "
            "its size"
        )
    if hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU:
        return "took more computing time than allowed for a file of its size; it is damaged"
    if code < 0:
        return f"crashed the library that reads it ({signal.Signals(-code).name}); it is damaged"
    return f"could not be read (the reading process ended with exit code {code})"


def _environment() -> dict[str, str]:
    package = str(Path(__file__).parents[2])
    # the import folders of this process, without the current folder
    folders = [entry for entry in sys.path if entry]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(folders + [package] * (package not in folders)),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
    }
