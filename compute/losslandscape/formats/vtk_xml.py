"""How VTK XML files are written so that every ParaView reads them."""

from __future__ import annotations

from pathlib import Path

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import replace_file


def write_xml(writer, data, path: Path) -> None:
    """Write data with a vtkXMLWriter, whole or not at all.

    The arrays are inline (base64): ParaView 5.11 cannot read the raw appended data that newer VTK
    writes by default.
    """
    with replace_file(path) as temporary:
        writer.SetFileName(str(temporary))
        writer.SetInputData(data)
        writer.SetDataModeToBinary()
        if not writer.Write():
            raise LossLandscapeError(f"{path}: VTK could not write it; is the disk full?")
