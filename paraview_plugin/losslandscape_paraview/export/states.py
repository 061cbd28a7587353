"""State files that open anywhere: written with relative paths, rendered from any folder.

A picture carries its state, too, and opens as a state file does.
"""

import os
import tempfile
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from ..compatibility import (
    as_numbers,
    name_of_filter,
    number_format,
    property_of_state,
    restore_getargspec,
    ttk_not_loaded,
    version,
    warn_if_untried,
    written,
)
from ..errors import LandscapeError, LandscapeFileError
from .output_files import replaced
from .png_chunks import with_state
from .state_guard import checked_state, is_file_property, kinds, named_files

# axes of one object -> the property by which they are hidden
_HIDDEN_AXES = {
    "PolarAxesRepresentation": "Visibility",
    "GridAxesRepresentation": "GridAxesVisibility",
}


def save_state(path):
    """Write the scene as a state file whose data files are named relative to it.

    ParaView itself writes absolute paths, which exist on one machine only.

    Args:
        path: of the `.pvsm` to write.

    Returns:
        Path

    Raises:
        LandscapeError: the folder is missing or read-only, or the disk is full.
    """
    path = Path(path).resolve()
    with replaced(path) as temporary:
        tree = _portable_state(path.parent)
        tree.write(temporary, encoding="utf-8", xml_declaration=False)
    return path


def _portable_state(folder):
    """The scene as a state whose data files are named relative to a folder."""
    from paraview import simple

    with tempfile.TemporaryDirectory(prefix="losslandscape-") as temporary:
        file = Path(temporary, "state.pvsm")
        simple.SaveState(str(file))
        tree = ElementTree.parse(file)
    _make_portable(tree, folder)
    return tree


def _make_portable(tree, folder):
    for prop in tree.iter("Property"):
        # the latter is what ParaView tells of the former; nothing reads it, and it gives paths away
        named = is_file_property(prop) or prop.get("name") == "FileNameInfo"
        for element in prop.findall("Element") if named else ():
            name = element.get("value", "")
            if os.path.isabs(name) and os.path.exists(name):
                with suppress(ValueError):  # on another drive, which has no relative name
                    element.set("value", Path(os.path.relpath(name, folder)).as_posix())
    _leave_out_formats(tree)
    _leave_out_unseen(tree)
    # Domains say what a property may be; ParaView knows that and would only repeat it, in a third
    # of the file. Those with content hold the choice of a glyph's shape and the like.
    for element in tree.iter():  # its indentation, a fifth of the text
        element.text = element.text if element.text and element.text.strip() else None
        element.tail = None
    for prop in tree.iter("Property"):
        prop.attrib.pop("id", None)  # its proxy's, and its name: ParaView reads neither
        for domain in prop.findall("Domain"):
            domain.attrib.pop("id", None)
            if not len(domain) and domain.get("name") != "files":
                prop.remove(domain)


def _leave_out_formats(tree):
    """Remove the formats that a colour bar does not use: ParaView 6.1 warns of those of 5.11."""
    for proxy in tree.iter("Proxy"):
        values = {
            prop.get("name"): [element.get("value") for element in prop.findall("Element")]
            for prop in proxy.findall("Property")
        }
        unused = [("LabelFormat", values.get("AutomaticLabelFormat") == ["1"])]
        unused += [("RangeLabelFormat", values.get("AddRangeLabels") == ["0"])]
        unused += [("DataRangeLabelFormat", values.get("DrawDataRange") == ["0"])]
        for prop in proxy.findall("Property"):
            if (prop.get("name"), True) in unused:
                proxy.remove(prop)


def _leave_out_unseen(tree):
    """Remove what hidden axes are set to, and objects that a property could have and has not.

    They keep their places in the state, and get ParaView's defaults, as they had when it was saved:
    this plugin sets nothing of them.
    """
    chosen, offered = (
        {proxy.get("value") for holder in tree.iter(tag) for proxy in holder.findall("Proxy")}
        for tag in ("Property", "Domain")
    )
    for proxy in tree.iter("Proxy"):
        properties = {prop.get("name"): prop for prop in proxy.findall("Property")}
        kept = set(properties)
        if proxy.get("id") in offered - chosen:
            kept = set()
        shown = properties.get(_HIDDEN_AXES.get(proxy.get("type", ""), ""))
        if shown is not None and [one.get("value") for one in shown.findall("Element")] == ["0"]:
            kept = {shown.get("name"), "Input"}
        for name, prop in properties.items():
            if name not in kept:
                proxy.remove(prop)


def load_state(path, layout=None, trust=False):
    """Load a state file into an empty session and return its layout.

    Args:
        path: a `.pvsm` file, or a `.png` that carries its state.
        layout: the name of one of its layouts; None if it has only one.
        trust: see `state_guard.checked_state`.

    Raises:
        LandscapeFileError: the state or one of its data files is missing; all are named. Or it is
            not trusted, and could do more than draw what lies beside it.
        LandscapeError: a reader or filter of the state is unknown to this ParaView, or it has no
            such layout, or several.
    """
    open_state(path, trust)
    return _layout(Path(path), layout)


def open_state(path, trust=False):
    """Load a state file; see `load_state`."""
    restore_getargspec()
    warn_if_untried()
    from paraview import simple

    path = Path(path).resolve()
    root = checked_state(path, trust)
    _require_files(root, path)
    simple._DisableFirstRenderCameraReset()
    _require_proxies(root, path)
    _translate_formats(root)
    with tempfile.TemporaryDirectory(prefix="losslandscape-") as folder:
        checked = Path(folder, f"{path.stem}.pvsm")
        checked.write_bytes(ElementTree.tostring(root, encoding="utf-8"))
        with _working_directory(path.parent):
            simple.LoadState(str(checked))
            for source in simple.GetSources().values():
                source.UpdatePipeline()


def render_state(path, output=None, size=None, layout=None, trust=False):
    """Render a state file's layout into a PNG.

    Args:
        path: a `.pvsm` file.
        output: the PNG; None for the state's name with `.png`.
        size: width and height in pixels; None for those of the layout in the state.
        layout, trust: see `load_state`, which also says what is raised.

    Returns:
        Path of the picture.
    """
    path = Path(path)
    shown = load_state(path, layout, trust)
    output = Path(output) if output else path.with_suffix(".png")
    return render_layout(shown, output, size)


def render_layout(layout, output, size=None, transparent=False, carries_state=True):
    """Render a layout into a PNG, which carries the scene as a state.

    Args:
        layout: ParaView's layout.
        output: the PNG.
        size: width and height in pixels, in any proportion; letters and lines grow with the
            width. None for the layout's own size.
        transparent: without the white ground.
        carries_state: with the state; not for a picture that is a part of another file.

    Returns:
        Path of the picture.
    """
    from paraview import simple

    width, height = layout.GetSize()
    size = [int(length) for length in size or (width, height)]
    # ParaView's own scaling of letters goes by whole factors, and leaves out those of the axes.
    with _larger_letters(simple.GetRenderViews(), size[0] / width):
        layout.SetSize(*size)
        simple.SaveScreenshot(
            str(output),
            layout,
            ImageResolution=size,
            SeparatorWidth=0,
            SeparatorColor=[1.0, 1.0, 1.0],
            TransparentBackground=int(transparent),
            FontScaling="Do not scale fonts",
        )
    layout.SetSize(width, height)
    output = Path(output)
    if not carries_state:
        return output
    root = _portable_state(output.resolve().parent).getroot()
    state = ElementTree.tostring(root, "us-ascii")
    output.write_bytes(with_state(output.read_bytes(), state))
    return output


@contextmanager
def _larger_letters(views, scale):
    """Scale all texts, and the thickness of colour bars, inside the `with` block."""
    if scale == 1.0:
        yield
        return
    sized = []
    for view in views:
        of_axes = [f"{axis}{kind}FontSize" for axis in "XYZ" for kind in ("Title", "Label")]
        sized += [(view.AxesGrid, name) for name in of_axes]
        for shown in view.Representations:
            names = ("FontSize", "TitleFontSize", "LabelFontSize", "ScalarBarThickness")
            # the proxy's own GetProperty: that of ParaView's Python takes 30 ms to say no
            sized += [(shown, name) for name in names if shown.SMProxy.GetProperty(name)]
    before = [getattr(proxy, name) for proxy, name in sized]
    for (proxy, name), points in zip(sized, before):
        setattr(proxy, name, round(scale * points))
    try:
        yield
    finally:
        for (proxy, name), points in zip(sized, before):
            setattr(proxy, name, points)


def data_files(path):
    """The files a state reads, as they are named in it."""
    return named_files(checked_state(path, trust=True))


def _layout(path, name):
    """The layout with this name in a loaded state; None for the only one."""
    from paraview import simple

    layouts = {key[0]: layout for key, layout in simple.GetLayouts().items()}
    shown = {key: layout for key, layout in layouts.items() if simple.GetViewsInLayout(layout)}
    loose = [view for view in simple.GetViews() if simple.GetLayout(view) is None]
    if not shown and len(loose) == 1:
        # a script that made a view and no layout for it
        layout = next(iter(layouts.values()), None) or simple.CreateLayout("Layout")
        simple.AssignViewToLayout(loose[0], layout)
        layout.SetSize(*loose[0].ViewSize)
        shown = {"Layout": layout}
    listed = ", ".join(f"'{key}'" for key in shown) or "none"
    if name is not None and name not in shown:
        raise LandscapeError(f"{path}: has no layout '{name}'; there are: {listed}")
    if name is None and len(shown) > 1:
        raise LandscapeError(
            f"{path}: has {len(shown)} layouts: {listed}; say which to draw (--layout NAME)"
        )
    if not shown:
        raise LandscapeError(
            f"{path}: has no layout with a view in it, so there is nothing to draw; open it in "
            "ParaView, put its views into a layout, and save it again"
        )
    return shown[name] if name is not None else next(iter(shown.values()))


def _require_files(root, path):
    missing = [name for name in named_files(root) if not (path.parent / name).exists()]
    if missing:
        raise LandscapeFileError(
            f"{path}: its data are missing: {', '.join(missing)} (looked for in {path.parent})"
        )


def _require_proxies(root, path):
    """Load this plugin where the state needs it, and name what ParaView does not know."""
    from paraview import servermanager, simple

    if servermanager.ActiveConnection is None:
        simple.Connect()
    wanted = {kind for kind in kinds(root) if kind[0] in ("sources", "filters")}
    if any(kind.startswith("Loss") for _group, kind in wanted):
        from ..plugin import load_plugin

        load_plugin()
    manager = servermanager.ProxyManager().SMProxyManager
    unknown = set()
    for proxy in root.iter("Proxy"):
        group, name = proxy.get("group"), proxy.get("type")
        for prop in proxy.findall("Property"):
            size = prop.get("number_of_elements")
            prop.set("name", property_of_state(group, prop.get("name", ""), size))
        if (group, name) in wanted:
            found = name_of_filter(name, partial(manager.HasDefinition, group))
            if found is None:
                unknown.add(name)
            else:
                proxy.set("type", found)
    if unknown:
        raise LandscapeError(
            f"{path}: ParaView {written(version())} knows no {', '.join(sorted(unknown))}; "
            f"{_why_unknown(root, unknown)}"
        )


def _why_unknown(root, unknown):
    ttk = ttk_not_loaded()
    if ttk and any(name.startswith("ttk") for name in unknown):
        return f"it did not load {ttk}, which may be built for another version of ParaView"
    saved = next((e.get("version", "") for e in root.iter("ServerManagerState")), "")
    if as_numbers(saved) > version():
        return f"ParaView {saved} saved this state; open it with that, or a newer one"
    return "a plugin is missing (Tools > Manage Plugins)"


def _translate_formats(root):
    """The formats of labels as this ParaView understands them; it is right in no other's."""
    for prop in root.iter("Property"):
        if (prop.get("name") or "").endswith("LabelFormat"):
            for element in prop.iter("Element"):
                element.set("value", number_format(element.get("value", "")))


@contextmanager
def _working_directory(folder):
    """ParaView resolves relative names in a state from the working directory."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
