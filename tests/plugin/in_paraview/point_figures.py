"""Builds figures of points and measures their pipelines: plugin, job file (a list of builds).

Each build is `{"figure", "inputs", "options"}`, with a name of the package; the answer has the
report, the layers, the texts, the places of points in the charts' units, and the areas of regions.
"""

import sys
from pathlib import Path


def pipeline():
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


def describe(sheet):
    from builds import count_layers
    from paraview import simple

    sources = simple.GetSources().values()
    return {
        "layers": count_layers(),
        "sources": pipeline(),
        "texts": [one.Text for one in sources if one.SMProxy.GetXMLName() == "TextSource"],
        "charts": [
            {"scale": chart.scale, "shift": chart.shift, "frame": chart.frame}
            for chart in sheet.charts
        ],
    }


def main(plugin, job):
    sys.path[:0] = [plugin, str(Path(__file__).resolve().parent)]
    from builds import answer_builds

    import losslandscape_paraview

    answer_builds(job, lambda name: getattr(losslandscape_paraview, name), describe)


if __name__ == "__main__":
    main(*sys.argv[1:])
