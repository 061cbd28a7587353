"""The topology of a landscape as VTK files, with TTK's array names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLImageDataWriter, vtkXMLPolyDataWriter

from losslandscape.analysis.critical_points import CriticalPoints
from losslandscape.formats.image_data import add_point_array, image_data
from losslandscape.formats.poly_data import poly_data
from losslandscape.formats.vtk_xml import write_xml
from losslandscape.landscape.landscape import Landscape
from losslandscape.topology.separatrices import CELL_ARRAYS

CRITICAL_POINTS_FILE = "critical_points.vtp"
SEPARATRICES_FILE = "separatrices.vtp"
SEGMENTATION_FILE = "segmentation.vti"
DIAGRAM_FILE = "persistence_diagram.vtp"
FILES = (CRITICAL_POINTS_FILE, SEPARATRICES_FILE, SEGMENTATION_FILE, DIAGRAM_FILE)

_TTK_MAXIMUM = 3  # TTK's CriticalType: 0 minimum, 1 and 2 saddles, 3 maximum


def write(landscape: Landscape, found: CriticalPoints, folder: Path) -> list[Path]:
    """Write critical points, separatrices, segmentation and persistence diagram."""
    poly = {
        CRITICAL_POINTS_FILE: critical_point_data(found.arrays),
        SEPARATRICES_FILE: separatrix_data(found),
        DIAGRAM_FILE: diagram_data(landscape, found),
    }
    for name, data in poly.items():
        write_xml(vtkXMLPolyDataWriter(), data, folder / name)
    path = folder / SEGMENTATION_FILE
    write_xml(vtkXMLImageDataWriter(), segmentation_data(landscape, found), path)
    return [*(folder / name for name in poly), path]


def critical_point_data(arrays: Mapping[str, np.ndarray]) -> vtkPolyData:
    """Critical points as vertices; every array except ``points`` becomes a point array."""
    rest = {name: values for name, values in arrays.items() if name != "points"}
    return poly_data(arrays["points"], rest)


def separatrix_data(found: CriticalPoints) -> vtkPolyData:
    """1-separatrices as line segments; cell arrays are in the units of the scale."""
    arrays = found.complex.separatrices
    point_arrays = {
        name: values
        for name, values in arrays.items()
        if name not in ("points", "lines", *CELL_ARRAYS)
    }
    data = segments(arrays["points"], arrays["lines"], point_arrays)
    for name in CELL_ARRAYS:
        if name in arrays:
            add_cell_array(data, name, arrays[name])
    return data


def segmentation_data(landscape: Landscape, found: CriticalPoints) -> vtkImageData:
    """The surface's image data with TTK's three manifold labels."""
    image = image_data(landscape)
    for name, labels in found.complex.segmentation.items():
        add_point_array(image, name, labels)
    return image


def diagram_data(landscape: Landscape, found: CriticalPoints) -> vtkPolyData:
    """The persistence diagram: one line per pair, from (birth, birth) to (birth, death).

    The last line is the diagonal, with ``PairIdentifier`` -1 as in TTK. Values are in the units of
    the scale.
    """
    pairs = found.complex.persistence_pairs
    count = len(pairs["Birth"])
    birth, death = pairs["Birth"], pairs["Birth"] + pairs["Persistence"]
    ends = np.column_stack([birth, birth, birth, death]).reshape(-1, 2)
    low, high = birth.min(), death.max()
    lines = np.arange(2 * count + 2).reshape(-1, 2)
    vertices = np.column_stack([pairs["birth_vertex"], pairs["death_vertex"]]).ravel()
    planar = found.complex.values.ndim == 2
    upper_end = np.where((pairs["PairType"] == 1) | (not planar), _TTK_MAXIMUM, 1)
    upper_end = np.where(pairs["IsFinite"] == 1, upper_end, _TTK_MAXIMUM)
    kinds = np.column_stack([pairs["PairType"], upper_end]).ravel()
    where = np.zeros((2 * count + 2, 3), dtype=np.float32)
    where[: 2 * count, : landscape.grid.dimensions] = landscape.grid.points()[vertices]
    data = segments(
        np.concatenate([ends, [[low, low], [high, high]]]),
        lines,
        {
            "ttkVertexScalarField": np.append(vertices, [-1, -1]).astype(np.int32),
            "CriticalType": np.append(kinds, [-1, -1]).astype(np.int32),
            "Coordinates": where,
        },
    )
    add_cell_array(data, "PairIdentifier", np.append(np.arange(count), -1).astype(np.int32))
    add_cell_array(data, "PairType", np.append(pairs["PairType"], -1).astype(np.int32))
    add_cell_array(data, "Persistence", np.append(pairs["Persistence"], high - low))
    add_cell_array(data, "Birth", np.append(birth, low))
    add_cell_array(data, "IsFinite", np.append(pairs["IsFinite"], 0).astype(np.uint8))
    significant = found.pair_arrays["significant"]
    add_cell_array(data, "significant", np.append(significant, 0).astype(np.int8))
    if "p_value" in found.pair_arrays:
        add_cell_array(data, "p_value", np.append(found.pair_arrays["p_value"], np.nan))
    return data


def segments(
    points: np.ndarray, lines: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> vtkPolyData:
    """Poly data of line segments, added in one call, which is faster than polylines.

    Parameters
    ----------
    points : ndarray, shape (n, dimensions)
    lines : int ndarray, shape (k, 2)
        Point numbers of each segment.
    arrays : dict of name to (n,) or (n, components) array
    """
    data = poly_data(points, dict(arrays), lines=[])
    cells = vtkCellArray()
    cells.SetData(2, numpy_to_vtk(np.asarray(lines, dtype=np.int64).ravel(), deep=True))
    data.SetLines(cells)
    return data


def add_cell_array(data: vtkPolyData, name: str, values: np.ndarray) -> None:
    array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    data.GetCellData().AddArray(array)
