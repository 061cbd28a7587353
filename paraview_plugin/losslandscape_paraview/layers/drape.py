"""Lay curves and points on a drawn surface.

A straight segment between two measured points cuts through a curved surface, and the loss of a
checkpoint, measured exactly, lies beside the surface drawn between grid points. So a curve is cut
into pieces of the grid's spacing, the flat surface's height is sampled at each of them with
ParaView's own Resample With Dataset (or Plot Over Lines, its form for curves), and the result is
lifted by the same Warp By Scalar as the surface. The exact values stay in their
arrays, and the report holds their distance from the drawn surface.

This is the one mechanism for everything that lies on a surface: trajectories, critical points,
separatrices, outlines of regions.
"""

import math
from typing import Any

import numpy as np

from ..sources.landscape_sources import fetch, point_array, points_of
from ..style.scale import HEIGHT

VALID = "vtkValidPointMask"


def drape_points(panel, points, what):
    """Lay points on a panel's surface.

    Args:
        panel: a `Panel` whose surface is planar.
        points: proxy of points in plane coordinates.
        what: their name in the pipeline browser.

    Returns:
        proxy of the lifted points that lie over the surface, with all their arrays and `height`.
    """
    sampled = _sample(panel, points, f"{what}, height sampled")
    return panel.lift(_over_surface(panel, sampled, what), what)


def drape_valued_points(panel, points, what):
    """As `drape_points`, of points with values; in a panel with holes at the height of these.

    A cell with a corner in a hole is not drawn, so there is no surface to sample under its other
    corners.

    Args:
        panel: a `Panel` whose surface is planar.
        points: proxy of grid points, or points between them, with the quantity's array.
        what: their name in the pipeline browser.

    Returns:
        proxy of the lifted points with all their arrays and `height`.
    """
    from paraview import simple

    if not panel.holes:
        return drape_points(panel, points, what)
    valued = simple.Calculator(
        registrationName=panel.named(f"{what}, height of their own"),
        Input=points,
        Function=panel.scale.expression,
        ResultArrayName=HEIGHT,
    )
    return panel.lift(valued, what)


def drape_curves(panel, curves, what, array=None):
    """Lay polylines on a panel's surface, cut into pieces of the grid's spacing.

    ParaView's filter that cuts curves keeps none of their arrays, and looking values up on the
    uncut curve again fails at its ends and crossings. One array is carried exactly: it is the
    curve's third coordinate while it is cut.

    Args:
        panel: a `Panel` whose surface is planar.
        curves: proxy of polylines in plane coordinates.
        what: their name in the pipeline browser.
        array: a point array of the curves that the result shall have, interpolated between their
            points; None for none.

    Returns:
        proxy of the lifted curves where they lie over the surface, with `height` and the array.
    """
    from paraview import simple

    source = curves
    if array is not None:
        source = simple.WarpByScalar(
            registrationName=panel.named(f"{what}, {array} as third coordinate"),
            Input=curves,
            Scalars=["POINTS", array],
            ScaleFactor=1.0,
            UseNormal=1,
            Normal=[0.0, 0.0, 1.0],
        )
    cut = simple.PlotOverLinesFromCustomSource(
        registrationName=panel.named(f"{what}, cut to the grid's spacing"),
        Input=panel.heights,
        Source=source,
        SamplingPattern="Sample Uniformly",
        Resolution=_pieces(fetch(curves), panel.landscape.spacing),
        AggregateAsPolyData=1,
    )
    if array is not None:
        cut = simple.Calculator(
            registrationName=panel.named(f"{what}, third coordinate as {array}"),
            Input=cut,
            Function="coordsZ",
            ResultArrayName=array,
        )
        cut = simple.Calculator(
            registrationName=panel.named(f"{what}, flat again"),
            Input=cut,
            Function="coordsX*iHat + coordsY*jHat",
            CoordinateResults=1,
        )
    sampled = _sample(panel, cut, f"{what}, height sampled")
    return panel.lift(_over_surface(panel, sampled, what), what)


def drape_difference(panel, points):
    """How far points' exact values lie from the drawn surface.

    Args:
        panel: a `Panel`.
        points: a data object of points in plane coordinates with the quantity's array.

    Returns:
        dict: `points`, how many; `outside`, how many do not lie over the surface;
        `largest_difference`, the greatest distance of an exact value from the drawn surface, in
        the unit of the heights (decades on a log scale), and `exact`, `drawn`, `position`, the
        two values and the place where that is; these are None where nothing can be compared.
    """
    from vtkmodules.vtkFiltersCore import vtkProbeFilter

    probe = vtkProbeFilter()
    probe.SetInputData(points)
    probe.SetSourceData(fetch(panel.heights))
    probe.Update()
    valid = point_array(probe.GetOutput(), VALID).astype(bool)
    report: dict[str, Any] = {
        "points": int(valid.size),
        "outside": int(np.count_nonzero(~valid)),
        "largest_difference": None,
        "exact": None,
        "drawn": None,
        "position": None,
    }
    values = point_array(points, panel.scale.array)
    if values is None:
        return report
    drawn = point_array(probe.GetOutput(), HEIGHT)
    difference = np.abs(panel.scale.heights(values) - drawn)
    difference[~valid | ~np.isfinite(difference)] = -1.0
    worst = int(np.argmax(difference)) if difference.size else -1
    if worst >= 0 and difference[worst] >= 0:
        report["largest_difference"] = float(difference[worst])
        report["exact"] = float(values[worst])
        report["drawn"] = float(panel.scale.values(drawn[worst]))
        report["position"] = [float(x) for x in points_of(points)[worst]]
    return report


def surface_points(panel):
    """The vertices of the surface as it is drawn, shape (points, 3); none in a volume."""
    if panel.dimensions == 3:
        return np.empty((0, 3))
    flat = fetch(panel.heights)
    points = np.array(points_of(flat), float)
    points[:, 2] += panel.box.factor * point_array(flat, HEIGHT)
    if not panel.box.is_plain:
        points = points * panel.box.scale + panel.box.position
    return points


def _sample(panel, mesh, what):
    """The flat surface's height at the points of a mesh, which keeps its own arrays."""
    from paraview import simple

    return simple.ResampleWithDataset(
        registrationName=panel.named(what),
        SourceDataArrays=panel.heights,
        DestinationMesh=mesh,
        PassPointArrays=1,
        PassCellArrays=1,
        # points on the border, in single precision, still lie over the surface
        ComputeTolerance=0,
        Tolerance=1e-4 * panel.landscape.spacing,
    )


def _over_surface(panel, sampled, what):
    """Only what lies over the surface; the same proxy where everything does."""
    from paraview import simple

    mask = point_array(fetch(sampled), VALID)
    if mask is None or mask.all():
        return sampled
    return simple.Threshold(
        registrationName=panel.named(f"{what}, over the surface only"),
        Input=sampled,
        Scalars=["POINTS", VALID],
        ThresholdMethod="Above Upper Threshold",
        UpperThreshold=0.5,
    )


def _pieces(curves, spacing):
    """Into how many pieces each segment is cut, so that the longest is no longer than a cell."""
    points, longest = points_of(curves), 0.0
    for cell in range(curves.GetNumberOfCells()):
        ids = curves.GetCell(cell).GetPointIds()
        members = points[[ids.GetId(i) for i in range(ids.GetNumberOfIds())]]
        if len(members) > 1:
            lengths = np.linalg.norm(np.diff(members, axis=0), axis=1)
            longest = max(longest, float(lengths.max()))
    # a length of just so many cells is so many pieces, however it is rounded
    return max(1, math.ceil(longest / spacing - 1e-9))
