"""The figures as functions: each builds a native ParaView pipeline and returns its `Figure`."""

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
    "compare": compare,
}
