"""Reads the labels that figures show: plugin, output folder, files.

A file is a state (`.pvsm`) or a figure script (`.py`). Each is read as it is built or loaded, and
once more after it was saved as a state and loaded again. The answer has for each view the texts
that its SVG export holds, which are those of the picture, and the ticks of bars and axes.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def shown_texts(view, path):
    """All texts of a view, as they are drawn, in their order."""
    from paraview import simple

    simple.ExportView(str(path), view=view)
    # a figure's picture, embedded, can be cut off where it holds control characters
    found = re.findall(r"<text[^>]*>.*?</text>", path.read_text(errors="replace"), re.DOTALL)
    return ["".join(ElementTree.fromstring(text).itertext()) for text in found]


def read_labels(folder):
    """The texts, bars and axes of every view of the session."""
    from paraview import simple

    views = []
    for number, view in enumerate(simple.GetRenderViews()):
        bars = [
            {"title": str(bar.Title), "ticks": list(bar.CustomLabels)}
            for bar in view.Representations
            if bar.GetXMLName() == "ScalarBarWidgetRepresentation" and bar.Visibility
        ]
        ticks = []
        if view.AxesGrid.Visibility:
            ticks = [
                tick
                for letter in "XYZ"
                if getattr(view.AxesGrid, f"{letter}AxisUseCustomLabels")
                and getattr(view.AxesGrid, f"{letter}LabelOpacity") > 0
                for tick in getattr(view.AxesGrid, f"{letter}AxisLabels")
            ]
        texts = shown_texts(view, folder / f"{number}.svg")
        views.append({"texts": texts, "bars": bars, "ticks": ticks})
    return views


def main(plugin, output, *files):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.export.states import load_state, save_state
    from losslandscape_paraview.figure_script import build_script
    from losslandscape_paraview.session import end_session, new_session

    output, answers = Path(output), {}
    for file in map(Path, files):
        new_session()
        load_state(file) if file.suffix == ".pvsm" else build_script(file)
        first = read_labels(output)
        # beside the file, so that its data are in the state's folder
        saved = save_state(file.with_name(f"{file.name} saved again.pvsm"))
        new_session()
        load_state(saved)
        answers[file.name] = {"first": first, "again": read_labels(output)}
    end_session()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
