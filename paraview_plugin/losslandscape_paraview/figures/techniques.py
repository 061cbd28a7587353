"""Figures of one technique, or two side by side: functions that return a `Figure`."""

from pathlib import Path
from typing import Any

from ..compatibility import drawn_by_tried_versions
from ..errors import LandscapeError
from ..layers.evaluated_points import has_evaluated_points
from ..layers.trajectory import has_trajectory
from .figure import DEFAULT_SIZE, Figure, open_named

# technique -> the layers it draws, from the lowest up
TECHNIQUES = {
    "curve": ("error band", "curve"),
    "surface": ("surface",),
    "contours": ("plain surface", "contours"),
    "isosurfaces": ("isosurfaces",),
    "volume": ("volume",),
    "trajectory": ("surface", "trajectory", "markers"),
}
# technique -> how many directions a landscape must have; those not named draw any
DIRECTIONS = {"curve": 1, "surface": 2, "contours": 2, "isosurfaces": 3, "volume": 3}
_WITH_LEVELS = {"contours", "isosurfaces"}  # layers that take a number of levels
# number of directions -> the technique where none is asked for
DEFAULT_TECHNIQUE = {1: "curve", 2: "surface", 3: "isosurfaces"}
SINGLE_SIZE = (1400, 1200)
CURVE_SIZE = (1400, 1000)


@drawn_by_tried_versions
def default(landscape, **options):
    """The figure that fits a landscape's number of directions: curve, surface, or isosurfaces.

    Args:
        landscape: a path, or sources that are open (see `open_landscape`).
        options: of that figure.

    Returns:
        Figure
    """
    landscape = open_named(landscape)
    fitting: Any = {1: curve, 2: surface, 3: isosurfaces}[landscape.dimensions]
    return fitting(landscape, **options)


@drawn_by_tried_versions
def curve(landscape, title=None, size=CURVE_SIZE, evaluated=None, **scale):
    """The loss along the direction of a 1-D landscape, with its error band; see `surface`.

    The band is the mean and two standard errors up and down, where the file has them.

    Args:
        evaluated: draw a dot at every point that was evaluated, not interpolated; None draws
            them if the file says which points these are.
    """
    return _single(landscape, "curve", title, size, scale, evaluated=evaluated)


@drawn_by_tried_versions
def isosurfaces(landscape, title=None, size=SINGLE_SIZE, levels=5, evaluated=False, **scale):
    """Isosurfaces of a 3-D landscape, evenly spaced on the scale; see `surface`.

    The origin, the lowest point of the grid and, where the file has them, the trajectories are
    drawn among them.

    Args:
        levels: how many isosurfaces, at most.
    """
    return _single(landscape, "isosurfaces", title, size, scale, levels, evaluated)


@drawn_by_tried_versions
def volume(landscape, title=None, size=SINGLE_SIZE, evaluated=False, **scale):
    """A 3-D landscape as a volume, the lower the loss, the more opaque; see `isosurfaces`."""
    return _single(landscape, "volume", title, size, scale, evaluated=evaluated)


@drawn_by_tried_versions
def surface(landscape, title=None, size=SINGLE_SIZE, evaluated=False, **scale):
    """Colour and height of one landscape.

    Args:
        landscape: a path, or sources that are open (see `open_landscape`).
        title: above the picture; None for the provenance's.
        size: width and height in pixels.
        evaluated: draw a dot at every grid point that was evaluated, not interpolated.
        scale: `array`, `log`, `floor`, `ceiling`; see `DisplayScale.of`.

    Returns:
        Figure

    Raises:
        LandscapeError: the file is no landscape, or an option does not fit it.
    """
    return _single(landscape, "surface", title, size, scale, evaluated=evaluated)


@drawn_by_tried_versions
def contours(landscape, title=None, size=SINGLE_SIZE, levels=10, evaluated=False, **scale):
    """Contours and height of one landscape, evenly spaced on the scale; see `surface`.

    Args:
        levels: how many contours.
    """
    return _single(landscape, "contours", title, size, scale, levels, evaluated)


@drawn_by_tried_versions
def trajectory(
    landscape, title=None, size=SINGLE_SIZE, evaluated=False, steps="recorded step", **scale
):
    """Colour and height with the trajectories on the surface; see `surface`.

    A landscape along three directions has its isosurfaces in the surface's place.

    Args:
        steps: what the numbers of the checkpoints count, such as `"epoch"` or `"optimiser step"`,
            for the colour bar. Files only hold the number that was given to `record`.
    """
    scale["steps"] = steps
    return _single(landscape, "trajectory", title, size, scale, evaluated=evaluated)


@drawn_by_tried_versions
def compare(
    left,
    right,
    techniques=None,
    titles=None,
    size=DEFAULT_SIZE,
    levels=None,
    evaluated=None,
    steps="recorded step",
    **scale,
):
    """Two landscapes, or two techniques on one, side by side: one scale, one camera.

    Args:
        left, right: paths or open sources; the same one twice is opened once.
        techniques: one name in `TECHNIQUES` for both panels, or a pair; None for the one that
            fits the number of directions.
        titles: a pair, or None for the provenances'.
        size: width and height in pixels.
        levels: how many contours or isosurfaces; None for the technique's own number.
        evaluated: see `surface`.
        steps: see `trajectory`.
        scale: `array`, `log`, `floor`, `ceiling`; see `DisplayScale.of`.

    Returns:
        Figure

    Raises:
        LandscapeError: a file is no landscape, or an option does not fit it.
    """
    same = left is right or (isinstance(left, (str, Path)) and left == right)
    left = open_named(left)
    right = left if same else open_named(right)
    if techniques is None:
        techniques = DEFAULT_TECHNIQUE[left.dimensions]
    if isinstance(techniques, str):
        techniques = (techniques, techniques)
    drawn = {layer for technique in techniques for layer in TECHNIQUES.get(technique, ())}
    if levels is not None and not drawn & _WITH_LEVELS:
        raise LandscapeError(
            f"levels {levels}: {' and '.join(dict.fromkeys(techniques))} have neither contours nor "
            "isosurfaces; leave it out (--levels)"
        )
    figure = Figure(
        [left, right],
        titles,
        size=size,
        error_band="curve" in techniques,
        steps=steps,
        **scale,
    )
    for index, technique in enumerate(techniques):
        _draw(figure, index, technique, levels, evaluated)
    return figure.finish()


def _single(landscape, technique, title, size, scale, levels=None, evaluated=None):
    landscape = open_named(landscape)
    _require_directions(landscape, technique)
    figure = Figure([landscape], [title], size=size, error_band=technique == "curve", **scale)
    _draw(figure, 0, technique, levels, evaluated)
    return figure.finish()


def _draw(figure, index, technique, levels, evaluated):
    """Draw a technique's layers in a panel, and what its landscape adds to them."""
    if technique not in TECHNIQUES:
        raise LandscapeError(f"no technique '{technique}'; there are {', '.join(TECHNIQUES)}")
    panel = figure.panels[index]
    _require_directions(panel.landscape, technique)
    options = {} if levels is None else {"count": levels}
    layers: list = [
        (layer, options if layer in _WITH_LEVELS else {}) for layer in TECHNIQUES[technique]
    ]
    if DIRECTIONS.get(technique) == 3:
        # a trajectory's end is its own mark, and the origin of most planes along it
        layers += ["trajectory", "markers"] if has_trajectory(panel) else ["origin"]
        layers.append("minimum")
    if evaluated is None:
        evaluated = technique == "curve" and has_evaluated_points(panel)
    if evaluated:
        layers.append("evaluated points")
    figure.draw(index, *layers)


def _require_directions(landscape, technique):
    wanted, found = DIRECTIONS.get(technique), landscape.dimensions
    if wanted not in (None, found):
        fitting = [name for name, number in DIRECTIONS.items() if number == found]
        raise LandscapeError(
            f"{landscape.path}: '{technique}' draws landscapes along {_directions(wanted)}, and "
            f"this one has {_directions(found)}; draw {' or '.join(fitting)}"
        )


def _directions(count):
    return f"{count} direction{'s' * (count > 1)}"
