"""The filter of contours, evenly spaced in height; their number is a slider."""

from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkDataObject, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkContourFilter

from ..errors import LandscapeError
from ..style.scale import HEIGHT, DisplayScale
from .display_height import HEIGHT_OF, HEIGHT_SCALE
from .grid_filter import GridFilter, field_of


class ContourLevelsFilter(GridFilter):
    """Contours of `height` at round values of the quantity, at most as many as asked for.

    The levels follow the data. Each contour carries exactly its level, in the array the height
    is of.
    """

    label = "Loss Contours"

    def __init__(self):
        super().__init__(["vtkPolyData"], input_type="vtkDataSet")
        self._count = 10

    def SetCount(self, count):
        """How many levels, at most."""
        self.set_property("_count", count)

    def compute(self, data):
        levels, scale = contour_levels(data, self._count)
        contour = vtkContourFilter()
        contour.SetInputDataObject(data)
        contour.SetInputArrayToProcess(0, 0, 0, vtkDataObject.FIELD_ASSOCIATION_POINTS, HEIGHT)
        for number, height in enumerate(scale.heights(levels)):
            contour.SetValue(number, float(height))
        contour.Update()
        output = vtkPolyData()
        output.ShallowCopy(contour.GetOutput())
        if output.GetNumberOfPoints():
            # interpolated along an edge, the quantity would differ from the level
            heights = vtk_to_numpy(output.GetPointData().GetArray(HEIGHT)).astype(float)
            exact = numpy_to_vtk(scale.values(heights), deep=True)
            exact.SetName(scale.array)
            output.GetPointData().AddArray(exact)
        return [output]


def contour_levels(data, count):
    """The levels of some heights, and the scale they are on.

    Args:
        data: with the point array `height` and the field data of `DisplayHeightFilter`.
        count: how many at most.

    Returns:
        (ndarray in the quantity's unit, `DisplayScale`)

    Raises:
        LandscapeError: the data have no height, or do not say what of.
    """
    if count < 1:
        raise LandscapeError(f"{count} contours: the number must be 1 or more")
    heights = field_of(data, HEIGHT)
    array, kind = (_text(data, name) for name in (HEIGHT_OF, HEIGHT_SCALE))
    if array is None or kind is None:
        raise LandscapeError(
            "the input does not say what its height is of; apply Loss Display Height first"
        )
    values = heights if kind == "linear" else 10.0**heights
    scale = DisplayScale.of(values, array, log=kind == "log")
    return scale.levels(count), scale


def _text(data, name):
    array = data.GetFieldData().GetAbstractArray(name)
    return array.GetValue(0) if isinstance(array, vtkStringArray) else None
