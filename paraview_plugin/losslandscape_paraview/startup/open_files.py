"""Run by ParaView's window at its start: open what the launcher was asked for.

The environment variable `LOSSLANDSCAPE_OPEN` holds a JSON object: `package`, this package's folder
(ParaView does not tell a script where it lies), and the arguments of `first_view.open_in_window`.
"""

import json
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

asked = json.loads(os.environ.pop("LOSSLANDSCAPE_OPEN"))
folder = Path(asked.pop("package"))
if folder.name not in sys.modules:
    spec = PathFinder.find_spec(folder.name, [str(folder.parent)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])

from losslandscape_paraview.window.first_view import open_in_window  # noqa: E402

open_in_window(**asked)
