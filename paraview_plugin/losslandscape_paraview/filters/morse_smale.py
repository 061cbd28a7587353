"""The Morse-Smale complex filter: a VTK algorithm over `losslandscape.topology`, TTK's schema."""

import numpy as np
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData

from ..errors import LandscapeError
from ..plugin import load_topology
from ..sources.vtk_arrays import add_array, cells, poly_data
from .grid_filter import GridFilter, field_of

CRITICAL_POINTS, SEPARATRICES, SURFACES, SEGMENTATION, DIAGRAM = range(5)
_POINT_ARRAYS = ("ttkMaskScalarField", "CellDimension", "CellId")
# TTK's CriticalType counts two kinds of saddles before it
_TTK_MAXIMUM = 3


class MorseSmaleFilter(GridFilter):
    """Critical points, separatrices, segmentation and persistence diagram of a grid's point array.

    The first four ports are those of TTKMorseSmaleComplex.

    Ports:
        0: critical points.
        1: 1-separatrices.
        2: 2-separatrices (none below three dimensions).
        3: the grid with the three manifold labels.
        4: the persistence diagram of the field as it came, before any pair is removed.

    Points where the array is NaN lie outside the domain. A field that cannot be used leaves all
    outputs empty and reports one message through VTK's output window.
    """

    label = "Loss Morse-Smale Complex"

    def __init__(self):
        types = ["vtkPolyData"] * 5
        types[SEGMENTATION] = "vtkImageData"
        super().__init__(types)
        self._persistence = 0.0

    def SetPersistence(self, threshold):
        """Pairs up to this persistence, in the array's unit, are removed before."""
        self.set_property("_persistence", threshold)

    def GetPersistenceRange(self):
        """From 0 to the range of the array, which no finite pair exceeds."""
        values = self.values_now()
        finite = values[np.isfinite(values)] if values is not None else np.zeros(0)
        span = float(finite.max() - finite.min()) if finite.size else 0.0
        return [0.0, span if span > 0 else 1.0]

    def compute(self, image):
        return morse_smale_outputs(image, self._array, self._persistence)


def morse_smale_outputs(image, name, persistence=0.0):
    """The five outputs of the filter.

    Args:
        image: `vtkImageData` with one or two directions.
        name: of a point array of it with one component.
        persistence: pairs up to it are removed first.

    Returns:
        list of four `vtkPolyData` and, at index 3, a `vtkImageData`.

    Raises:
        LandscapeError: the grid or the array cannot be used; the message says why.
    """
    topology = load_topology()
    values = _field(image, name)
    try:
        found = topology.morse_smale_complex(
            # the first point, which is not the origin where an extent begins elsewhere
            values,
            image.GetPoint(0),
            image.GetSpacing(),
            persistence=persistence,
        )
        pairs = topology.persistence_pairs(values)
    except topology.FieldError as error:
        raise LandscapeError(f"array '{name}': {error}") from error
    return [
        _critical_points(found.critical_points, name),
        _separatrices(found.separatrices),
        vtkPolyData(),
        _segmentation(image, found.segmentation),
        _diagram(image, values, pairs, persistence),
    ]


def _field(image, name):
    values = field_of(image, name)
    nx, ny, nz = image.GetDimensions()
    if nz > 1 and min(nx, ny) > 1:
        raise LandscapeError(
            "the grid has three directions; use TTK's Morse-Smale complex for it "
            "(part of the ParaView from paraview.org)"
        )
    if nz > 1 or nx == 1:
        raise LandscapeError(f"the grid is {nx} x {ny} x {nz}; it must lie along x, or x and y")
    return values.reshape(ny, nx) if ny > 1 else values


def _critical_points(arrays, name):
    output = poly_data(arrays["points"])
    output.SetVerts(cells(np.arange(len(arrays["points"])).reshape(-1, 1)))
    for key, values in arrays.items():
        if key != "points":
            # TTK calls the field by the input array's name
            add_array(output.GetPointData(), name if key == "loss" else key, values)
    return output


def _separatrices(arrays):
    output = poly_data(arrays["points"])
    output.SetLines(cells(arrays["lines"]))
    for key, values in arrays.items():
        if key in _POINT_ARRAYS:
            add_array(output.GetPointData(), key, values)
        elif key not in ("points", "lines"):
            add_array(output.GetCellData(), key, values)
    return output


def _segmentation(image, labels):
    output = vtkImageData()
    output.ShallowCopy(image)
    for key, values in labels.items():
        add_array(output.GetPointData(), key, values.ravel())
    return output


def _diagram(image, values, pairs, threshold):
    """A line a pair, from (birth, birth) to (birth, death), and the diagonal as the last.

    Beyond TTK's arrays: `Threshold`, and `AboveThreshold`, 1 for the pairs that are kept.
    """
    birth, death = pairs["Birth"], pairs["Birth"] + pairs["Persistence"]
    low, high = birth.min(), death.max()
    ends = np.column_stack([birth, birth, birth, death]).reshape(-1, 2)
    points = np.zeros((len(ends) + 2, 3))
    points[:-2, :2] = ends
    points[-2:, :2] = [[low, low], [high, high]]
    output = poly_data(points)
    output.SetLines(cells(np.arange(len(points)).reshape(-1, 2)))
    vertices = np.column_stack([pairs["birth_vertex"], pairs["death_vertex"]]).ravel()
    finite, above = pairs["IsFinite"] == 1, (pairs["PairType"] == 1) | (values.ndim == 1)
    upper = np.where(finite & ~above, 1, _TTK_MAXIMUM)
    where = np.zeros((len(points), 3), dtype=np.float32)
    where[:-2] = [image.GetPoint(int(vertex)) for vertex in vertices]
    point_arrays = {
        "ttkVertexScalarField": np.append(vertices, [-1, -1]).astype(np.int32),
        "CriticalType": np.append(
            np.column_stack([pairs["PairType"], upper]).ravel(), [-1, -1]
        ).astype(np.int32),
        "Coordinates": where,
    }
    cell_arrays = {
        "PairIdentifier": np.append(np.arange(len(birth)), -1).astype(np.int32),
        "PairType": np.append(pairs["PairType"], -1).astype(np.int32),
        "Persistence": np.append(pairs["Persistence"], high - low),
        "Birth": np.append(birth, low),
        "IsFinite": np.append(pairs["IsFinite"], 0).astype(np.uint8),
        "Threshold": np.full(len(birth) + 1, float(threshold)),
        "AboveThreshold": np.append(~finite | (pairs["Persistence"] > threshold), False).astype(
            np.uint8
        ),
    }
    for key, array in point_arrays.items():
        add_array(output.GetPointData(), key, array)
    for key, array in cell_arrays.items():
        add_array(output.GetCellData(), key, array)
    return output
