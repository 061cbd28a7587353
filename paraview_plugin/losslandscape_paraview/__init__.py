"""Loss landscapes in ParaView: a reader, pipelines of ParaView's own filters, and figures.

In a script run by ``pvpython``, ``pvbatch`` or ParaView's Python shell::

    import losslandscape_paraview as llpv

    figure = llpv.trajectory("vgg11.nc", title="VGG-11")
    figure.save_picture("vgg11.png")
    figure.save_state("vgg11.pvsm")

Public names are loaded when first used: the package itself imports neither ParaView nor VTK.
Everything here runs in ParaView's own Python (3.9 and later, NumPy 1.24) with nothing installed.
"""

from importlib import import_module

# public name -> module that defines it
_PUBLIC = {
    "Figure": "figures.figure",
    "Panel": "figures.panel",
    "Sheet": "figures.sheet",
    "compare": "figures.techniques",
    "contours": "figures.techniques",
    "curvature": "figures.curvature",
    "curve": "figures.techniques",
    "decision_boundaries": "figures.point_figures",
    "default": "figures.techniques",
    "flat_region": "figures.topology",
    "flatness": "figures.topology",
    "import_presets": "style.colour_maps",
    "isosurfaces": "figures.techniques",
    "load_plugin": "plugin",
    "minima": "figures.point_figures",
    "open_landscape": "sources.landscape_sources",
    "panels": "figures.panels",
    "render_state": "export.states",
    "seen_bounds": "window.refine_seen",
    "surface": "figures.techniques",
    "topology": "figures.topology",
    "trajectory": "figures.techniques",
    "trust": "figures.trust",
    "volume": "figures.techniques",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *__all__])
