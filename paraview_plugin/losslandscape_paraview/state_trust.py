"""What in a ParaView state file of unknown origin speaks against loading it.

Loading a state runs the Python code in it and opens the files that it names. This needs neither
ParaView nor this package: the launcher asks it before it starts ParaView's window.
"""

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path, PurePosixPath, PureWindowsPath

# By type: filters, sources, views and annotations whose text ParaView runs as Python. Those of the
# last group make Python of the names and queries that they are given.
_PROGRAMS = re.compile(
    r"Programmable|Python|AnnotateAttributeData|AnnotateGlobalData|SelectionQuery|QuerySelection"
)
_SCRIPTS = re.compile(r"Script$|QueryString$")  # by property
_LIBRARIES = re.compile(r"\.(so(\.\d+)*|dll|dylib|py|pyc|pyd)$", re.IGNORECASE)
_PATHS_IN_DATA = re.compile(r"Selectors?$|^Assembly")  # "/Root/Block", within a data set
_OF_WINDOWS = re.compile(r"^([A-Za-z]:|\\)\\")
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def parse(path):
    """The state's root element.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ParaView state.
    """
    text = Path(path).read_bytes()
    if b"<!" in text.replace(b"<!--", b"") or b"\0" in text:
        # entities may unfold to any size, and ParaView writes none
        raise ValueError("it declares entities")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error


def objections(root, folder):
    """Why a state should not be loaded unless its maker is trusted.

    Args:
        root: the parsed state.
        folder: where it lies, and its data with it.

    Returns:
        list of str, parts of a sentence; empty for a state that ParaView's own filters draw from
        files of its folder.
    """
    found = {
        "holds Python code": sorted(_programs(root)),
        "loads libraries or plugins": sorted(_libraries(root)),
        "defines filters of its own": sorted(_definitions(root)),
        "names files outside of its folder": sorted(_outside(root, Path(folder))),
    }
    return [f"{what} ({', '.join(names[:5])})" for what, names in found.items() if names]


def _programs(root):
    for element in root.iter():
        kinds = [element.get(name) or "" for name in ("type", "class")]
        if element.tag != "Property":
            yield from {kind for kind in kinds if _PROGRAMS.search(kind)}
        elif _SCRIPTS.search(element.get("name") or "") and any(_values(element)):
            yield element.get("name")


def _libraries(root):
    for element in root.iter():
        if "plugin" in element.tag.lower():
            yield element.get("name") or element.get("filename") or element.tag
    for _name, value in _named_values(root):
        if _LIBRARIES.search(value):
            yield value


def _definitions(root):
    """A filter defined in a state may be of any class, under any name."""
    for element in root.iter():
        if "CustomProxy" in element.tag and len(element):
            yield from (child.get("name") or child.tag for child in element)


def _outside(root, folder):
    for name, value in _named_values(root):
        if not _PATHS_IN_DATA.search(name) and _leaves(value, folder):
            yield value


def _leaves(value, folder):
    """Whether a text, taken for a file name on any system, leads out of a folder."""
    parts = PureWindowsPath(value).parts
    if _ADDRESS.search(value) or value.startswith("~"):
        return True
    if os.sep != "\\" and "\\" in value and (_OF_WINDOWS.search(value) or ".." in parts):
        return True  # leads nowhere here, and out of the folder where it was meant for
    if not os.path.isabs(value) and not PurePosixPath(value).is_absolute() and ".." not in parts:
        return False
    inside = {os.path.abspath(folder), os.path.realpath(folder)}
    place = os.path.abspath(os.path.join(folder, value))
    return not any(place.startswith(os.path.join(own, "")) for own in inside)


def _named_values(root):
    """Each property's name with each of its values; and of what is no property."""
    for prop in root.iter("Property"):
        for value in _values(prop):
            yield prop.get("name") or "", value
    for element in root.iter():
        for name in ("filename", "file", "href"):
            if element.get(name):
                yield name, element.get(name)


def _values(prop):
    values = [element.get("value") for element in prop.iter() if element.tag != "Domain"]
    return [value for value in values if value]
