"""Find ParaView, its version and capabilities, and the plugin.

ParaView's programs are searched for in this order: the environment variables `PVPYTHON` and
`PARAVIEW`; the folder of the other program, if a variable names it; the search path; the usual
folders of Linux, macOS and Windows, newest version first.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from losslandscape.errors import LossLandscapeError

_PACKAGE = Path(__file__).resolve().parents[1]
# beside this package in an installation, in its own folder in a source checkout
_PLUGIN_FOLDERS = (_PACKAGE.parent, _PACKAGE.parents[1] / "paraview_plugin")
_INSTALL_PATTERNS = {
    "linux": (
        "/opt/[Pp]ara[Vv]iew*/bin",
        "/usr/local/[Pp]ara[Vv]iew*/bin",
        "~/[Pp]ara[Vv]iew*/bin",
        "~/.local/[Pp]ara[Vv]iew*/bin",
        "~/.local/opt/[Pp]ara[Vv]iew*/bin",
        "~/opt/[Pp]ara[Vv]iew*/bin",
        "~/Downloads/[Pp]ara[Vv]iew*/bin",
    ),
    "darwin": (
        # pvpython is in bin, the window program in MacOS
        "/Applications/ParaView*.app/Contents/bin",
        "/Applications/ParaView*.app/Contents/MacOS",
        "~/Applications/ParaView*.app/Contents/bin",
        "~/Applications/ParaView*.app/Contents/MacOS",
    ),
    "win32": (
        r"%ProgramFiles%\ParaView*\bin",
        r"%LOCALAPPDATA%\Programs\ParaView*\bin",
        r"%USERPROFILE%\ParaView*\bin",
        r"%USERPROFILE%\Downloads\ParaView*\bin",
    ),
}
_VARIABLES = {"pvpython": "PVPYTHON", "paraview": "PARAVIEW"}
_NO_PARAVIEW = (
    "ParaView was not found: install it (Debian, Ubuntu: `apt install paraview python3-paraview "
    "xvfb`; other systems: https://www.paraview.org/download), or set {variable} to the path of "
    "its {program}"
)
# Run by pvpython; works with any version since 5.9, and needs no screen.
_QUESTIONS = """
import importlib.util, inspect, json, site, sys
had_getargspec = hasattr(inspect, "getargspec")
if not had_getargspec:
    inspect.getargspec = inspect.getfullargspec
from paraview import servermanager as sm
if sm.ActiveConnection is None:
    sm.Connect()
pxm = sm.ProxyManager().SMProxyManager
names = ("TTKMorseSmaleComplex", "ttkMorseSmaleComplex")
mended = had_getargspec
if not mended:
    source = importlib.util.find_spec("paraview.detail.pythonalgorithm").origin
    mended = "getargspec" not in open(source, encoding="utf-8").read()
version = sm.vtkSMProxyManager.GetParaViewSourceVersion()
print(json.dumps({
    "version": version.replace("paraview version", "").strip(),
    "python": "%d.%d.%d" % sys.version_info[:3],
    "ttk": any(pxm.GetPrototypeProxy("filters", name) is not None for name in names),
    "loads_python_plugins": mended,
    "user_site": site.getusersitepackages() if site.ENABLE_USER_SITE else None,
}))
"""


@dataclass(frozen=True)
class Installation:
    """Version and capabilities of a ParaView installation.

    Attributes:
        version: for example `5.11.0`.
        python: version of its Python.
        ttk: whether the Topology ToolKit's filters are available.
        loads_python_plugins: False for ParaView 5.11 on Python 3.11 and later, because it imports
            a function that these versions have removed; the launcher works around this.
        user_site: the folder of the user's packages that its Python reads, or None.
    """

    version: str
    python: str
    ttk: bool
    loads_python_plugins: bool
    user_site: "str | None"


def find_pvpython() -> Path:
    """The path of ParaView's Python; see the module for the search order.

    Raises:
        LossLandscapeError: it was not found, or `PVPYTHON` names no program.
    """
    return _find("pvpython")


def find_paraview() -> Path:
    """The path of ParaView's window program; see the module for the search order.

    Raises:
        LossLandscapeError: it was not found, or `PARAVIEW` names no program.
    """
    return _find("paraview")


def describe(pvpython: Path) -> Installation:
    """Ask a ParaView for its version and capabilities; takes about a second, and no screen.

    Raises:
        LossLandscapeError: the program does not answer like ParaView's Python.
    """
    environment = clean_environment()
    try:
        done = subprocess.run(
            [str(pvpython), "-c", _QUESTIONS],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        return Installation(**answer)
    except (OSError, ValueError, TypeError, IndexError, subprocess.TimeoutExpired) as error:
        words = getattr(error, "strerror", None) or "it gave no answer"
        if isinstance(error, (ValueError, IndexError)) and done.stderr.strip():
            words = done.stderr.strip().splitlines()[-1]
        raise LossLandscapeError(
            f"{pvpython} does not work as ParaView's Python: {words}; set PVPYTHON to the path of "
            "another pvpython"
        ) from error


def plugin_path() -> Path:
    """The plugin's file, `LossLandscape.py`, in an installation or a source checkout.

    Raises:
        LossLandscapeError: it is in neither place.
    """
    for folder in _PLUGIN_FOLDERS:
        if (folder / "LossLandscape.py").is_file():
            return folder / "LossLandscape.py"
    raise LossLandscapeError(
        "the ParaView plugin LossLandscape.py was not found in "
        f"{' or '.join(str(folder) for folder in _PLUGIN_FOLDERS)}; reinstall losslandscape"
    )


def clean_environment() -> dict[str, str]:
    """The environment without this Python's paths, so that ParaView finds only its own modules."""
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX"):
        environment.pop(name, None)
    if sys.prefix != sys.base_prefix:
        # ParaView's Python looks for its own folder beside the first `python3` on the path.
        own = {str(Path(sys.prefix) / "bin"), str(Path(sys.prefix) / "Scripts")}
        folders = environment.get("PATH", "").split(os.pathsep)
        environment["PATH"] = os.pathsep.join(path for path in folders if path not in own)
    return environment


def version_of(path: str) -> tuple[int, ...]:
    """The version in a path, for sorting; `()` if there is none.

    >>> version_of("/opt/ParaView-5.13.2-MPI-Linux-Python3.10-x86_64/bin")
    (5, 13, 2)
    >>> version_of("C:/Program Files/ParaView 5.9/bin") < version_of("/opt/ParaView-5.13/bin")
    True
    >>> version_of("/opt/paraview/bin")
    ()
    """
    found = re.search(r"[Pp]ara[Vv]iew[- _]*v?(\d+(?:\.\d+)*)", path)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _find(program: str) -> Path:
    variable = _VARIABLES[program]
    named = os.environ.get(variable)
    if named:
        found = shutil.which(named)
        if found is None:
            raise LossLandscapeError(f"{variable}={named}: no such program")
        return Path(found)
    for folder in _folders(program):
        found = shutil.which(program, path=folder)
        if found:
            return Path(found)
    raise LossLandscapeError(_NO_PARAVIEW.format(program=program, variable=variable))


def _folders(program: str) -> Iterator[str]:
    """The folders to search for a program, in order."""
    other = next(name for name in _VARIABLES if name != program)
    named = shutil.which(os.environ.get(_VARIABLES[other], ""))
    if named:
        # if the user names pvpython, the window program must be of the same installation
        beside = Path(named).resolve().parent
        yield str(beside)
        if beside.parent.name == "Contents":  # on macOS they are in two folders
            yield from (str(beside.parent / name) for name in ("MacOS", "bin"))
    yield clean_environment().get("PATH", "")
    platform = "linux" if sys.platform.startswith("linux") else sys.platform
    folders = [
        folder
        for pattern in _INSTALL_PATTERNS.get(platform, ())
        for folder in glob.glob(os.path.expandvars(os.path.expanduser(pattern)))
    ]
    yield from sorted(folders, key=version_of, reverse=True)
