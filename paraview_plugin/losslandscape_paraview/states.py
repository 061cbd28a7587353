"""ParaView state files that travel: written with relative paths, rendered from any folder."""

import os
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from pathlib import Path

from .compatibility import restore_getargspec
from .errors import LandscapeError, LandscapeFileError

_PLUGIN_PROXIES = "LossLandscape"


def save_state(path):
    """Write the scene as a state file whose data files are named relative to it.

    ParaView writes the absolute paths of the machine at hand, which no other machine has.

    Args:
        path: of the `.pvsm` to write.

    Returns:
        Path
    """
    from paraview import simple

    path = Path(path).resolve()
    simple.SaveState(str(path))
    tree = ElementTree.parse(path)
    for element in tree.iter("Element"):
        value = element.get("value", "")
        if os.path.isabs(value) and os.path.exists(value):
            element.set("value", Path(os.path.relpath(value, path.parent)).as_posix())
    # Domains say what a property may be; ParaView knows that and would only repeat it, in a third
    # of the file. Those with content hold the choice of a glyph's shape and the like.
    for prop in tree.iter("Property"):
        for domain in prop.findall("Domain"):
            if not len(domain) and domain.get("name") != "files":
                prop.remove(domain)
    tree.write(path, encoding="utf-8", xml_declaration=False)
    return path


def load_state(path):
    """Load a state file into an empty session and return its layout.

    Raises:
        LandscapeFileError: the state or one of its data files is missing; all are named. Or the
            state holds Python code, which ParaView would run.
        LandscapeError: a reader or filter of the state is unknown to this ParaView.
    """
    restore_getargspec()
    from paraview import simple

    path = Path(path).resolve()
    root = _parse(path)
    _refuse_programs(root, path)
    _require_files(root, path)
    simple._DisableFirstRenderCameraReset()
    _require_proxies(root, path)
    with _working_directory(path.parent):
        simple.LoadState(str(path))
        for source in simple.GetSources().values():
            source.UpdatePipeline()
    return next(iter(simple.GetLayouts().values()))


def render_state(path, output=None, size=None):
    """Render a state file's layout into a PNG.

    Args:
        path: a `.pvsm` file.
        output: the PNG; None for the state's name with `.png`.
        size: width and height in pixels; None for those of the layout in the state.

    Returns:
        Path of the picture.

    Raises:
        LandscapeFileError: the state or one of its data files is missing; all are named. Or the
            state holds Python code, which ParaView would run.
        LandscapeError: a reader or filter of the state is unknown to this ParaView.
    """
    path = Path(path)
    layout = load_state(path)
    output = Path(output) if output else path.with_suffix(".png")
    return render_layout(layout, output, size)


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
    """All letters, and the thickness of colour bars, so many times larger for the while."""
    sized = []
    for view in views:
        names = [f"{axis}{kind}FontSize" for axis in "XYZ" for kind in ("Title", "Label")]
        sized += [(view.AxesGrid, name) for name in names]
        for shown in view.Representations:
            names = ("FontSize", "TitleFontSize", "LabelFontSize", "ScalarBarThickness")
            sized += [(shown, name) for name in names if shown.GetProperty(name) is not None]
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
    return _files(_parse(Path(path)))


def _parse(path):
    try:
        text = Path(path).read_bytes()
        if b"<!" in text.replace(b"<!--", b"") or b"\0" in text:
            # entities may unfold to any size, and ParaView writes none
            raise LandscapeFileError(f"{path}: not a ParaView state file (it declares entities)")
        return ElementTree.fromstring(text)
    except OSError as error:
        raise LandscapeFileError(f"{path}: {error.strerror or error}") from error
    except ElementTree.ParseError as error:
        raise LandscapeFileError(f"{path}: not a ParaView state file ({error})") from error


def _files(root):
    """Values of the properties that name files: those with a file list as their domain."""
    found = []
    for prop in root.iter("Property"):
        if prop.get("name") == "FileName" or prop.find("Domain[@name='files']") is not None:
            found += [e.get("value") for e in prop.findall("Element") if e.get("value")]
    return list(dict.fromkeys(found))


def _refuse_programs(root, path):
    """Programmable filters, Python calculators and views: loading a state would run their text."""
    programs = sorted(
        proxy.get("type")
        for proxy in root.iter("Proxy")
        if any(word in proxy.get("type", "") for word in ("Programmable", "Python"))
    )
    if programs:
        raise LandscapeFileError(
            f"{path}: holds Python code ({', '.join(programs)}), so it was not loaded; if you "
            "trust it, open it in ParaView (File > Load State)"
        )


def _require_files(root, path):
    missing = [name for name in _files(root) if not (path.parent / name).exists()]
    if missing:
        raise LandscapeFileError(
            f"{path}: its data are missing: {', '.join(missing)} (looked for in {path.parent})"
        )


def _require_proxies(root, path):
    """Load this plugin where the state needs it, and name what ParaView does not know."""
    from paraview import servermanager, simple

    if servermanager.ActiveConnection is None:
        simple.Connect()
    wanted = {
        (proxy.get("group"), proxy.get("type"))
        for proxy in root.iter("Proxy")
        if proxy.get("group") in ("sources", "filters")
    }
    if any(kind.startswith(_PLUGIN_PROXIES) for _group, kind in wanted):
        from .plugin import load_plugin

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
    """Relative file names in a state are meant from the process's working directory."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
