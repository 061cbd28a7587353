"""A ParaView collection (``landscape.pvd``): opens surface, trajectories and models together."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from losslandscape.files.atomic_files import replace_file
from losslandscape.formats import image_data, poly_data
from losslandscape.landscape.landscape import Landscape

FILE_NAME = "landscape.pvd"
FILES = (FILE_NAME,)


def applies(landscape: Landscape) -> bool:
    return True


def write(landscape: Landscape, folder: Path) -> list[Path]:
    """Write only the collection; :func:`losslandscape.formats.export` writes the files it names."""
    parts = {"surface": image_data.FILE_NAME}
    if landscape.trajectories:
        parts["trajectory"] = poly_data.TRAJECTORY_FILE
    if landscape.models:
        parts["models"] = poly_data.MODELS_FILE
    root = ElementTree.Element("VTKFile", type="Collection", version="0.1")
    collection = ElementTree.SubElement(root, "Collection")
    for part, (name, file) in enumerate(parts.items()):
        ElementTree.SubElement(
            collection, "DataSet", timestep="0", part=str(part), name=name, file=file
        )
    path = folder / FILE_NAME
    with replace_file(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)
    return [path]
