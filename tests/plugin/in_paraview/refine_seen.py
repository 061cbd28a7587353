"""Refine What Is Seen: plugin, folder with coarse.nc (6 x 6 points from -1 to 1) and config/."""

import json
import os
import sys
from pathlib import Path

import numpy as np


def by_vtk(view, points):
    """Which points VTK itself finds in the view."""
    renderer, inside = view.GetRenderer(), []
    for point in points:
        renderer.SetWorldPoint(*point, 1.0)
        renderer.WorldToView()
        inside.append(max(abs(part) for part in renderer.GetViewPoint()[:2]) <= 1)
    return np.array(inside)


def main(plugin, folder):
    sys.path.insert(0, plugin)
    import losslandscape_paraview as llpv
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.sources.landscape_sources import fetch
    from losslandscape_paraview.window import refine_seen, selection

    llpv.load_plugin()
    from paraview import servermanager, simple
    from vtkmodules.util.numpy_support import vtk_to_numpy

    folder, found = Path(folder), {}
    os.environ.pop("LOSSLANDSCAPE_PYTHON", None)
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    reader = simple.OpenDataFile(str(folder / "coarse.nc"))
    view = simple.CreateView("RenderView")
    view.ViewSize = [400, 300]
    view.CameraParallelProjection = 1

    def look(focal, scale):
        view.CameraFocalPoint = [*focal, 0]
        view.CameraPosition = [*focal, 5]
        view.CameraParallelScale = scale
        simple.Render(view)

    def seen(of=view):
        try:
            return refine_seen.seen_bounds(of, selection.selected_landscapes(1)[0].surface)
        except LandscapeError as error:
            return str(error)

    look((0.25, -0.3), 0.2)
    simple.Hide(reader, view)
    found["hidden"] = seen()
    simple.Show(reader, view)
    look((0.25, -0.3), 0.2)
    found["plain"] = seen()
    look((0, 0), 2)
    found["all"] = seen()
    look((9, 9), 0.2)
    found["none"] = seen()
    view.CameraParallelProjection = 0
    view.CameraPosition, view.CameraFocalPoint = [0.3, -1.2, 0.6], [0.4, 0.2, 0]
    view.CameraViewUp, view.CameraViewAngle = [0, 0, 1], 25
    simple.Render(view)
    ends = np.linspace(-1, 1, 6)
    grid = np.array([(x, y, 0.0) for y in ends for x in ends])
    inside = grid[by_vtk(view, grid)]
    found["perspective"], found["perspective by VTK"] = seen(), inside.tolist()

    figure = llpv.surface(reader)
    drawn = figure.views[0]
    drawn.CameraParallelScale *= 0.12
    simple.Render(drawn)
    lifted = next(s for (n, _), s in simple.GetSources().items() if n.startswith("surface ("))
    points = vtk_to_numpy(fetch(lifted).GetPoints().GetData())
    found["figure"] = seen(drawn)
    found["figure by VTK"] = points[by_vtk(drawn, points)].tolist()

    # the macro itself, in the plain view
    simple.SetActiveView(view)
    simple.SetActiveSource(reader)
    view.CameraParallelProjection, view.CameraViewUp = 1, [0, 1, 0]
    look((0.25, -0.3), 0.2)
    made = refine_seen.refine_what_is_seen()
    found["untrusted"] = servermanager.Fetch(made).GetNumberOfPoints()
    made.Trustthefilesmodelcode = 1
    made.UpdatePipeline()
    found["box"] = servermanager.Fetch(made).GetBounds()
    found["points"] = servermanager.Fetch(made).GetNumberOfPoints()
    found["reader shown"] = simple.GetRepresentation(reader, view).Visibility

    # beside a figure
    simple.SetActiveView(drawn)
    simple.SetActiveSource(reader)
    made = refine_seen.refine_what_is_seen()
    view = simple.GetActiveView()
    layouts = simple.GetLayouts().items()
    found["beside"] = [n for (n, _), there in layouts if there == simple.GetLayout(view)]
    low = np.array(made.BoxPosition)
    found["beside box"] = np.ravel([low, low + made.BoxLength], order="F").tolist()
    found["shown"] = [
        made.SMProxy in [getattr(r.Input, "SMProxy", None) for r in of.Representations]
        for of in (view, drawn)
    ]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
