"""`losslandscape refine` as a child process of ParaView.

The child runs in its own Python, with PyTorch, apart from ParaView's. Its standard input is a pipe
from this process. When the pipe closes, by `cancel` or because ParaView ends, the child ends and
keeps its finished points.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..errors import LandscapeError

PYTHON_VARIABLE = "LOSSLANDSCAPE_PYTHON"  # set by the launcher
_PROGRESS_SECONDS = "0.5"
_GRACE_SECONDS = 15.0  # after which a cancelled child is killed; its journal is whole anyway


class RefineProcess:
    """One run of the command. Creating the object starts it.

    Args:
        python: the program that has the compute package.
        landscape, output: files.
        bounds: two ends per direction, alpha first.
        factor: new grid intervals per old one.
        trust: let the file choose the code that is run.

    Raises:
        LandscapeError: the program cannot be started.
    """

    def __init__(self, python, landscape, output, bounds, factor, trust):
        self._folder = Path(tempfile.mkdtemp(prefix="losslandscape-"))
        self._log = self._folder / "log.txt"
        self._cancelled = None
        command = [python, "-m", "losslandscape", "refine", os.path.abspath(landscape)]
        command += ["--bounds=" + ",".join(repr(float(end)) for end in bounds)]
        command += [f"--factor={int(factor)}", "--output", os.path.abspath(output)]
        command += ["--end-with-input"] + (["--trust-file"] if trust else [])
        try:
            with self._log.open("wb") as log:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,  # an empty folder: -m imports from the current one first
                    env=_environment(),
                )
        except OSError as error:
            self._remove_folder()
            raise LandscapeError(f"{python}: cannot be started: {error.strerror}") from error
        self._input: Any = self._child.stdin

    def finished(self):
        """Whether the child has ended. Collects its exit code; kills one that ignores `cancel`."""
        if self._cancelled is not None and time.monotonic() - self._cancelled > _GRACE_SECONDS:
            self._child.kill()
        if self._child.poll() is None:
            return False
        if not self._input.closed:
            self._input.close()
        self._words = self._read_log()
        self._remove_folder()
        return True

    @property
    def succeeded(self):
        return self._child.returncode == 0

    @property
    def cancelled(self):
        return self._cancelled is not None

    def cancel(self):
        """Ask the child to end. The same run continues from its finished points."""
        if self._cancelled is None:
            self._cancelled = time.monotonic()
            self._input.close()

    def wait(self):
        """Wait until the child has ended."""
        while not self.finished():
            time.sleep(0.05)

    def progress(self):
        """The last line of progress, such as `12/81, 3/s, 23 s left`, and the share done."""
        for line in reversed(self._read_log().splitlines()):
            start, colon, rest = line.partition(": ")
            if start == "loss surface" and colon:
                found = re.match(r"(\d+)/(\d+)(,|$)", rest)
                if found:  # the log has other words of the surface, and lines half written
                    return rest, int(found[1]) / max(1, int(found[2]))
        return "starting", 0.0

    def message(self):
        """Its last message, for the user."""
        lines = [line for line in self._words.splitlines() if line.strip()]
        if self._child.returncode == 0:
            return lines[-1]
        errors = [line for line in lines if line.startswith("losslandscape refine: ")]
        return (errors or lines or [f"it ended with exit code {self._child.returncode}"])[-1]

    def _read_log(self):
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return getattr(self, "_words", "")

    def _remove_folder(self):
        shutil.rmtree(self._folder, ignore_errors=True)


def default_python():
    """The Python with the compute package; "" if none is set.

    The launcher sets it in the environment. `losslandscape paraview --install` writes it to a file
    beside ParaView's settings.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return named
    try:
        return os.fsdecode((_settings_folder() / "losslandscape" / "python.txt").read_bytes())
    except OSError:
        return ""


def _settings_folder():
    """Of the user's ParaView settings, as `losslandscape.paraview.settings` finds it."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", "")) / "ParaView"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ParaView"


def _environment():
    """Without ParaView's Python; the compute package of the same checkout where there is one."""
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"):
        environment.pop(name, None)
    compute = Path(__file__).resolve().parents[3] / "compute"
    if (compute / "losslandscape").is_dir():
        environment["PYTHONPATH"] = str(compute)
    environment["LOSSLANDSCAPE_PROGRESS_SECONDS"] = _PROGRESS_SECONDS
    environment["PYTHONIOENCODING"] = "utf-8"
    if sys.platform == "win32":
        environment.setdefault("PYTHONUTF8", "1")
    return environment
