"""A figure's surfaces as glTF 2.0 (Khronos Group, ISO/IEC 12113:2022), which other programs open.

ParaView 5.11's own exporter takes one view, gives nothing a name, shows the inside of shapes that
are drawn as dark edges, and writes colours as they are on the screen where glTF means light: they
come out pale. So the file is written here, from the same arrays as the web page.
"""

import base64
import json
import struct

import numpy as np

# of the specification: component types, targets of buffers, the binary container
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963
_MAGIC, _VERSION, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_UNLIT = "KHR_materials_unlit"
# ParaView's z is up, and glTF's y
_Z_UP = [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]
# from one panel's middle to the next, in panel widths
PANEL_DISTANCE = 1.25


def glb(scene):
    """A scene as a binary glTF file.

    Args:
        scene: `scene.Scene`.

    Returns:
        bytes. Each panel is a node with one child a mesh, named as in the pipeline browser; panels
        stand side by side.
    """
    document, binary = _document(scene)
    document["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    chunks = b"".join(
        struct.pack("<II", len(data), kind) + data
        for kind, data in ((_JSON_CHUNK, text), (_BINARY_CHUNK, binary))
    )
    return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks


def gltf(scene):
    """A scene as one glTF file of text, its arrays within it; see `glb`."""
    document, binary = _document(scene)
    data = base64.b64encode(binary).decode("ascii")
    document["buffers"] = [
        {"byteLength": len(binary), "uri": f"data:application/octet-stream;base64,{data}"}
    ]
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def to_linear(colours):
    """Colours as they are on the screen (sRGB, IEC 61966-2-1) as shares of light.

    Args:
        colours: ndarray of any shape, 0 to 1.

    >>> to_linear(np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [0.0, 0.214, 1.0]
    """
    colours = np.asarray(colours, dtype=float)
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


class _Arrays:
    """The buffer and the views into it."""

    def __init__(self):
        self.parts, self.length, self.views, self.accessors = [], 0, [], []

    def add(self, values, component, kind, target, **more):
        data = np.ascontiguousarray(values).tobytes()
        self.views.append(
            {
                "buffer": 0,
                "byteOffset": self.length,
                "byteLength": len(data),
                "target": target,
            }
        )
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "componentType": component,
                "count": len(values),
                "type": kind,
                **more,
            }
        )
        # every element is a multiple of four bytes long, so that all stay aligned
        self.parts.append(data)
        self.length += len(data)
        return len(self.accessors) - 1


def _document(scene):
    arrays, meshes, materials = _Arrays(), [], []
    nodes: list[dict] = [{"name": "figure", "rotation": _Z_UP, "children": []}]
    x = 0.0
    for panel in scene.panels:
        width = panel.bounds[1] - panel.bounds[0]
        parent: dict = {"name": panel.title or "panel", "children": []}
        if nodes[0]["children"]:
            parent["translation"] = [x - panel.bounds[0], 0.0, 0.0]
            x += PANEL_DISTANCE * width
        else:
            x = panel.bounds[0] + PANEL_DISTANCE * width
        nodes[0]["children"].append(len(nodes))
        nodes.append(parent)
        for mesh in panel.meshes:
            material = _material(mesh)
            if material not in materials:
                materials.append(material)
            meshes.append(_mesh(mesh, arrays, materials.index(material)))
            parent["children"].append(len(nodes))
            nodes.append({"name": mesh.name, "mesh": len(meshes) - 1})
    document = {
        "asset": {"version": "2.0", "generator": "losslandscape"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": materials,
        "accessors": arrays.accessors,
        "bufferViews": arrays.views,
    }
    if any(_UNLIT in material.get("extensions", {}) for material in materials):
        document["extensionsUsed"] = [_UNLIT]
    return document, b"".join(arrays.parts)


def _mesh(mesh, arrays, material):
    points = mesh.points.astype("<f4")
    attributes = {
        "POSITION": arrays.add(
            points,
            _FLOAT,
            "VEC3",
            _VERTICES,
            min=[float(x) for x in points.min(axis=0)],
            max=[float(x) for x in points.max(axis=0)],
        ),
        "NORMAL": arrays.add(mesh.normals.astype("<f4"), _FLOAT, "VEC3", _VERTICES),
    }
    if mesh.colours is not None:
        # sixteen bits: eight of linear light would show steps in the dark colours
        light = np.ones((len(mesh.colours), 4))
        light[:, :3] = to_linear(mesh.colours / 255.0)
        attributes["COLOR_0"] = arrays.add(
            np.rint(65535 * light).astype("<u2"),
            _UNSIGNED_SHORT,
            "VEC4",
            _VERTICES,
            normalized=True,
        )
    indices = arrays.add(
        mesh.triangles.reshape(-1).astype("<u4"), _UNSIGNED_INT, "SCALAR", _INDICES
    )
    return {
        "name": mesh.name,
        "primitives": [{"attributes": attributes, "indices": indices, "material": material}],
    }


def _material(mesh):
    colour = [1.0, 1.0, 1.0] if mesh.colours is not None else to_linear(mesh.colour).tolist()
    material = {
        "pbrMetallicRoughness": {
            "baseColorFactor": [*colour, mesh.opacity],
            "metallicFactor": 0.0,
            "roughnessFactor": 1.0,
        },
        "doubleSided": not mesh.one_sided,
    }
    if mesh.opacity < 1.0:
        material["alphaMode"] = "BLEND"
    if not mesh.lit:
        material["extensions"] = {_UNLIT: {}}
    return material
