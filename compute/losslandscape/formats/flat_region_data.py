"""A flat region as VTK files: the region, its outline, and its grid points on the surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import (
    VTK_TETRA,
    vtkCellArray,
    vtkImageData,
    vtkPolyData,
    vtkUnstructuredGrid,
)
from vtkmodules.vtkIOXML import (
    vtkXMLImageDataWriter,
    vtkXMLPolyDataWriter,
    vtkXMLUnstructuredGridWriter,
)

from losslandscape.analysis.flatness import FlatRegion
from losslandscape.formats.image_data import image_data
from losslandscape.formats.poly_data import poly_data
from losslandscape.formats.vtk_xml import write_xml
from losslandscape.landscape.landscape import Landscape

REGION_FILE = "flat_region.vtp"
VOLUME_FILE = "flat_region.vtu"  # VTK's poly data cannot hold tetrahedra
OUTLINE_FILE = "flat_region_outline.vtp"
SURFACE_FILE = "flat_region.vti"
FILES = (REGION_FILE, VOLUME_FILE, OUTLINE_FILE, SURFACE_FILE)


def write(landscape: Landscape, found: FlatRegion, folder: Path) -> list[Path]:
    """Write the region (cell array ``flat_region`` = 1), its outline, and the labeled surface."""
    simplices = found.region.simplices
    if simplices.shape[1] == 4:
        region = folder / VOLUME_FILE
        write_xml(vtkXMLUnstructuredGridWriter(), volume_data(found), region)
    else:
        region = folder / REGION_FILE
        write_xml(vtkXMLPolyDataWriter(), simplex_data(found, simplices), region)
    outline, surface = folder / OUTLINE_FILE, folder / SURFACE_FILE
    write_xml(vtkXMLPolyDataWriter(), simplex_data(found, found.region.outline), outline)
    write_xml(vtkXMLImageDataWriter(), surface_data(landscape, found), surface)
    return [region, outline, surface]


def simplex_data(found: FlatRegion, simplices: np.ndarray) -> vtkPolyData:
    """Points, segments or triangles of the region, with the loss at their points.

    Parameters
    ----------
    simplices : int ndarray, shape (n, 1), (n, 2) or (n, 3)
        Point numbers of each simplex.
    """
    used, numbers = np.unique(simplices, return_inverse=True)
    data = poly_data(found.region.points[used], {"loss": found.loss[used]}, lines=[])
    cells = _cells(numbers.reshape(simplices.shape))
    (data.SetVerts, data.SetLines, data.SetPolys)[simplices.shape[1] - 1](cells)
    _label(data, len(simplices))
    return data


def volume_data(found: FlatRegion) -> vtkUnstructuredGrid:
    """Tetrahedra of a three-dimensional region, with the loss at their points."""
    data = vtkUnstructuredGrid()
    points = poly_data(found.region.points, {"loss": found.loss}, lines=[])
    data.SetPoints(points.GetPoints())
    data.GetPointData().ShallowCopy(points.GetPointData())
    data.SetCells(VTK_TETRA, _cells(found.region.simplices))
    _label(data, len(found.region.simplices))
    return data


def surface_data(landscape: Landscape, found: FlatRegion) -> vtkImageData:
    """The surface's image data with ``flat_region``: 1 at grid points in the region, else 0."""
    image = image_data(landscape)
    array = numpy_to_vtk(found.region.vertices.ravel().astype(np.int8), deep=True)
    array.SetName("flat_region")
    image.GetPointData().AddArray(array)
    return image


def _cells(simplices: np.ndarray) -> vtkCellArray:
    cells = vtkCellArray()
    numbers = numpy_to_vtk(np.asarray(simplices, dtype=np.int64).ravel(), deep=True)
    cells.SetData(simplices.shape[1], numbers)
    return cells


def _label(data, count: int) -> None:
    array = numpy_to_vtk(np.ones(count, dtype=np.int8), deep=True)
    array.SetName("flat_region")
    data.GetCellData().AddArray(array)
