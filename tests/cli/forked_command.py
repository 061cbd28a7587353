"""``losslandscape`` in a fork of this process, which has PyTorch already.

Starting Python with PyTorch takes seconds, a fork 10 ms. What a command finds is what it would find
in a process of its own: the folder, the environment, no module of a test's folder, a seed
of its own. Tests of the process itself (its death, its workers, what it imports) start one.
"""

import linecache
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import torch

import losslandscape
from losslandscape.cli import main

_PACKAGE = str(Path(losslandscape.__file__).resolve().parents[1])


def run(arguments, folder, **environment):
    """Run one command line in `folder`; what `subprocess.run` returns, with its texts."""
    arguments = [str(argument) for argument in arguments]
    environment = {"PYTHONPATH": _PACKAGE, "OMP_NUM_THREADS": "1", **environment}
    if not hasattr(os, "fork") or torch.get_num_threads() > 1:  # OpenMP does not outlive a fork
        return subprocess.run(
            [sys.executable, "-m", "losslandscape", *arguments],
            cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            _become(arguments, folder, environment, output.fileno(), errors.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(arguments, code, *texts)


def _become(arguments, folder, environment, output, errors):
    """The child: never returns."""
    code = 1
    try:
        for source, place in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (errors, 2)):
            os.dup2(source, place)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout, sys.stderr = _writer(1), _writer(2)
        os.chdir(folder)
        os.environ.update(environment)
        _forget_the_tests_modules()
        sys.path.insert(0, os.getcwd())
        sys.argv = ["losslandscape", *arguments]
        warnings.showwarning = _print_warning  # pytest keeps them
        warnings.resetwarnings()
        torch.seed()  # as a new process has it: another each time
        code = main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _writer(descriptor):
    return open(descriptor, "w", buffering=1, closefd=False)


def _print_warning(message, category, filename, lineno, file=None, line=None):
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _forget_the_tests_modules():
    """Modules and paths from tests' folders, which a process of its own would not have."""
    folder = os.path.realpath(tempfile.gettempdir()) + os.sep
    for name, module in list(sys.modules.items()):
        if os.path.realpath(getattr(module, "__file__", None) or "/").startswith(folder):
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if not os.path.realpath(path).startswith(folder)]
    linecache.clearcache()
