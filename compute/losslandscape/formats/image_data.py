"""VTK image data (``surface.vti``): every grid variable as a point array."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

from losslandscape.formats.vtk_xml import write_xml
from losslandscape.landscape import Landscape

FILE_NAME = "surface.vti"


def applies(landscape: Landscape) -> bool:
    return True


def image_data(landscape: Landscape) -> vtkImageData:
    """The landscape as VTK image data; axes that it does not have are one point long."""
    grid = landscape.grid
    missing = 3 - grid.dimensions
    image = vtkImageData()
    image.SetDimensions(*grid.counts, *(1,) * missing)
    image.SetOrigin(*grid.origin, *(0.0,) * missing)
    image.SetSpacing(*grid.spacing, *(1.0,) * missing)
    for name, values in {**landscape.fields, "status": landscape.status}.items():
        array = numpy_to_vtk(np.ascontiguousarray(values).ravel(), deep=True)
        array.SetName(name)
        image.GetPointData().AddArray(array)
    image.GetPointData().SetActiveScalars("loss")
    text = vtkStringArray()
    text.SetName("provenance")
    text.InsertNextValue(json.dumps(landscape.description()))
    image.GetFieldData().AddArray(text)
    return image


def write(landscape: Landscape, folder: Path) -> list[Path]:
    path = folder / FILE_NAME
    write_xml(vtkXMLImageDataWriter(), image_data(landscape), path)
    return [path]
