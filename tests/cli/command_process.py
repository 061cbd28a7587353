"""``losslandscape`` in a process of its own, in a folder of a test's.

It is a fork of a process that has imported PyTorch and the package and done nothing else, which
saves the 3 seconds that each import takes. Not a fork of the test process: that has threads by
then (of PyTorch, Dask, a progress bar), and a fork inherits their locks as they are.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import losslandscape

_PACKAGE = str(Path(losslandscape.__file__).resolve().parents[1])
_SERVER = Path(__file__).with_name("fork_server.py")


def environment(**changed):
    """The environment of the commands: this package, one thread."""
    return {**os.environ, "PYTHONPATH": _PACKAGE, "OMP_NUM_THREADS": "1", **changed}


def run(arguments, folder, **changed):
    """Run one command line in `folder`; what `subprocess.run` returns, with its texts.

    Args:
        arguments: those after the program's name.
        folder: the current folder of the command.
        changed: variables of its environment.
    """
    running = Running(arguments, folder, **changed)
    code = running.wait()
    return subprocess.CompletedProcess(running.arguments, code, *running.texts())


class Running:
    """A command line that runs; see `run`. It leads a group of processes.

    Attributes:
        arguments: those after the program's name.
        pid: its process.
        returncode: its exit status, or None while it runs.
    """

    def __init__(self, arguments, folder, **changed):
        self.arguments = [str(argument) for argument in arguments]
        self.returncode = None
        self._said = tempfile.TemporaryDirectory()
        self.pid = _ask(
            arguments=self.arguments,
            folder=str(folder),
            environment=environment(**changed),
            said=self._said.name,
        )

    def wait(self):
        """Its exit status, once it ends."""
        if self.returncode is None:
            self.returncode = _ask(wait=self.pid)
        return self.returncode

    def poll(self):
        """Its exit status, or None while it runs."""
        if self.returncode is None:
            self.returncode = _ask(poll=self.pid)
        return self.returncode

    def texts(self):
        """What it wrote to standard output and error so far."""
        return [Path(self._said.name, name).read_text(encoding="utf-8") for name in ("1", "2")]


def _ask(**wanted):
    server = _server(os.getpid())
    server.stdin.write(json.dumps(wanted) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


@cache
def _server(_process):
    return subprocess.Popen(
        [sys.executable, str(_SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
