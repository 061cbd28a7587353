"""NumPy arrays and texts as VTK's."""

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData


def poly_data(positions):
    """`vtkPolyData` with points, shape (n, 3), and no cells."""
    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(positions), deep=True))
    output = vtkPolyData()
    output.SetPoints(points)
    return output


def cells(members):
    """Cells of as many points each as the array has columns."""
    output = vtkCellArray()
    ids = np.ascontiguousarray(members, dtype=np.int64)
    output.SetData(ids.shape[1], numpy_to_vtk(ids.ravel(), deep=True))
    return output


def add_array(attributes, name, values):
    """Add an ndarray to a data object's point, cell or field data."""
    array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    attributes.AddArray(array)


def strings(name, values):
    """`vtkStringArray` of some texts."""
    array = vtkStringArray()
    array.SetName(name)
    for value in values:
        array.InsertNextValue(value)
    return array
