"""Figures of one technique, or two side by side: functions that return a `Figure`."""

from pathlib import Path
from typing import Any

from ..compatibility import drawn_by_tried_versions
from ..errors import LandscapeError
from ..layers.evaluated_points import has_evaluated_points
from ..layers.own_losses import note_differences, own_losses_differ
from ..layers.trajectory import has_trajectory
from .figure import DEFAULT_SIZE, Figure, open_named

# technique -> the layers it draws, from the lowest up
TECHNIQUES = {
    "curve": ("error band", "curve"),
    "surface": ("surface",),
    "contours": ("plain surface", "contours"),
    "isosurfaces": ("isosurfaces",),
    "volume": ("volume",),
    "trajectory": ("surface", "trajectory", "markers", "own losses"),
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
    landscape,
    title=None,
    size=SINGLE_SIZE,
    evaluated=False,
    steps="step",
    own_losses=None,
    **scale,
):
    """Colour and height with the trajectories on the surface; see `surface`.

    A landscape along three directions has its isosurfaces in the surface's place.

    Args:
        steps: what the numbers of the checkpoints count, such as `"epoch"` or `"optimiser step"`,
            for the colour bar. Files only hold the number that was given to `record`.
        own_losses: draw the checkpoints' own losses beside the curve, which lies on the surface;
            None draws them where one differs from that on the plane by more than a factor of 1.5.
    """
    scale["steps"] = steps
    return _single(
        landscape, "trajectory", title, size, scale, evaluated=evaluated, own_losses=own_losses
    )


@drawn_by_tried_versions
def compare(
    left,
    right,
    techniques=None,
    titles=None,
    size=DEFAULT_SIZE,
    levels=None,
    evaluated=None,
    steps="step",
    own_losses=None,
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
        steps, own_losses: see `trajectory`.
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
    with_path = [
        one for one, technique in zip((left, right), techniques) if technique == "trajectory"
    ]
    own = _with_own_losses(with_path, own_losses, scale.get("array", "loss"))
    figure = Figure(
        [left, right],
        titles,
        size=size,
        error_band="curve" in techniques,
        steps=steps,
        notes=_lines_of_notes(with_path),
        own_losses=own,
        **scale,
    )
    for index, technique in enumerate(techniques):
        draw_technique(figure, index, technique, levels, evaluated, own)
    return figure.finish()


def _single(landscape, technique, title, size, scale, levels=None, evaluated=None, own_losses=None):
    landscape = open_named(landscape)
    _require_directions(landscape, technique)
    with_path = [landscape] if technique == "trajectory" else []
    own = _with_own_losses(with_path, own_losses, scale.get("array", "loss"))
    figure = Figure(
        [landscape],
        [title],
        size=size,
        error_band=technique == "curve",
        notes=_lines_of_notes(with_path),
        own_losses=own,
        **scale,
    )
    draw_technique(figure, 0, technique, levels, evaluated, own)
    return figure.finish()


def _with_own_losses(landscapes, wanted, array):
    """Whether the checkpoints' own losses are drawn beside the trajectories of some landscapes."""
    flat = [one for one in landscapes if one.dimensions < 3]
    if wanted is None:
        return any(own_losses_differ(one, array) for one in flat)
    return bool(wanted and flat)


def _lines_of_notes(with_path):
    return 3 if with_path else 1


def draw_technique(figure, index, technique, levels=None, evaluated=None, own_losses=False):
    """Draw a technique's layers in a panel, and what its landscape adds to them."""
    if technique not in TECHNIQUES:
        raise LandscapeError(f"no technique '{technique}'; there are {', '.join(TECHNIQUES)}")
    panel = figure.panels[index]
    _require_directions(panel.landscape, technique)
    options = {} if levels is None else {"count": levels}
    layers: list = [
        (layer, options if layer in _WITH_LEVELS else {})
        for layer in TECHNIQUES[technique]
        if layer != "own losses" or own_losses
    ]
    if DIRECTIONS.get(technique) == 3:
        # a trajectory's end is its own mark, and the origin of most planes along it
        layers += ["trajectory", "markers"] if has_trajectory(panel) else ["origin"]
        layers.append("minimum")
    if evaluated is None:
        evaluated = technique == "curve" and has_evaluated_points(panel)
    if evaluated:
        layers.append("evaluated points")
    if panel.dimensions == 2:
        # a trajectory's end is marked already
        ended = technique == "trajectory"
        layers.append(("places", {"marked": ("lowest", "models")} if ended else {}))
    figure.draw(index, *layers)
    if technique == "trajectory" and panel.dimensions < 3:
        note_differences(panel)


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
