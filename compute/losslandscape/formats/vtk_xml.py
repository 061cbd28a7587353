"""Writing of VTK XML files that every ParaView version reads."""

from __future__ import annotations

from pathlib import Path

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import replace_file


def write_xml(writer, data, path: Path) -> None:
    """Write data with a vtkXMLWriter, atomically.

    Arrays are written inline (base64), because ParaView 5.11 cannot read the raw appended data
    that newer VTK versions write by default.

    Raises
    ------
    LossLandscapeError
        If the file cannot be written.
    """
    writer.SetInputData(data)
    writer.SetDataModeToBinary()
    writer.SetWriteToOutputString(True)  # VTK crashes if it writes to a full disk itself
    if not writer.Write():
        raise LossLandscapeError(f"{path}: VTK could not write it")
    made = writer.GetOutputString()  # bytes, if it is not UTF-8
    with replace_file(path) as temporary:
        temporary.write_bytes(made if isinstance(made, bytes) else made.encode("utf-8"))
