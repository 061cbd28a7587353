"""Renders figures whole and without each of their layers: plugin, output folder, files.

A file is a state (`.pvsm`) or a figure script (`.py`). For `name.pvsm` the folder `name.pvsm/` gets
`all.png` and one picture a layer without it; the answer has the layers' names and each pipeline
object's points and array ranges.
"""

import json
import sys
from pathlib import Path


def main(plugin, output, *files):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.figure_script import build_script
    from losslandscape_paraview.session import end_session, new_session
    from losslandscape_paraview.shown_layers import find_layers, hidden
    from losslandscape_paraview.states import load_state, render_layout

    answers = {}
    for file in map(Path, files):
        new_session()
        layout = load_state(file) if file.suffix == ".pvsm" else build_script(file).layout
        folder = Path(output, file.name)
        folder.mkdir(parents=True)
        render_layout(layout, folder / "all.png")
        layers = find_layers()
        for name, shown in layers.items():
            with hidden(shown):
                render_layout(layout, folder / f"{name}.png")
        answers[file.name] = {"layers": list(layers), "sources": describe()}
    end_session()
    print(json.dumps(answers))


def describe():
    """Of every pipeline object with data: points and the ranges of its point arrays."""
    from paraview import simple

    found = {}
    for (name, _id), source in simple.GetSources().items():
        source.UpdatePipeline()
        info = source.GetDataInformation()
        if info.GetDataSetTypeAsString() in ("vtkTable", "vtkSelection", "Unknown", ""):
            continue
        arrays = source.PointData
        found[name] = {
            "kind": source.SMProxy.GetXMLName(),
            "points": info.GetNumberOfPoints(),
            "arrays": {array.Name: list(array.GetRange(0)) for array in arrays.values()},
            "files": list(source.FileName) if hasattr(source, "FileName") else [],
        }
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
