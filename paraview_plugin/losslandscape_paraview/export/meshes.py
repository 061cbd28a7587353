"""What a representation shows, as triangles with their colours."""

from dataclasses import dataclass
from typing import Optional

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.util.vtkConstants import VTK_RGBA

from ..compatibility import translation
from ..errors import LandscapeError
from ..sources.landscape_sources import fetch

_MAP_SCALARS = 1


@dataclass
class Mesh:
    """Triangles of one thing shown.

    Attributes:
        name: in the pipeline browser; `layer_of` gives its layer.
        points, normals: float32 (n, 3), in the view's space.
        triangles: uint32 (m, 3), indices of points, counter-clockwise seen from outside.
        colours: uint8 (n, 3), sRGB, one a point; None where it has one colour.
        colour: sRGB, three numbers from 0 to 1, where `colours` is None.
        opacity: 0 to 1.
        lit: False where it is shown in its flat colour, without shading.
        one_sided: only triangles that face the viewer are shown.
    """

    name: str
    points: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    colours: Optional[np.ndarray]
    colour: tuple
    opacity: float
    lit: bool
    one_sided: bool


def read_mesh(proxy, name):
    """The triangles of a representation under a name; None where it has none.

    Raises:
        LandscapeError: it shows a volume, or has its colours from cells.
    """
    if "Volume" in str(proxy.SMProxy.GetProperty("Representation").GetElement(0)):
        raise LandscapeError(
            "a volume has no surface to export; draw isosurfaces (--figure isosurfaces)"
        )
    data = _triangulated(fetch(proxy.Input))
    if data is None:
        return None
    points = vtk_to_numpy(data.GetPoints().GetData()).astype(np.float64)
    normals = vtk_to_numpy(data.GetPointData().GetNormals()).astype(np.float64)
    cells = vtk_to_numpy(data.GetPolys().GetConnectivityArray())
    triangles = cells.reshape(-1, 3).astype(np.uint32)
    points = points * np.array(proxy.Scale) + np.array(getattr(proxy, translation()))
    hollow = proxy.BackfaceRepresentation == "Cull Frontface"
    if hollow:
        # seen from inside only: the same as its inside turned outside, which glTF can say
        triangles, normals = triangles[:, ::-1].copy(), -normals
    colours = _mapped(proxy, data)
    return Mesh(
        name=name,
        points=points.astype(np.float32),
        normals=_unit(normals).astype(np.float32),
        triangles=triangles,
        colours=colours,
        colour=tuple(float(x) for x in proxy.DiffuseColor),
        opacity=float(proxy.Opacity),
        lit=proxy.Diffuse > 0,
        one_sided=hollow or proxy.BackfaceRepresentation == "Cull Backface",
    )


def _triangulated(data):
    """A data object's faces as triangles with normals at the points; None where it has none."""
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals, vtkTriangleFilter
    from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter

    if not data.IsA("vtkPolyData"):
        faces = vtkDataSetSurfaceFilter()
        faces.SetInputData(data)
        faces.Update()
        data = faces.GetOutput()
    triangles = vtkTriangleFilter()
    triangles.SetInputData(data)
    triangles.PassVertsOff()
    triangles.PassLinesOff()
    triangles.Update()
    data = triangles.GetOutput()
    if data.GetNumberOfPolys() == 0:
        return None
    if data.GetPointData().GetNormals() is None:
        normals = vtkPolyDataNormals()
        normals.SetInputData(data)
        normals.SplittingOff()
        normals.ConsistencyOff()
        normals.Update()
        data = normals.GetOutput()
    return data


def _unit(vectors):
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    unit[lengths[:, 0] == 0] = (0.0, 0.0, 1.0)
    return unit


def _mapped(proxy, data):
    """The colours ParaView gives the points, uint8 (n, 3); None where one colour is for all."""
    association, name = proxy.ColorArrayName[:2]
    if not name:
        return None
    if association != "POINTS":
        raise LandscapeError(f"colours by {association.lower()} ('{name}') cannot be exported")
    array = data.GetPointData().GetArray(name)
    if array is None:
        return None
    table = proxy.LookupTable.GetClientSideObject()
    mapped = table.MapScalars(array, _MAP_SCALARS, -1, VTK_RGBA)
    return vtk_to_numpy(mapped)[:, :3].copy()
