"""A triangle mesh with the loss as height (``surface.ply``), for other 3-D programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOPLY import vtkPLYWriter

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import replace_file
from losslandscape.landscape.landscape import Landscape

FILE_NAME = "surface.ply"
FILES = (FILE_NAME,)
_END = b"end_header\n"


def applies(landscape: Landscape) -> bool:
    return landscape.grid.dimensions == 2 and len(triangles(_finite(landscape))) > 0


def _finite(landscape: Landscape) -> np.ndarray:
    return np.isfinite(landscape.values("loss"))


def triangles(finite: np.ndarray) -> np.ndarray:
    """Two triangles for each grid cell with finite corners: vertex numbers, shape (n, 3).

    Cells are split along the diagonal from (i + 1, j) to (i, j + 1), as in TTK.
    """
    number = np.arange(finite.size).reshape(finite.shape)
    corners = [number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]]
    whole = finite[:-1, :-1] & finite[:-1, 1:] & finite[1:, :-1] & finite[1:, 1:]
    here, right, above, across = (corner[whole] for corner in corners)
    return np.concatenate(
        [np.stack([here, right, above], axis=1), np.stack([right, across, above], axis=1)]
    )


def write(landscape: Landscape, folder: Path) -> list[Path]:
    heights = landscape.values("loss")
    faces = triangles(_finite(landscape))
    used, numbers = np.unique(faces, return_inverse=True)
    xyz = np.column_stack([landscape.grid.points(), heights.ravel()])[used]
    points, cells = vtkPoints(), vtkCellArray()
    points.SetDataTypeToDouble()
    points.SetData(numpy_to_vtk(xyz, deep=True))
    faces = numbers.reshape(-1, 3).astype(np.int64)
    cells.SetData(3, numpy_to_vtk(faces.ravel(), deep=True))
    mesh = vtkPolyData()
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    path = folder / FILE_NAME
    writer = vtkPLYWriter()
    writer.SetInputData(mesh)
    with replace_file(path, ".ply") as temporary:  # vtkPLYWriter requires this suffix
        writer.SetFileName(str(temporary))
        # on a full disk, VTK leaves out the end and says nothing
        if not writer.Write() or not _is_whole(temporary, len(xyz), len(faces)):
            raise LossLandscapeError(f"{path}: VTK could not write it")
    return [path]


def _is_whole(file: Path, vertices: int, faces: int) -> bool:
    """Whether a binary PLY file has all vertices (3 floats) and triangles (a byte, 3 integers)."""
    with file.open("rb") as opened:
        header = opened.read(4096).find(_END) + len(_END)
    return file.stat().st_size == header + 12 * vertices + 13 * faces
