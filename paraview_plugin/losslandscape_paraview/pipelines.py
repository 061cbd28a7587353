"""The figures as functions: each builds a native ParaView pipeline and returns its `Figure`."""

from . import style
from .figure import DEFAULT_SIZE, Figure

# technique -> the layers it draws, from the lowest up
TECHNIQUES = {
    "surface": ("surface",),
    "contours": ("plain surface", "contours"),
    "trajectory": ("surface", "trajectory", "markers"),
}
SINGLE_SIZE = (1400, 1200)


def surface(landscape, title=None, size=SINGLE_SIZE, **scale):
    """Colour and height of one landscape.

    Args:
        landscape: a path, or sources that are open (see `open_landscape`).
        title: above the picture; None for the provenance's.
        size: width and height in pixels.
        scale: `array`, `log`, `floor`, `ceiling`; see `DisplayScale.of`.

    Returns:
        Figure

    Raises:
        LandscapeError: the file is no landscape, or an option does not fit it.
    """
    return _single(landscape, "surface", title, size, scale)


def contours(landscape, title=None, size=SINGLE_SIZE, levels=10, **scale):
    """Contours and height of one landscape, evenly spaced on the scale; see `surface`.

    Args:
        levels: how many contours.
    """
    return _single(landscape, "contours", title, size, scale, levels)


def trajectory(landscape, title=None, size=SINGLE_SIZE, **scale):
    """Colour and height with the trajectories on the surface; see `surface`."""
    return _single(landscape, "trajectory", title, size, scale)


def compare(left, right, techniques="surface", titles=None, size=DEFAULT_SIZE, levels=10, **scale):
    """Two landscapes, or two techniques on one, side by side: one scale, one camera.

    Args:
        left, right: paths or open sources; the same one twice is opened once.
        techniques: one name in `TECHNIQUES` for both panels, or a pair.
        titles: a pair, or None for the provenances'.
        size: width and height in pixels.
        levels: how many contours.
        scale: `array`, `log`, `floor`, `ceiling`; see `DisplayScale.of`.

    Returns:
        Figure

    Raises:
        LandscapeError: a file is no landscape, or an option does not fit it.
    """
    if isinstance(techniques, str):
        techniques = (techniques, techniques)
    figure = Figure([left, right], titles, size=size, **scale)
    for index, technique in enumerate(techniques):
        figure.draw(index, *_layers(technique, levels))
    return figure.finish()


def topology(
    landscape,
    persistence=0.0,
    folder=None,
    colour="loss",
    models=False,
    diagram=True,
    title=None,
    size=DEFAULT_SIZE,
    **scale,
):
    """Critical points and separatrices on the surface, and the persistence diagram beside it.

    Args:
        landscape: a path, or sources that are open (see `open_landscape`); two directions.
        persistence: pairs up to it are removed: in decades on a log scale, else in the loss's
            unit. It is one property of the filter in the pipeline, and the diagram follows it.
        folder: what `losslandscape topology` wrote, to draw that instead of computing it: all
            pairs are drawn, those that are not significant small.
        colour: `"loss"`, or `"basins"` for a colour a basin of a minimum.
        models: name the labelled models.
        diagram: draw the persistence diagram in a second view.
        title, size, scale: see `surface`.

    Returns:
        Figure

    Raises:
        LandscapeError: the file is no landscape, or an option does not fit it.
    """
    from .diagram import draw_persistence_diagram
    from .errors import LandscapeError
    from .topology_sources import compute_topology, open_topology

    if colour not in ("loss", "basins"):
        raise LandscapeError(f"no colour '{colour}'; there are loss, basins")
    figure = Figure(
        [landscape],
        [title],
        size=size,
        charts=int(diagram),
        direction=style.STEEP_DIRECTION,
        **scale,
    )
    panel = figure.panels[0]
    if panel.dimensions != 2:
        raise LandscapeError(
            f"{panel.landscape.path}: the figure of topology needs two directions, "
            f"not {panel.dimensions}"
        )
    found = open_topology(panel, folder) if folder else compute_topology(panel, persistence)
    with_topology = {"topology": found}
    figure.draw(
        0,
        "surface" if colour == "loss" else ("basins", with_topology),
        ("separatrices", with_topology),
        ("critical points", with_topology),
        *(["models"] if models else []),
    )
    if diagram:
        draw_persistence_diagram(panel, figure.charts[0], found)
    return figure.finish()


def flatness(left, right, folders=None, titles=None, size=DEFAULT_SIZE, **scale):
    """The flat regions of two landscapes on their surfaces, with their areas, on one scale.

    Args:
        left, right: paths or open sources.
        folders: a pair of what `losslandscape flatness` wrote; None for the landscapes' folders.
        titles, size, scale: see `compare`.

    Returns:
        Figure

    Raises:
        LandscapeError: a file is missing, or an option does not fit it.
    """
    figure = Figure([left, right], titles, size=size, direction=style.STEEP_DIRECTION, **scale)
    for index, folder in enumerate(folders or (left, right)):
        figure.draw(index, "surface", ("flat region", {"folder": folder}))
    return figure.finish()


def _single(landscape, technique, title, size, scale, levels=10):
    figure = Figure([landscape], [title], size=size, **scale)
    return figure.draw(0, *_layers(technique, levels)).finish()


def _layers(technique, levels):
    from .errors import LandscapeError

    if technique not in TECHNIQUES:
        raise LandscapeError(f"no technique '{technique}'; there are {', '.join(TECHNIQUES)}")
    options = {"contours": {"count": levels}}
    return [(layer, options.get(layer, {})) for layer in TECHNIQUES[technique]]


# What can be asked for by name.
FIGURES = {
    "surface": surface,
    "contours": contours,
    "trajectory": trajectory,
    "topology": topology,
    "compare": compare,
}
