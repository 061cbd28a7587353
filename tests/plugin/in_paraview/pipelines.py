"""Builds figures of landscapes and measures their pipelines: plugin, job file (a list of builds).

Each build is `{"figure", "inputs", "options"}`; the answer has the figure's report, its layers, and
for every pipeline object the points and the ranges of its point arrays.
"""

import sys
from pathlib import Path


def pipeline():
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
    """Name and words of each text."""
    from paraview import simple

    sources = simple.GetSources().items()
    return [
        (name, one.Text) for (name, _id), one in sources if one.SMProxy.GetXMLName() == "TextSource"
    ]


def readers():
    from paraview import simple

    kinds = [source.SMProxy.GetXMLName() for source in simple.GetSources().values()]
    return kinds.count("LossLandscapeReader")


def describe(figure):
    from builds import count_layers

    from losslandscape_paraview.compatibility import warnings

    return {
        "layers": count_layers(),
        "sources": pipeline(),
        "texts": [name for name, _words in texts()],
        "words": texts(),
        "warnings": warnings(),
        "readers": readers(),
        "factors": [panel.box.factor for panel in figure.panels],
        "bounds": [panel.box.bounds for panel in figure.panels],
    }


def main(plugin, job):
    sys.path[:0] = [plugin, str(Path(__file__).resolve().parent)]
    from builds import answer_builds

    from losslandscape_paraview.figures.registry import FIGURES

    answer_builds(job, FIGURES.get, describe)


if __name__ == "__main__":
    main(*sys.argv[1:])
