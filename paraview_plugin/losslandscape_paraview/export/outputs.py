"""Write a layout as a picture, a glTF file or an interactive web page, by the file's ending."""

from pathlib import Path

from ..errors import LandscapeError
from .output_files import replaced
from .png_chunks import with_density
from .states import render_layout

PICTURE, GEOMETRY, PAGE = ".png", (".glb", ".gltf"), ".html"
ENDINGS = (PICTURE, *GEOMETRY, PAGE)


def write_output(layout, path, size=None, dpi=None, transparent=False):
    """Write a layout into a file.

    Args:
        layout: ParaView's layout, of a `Figure` or a loaded state.
        path: with one of the `ENDINGS`.
        size: of a picture, in pixels; None for the layout's own.
        dpi: the pixels an inch that a picture states; None for no statement.
        transparent: the picture has no background.

    Returns:
        dict: `path`; of what holds triangles also `triangles` and `bytes`.

    Raises:
        LandscapeError: the ending is unknown, the file cannot be written, or what is shown cannot
            be put into such a file.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in (".pdf", ".svg"):
        raise LandscapeError(
            f"{path}: a state file is drawn as {', '.join(ENDINGS)}; PDF and SVG are made of "
            "landscape files"
        )
    if ending not in ENDINGS:
        raise LandscapeError(f"{path}: no such kind of file; there are {', '.join(ENDINGS)}")
    if ending == PICTURE:
        with replaced(path) as temporary:
            render_layout(layout, temporary, size, transparent)
            if dpi is not None:
                temporary.write_bytes(with_density(temporary.read_bytes(), dpi))
        return {"path": str(path)}
    from .gltf import glb, gltf
    from .scene import read_scene
    from .web_page import web_page

    scene = read_scene(layout)
    data = {".glb": glb, ".gltf": gltf, ".html": web_page}[ending](scene)
    with replaced(path) as temporary:
        temporary.write_bytes(data)
    triangles = sum(len(mesh.triangles) for panel in scene.panels for mesh in panel.meshes)
    return {"path": str(path), "triangles": triangles, "bytes": len(data)}
