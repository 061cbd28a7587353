"""The visible layers of a scene: surface, contours, trajectory, title, axes, colour bar, others.

The names of the pipeline's objects tell the layers (see `registry`). So this works for a figure
just built and for a state file just loaded.
"""

from contextlib import contextmanager

AXES, COLOUR_BAR = "axes", "colour bar"


def layer_of(name):
    """The layer's name in a pipeline object's: `markers` for `markers: start (VGG-11)`."""
    return name.split(" (")[0].split(":")[0].strip()


def find_layers():
    """Every visible layer of the loaded scene.

    Returns:
        dict of layer -> list of proxies, each with a property `Visibility`.
    """
    from paraview import servermanager, simple

    names = {source.SMProxy.GetGlobalID(): key[0] for key, source in simple.GetSources().items()}
    layers: dict[str, list] = {}
    for view in simple.GetRenderViews():
        for shown in view.Representations:
            if not shown.Visibility:
                continue
            if shown.GetXMLName() == "ScalarBarWidgetRepresentation":
                layers.setdefault(COLOUR_BAR, []).append(shown)
            elif hasattr(shown, "Input"):
                source = shown.Input
                port = source.SMProxy if hasattr(source, "SMProxy") else source
                layers.setdefault(layer_of(names[port.GetGlobalID()]), []).append(shown)
        if view.AxesGrid and view.AxesGrid.Visibility:
            layers.setdefault(AXES, []).append(servermanager._getPyProxy(view.AxesGrid.SMProxy))
    return layers


@contextmanager
def hidden(shown):
    """Hide some proxies inside the `with` block."""
    for proxy in shown:
        proxy.Visibility = 0
    try:
        yield
    finally:
        for proxy in shown:
            proxy.Visibility = 1
