"""Where ParaView is, what it is, and where its plugin lies.

Looked for in this order: the environment variables `PVPYTHON` and `PARAVIEW`, the folder of the
one that is named for the other, the search path, the usual folders of Linux, macOS and Windows
with the newest version first.
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
        # pvpython lies in bin, the window in MacOS
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
    "no ParaView: install it (Debian, Ubuntu: `apt install paraview python3-paraview xvfb`; "
    "others: https://www.paraview.org/download), or name its {program} with {variable}="
)
# Run by pvpython; works on any version since 5.9, and needs no screen.
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
    """What a ParaView says of itself.

    Attributes:
        version: such as `5.11.0`.
        python: version of the Python inside.
        ttk: the Topology ToolKit's filters are there.
        loads_python_plugins: False for ParaView 5.11 on Python 3.11 and later, whose own code
            imports a function that is gone from there; the launcher mends that as it starts.
        user_site: the folder of the user's own packages that its Python reads, or None.
    """

    version: str
    python: str
    ttk: bool
    loads_python_plugins: bool
    user_site: "str | None"


def find_pvpython() -> Path:
    """ParaView's Python; see the module for where it is looked for.

    Raises:
        LossLandscapeError: there is none, or `PVPYTHON` names none.
    """
    return _find("pvpython")


def find_paraview() -> Path:
    """ParaView's window; see the module for where it is looked for.

    Raises:
        LossLandscapeError: there is none, or `PARAVIEW` names none.
    """
    return _find("paraview")


def describe(pvpython: Path) -> Installation:
    """Ask a ParaView what it is; takes a second, and no screen.

    Raises:
        LossLandscapeError: the program does not answer as ParaView's Python does.
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
            f"{pvpython} does not work as ParaView's Python: {words}; name another with PVPYTHON="
        ) from error


def plugin_path() -> Path:
    """The plugin's one file, `LossLandscape.py`, in an installation or a source checkout.

    Raises:
        LossLandscapeError: it is at neither place.
    """
    for folder in _PLUGIN_FOLDERS:
        if (folder / "LossLandscape.py").is_file():
            return folder / "LossLandscape.py"
    raise LossLandscapeError(
        "the ParaView plugin LossLandscape.py was not found in "
        f"{' or '.join(str(folder) for folder in _PLUGIN_FOLDERS)}; reinstall losslandscape"
    )


def clean_environment() -> dict[str, str]:
    """The environment without this Python's paths, so that ParaView finds its own modules only."""
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX"):
        environment.pop(name, None)
    if sys.prefix != sys.base_prefix:
        # ParaView's Python looks for its own folder beside the first `python3` of the path.
        own = {str(Path(sys.prefix) / "bin"), str(Path(sys.prefix) / "Scripts")}
        folders = environment.get("PATH", "").split(os.pathsep)
        environment["PATH"] = os.pathsep.join(path for path in folders if path not in own)
    return environment


def version_of(path: str) -> tuple[int, ...]:
    """The version that a path names, to sort by; `()` where it names none.

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
            raise LossLandscapeError(f"{variable}={named}: there is no such program")
        return Path(found)
    for folder in _folders(program):
        found = shutil.which(program, path=folder)
        if found:
            return Path(found)
    raise LossLandscapeError(_NO_PARAVIEW.format(program=program, variable=variable))


def _folders(program: str) -> Iterator[str]:
    """Where to look for a program, from the most to the least likely."""
    other = next(name for name in _VARIABLES if name != program)
    named = shutil.which(os.environ.get(_VARIABLES[other], ""))
    if named:
        # where a person named pvpython, its window is meant too: one of another version is not
        beside = Path(named).resolve().parent
        yield str(beside)
        if beside.parent.name == "Contents":  # macOS has them in two folders
            yield from (str(beside.parent / name) for name in ("MacOS", "bin"))
    yield clean_environment().get("PATH", "")
    platform = "linux" if sys.platform.startswith("linux") else sys.platform
    folders = [
        folder
        for pattern in _INSTALL_PATTERNS.get(platform, ())
        for folder in glob.glob(os.path.expandvars(os.path.expanduser(pattern)))
    ]
    yield from sorted(folders, key=version_of, reverse=True)
