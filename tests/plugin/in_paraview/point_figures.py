"""Builds figures of points and measures their pipelines: plugin, job file (a list of builds).

Each build is `{"figure", "inputs", "options"}`, with a name of the package; the answer has the
report, the layers, the texts, the places of points in the charts' units, and the areas of regions.
"""

import json
import sys
from pathlib import Path


def describe():
    """Of each pipeline object its points, and of regions their area, by registered name."""
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersVerdict import vtkMeshQuality

    found = {}
    for (name, _id), source in simple.GetSources().items():
        data = servermanager.Fetch(source)
        if data.IsA("vtkPointSet") and data.GetNumberOfPoints():
            points = vtk_to_numpy(data.GetPoints().GetData())
            found[name] = {"count": len(points), "points": points[:50].tolist()}
            if name.startswith("region"):
                found[name]["area"] = sum(
                    abs(vtkMeshQuality.QuadArea(cell) if cell.GetNumberOfPoints() == 4 else
                        vtkMeshQuality.TriangleArea(cell))
                    for cell in map(data.GetCell, range(data.GetNumberOfCells()))
                    if cell.GetNumberOfPoints() in (3, 4)
                )  # fmt: skip
    return found


def main(plugin, job):
    sys.path.insert(0, plugin)
    from paraview import simple

    import losslandscape_paraview
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.layers.shown import find_layers
    from losslandscape_paraview.session import end_session, new_session

    answers = []
    for build in json.loads(Path(job).read_text(encoding="utf-8")):
        new_session()
        try:
            draw = getattr(losslandscape_paraview, build["figure"])
            sheet = draw(*build["inputs"], **build["options"])
        except LandscapeError as error:
            answers.append({"error": str(error)})
            continue
        sources = simple.GetSources().values()
        answers.append(
            {
                "report": sheet.report(),
                "layers": {name: len(shown) for name, shown in find_layers().items()},
                "sources": describe(),
                "texts": [one.Text for one in sources if one.SMProxy.GetXMLName() == "TextSource"],
                "charts": [
                    {"scale": chart.scale, "shift": chart.shift, "frame": chart.frame}
                    for chart in sheet.charts
                ],
            }
        )
    end_session()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
