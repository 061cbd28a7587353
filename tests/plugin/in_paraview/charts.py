"""Builds figures with charts and says what is drawn in them: plugin, job file (a list of builds).

Each build is `{"figure", "inputs", "options"}`; the answer has the figure's report, its layers, the
size of each chart's view, and in it the points of what is drawn and the words.
"""

import sys
from pathlib import Path


def drawn(view, names):
    """What a chart's view shows: points by name, and words with place and size by name."""
    from paraview import servermanager
    from vtkmodules.util.numpy_support import vtk_to_numpy

    shapes, words = {}, {}
    for shown in view.Representations:
        if not shown.Visibility or not hasattr(shown, "Input"):
            continue
        source = shown.Input
        name = names[getattr(source, "SMProxy", source).GetGlobalID()]
        data = servermanager.Fetch(source)
        if shown.GetXMLName() == "TextSourceRepresentation":
            place = [
                *shown.BillboardPosition[:2],
                shown.FontSize,
                bool(shown.Justification == "Right"),
            ]
            words[name] = [data.GetValue(0, 0).ToString(), *place]
        else:
            shapes[name] = vtk_to_numpy(data.GetPoints().GetData())[:, :2].tolist()
    return shapes, words


def describe(figure):
    from paraview import simple

    from losslandscape_paraview.layers.shown import find_layers

    names = {one.SMProxy.GetGlobalID(): key[0] for key, one in simple.GetSources().items()}
    shapes, words = {}, {}
    for view in figure.charts:
        for whole, part in zip((shapes, words), drawn(view, names)):
            whole.update(part)
    return {
        "layers": list(find_layers()),
        "sizes": [figure.view_size(view) for view in figure.charts],
        "shapes": shapes,
        "words": words,
    }


def main(plugin, job):
    sys.path[:0] = [plugin, str(Path(__file__).resolve().parent)]
    from builds import answer_builds

    from losslandscape_paraview.figures.registry import FIGURES

    answer_builds(job, FIGURES.get, describe)


if __name__ == "__main__":
    main(*sys.argv[1:])
