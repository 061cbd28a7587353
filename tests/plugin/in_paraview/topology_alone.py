"""Loads the topology package from beside the plugin: plugin. Prints where things came from."""

import json
import sys


def main(plugin):
    # ParaView loads the door as a plugin does: by its path, with no folder on sys.path
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("LossLandscape", f"{plugin}/LossLandscape.py")
    door = module_from_spec(spec)
    import inspect

    inspect.getargspec = inspect.getfullargspec
    spec.loader.exec_module(door)
    import numpy as np

    from losslandscape_paraview.plugin import load_topology

    topology = load_topology()
    answer = {
        "numpy": np.__file__,
        "topology": topology.__file__,
        "reader": door.LossLandscapeReader.__module__,
        "on_path": plugin in sys.path,
        "torch": "torch" in sys.modules,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
