"""Refine Here over what a view shows: the macro *Refine What Is Seen*.

A filter does not know the views that show it. So this module finds the box from the camera of the
active view, and starts a Refine Here with it.
"""

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy

from ..errors import LandscapeError
from ..sources.landscape_sources import fetch, grid_points
from .selection import key_of, origin_of, selected_landscapes

_DRAWN = ("vtkImageData", "vtkPolyData", "vtkUnstructuredGrid")


def refine_what_is_seen():
    """Refine the part of the selected landscape that the active view shows.

    In a plain view, the finer grid takes the place of the landscape. For a figure, whose surface is
    lifted, it gets a new layout. Errors go to the output messages.

    Returns:
        The proxy of Refine Here, or None.
    """
    from paraview import print_error, simple

    from ..plugin import load_plugin

    try:
        load_plugin()
        landscape = selected_landscapes(1)[0].surface
        view = simple.GetActiveView()
        bounds = seen_bounds(view, landscape)
    except LandscapeError as error:
        print_error(f"Refine What Is Seen: {error}")
        return None
    if _is_figure(view):
        layout = simple.CreateLayout("Refine What Is Seen")
        view = simple.CreateView("RenderView")
        simple.AssignViewToLayout(view=view, layout=layout)
        simple.SetActiveView(view)
        view.SMProxy.ResetCamera(*bounds)
    else:
        simple.Hide(landscape, view)
    low, high = np.reshape(bounds, (3, 2)).T
    made = simple.RefineHere(
        registrationName="Refine What Is Seen",
        Input=landscape,
        BoxPosition=low.tolist(),
        BoxLength=(high - low).tolist(),
    )
    simple.Show(made, view)  # which begins it
    simple.SetActiveSource(made)
    simple.Render(view)
    return made


def seen_bounds(view, landscape):
    """The box around the part of a landscape's grid that a view shows.

    The box contains every drawn point of the landscape inside the view, even a hidden one. It is
    one grid spacing larger, because a cell may be visible in part.

    Args:
        view: proxy of a 3-D view.
        landscape: proxy of the grid, `vtkImageData`.

    Returns:
        list of xmin, xmax, ymin, ymax, zmin, zmax in the plane's coordinates, within the grid's.

    Raises:
        LandscapeError: the view is not 3-D, or it shows nothing or all of the landscape.
    """
    if view is None or not hasattr(view, "GetActiveCamera"):
        raise LandscapeError("the active view is no render view; click one that shows a landscape")
    grid = fetch(landscape)
    dimensions = max(1, sum(count > 1 for count in grid.GetDimensions()))
    scale, position = np.array(view.AxesGrid.DataScale), np.array(view.AxesGrid.DataPosition)
    drawn = [points for points in map(_points, _shown(view, landscape)) if len(points)]
    points = np.concatenate(drawn or [np.empty((0, 3))])
    there = points[_in_view(view, points)]
    if not len(there):
        raise LandscapeError(
            "the active view shows no point of the landscape; zoom out, or click another view"
        )
    # a figure's plane may be scaled and moved, and its axes tell how
    there = ((there - position) / scale)[:, :dimensions]
    bounds, spacing = np.reshape(grid.GetBounds(), (3, 2)), np.array(grid.GetSpacing())
    found = bounds.copy()
    found[:dimensions, 0] = there.min(axis=0) - spacing[:dimensions]
    found[:dimensions, 1] = there.max(axis=0) + spacing[:dimensions]
    found = np.clip(found, bounds[:, :1], bounds[:, 1:])
    if np.array_equal(found, bounds):
        raise LandscapeError(
            "all of the landscape is seen; zoom in to the part that is to be refined, or use "
            "Filters > Loss Landscape > Refine Here"
        )
    return found.ravel().tolist()


def _is_figure(view):
    """Whether a view was dressed as a figure's: the plugin draws axes there, ParaView does not."""
    return bool(view.AxesGrid.Visibility)


def _shown(view, landscape):
    """The pipeline objects, or outputs of them, that the view shows of a landscape."""
    for shown in view.Representations:
        given = getattr(shown, "Input", None)
        if given is None or not shown.Visibility:
            continue
        if key_of(origin_of(given)) == key_of(origin_of(landscape)):
            yield given


def _points(source):
    """The places of a data set's points, shape (n, 3)."""
    data = fetch(source)
    if data is None or data.GetClassName() not in _DRAWN:
        return np.empty((0, 3))
    if data.GetClassName() != "vtkImageData":
        return vtk_to_numpy(data.GetPoints().GetData()) if data.GetNumberOfPoints() else []
    return grid_points(source)


def _in_view(view, points):
    """Which points lie within the view's frustum, shape (n,) of bool."""
    aspect = view.GetRenderer().GetTiledAspectRatio()
    matrix = view.GetActiveCamera().GetCompositeProjectionTransformMatrix(aspect, -1, 1)
    rows = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    projected = np.column_stack([points, np.ones(len(points))]) @ rows.T
    x, y, w = projected[:, 0], projected[:, 1], projected[:, 3]
    return (w > 0) & (np.abs(x) <= w) & (np.abs(y) <= w)
