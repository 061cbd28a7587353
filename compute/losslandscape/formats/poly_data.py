"""VTK poly data: trajectories as polylines, labeled models as points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from losslandscape.formats.report import loss_sha256
from losslandscape.formats.vtk_xml import write_xml
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.overlays import array_names

TRAJECTORY_FILE = "trajectory.vtp"
MODELS_FILE = "models.vtp"
FILES = (TRAJECTORY_FILE, MODELS_FILE)


def applies(landscape: Landscape) -> bool:
    return True


def poly_data(
    coordinates: np.ndarray,
    arrays: Mapping[str, np.ndarray | list[str]],
    lines: list[np.ndarray] | None = None,
) -> vtkPolyData:
    """Points with arrays, connected by polylines or as single vertices.

    Parameters
    ----------
    coordinates : ndarray, shape (n, dimensions)
        One to three coordinates; missing ones are 0.
    arrays : dict of name to (n,) or (n, components) array, or list of str
    lines : list of int arrays
        Point numbers of each polyline.
    """
    xyz = np.zeros((len(coordinates), 3))
    xyz[:, : coordinates.shape[1]] = coordinates
    points = vtkPoints()
    points.SetDataTypeToDouble()
    points.SetData(numpy_to_vtk(xyz, deep=True))
    data = vtkPolyData()
    data.SetPoints(points)
    cells = vtkCellArray()
    for line in lines if lines is not None else np.arange(len(xyz))[:, None]:
        cells.InsertNextCell(len(line))
        for point in line:
            cells.InsertCellPoint(int(point))
    if lines is None:
        data.SetVerts(cells)
    else:
        data.SetLines(cells)
    for name, values in arrays.items():
        if isinstance(values, list):
            array = vtkStringArray()
            for value in values:
                array.InsertNextValue(value)
        else:
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        data.GetPointData().AddArray(array)
    return data


def trajectory_data(landscape: Landscape) -> vtkPolyData:
    """All trajectories, each as one polyline.

    Of several, the point array ``trajectory`` is the number of each, and the field-data strings
    ``trajectories`` are their labels.
    """
    parts = landscape.trajectories
    ends = np.cumsum([0, *(len(part.step) for part in parts)])
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("loss", "checkpoint_loss", "distance_to_plane", "step")
    }
    for name in array_names(parts):
        arrays[name] = np.concatenate([part.array(name) for part in parts])
    if len(parts) > 1:  # one alone has no number
        numbers = np.arange(len(parts), dtype=np.int32)
        arrays["trajectory"] = np.repeat(numbers, [len(part.step) for part in parts])
    lines = [np.arange(start, stop) for start, stop in zip(ends, ends[1:])]
    data = poly_data(np.concatenate([part.coordinates for part in parts]), arrays, lines)
    if len(parts) > 1:
        labels = vtkStringArray()
        labels.SetName("trajectories")
        for part in parts:
            labels.InsertNextValue(part.label)
        data.GetFieldData().AddArray(labels)
    return data


def model_data(landscape: Landscape) -> vtkPolyData:
    """The labeled models, as vertices."""
    models = landscape.models
    return poly_data(
        np.array([model.coordinates for model in models]),
        {
            "loss": np.array([model.loss for model in models]),
            "label": [model.label for model in models],
        },
    )


def write(landscape: Landscape, folder: Path) -> list[Path]:
    parts = {}
    if landscape.trajectories:
        parts[folder / TRAJECTORY_FILE] = trajectory_data(landscape)
    if landscape.models:
        parts[folder / MODELS_FILE] = model_data(landscape)
    for path, data in parts.items():
        # hash of its surface: a reader can detect a file that another export left behind
        digest = vtkStringArray()
        digest.SetName("loss_sha256")
        digest.InsertNextValue(loss_sha256(landscape))
        data.GetFieldData().AddArray(digest)
        write_xml(vtkXMLPolyDataWriter(), data, path)
    return list(parts)
