"""Renders figures whole and without their layers: plugin, output folder, files, "hide", names.

A file is a state (`.pvsm`) or a figure script (`.py`). For `name.pvsm` the folder `name.pvsm/` gets
`all.png`, and one picture a layer without it if the name is among the last arguments; the answer
has the layers' names and each pipeline object's points and array ranges.
"""

import json
import sys
from pathlib import Path


def main(plugin, output, *files):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.export.states import load_state, render_layout
    from losslandscape_paraview.figure_script import build_script
    from losslandscape_paraview.layers.shown import COLOUR_BAR, find_layers, hidden
    from losslandscape_paraview.session import end_session, new_session

    files, hide = files[: files.index("hide")], files[files.index("hide") + 1 :]
    answers = {}
    for file in map(Path, files):
        new_session()
        layout = load_state(file) if file.suffix == ".pvsm" else build_script(file).layout
        folder = Path(output, file.name)
        folder.mkdir(parents=True)
        render_layout(layout, folder / "all.png")
        layers = find_layers()
        for name, shown in layers.items() if file.name in hide else ():
            with hidden(shown):
                render_layout(layout, folder / f"{name}.png", carries_state=False)
        answers[file.name] = {
            "layers": list(layers),
            "sources": describe(),
            "tables": tables(),
            "bars": [bar(proxy) for proxy in layers.get(COLOUR_BAR, ())],
        }
    end_session()
    print(json.dumps(answers))


def table(proxy):
    """All of a colour table that decides which value has which colour."""
    categorical = proxy.InterpretValuesAsCategories
    return {
        # of categories they decide nothing, and are those of the version's default table
        "points": [] if categorical else list(proxy.RGBPoints),
        "log": int(proxy.UseLogScale),
        "space": str(proxy.ColorSpace),
        "categories": list(proxy.Annotations) if categorical else [],
        "colours": list(proxy.IndexedColors) if categorical else [],
    }


def bar(proxy):
    return {
        "title": str(proxy.Title),
        "labels": list(proxy.CustomLabels),
        "format": str(proxy.LabelFormat),
        "table": table(proxy.LookupTable),
    }


def tables():
    """By pipeline object: the array that colours it, and its table."""
    from paraview import simple

    names = {source.SMProxy.GetGlobalID(): key[0] for key, source in simple.GetSources().items()}
    found = {}
    for view in simple.GetRenderViews():
        for shown in view.Representations:
            array = getattr(shown, "ColorArrayName", None)
            if shown.Visibility and array and array[1]:
                port = getattr(shown.Input, "SMProxy", shown.Input)
                name = names[port.GetGlobalID()]
                found[name] = {"array": array[1], **table(shown.LookupTable)}
    return found


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
