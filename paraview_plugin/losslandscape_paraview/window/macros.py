"""Macros, the buttons of ParaView's toolbar: each figure, and a finer grid, of what is selected.

This module needs only Python's standard library. So an installer can load its file alone and call
`install_macros` with ParaView's macro folder (`~/.config/ParaView/Macros` on Linux, and
any folder in `PV_MACRO_PATH`).
"""

import os
import tempfile
from pathlib import Path

_FIGURES = {
    "Loss surface": "surface",
    "Loss contours": "contours",
    "Loss trajectory": "trajectory",
    "Loss topology": "topology",
    "Loss flat region": "flat_region",
    "Loss compare": "compare",
    "Loss curve": "curve",
    "Loss isosurfaces": "isosurfaces",
    "Loss volume": "volume",
}
# what ParaView calls the button -> the function it calls: module, name, arguments
MACROS = {
    **{name: ("window.selection", "draw", f'"{figure}"') for name, figure in _FIGURES.items()},
    "Refine What Is Seen": ("window.refine_seen", "refine_what_is_seen", ""),
}

# its first line tells files of this module from the user's own of the same name
_MARK = "# Written by losslandscape; changes are lost when it is installed again."
# Also where the plugin is not loaded yet. The package is imported alone: the folder around it
# may be a virtual environment's, whose NumPy and VTK would hide ParaView's.
_TEMPLATE = (
    _MARK
    + """
# For the landscape that is selected in the pipeline browser.
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

from paraview import print_error

if "losslandscape_paraview" not in sys.modules:
    spec = PathFinder.find_spec("losslandscape_paraview", [{folder!r}])
    if spec is not None:
        sys.modules[spec.name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
if "losslandscape_paraview" in sys.modules:
    from losslandscape_paraview.{module} import {function}

    {function}({arguments})
else:
    print_error("{name}: losslandscape is no longer in " + {folder!r} + "; install it again")
"""
)
_FOLDER = str(Path(__file__).resolve().parents[2])


def install_macros(folder):
    """Write the macros into a folder, which is made where it is missing.

    Args:
        folder: ParaView's folder of macros.

    Returns:
        list of the paths written. A file of the same name that this function did not write is
        left as it is, and is not in the list.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.py" for name in MACROS]
    ours = [path for path in paths if not path.exists() or _is_ours(path)]
    for path in ours:
        names = dict(zip(("module", "function", "arguments"), MACROS[path.stem]))
        _write(path, _TEMPLATE.format(name=path.stem, folder=_FOLDER, **names))
    return ours


def remove_macros(folder):
    """Remove what `install_macros` wrote there; returns the paths removed."""
    paths = [Path(folder) / f"{name}.py" for name in MACROS]
    ours = [path for path in paths if path.is_file() and _is_ours(path)]
    for path in ours:
        path.unlink()
    return ours


def _is_ours(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip("\n") == _MARK


def _write(path, text):
    """Write a file whole or not at all."""
    # hidden, because ParaView makes a macro of every other file in the folder
    number, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
