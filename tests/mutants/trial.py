"""Runs a module's tests in forks of a process that has the libraries already."""

import gc
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

MEMORY = 6 << 30  # of data a process, bytes: a mutant may ask for any amount
OUTPUT = "mutants_output.txt"
# imported where they are used, or by tests
_LATER = ("h5py", "hypothesis", "matplotlib.pyplot", "netCDF4", "pytest", "sklearn.decomposition")
_OPTIONS = (
    *("-x", "-q", "--no-header", "--tb=line", "--hypothesis-seed=0"),
    *(f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "unraisableexception")),
)


def warm_up(package: Path) -> None:
    """Import what the package imports, and forget the package itself."""
    for file in sorted(package.rglob("*.py")):
        name = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        if not name.endswith("__main__"):
            with suppress(ImportError):
                import_module(name.removesuffix(".__init__"))
    for name in [name for name in sys.modules if name.split(".")[0] == package.name]:
        del sys.modules[name]
    for name in _LATER:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # collecting in a fork would copy these pages


def passes(
    tree: Path, tests: list[str], seconds: float, keep_bytecode: bool = False
) -> tuple[bool, float]:
    """Whether the tests pass within `seconds` of processor time, and how many they took.

    A child that waits, rather than computes, has ten times as long and a minute.
    """
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            _run(tree, tests, seconds, keep_bytecode)
        finally:
            os._exit(70)
    overdue = time.monotonic() + 60 + 10 * seconds
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > overdue:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests started and a mutant left running
    return os.waitstatus_to_exitcode(status) == 0, used.ru_utime + used.ru_stime


def _run(tree: Path, tests: list[str], seconds: float, keep_bytecode: bool) -> None:
    limit = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    output = os.open(tree / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.dont_write_bytecode = not keep_bytecode
    os.environ["PYTHONDONTWRITEBYTECODE"] = "" if keep_bytecode else "1"
    os.chdir(tree)
    _shrink_nothing()
    pytest = import_module("pytest")
    code = pytest.main([*_OPTIONS, f"--basetemp={tree / 'temporary'}", *tests])
    sys.stdout.flush()
    os._exit(int(code))


def _shrink_nothing() -> None:
    """That an example fails is enough: no simpler one is sought, and none is kept."""
    from hypothesis import Phase, settings

    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", phases=phases, database=None, deadline=None)
    settings.load_profile("mutants")
