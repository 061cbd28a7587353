"""Reads landscape files through the plugin and saves what its ports gave: plugin, output, files."""

import json
import sys
from pathlib import Path


def main(plugin, output, *files):
    sys.path.insert(0, plugin)
    import numpy as np

    from losslandscape_paraview import load_plugin

    load_plugin()
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found, arrays = {}, {}
    for file in files:
        reader = simple.OpenDataFile(file)
        stem = Path(file).stem
        found[stem] = {"proxy": reader.SMProxy.GetXMLName(), "arrays": list(reader.Arrays)}
        for port in range(3):
            data = servermanager.Fetch(reader, idx=port)
            facts = {
                "class": data.GetClassName(),
                "points": data.GetNumberOfPoints(),
                "bounds": data.GetBounds(),
                "cells": [
                    [
                        data.GetCell(c).GetPointId(i)
                        for i in range(data.GetCell(c).GetNumberOfPoints())
                    ]
                    for c in range(data.GetNumberOfCells() if port else 0)
                ],
                "provenance": data.GetFieldData().GetAbstractArray("provenance").GetValue(0),
            }
            if port == 0:
                facts["dimensions"] = data.GetDimensions()
                facts["origin"], facts["spacing"] = data.GetOrigin(), data.GetSpacing()
            else:
                arrays[f"{stem}/{port}/points"] = vtk_to_numpy(data.GetPoints().GetData())
            point_data = data.GetPointData()
            for index in range(point_data.GetNumberOfArrays()):
                array = point_data.GetAbstractArray(index)
                if array.GetClassName() == "vtkStringArray":
                    values = [array.GetValue(i) for i in range(array.GetNumberOfValues())]
                    facts[array.GetName()] = values
                else:
                    arrays[f"{stem}/{port}/{array.GetName()}"] = vtk_to_numpy(array)
            found[stem][port] = facts
    # array selection, and a file that is written again
    reader.Arrays = ["loss"]
    data = servermanager.Fetch(reader, idx=0)
    found["selected"] = [
        data.GetPointData().GetArrayName(i) for i in range(data.GetPointData().GetNumberOfArrays())
    ]
    Path(files[-1]).write_bytes(Path(files[0]).read_bytes())
    simple.ReloadFiles(reader)
    found["reloaded"] = servermanager.Fetch(reader, idx=0).GetDimensions()
    np.savez(output, **arrays)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
