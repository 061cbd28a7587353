"""Load the plugin into a running ParaView, and the compute side's topology beside it."""

import sys
from contextlib import suppress
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

from .compatibility import restore_getargspec
from .errors import LandscapeError

DOOR = Path(__file__).resolve().parents[1] / "LossLandscape.py"


def load_plugin():
    """Make the plugin's readers known to ParaView; does nothing when they are.

    On a server that ParaView is connected to, too, which opens the plugin by the same path.

    Raises:
        LandscapeError: ParaView did not take the plugin, or its server did not.
    """
    restore_getargspec()
    from paraview import servermanager, simple

    simple.Connect() if servermanager.ActiveConnection is None else None
    if hasattr(servermanager.sources, "LossLandscapeReader"):
        return
    if servermanager.ActiveConnection.IsRemote():
        _load_on_server(simple, servermanager)
    else:
        simple.LoadPlugin(str(DOOR), remote=False, ns=vars(simple))
    if not hasattr(servermanager.sources, "LossLandscapeReader"):
        raise LandscapeError(f"{DOOR.name}: ParaView could not load this plugin; see above for why")


def _load_on_server(simple, servermanager):
    with suppress(RuntimeError):  # says only that it could not
        simple.LoadPlugin(str(DOOR), remote=True, ns=vars(simple))
    if not hasattr(servermanager.sources, "LossLandscapeReader"):
        raise LandscapeError(
            f"the server could not load {DOOR}; the project must lie there at the same path, and a "
            "ParaView 5.11 on Python 3.11 or later be started with PYTHONPATH="
            f"{DOOR.parent / 'losslandscape_paraview' / 'startup'} (see docs/launcher.md)"
        )


def load_topology():
    """The package `losslandscape.topology` (NumPy only), from wherever the project lies.

    It is loaded from its own folder, in a source checkout (`compute/`) or beside this package in
    an installation, without that folder going on `sys.path`: there, a virtual environment's NumPy
    and VTK would hide ParaView's.

    Raises:
        LandscapeError: the package is at neither place.
    """
    if "losslandscape" not in sys.modules:
        beside = Path(__file__).resolve().parents[1]
        folders = [str(beside.parent / "compute"), str(beside)]
        spec = PathFinder.find_spec("losslandscape", folders)
        if spec is None:
            raise LandscapeError(
                f"package 'losslandscape' was not found in {' or '.join(folders)}; "
                "use the plugin from a full checkout or an installed wheel"
            )
        assert spec.loader is not None
        sys.modules["losslandscape"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["losslandscape"])
    return import_module("losslandscape.topology")
