"""The landscape reader: a VTK algorithm that knows nothing of ParaView."""

import os

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.util.vtkAlgorithm import VTKPythonAlgorithmBase
from vtkmodules.vtkCommonCore import (
    vtkDataArraySelection,
    vtkOutputWindow,
    vtkPoints,
)
from vtkmodules.vtkCommonDataModel import (
    vtkCellArray,
    vtkDataObject,
    vtkImageData,
    vtkPolyData,
)
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline

from ..errors import LandscapeFileError
from .netcdf import EXTENSIONS, LandscapeFile
from .vtk_arrays import strings

SURFACE, TRAJECTORIES, MODELS = range(3)


class LandscapeReader(VTKPythonAlgorithmBase):
    """Reads a landscape file into a grid, its trajectories and its labelled models.

    Ports:
        0: `vtkImageData`, the selected grid variables as point arrays, bit for bit the file's.
        1: `vtkPolyData`, one polyline a trajectory at (alpha, beta, gamma), point arrays `loss`,
           `checkpoint_loss`, `distance_to_plane`, `step`; of several trajectories also
           `trajectory`, the number of each from 0.
        2: `vtkPolyData`, one vertex a labelled model, point arrays `loss`, `label`.

    Each output carries the provenance's JSON text as the field-data string `provenance`. What a
    file does not hold leaves its output empty. A file that cannot be read leaves all of them
    empty and reports one message through VTK's output window.
    """

    def __init__(self):
        super().__init__(nInputPorts=0, nOutputPorts=3, outputType="vtkPolyData")
        self._path = None
        self._file = None
        self._stamp = None
        self._selection = vtkDataArraySelection()
        self._selection.AddObserver(
            "ModifiedEvent",  # type: ignore[arg-type]
            lambda *_: self.Modified(),
        )

    def CanReadFile(self, path):
        """1 where `path` is a landscape file, 0 otherwise; never an error."""
        if not str(path).lower().endswith(EXTENSIONS):
            return 0
        try:
            LandscapeFile(path)
        except LandscapeFileError:
            return 0
        return 1

    def SetFileName(self, path):
        """The landscape file; its name ends in `.nc` or `.llnc`."""
        path = None if path in (None, "", "None") else path
        if path != self._path:
            self._path = path
            self._file = None
            self.Modified()

    def GetFileName(self):
        return self._path

    def Reload(self):
        """Read the file again, whatever its time of modification says."""
        self._file = None
        self.Modified()

    def GetArraySelection(self):
        """Which grid variables are read; all of them until told otherwise."""
        return self._selection

    def FillOutputPortInformation(self, port, info):
        types = {SURFACE: "vtkImageData"}
        info.Set(vtkDataObject.DATA_TYPE_NAME(), types.get(port, "vtkPolyData"))
        return 1

    def RequestInformation(self, request, in_info, out_info):
        try:
            dimensions, origin, spacing = self._open().grid_geometry()
        except LandscapeFileError:
            # RequestData reports it; an empty extent lets the pipeline get there.
            dimensions, origin, spacing = (0, 0, 0), (0, 0, 0), (1, 1, 1)
        info = out_info.GetInformationObject(SURFACE)
        extent = [limit for count in dimensions for limit in (0, count - 1)]
        info.Set(vtkStreamingDemandDrivenPipeline.WHOLE_EXTENT(), extent, 6)
        info.Set(vtkDataObject.ORIGIN(), origin, 3)
        info.Set(vtkDataObject.SPACING(), spacing, 3)
        return 1

    def RequestData(self, request, in_info, out_info):
        # Everything is read before any output is touched: a damaged file leaves no half of one.
        try:
            file = self._open()
            text, provenance = file.provenance()
            outputs = (
                self._surface(file),
                _trajectories(file),
                _models(file, provenance.get("models", [])),
            )
        except LandscapeFileError as error:
            # VTK's own error event would add the algorithm's address and a dump of the request.
            vtkOutputWindow.GetInstance().DisplayErrorText(f"LossLandscapeReader: {error}\n")
            return 0
        for port, data in enumerate(outputs):
            data.GetFieldData().AddArray(strings("provenance", [text]))
            type_of_output = vtkImageData if port == SURFACE else vtkPolyData
            type_of_output.GetData(out_info, port).ShallowCopy(data)
        return 1

    def _open(self):
        """The file, opened again where it has been written since."""
        if self._path is None:
            raise LandscapeFileError("no file name was given to the landscape reader")
        try:
            stamp = _stamp(self._path)
        except OSError as error:
            raise LandscapeFileError(f"{self._path}: {error.strerror or error}") from error
        if self._file is None or stamp != self._stamp:
            self._file, self._stamp = LandscapeFile(self._path), stamp
            for name in self._file.grid_arrays:
                if not self._selection.ArrayExists(name):
                    self._selection.AddArray(name)
        return self._file

    def _surface(self, file):
        dimensions, origin, spacing = file.grid_geometry()
        image = vtkImageData()
        image.SetDimensions(dimensions)
        image.SetOrigin(origin)
        image.SetSpacing(spacing)
        names = [name for name in file.grid_arrays if self._selection.ArrayIsEnabled(name)]
        for array in file.read_grid(names).values() if names else ():
            image.GetPointData().AddArray(array)
        if "loss" in names:
            image.GetPointData().SetActiveScalars("loss")
        return image


def _stamp(path):
    """What changes when a file is written again."""
    facts = os.stat(path)
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _trajectories(file):
    rows = file.read_rows("trajectory_", "step")
    output = vtkPolyData()
    if not rows:
        return output
    points, count = _points(file, rows)
    index = rows.pop("index", None)
    index = np.zeros(count, int) if index is None else vtk_to_numpy(index)
    lines = vtkCellArray()
    for which in np.unique(index):
        members = np.flatnonzero(index == which)
        lines.InsertNextCell(len(members))
        for point in members:
            lines.InsertCellPoint(int(point))
    output.SetPoints(points)
    output.SetLines(lines)
    if index.any():  # one trajectory alone has no number
        rows["trajectory"] = numpy_to_vtk(index.astype(np.int32), deep=True)
    _add_named(output, rows)
    return output


def _models(file, labels):
    rows = file.read_rows("model_", "model")
    output = vtkPolyData()
    if not rows:
        return output
    points, count = _points(file, rows)
    vertices = vtkCellArray()
    for point in range(count):
        vertices.InsertNextCell(1)
        vertices.InsertCellPoint(point)
    output.SetPoints(points)
    output.SetVerts(vertices)
    _add_named(output, rows)
    named = [str(labels[i]) if i < len(labels) else f"model {i}" for i in range(count)]
    output.GetPointData().AddArray(strings("label", named))
    return output


def _points(file, rows):
    """The rows' coordinates as VTK points; the coordinate arrays leave `rows`."""
    missing = [name for name in reversed(file.grid_dimensions) if name not in rows]
    if missing:
        raise LandscapeFileError(
            f"{file.path}: points are stored without their coordinate {', '.join(missing)}"
        )
    columns = [vtk_to_numpy(rows.pop(name)) for name in reversed(file.grid_dimensions)]
    count = len(columns[0])
    coordinates = np.zeros((count, 3))
    coordinates[:, : len(columns)] = np.transpose(columns)
    points = vtkPoints()
    points.SetDataTypeToDouble()
    points.SetNumberOfPoints(count)
    vtk_to_numpy(points.GetData())[:] = coordinates
    return points, count


def _add_named(output, rows):
    """Add the rows' arrays under their names without the prefix they have in the file."""
    for name, array in rows.items():
        array.SetName(name)
        output.GetPointData().AddArray(array)
