"""The filter of the flat region: where the loss is within a threshold of its minimum.

The region is that of `losslandscape flatness` (docs/flatness.md): the connected part of
{loss <= minimum + threshold} that holds the lowest grid point, of the field that is linear on
triangles. Its threshold is on a slider here.
"""

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData, vtkTable
from vtkmodules.vtkFiltersCore import (
    vtkClipPolyData,
    vtkFeatureEdges,
    vtkPolyDataConnectivityFilter,
    vtkTriangleFilter,
)

from ..errors import LandscapeError
from ..sources.vtk_arrays import add_array, cells, poly_data, strings
from ..style.scale import HEIGHT
from .grid_filter import GridFilter, field_of

_FIELD = "loss on its scale"


class FlatRegionFilter(GridFilter):
    """The flat region around the lowest grid point, and its outline.

    Ports:
        0: the region, triangles in plane coordinates with the quantity as a point array, and
           `height` where the grid has it; field
           data `area`, `lower_bound` (1 where it reaches the edge of the grid or a hole, so that
           it may go on outside), `minimum` and `threshold`.
        1: its outline, lines.
        2: a table of one text, the area in words, which ParaView shows as a Text source's.
    """

    label = "Loss Flat Region"

    def __init__(self):
        super().__init__(["vtkPolyData", "vtkPolyData", "vtkTable"])
        self._threshold = 0.1

    def SetThreshold(self, threshold):
        """How far above the minimum the region goes, in the quantity's unit."""
        self.set_property("_threshold", threshold)

    def GetThresholdRange(self):
        """From 0 to the threshold at which the region reaches the grid's edge."""
        image = self.GetInputDataObject(0, 0) if self.GetNumberOfInputConnections(0) else None
        try:
            values = _plane(image, self._array)
            return [0.0, _greatest_threshold(values)]
        except LandscapeError:
            return [0.0, 1.0]

    def compute(self, image):
        if not self._threshold > 0:
            raise LandscapeError(f"threshold {self._threshold:g}: it must be above 0")
        values = _plane(image, self._array)
        scale = self.display_scale(image, values)
        field = values.copy()
        if scale.log:
            field[~(field > 0)] = np.nan
            field = np.log10(field)
        field[~np.isfinite(field)] = np.nan
        lowest = int(np.nanargmin(field))
        minimum = float(values.ravel()[lowest])
        level = minimum + self._threshold
        region, touches = _component(image, field, np.log10(level) if scale.log else level, lowest)
        heights = vtk_to_numpy(region.GetPointData().GetArray(_FIELD)).astype(float)
        region.GetPointData().RemoveArray(_FIELD)
        add_array(region.GetPointData(), self._array, 10.0**heights if scale.log else heights)
        area = _area(region)
        for name, value in (
            ("area", area),
            ("lower_bound", float(touches)),
            ("minimum", minimum),
            ("threshold", self._threshold),
        ):
            add_array(region.GetFieldData(), name, np.array([value]))
        edges = vtkFeatureEdges()
        edges.SetInputData(region)
        edges.BoundaryEdgesOn()
        for other in (edges.FeatureEdgesOff, edges.NonManifoldEdgesOff, edges.ManifoldEdgesOff):
            other()
        edges.ColoringOff()
        edges.Update()
        words = vtkTable()
        words.AddColumn(strings("area", [area_words(area, touches, self._threshold)]))
        return [region, edges.GetOutput(), words]


def area_words(area, lower_bound, threshold):
    """What a figure says of a flat region.

    >>> area_words(0.12345, True, 0.1)
    'flat area\\nat least 0.123\\nwithin 0.1'
    """
    return f"flat area\n{'at least ' if lower_bound else ''}{area:.3g}\nwithin {threshold:.3g}"


def _plane(image, name):
    values = field_of(image, name)
    nx, ny, nz = image.GetDimensions()
    if nz > 1 or min(nx, ny) < 2:
        raise LandscapeError(f"the grid is {nx} x {ny} x {nz}; a flat region needs two directions")
    if not np.isfinite(values).any():
        raise LandscapeError(f"array '{name}' has no finite value")
    return values.reshape(ny, nx)


def _greatest_threshold(values):
    """From the least value to the least on the grid's edge, which the slider does not pass.

    Where the least value is on the edge itself, the whole range is taken.
    """
    finite = np.where(np.isfinite(values), values, np.nan)
    edge = np.concatenate([finite[0], finite[-1], finite[:, 0], finite[:, -1]])
    least = np.nanmin(finite)
    reach = np.nanmin(edge) - least if np.isfinite(edge).any() else 0.0
    reach = reach if reach > 0 else np.nanmax(finite) - least
    return float(reach) if reach > 0 else 1.0


def _component(image, field, level, lowest):
    """The triangles of {field <= level} connected to a grid point; do they reach the edge?"""
    ny, nx = field.shape
    number = np.arange(nx * ny).reshape(ny, nx)
    here, right, above, across = (
        part.ravel()
        for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:])
    )
    # split as TTK splits, by the diagonal from the right to the upper corner
    triangles = np.concatenate(
        [np.stack([here, right, above], 1), np.stack([right, across, above], 1)]
    )
    triangles = triangles[np.isfinite(field.ravel()[triangles]).all(axis=1)]
    if lowest not in triangles:
        raise LandscapeError("the lowest point has no neighbours with values, so it has no region")
    x0, y0, _z0 = image.GetPoint(0)
    dx, dy, _dz = image.GetSpacing()
    x, y = np.meshgrid(x0 + dx * np.arange(nx), y0 + dy * np.arange(ny))
    mesh = poly_data(np.stack([x.ravel(), y.ravel(), np.zeros(nx * ny)], axis=1))
    mesh.SetPolys(cells(triangles))
    add_array(mesh.GetPointData(), _FIELD, field.ravel())
    inside_out = np.zeros(nx * ny)
    inside_out[_border(triangles)] = 1.0
    add_array(mesh.GetPointData(), "edge", inside_out * (field.ravel() <= level))
    if image.GetPointData().GetArray(HEIGHT):
        # so that the region can be lifted as the surface is, and lies exactly on it
        add_array(mesh.GetPointData(), HEIGHT, field_of(image, HEIGHT))
    mesh.GetPointData().SetActiveScalars(_FIELD)
    clip = vtkClipPolyData()
    clip.SetInputData(mesh)
    clip.InsideOutOn()
    clip.SetValue(level)
    connected = vtkPolyDataConnectivityFilter()
    connected.SetInputConnection(clip.GetOutputPort())
    connected.SetExtractionModeToClosestPointRegion()
    connected.SetClosestPoint(mesh.GetPoint(lowest))
    pieces = vtkTriangleFilter()
    pieces.SetInputConnection(connected.GetOutputPort())
    pieces.PassVertsOff()
    pieces.PassLinesOff()
    pieces.Update()
    region = vtkPolyData()
    region.ShallowCopy(pieces.GetOutput())
    reached = _used(region, vtk_to_numpy(region.GetPointData().GetArray("edge")))
    region.GetPointData().RemoveArray("edge")
    return region, bool((reached == 1.0).any())


def _border(triangles):
    """Numbers of the points on edges that belong to one triangle only."""
    edges = np.sort(np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [0, 2])]), 1)
    edges, counts = np.unique(edges, axis=0, return_counts=True)
    return np.unique(edges[counts == 1])


def _used(region, array):
    """Values at the points of the region's triangles; others may be left from the clip."""
    return array[np.unique(_triangles(region))]


def _triangles(region):
    return vtk_to_numpy(region.GetPolys().GetConnectivityArray()).reshape(-1, 3)


def _area(region):
    corners = vtk_to_numpy(region.GetPoints().GetData()).astype(float)[_triangles(region), :2]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return float(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2)
