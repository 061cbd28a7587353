"""The filter that turns a loss into the height it is drawn at, with a ceiling on a slider.

It does what the Calculator of a figure does (see `style.scale`), as a filter whose properties
ParaView shows as widgets. The measured array passes through unchanged.
"""

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData

from ..sources.vtk_arrays import strings
from ..style.scale import HEIGHT, DisplayScale
from .grid_filter import GridFilter, field_of

# field data: which array the height is of, and on which scale
HEIGHT_OF, HEIGHT_SCALE, CEILING = "height_of", "height_scale", "height_ceiling"


class DisplayHeightFilter(GridFilter):
    """Adds the point array `height`; NaN, a hole, where the array has no finite value.

    With a ceiling, positive infinity is drawn at it. The field data say which array the height is
    of (`height_of`), its scale (`height_scale`, `log` or `linear`) and the ceiling in the array's
    unit (`height_ceiling`, infinity where nothing is cut).
    """

    label = "Loss Display Height"

    def __init__(self):
        super().__init__(["vtkImageData"])
        self._percent = 100.0

    def SetCeiling(self, percent):
        """The share of the range of heights that is drawn, from the lowest up; 100 cuts nothing."""
        self.set_property("_percent", percent)

    def compute(self, image):
        values = field_of(image, self._array)
        scale = self.display_scale(image, values)
        ceiling = ceiling_at(scale, self._percent)
        if ceiling is not None:
            scale = DisplayScale.of(values, self._array, scale.log, scale.floor, ceiling)
        heights = scale.heights(values)
        heights[~np.isfinite(heights)] = np.nan
        output = vtkImageData()
        output.ShallowCopy(image)
        array = numpy_to_vtk(heights, deep=True)
        array.SetName(HEIGHT)
        output.GetPointData().AddArray(array)
        cut_at = numpy_to_vtk(np.array([np.inf if ceiling is None else ceiling]), deep=True)
        cut_at.SetName(CEILING)
        for field in (
            strings(HEIGHT_OF, [self._array]),
            strings(HEIGHT_SCALE, ["log" if scale.log else "linear"]),
            cut_at,
        ):
            output.GetFieldData().AddArray(field)
        return [output]


def ceiling_at(scale, percent):
    """The ceiling in the quantity's unit at a part of a scale's range of heights.

    None for 100 and above, where nothing is cut. A hundredth of a percent is the least part.
    """
    if percent >= 100.0:
        return None
    share = max(percent, 0.01) / 100.0
    return float(scale.values(scale.bottom + share * (scale.top - scale.bottom)))
