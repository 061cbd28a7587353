"""Builds figures of landscapes and measures their pipelines: plugin, job file (a list of builds).

Each build is `{"figure", "inputs", "options"}`; the answer has the figure's report, its layers, and
for every pipeline object the points and the ranges of its point arrays.
"""

import json
import sys
from pathlib import Path


def describe():
    """Points, point-array ranges and heights of what lies lifted, by registered name."""
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found = {}
    for (name, _id), source in simple.GetSources().items():
        data = servermanager.Fetch(source)
        if not data.IsA("vtkDataSet"):
            continue
        facts = {"points": data.GetNumberOfPoints(), "cells": data.GetNumberOfCells(), "arrays": {}}
        for index in range(data.GetPointData().GetNumberOfArrays()):
            array = data.GetPointData().GetArray(index)
            if array is not None and array.GetNumberOfTuples():
                values = vtk_to_numpy(array)
                facts["arrays"][array.GetName()] = [float(values.min()), float(values.max())]
        if hasattr(data, "GetPoints") and data.GetPoints() and "height" in facts["arrays"]:
            points = vtk_to_numpy(data.GetPoints().GetData())
            facts["coordinates"] = points[:400].tolist()
            facts["heights"] = vtk_to_numpy(data.GetPointData().GetArray("height"))[:400].tolist()
        if hasattr(source, "Function"):
            facts["function"] = source.Function
        found[name] = facts
    return found


def texts():
    from paraview import simple

    sources = simple.GetSources().items()
    return [name for (name, _id), one in sources if one.SMProxy.GetXMLName() == "TextSource"]


def readers():
    from paraview import simple

    kinds = [source.SMProxy.GetXMLName() for source in simple.GetSources().values()]
    return kinds.count("LossLandscapeReader")


def main(plugin, job):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.figures.registry import FIGURES
    from losslandscape_paraview.layers.shown import find_layers
    from losslandscape_paraview.session import end_session, new_session

    answers = []
    for build in json.loads(Path(job).read_text(encoding="utf-8")):
        new_session()
        try:
            draw = FIGURES[build["figure"]]
            figure = draw(*build["inputs"], **build.get("options", {}))
        except LandscapeError as error:
            answers.append({"error": str(error)})
            continue
        answers.append(
            {
                "report": figure.report(),
                "layers": {name: len(shown) for name, shown in find_layers().items()},
                "sources": describe(),
                "texts": texts(),
                "readers": readers(),
                "factors": [panel.box.factor for panel in figure.panels],
                "bounds": [panel.box.bounds for panel in figure.panels],
            }
        )
    end_session()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
