"""Run by ParaView's window at its start: draw the figure that the launcher was asked for."""

import json
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

if "losslandscape_paraview" not in sys.modules:
    folder = Path(__file__).resolve().parents[1]
    spec = PathFinder.find_spec(folder.name, [str(folder.parent)])
    sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])

from losslandscape_paraview.errors import LandscapeError
from losslandscape_paraview.pipelines import FIGURES

asked = json.loads(os.environ.get("LOSSLANDSCAPE_OPEN", "{}"))
files = asked.get("files", [])
if files:
    figure = asked.get("figure") or ("compare" if len(files) == 2 else "default")
    try:
        FIGURES[figure](*files)
    except LandscapeError as error:
        from paraview import print_error

        print_error(f"losslandscape: {error}")
