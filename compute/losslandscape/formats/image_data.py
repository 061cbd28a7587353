"""VTK image data (``surface.vti``): all grid variables and sampling errors as point arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

from losslandscape.formats.vtk_xml import write_xml
from losslandscape.landscape.confidence import trust_arrays
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.sampling_errors import grid_arrays

FILE_NAME = "surface.vti"
FILES = (FILE_NAME,)


def applies(landscape: Landscape) -> bool:
    return True


def image_data(landscape: Landscape) -> vtkImageData:
    """The landscape as VTK image data; missing axes have one point."""
    grid = landscape.grid
    missing = 3 - grid.dimensions
    image = vtkImageData()
    image.SetDimensions(*grid.counts, *(1,) * missing)
    image.SetOrigin(*grid.origin, *(0.0,) * missing)
    image.SetSpacing(*grid.spacing, *(1.0,) * missing)
    for name, values in {**landscape.fields, "status": landscape.status}.items():
        add_point_array(image, name, values)
    image.GetPointData().SetActiveScalars("loss")
    text = vtkStringArray()
    text.SetName("provenance")
    text.InsertNextValue(json.dumps(landscape.description()))
    image.GetFieldData().AddArray(text)
    return image


def add_point_array(image: vtkImageData, name: str, values: np.ndarray) -> None:
    """Add a grid array as a point array; its slowest axis is the first."""
    array = numpy_to_vtk(np.ascontiguousarray(values).ravel(), deep=True)
    array.SetName(name)
    image.GetPointData().AddArray(array)


def write(landscape: Landscape, folder: Path) -> list[Path]:
    path = folder / FILE_NAME
    image = image_data(landscape)
    for name, values in {**grid_arrays(landscape), **trust_arrays(landscape)}.items():
        add_point_array(image, name, values)
    write_xml(vtkXMLImageDataWriter(), image, path)
    return [path]
