"""Draws figures, each whole, without each layer, and from its state: plugin, output, job file.

The job is a list of `{"name", "figure", "inputs", "options", "hide"}`. The folder `output/name/`
gets `all.png`, with `hide` a picture a layer without it, the state and `reopened.png`. The answer
has the layers of both, and of a volume how many points are hidden and how far the others are from
the file's.
"""

import json
import sys
from pathlib import Path

SIZE = (480, 400)


def volume_facts():
    """Of the source `volume`: hidden points, and the largest difference of height and loss."""
    import numpy as np
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import vtk_to_numpy

    for (name, _id), source in simple.GetSources().items():
        if name.startswith("volume ("):
            data = servermanager.Fetch(source)
            arrays = data.GetPointData()
            ghosts = arrays.GetArray("vtkGhostType")
            hidden = np.zeros(data.GetNumberOfPoints(), bool)
            if ghosts is not None:
                hidden = vtk_to_numpy(ghosts) != 0
            heights, loss = (vtk_to_numpy(arrays.GetArray(n))[~hidden] for n in ("height", "loss"))
            return {
                "class": data.GetClassName(),
                "hidden": int(hidden.sum()),
                "difference": float(np.abs(heights - np.log10(loss)).max()),
                "loss": loss.tolist(),
            }
    return None


def main(plugin, output, job):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.export.states import load_state, render_layout
    from losslandscape_paraview.figures.registry import FIGURES
    from losslandscape_paraview.layers.shown import find_layers, hidden
    from losslandscape_paraview.session import end_session, new_session

    answers = {}
    for build in json.loads(Path(job).read_text(encoding="utf-8")):
        folder = Path(output, build["name"])
        folder.mkdir(parents=True)
        new_session()
        draw = FIGURES[build["figure"]]
        figure = draw(*build["inputs"], size=SIZE, **build["options"])
        render_layout(figure.layout, folder / "all.png", SIZE)
        layers = find_layers()
        for name, shown in layers.items() if build["hide"] else ():
            with hidden(shown):
                render_layout(figure.layout, folder / f"{name}.png", SIZE, carries_state=False)
        answers[build["name"]] = {"layers": sorted(layers), "volume": volume_facts()}
        # beside its data: elsewhere it would have to be trusted
        state = Path(build["inputs"][0]).parent / f"{build['name']}.pvsm"
        figure.save_state(state)
        new_session()
        layout = load_state(state)
        render_layout(layout, folder / "reopened.png", SIZE)
        answers[build["name"]]["reopened"] = sorted(find_layers())
    end_session()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
