"""Runs the Morse-Smale filter and the topology figures: plugin, output (.npz), job file.

The job is `{"filters": [...], "figures": [...]}`. A filter is `{"name", "grid", "persistence"}`
with a `.npy` field of one to three axes; the arrays of its five ports go into the output. A figure
is `{"function", "inputs", "options"}`, with `then` another threshold, with `picture` a PNG. The
answer has each one's message or facts.
"""

import json
import sys
from pathlib import Path


def arrays_of(data):
    from vtkmodules.util.numpy_support import vtk_to_numpy

    found = {}
    for where, attributes in (("point", data.GetPointData()), ("cell", data.GetCellData())):
        for index in range(attributes.GetNumberOfArrays()):
            array = attributes.GetArray(index)
            found[f"{where}/{array.GetName()}"] = vtk_to_numpy(array)
    if data.IsA("vtkPolyData") and data.GetNumberOfPoints():
        found["points"] = vtk_to_numpy(data.GetPoints().GetData())
        found["lines"] = vtk_to_numpy(data.GetLines().GetConnectivityArray())
    return found


def run_filter(job):
    import numpy as np
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.filters.morse_smale import morse_smale_outputs

    field = np.load(job["grid"])
    image = vtkImageData()
    image.SetDimensions([*field.shape[::-1], 1, 1][:3])
    image.SetOrigin(-1.0, 0.5, 0.0)
    image.SetSpacing(0.25, 0.5, 1.0)
    array = numpy_to_vtk(field.ravel(), deep=True)
    array.SetName("loss")
    image.GetPointData().AddArray(array)
    source = simple.TrivialProducer()
    source.GetClientSideObject().SetOutput(image)
    found = simple.LossMorseSmaleComplex(Input=source, Persistence=job["persistence"])
    found.ScalarField = ["POINTS", job.get("array", "loss")]
    message, arrays = None, {}
    try:
        morse_smale_outputs(image, job.get("array", "loss"), job["persistence"])
    except LandscapeError as error:
        message = str(error)
    kinds = []
    for port in range(5):
        data = servermanager.Fetch(found, idx=port)
        kinds.append([data.GetClassName(), data.GetNumberOfPoints()])
        arrays.update({f"{job['name']}/{port}/{k}": v for k, v in arrays_of(data).items()})
    return {"message": message, "ports": kinds}, arrays


def run_figure(job):
    import losslandscape_paraview as llpv
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.layers.shown import find_layers
    from losslandscape_paraview.session import new_session

    new_session()
    try:
        figure = getattr(llpv, job["function"])(*job["inputs"], **job["options"])
    except LandscapeError as error:
        return {"error": str(error)}
    from paraview import servermanager, simple

    def points(start):
        return {
            name: servermanager.Fetch(source).GetNumberOfPoints()
            for (name, _id), source in simple.GetSources().items()
            if name.startswith(start)
        }

    facts = {
        "layers": sorted(find_layers()),
        "report": figure.report(),
        "points": points(
            ("critical points, arrays", "pairs, chosen", "pairs, not significant, ch")
        ),
    }
    for (name, _id), source in simple.GetSources().items():
        if name.startswith("Morse-Smale complex") and "then" in job:
            source.Persistence = job["then"]
            facts["then"] = points(("critical points, arrays", "pairs, chosen"))
    if "picture" in job:
        figure.save_thumbnail(job["picture"])
    return facts


def main(plugin, output, job):
    sys.path.insert(0, plugin)
    import numpy as np

    from losslandscape_paraview import load_plugin
    from losslandscape_paraview.session import end_session

    load_plugin()
    from paraview import simple

    job = json.loads(Path(job).read_text(encoding="utf-8"))
    answer = {"ttk": hasattr(simple, "TTKMorseSmaleComplex"), "filters": {}, "figures": []}
    arrays = {}
    for one in job["filters"]:
        answer["filters"][one["name"]], more = run_filter(one)
        arrays.update(more)
    answer["figures"] = [run_figure(one) for one in job["figures"]]
    np.savez(output, **arrays)
    end_session()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
