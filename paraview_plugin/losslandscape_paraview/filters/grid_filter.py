"""What this plugin's filters of a grid have in common: the chosen array, its scale, errors."""

from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.util.vtkAlgorithm import VTKPythonAlgorithmBase
from vtkmodules.vtkCommonCore import vtkOutputWindow
from vtkmodules.vtkCommonDataModel import vtkDataObject

from ..errors import LandscapeError
from ..sources import provenance as words
from ..style.scale import DisplayScale

AUTOMATIC, LINEAR, LOGARITHMIC = range(3)


class GridFilter(VTKPythonAlgorithmBase):
    """A filter of one point array of a grid.

    Subclasses define `label`, and `compute(image)`, which returns a data object for each port and
    raises a `LandscapeError` for what cannot be used. Then all outputs stay empty, and the message
    goes to VTK's output window.

    Args:
        output_types: VTK's class names, one a port.
    """

    label = "Grid filter"

    def __init__(self, output_types, input_type="vtkImageData"):
        super().__init__(nInputPorts=1, nOutputPorts=len(output_types), inputType=input_type)
        self._output_types = output_types
        self._array, self._scale = "loss", AUTOMATIC

    def SetScalarField(self, index, port, connection, association, name):
        """The point array, by name; the first four are what ParaView's array properties send.

        No name is `loss`: ParaView has none to send while the input has not run.
        """
        self.set_property("_array", "loss" if name in (None, "", "None") else name)

    def SetScale(self, scale):
        """`AUTOMATIC` (what the provenance says, or the values), `LINEAR` or `LOGARITHMIC`."""
        self.set_property("_scale", scale)

    def set_property(self, name, value):
        """Keep a property's value, and run again where it is another one."""
        if getattr(self, name) != value:
            setattr(self, name, value)
            self.Modified()

    def FillOutputPortInformation(self, port, info):
        info.Set(vtkDataObject.DATA_TYPE_NAME(), self._output_types[port])
        return 1

    def RequestData(self, request, in_info, out_info):
        try:
            outputs = self.compute(vtkDataObject.GetData(in_info[0]))
        except LandscapeError as error:
            # VTK's own error event would add the algorithm's address and a dump of the request.
            vtkOutputWindow.GetInstance().DisplayErrorText(f"{self.label}: {error}\n")
            return 0
        for port, data in enumerate(outputs):
            vtkDataObject.GetData(out_info, port).ShallowCopy(data)
        return 1

    def compute(self, data):
        """The outputs of a data object, one a port, as list of VTK's data objects.

        Raises:
            LandscapeError: the input or a property does not fit; the message says why.
        """
        raise NotImplementedError

    def values_now(self):
        """The chosen array of the input as it is now, or None: for the ranges of sliders."""
        data = self.GetInputDataObject(0, 0) if self.GetNumberOfInputConnections(0) else None
        try:
            return field_of(data, self._array)
        except LandscapeError:
            return None

    def display_scale(self, image, values):
        """The `DisplayScale` that was asked for."""
        log = {LINEAR: False, LOGARITHMIC: True}.get(self._scale)
        preferred = None
        text = image.GetFieldData().GetAbstractArray("provenance")
        if log is None and self._array == "loss" and text is not None:
            preferred = words.parse(text.GetValue(0), "the input").get("scale")
        return DisplayScale.of(values, self._array, log, preferred=preferred)


def field_of(data, name):
    """A point array of numbers with one component, as a float ndarray, flat.

    Raises:
        LandscapeError: there is none of this name.
    """
    if data is None or data.GetNumberOfPoints() == 0:
        raise LandscapeError("the input grid is empty")
    array = data.GetPointData().GetArray(name)
    if array is None:
        raise LandscapeError(f"the grid has no point array '{name}' of numbers")
    if array.GetNumberOfComponents() != 1:
        raise LandscapeError(
            f"array '{name}' has {array.GetNumberOfComponents()} components; a scalar field has one"
        )
    return vtk_to_numpy(array).astype(float)
