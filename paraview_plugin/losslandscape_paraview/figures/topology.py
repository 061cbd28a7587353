"""Figures of what is found in a landscape: its topology, and its flat regions."""

from pathlib import Path

import numpy as np

from ..compatibility import drawn_by_tried_versions
from ..errors import LandscapeError
from ..layers.topology_sources import compute_topology, open_topology
from ..style import theme
from .diagram import draw_persistence_diagram
from .figure import DEFAULT_SIZE, Figure, open_named
from .techniques import SINGLE_SIZE


@drawn_by_tried_versions
def topology(
    landscape,
    persistence=0.0,
    folder=None,
    colour="loss",
    models=None,
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
        models: name the labelled models; None names them where the file has some.
        diagram: draw the persistence diagram in a second view.
        title, size, scale: see `surface`.

    Returns:
        Figure

    Raises:
        LandscapeError: the file is no landscape, or an option does not fit it.
    """
    if colour not in ("loss", "basins"):
        raise LandscapeError(f"no colour '{colour}'; there are loss, basins")
    scale.setdefault("direction", theme.STEEP_DIRECTION)
    landscape = open_named(landscape)
    has_holes = not np.isfinite(landscape.values(scale.get("array", "loss"))).all()
    figure = Figure(
        [landscape],
        [title],
        size=size,
        charts=int(diagram),
        notes=1 + has_holes,  # separatrices that are cut are noted
        **scale,
    )
    panel = figure.panels[0]
    if panel.dimensions != 2:
        raise LandscapeError(
            f"{panel.landscape.path}: the figure of topology needs two directions, "
            f"not {panel.dimensions}"
        )
    if models is None:
        models = panel.landscape.models is not None
    found = open_topology(panel, folder) if folder else compute_topology(panel, persistence)
    with_topology = {"topology": found}
    figure.draw(
        0,
        "surface" if colour == "loss" else ("basins", with_topology),
        ("separatrices", with_topology),
        ("critical points", with_topology),
        *(["models"] if models else []),
        ("places", {"marked": ("model",)}),
    )
    if diagram:
        draw_persistence_diagram(panel, figure.charts[0], found)
    return figure.finish()


@drawn_by_tried_versions
def flatness(left, right=None, folders=None, titles=None, size=None, **scale):
    """The flat regions of one or two landscapes on their surfaces, with areas, on one scale.

    Args:
        left, right: paths or open sources; `right` may be None.
        folders: what `losslandscape flatness` wrote, one a landscape; None for the folder it
            writes to by default where that is there, else for the landscape's own.
        titles, scale: see `compare`.
        size: width and height in pixels; None for that of one, or of two panels.

    Returns:
        Figure

    Raises:
        LandscapeError: a file is missing, or an option does not fit it.
    """
    landscapes = [left] if right is None else [left, right]
    size = size or (SINGLE_SIZE if right is None else DEFAULT_SIZE)
    scale.setdefault("direction", theme.STEEP_DIRECTION)
    figure = Figure(landscapes, titles, size=size, notes=2, **scale)
    for index, folder in enumerate(folders or map(_flatness_folder, landscapes)):
        figure.draw(index, "surface", ("flat region", {"folder": folder}), "places")
    return figure.finish()


def _flatness_folder(landscape):
    """Where `losslandscape flatness` left what it found of a landscape."""
    path = Path(landscape)
    if path.is_dir():
        return path
    beside = path.with_name(f"{path.stem}_flatness")
    return beside if beside.is_dir() else path.parent


@drawn_by_tried_versions
def flat_region(landscape, threshold=0.1, title=None, size=SINGLE_SIZE, **scale):
    """The flat region of one landscape on its surface, with its area, computed in the pipeline.

    Args:
        landscape: a path, or sources that are open (see `open_landscape`); two directions.
        threshold: how far above the minimum the loss may be, in its unit. It is one property of
            the filter in the pipeline; region, outline and area follow it.
        title, size, scale: see `surface`.

    Returns:
        Figure

    Raises:
        LandscapeError: the file is no landscape, or an option does not fit it.
    """
    landscape = open_named(landscape)
    if landscape.dimensions != 2:
        raise LandscapeError(
            f"{landscape.path}: the figure of the flat region needs two directions, "
            f"not {landscape.dimensions}"
        )
    if not threshold > 0:
        raise LandscapeError(f"threshold {threshold:g}: it must be above 0")
    scale.setdefault("direction", theme.STEEP_DIRECTION)
    figure = Figure([landscape], [title], size=size, notes=3, **scale)
    figure.draw(0, "surface", ("flat region", {"threshold": threshold}), "places")
    return figure.finish()
