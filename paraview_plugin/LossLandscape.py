"""Loss landscapes in ParaView: the one file to load in Tools > Manage Plugins."""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

if "losslandscape_paraview" not in sys.modules:
    # The package alone, and not its folder: that may be a virtual environment's site-packages,
    # whose NumPy and vtkmodules must not hide ParaView's own.
    spec = PathFinder.find_spec("losslandscape_paraview", [str(Path(__file__).resolve().parent)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])

from losslandscape_paraview.proxies import *  # noqa: F403

paraview_plugin_version = "0.1.0"  # what Tools > Manage Plugins shows
