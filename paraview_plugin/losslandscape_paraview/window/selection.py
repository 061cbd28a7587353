"""Figures of the landscapes selected in the pipeline browser, as the macros draw them.

This plugin's filters compute the height, contours, topology and flat region, so that the ceiling,
number of contours, persistence and threshold are sliders in the *Properties* panel.
"""

from ..errors import LandscapeError
from ..sources.landscape_sources import fetch, sources_of

# figures of two landscapes; all others are of one
PAIRS = ("compare",)


def draw(figure):
    """Draw a figure of the selected landscapes. Errors go to the output messages.

    Args:
        figure: a name in `registry.FIGURES`.

    Returns:
        Figure, or None where it could not be drawn.
    """
    from paraview import print_error, simple

    from ..figures.registry import FIGURES
    from ..plugin import load_plugin

    try:
        # an exported grid may be open without it
        load_plugin()
        selected = simple.GetActiveSource()
        drawn = FIGURES[figure](*selected_landscapes(2 if figure in PAIRS else 1))
        # what was made last, the title's text, would be selected
        simple.SetActiveSource(selected)
        simple.RenderAllViews()  # a view that is not the active one stays empty otherwise
        return drawn
    except LandscapeError as error:
        print_error(f"Loss landscape, {figure}: {error}")
        return None


def selected_landscapes(count):
    """The landscapes that the selected pipeline objects come from, or are.

    If `count` is 1 and nothing is selected, take the only landscape of the pipeline.

    Returns:
        list of `LandscapeSources`, in the order of the pipeline browser.

    Raises:
        LandscapeError: there are fewer, or more.
    """
    found = _origins(_selected())
    everything = _origins(_all_sources())
    if len(found) < count and len(everything) == count:
        found = everything
    if len(found) != count:
        wanted = "one landscape" if count == 1 else f"{count} landscapes (with Ctrl)"
        raise LandscapeError(
            f"select {wanted} in the pipeline browser; {len(found)} selected, "
            f"{len(everything)} open (File > Open reads .nc and surface.vti)"
        )
    order = {key_of(source): place for place, source in enumerate(everything)}
    found.sort(key=lambda source: order[key_of(source)])
    return [sources_of(source, sliders=True) for source in found]


def _selected():
    from paraview import servermanager

    chosen = servermanager.ProxyManager().GetSelectionModel("ActiveSources")
    if chosen is None:
        return []
    return [
        servermanager._getPyProxy(chosen.GetSelectedProxy(number))
        for number in range(chosen.GetNumberOfSelectedProxies())
    ]


def _all_sources():
    from paraview import simple

    return [source for _name, source in sorted(simple.GetSources().items(), key=_number)]


def _number(item):
    """By the number that ParaView gave a source, and so in the order of opening."""
    return int(item[0][1])


def _origins(sources):
    """The landscapes' grids that some pipeline objects come from, each once."""
    found: dict = {}
    for source in map(origin_of, sources):
        if is_landscape(source):
            found.setdefault(key_of(source), source)
    return list(found.values())


def origin_of(source):
    """The source at the beginning of the pipeline that an object, or an output of one, is in."""
    source = getattr(source, "Proxy", source)
    while input_of(source) is not None:
        source = input_of(source)
    return source


def input_of(source):
    """The proxy whose output a pipeline object takes, the first of several; None for a source."""
    from paraview import servermanager

    proxy = getattr(source, "SMProxy", source)
    # an attribute may bear a label instead of this name, and then asking for it raises
    given = proxy.GetProperty("Input")
    if given is None or not given.IsA("vtkSMProxyProperty") or not given.GetNumberOfProxies():
        return None
    return servermanager._getPyProxy(given.GetProxy(0))


def is_landscape(source):
    """Whether a proxy reads a landscape: the plugin's reader, or one of an exported grid."""
    kind = source.SMProxy.GetXMLName() if hasattr(source, "SMProxy") else ""
    if kind == "LossLandscapeReader":
        return True
    if kind != "XMLImageDataReader":
        return False
    return fetch(source).GetPointData().GetArray("loss") is not None


def key_of(source):
    """Which pipeline object it is: two Python objects may stand for the same."""
    return source.SMProxy.GetGlobalID()
