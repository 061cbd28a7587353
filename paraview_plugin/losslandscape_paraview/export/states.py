"""State files that open anywhere: written with relative paths, rendered from any folder."""

import os
import tempfile
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager, suppress
from pathlib import Path

from ..compatibility import restore_getargspec
from ..errors import LandscapeError, LandscapeFileError
from .output_files import replaced
from .state_guard import checked_state, is_file_property, kinds, named_files


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
    from paraview import simple

    path = Path(path).resolve()
    with replaced(path) as temporary:
        simple.SaveState(str(temporary))
        tree = ElementTree.parse(temporary)
        _make_portable(tree, path.parent)
        tree.write(temporary, encoding="utf-8", xml_declaration=False)
    return path


def _make_portable(tree, folder):
    for prop in tree.iter("Property"):
        # the latter is what ParaView tells of the former; nothing reads it, and it gives paths away
        named = is_file_property(prop) or prop.get("name") == "FileNameInfo"
        for element in prop.findall("Element") if named else ():
            name = element.get("value", "")
            if os.path.isabs(name) and os.path.exists(name):
                with suppress(ValueError):  # on another drive, which has no relative name
                    element.set("value", Path(os.path.relpath(name, folder)).as_posix())
    # Domains say what a property may be; ParaView knows that and would only repeat it, in a third
    # of the file. Those with content hold the choice of a glyph's shape and the like.
    for prop in tree.iter("Property"):
        for domain in prop.findall("Domain"):
            if not len(domain) and domain.get("name") != "files":
                prop.remove(domain)


def load_state(path, layout=None, trust=False):
    """Load a state file into an empty session and return its layout.

    Args:
        path: a `.pvsm` file.
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
    from paraview import simple

    path = Path(path).resolve()
    root = checked_state(path, trust)
    _require_files(root, path)
    simple._DisableFirstRenderCameraReset()
    _require_proxies(root, path)
    with tempfile.TemporaryDirectory(prefix="losslandscape-") as folder:
        checked = Path(folder, path.name)
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


def render_layout(layout, output, size=None, transparent=False):
    """Render a layout into a PNG.

    Args:
        layout: ParaView's layout.
        output: the PNG.
        size: width and height in pixels, in any proportion; letters and lines grow with the
            width. None for the layout's own size.
        transparent: without the white ground.

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
    return Path(output)


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
    unknown = sorted(kind for group, kind in wanted if not manager.HasDefinition(group, kind))
    if unknown:
        raise LandscapeError(
            f"{path}: ParaView knows no {', '.join(unknown)}; a plugin is missing "
            "(Tools > Manage Plugins)"
        )


@contextmanager
def _working_directory(folder):
    """ParaView resolves relative names in a state from the working directory."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
