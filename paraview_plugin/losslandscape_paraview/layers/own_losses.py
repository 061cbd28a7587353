"""The checkpoints' own losses beside a trajectory that is drawn on the plane's surface.

A checkpoint lies beside the plane, and its own loss is not that of its projection. Where the two
differ by factors, the optimizer did not descend the surface under the curve.
"""

import numpy as np

from ..errors import LandscapeError
from ..sources.landscape_sources import fetch, point_array
from ..style import theme
from ..style.scale import HEIGHT
from .drape import drape_points
from .glyphs import glyphs_at

OWN, DISTANCE = "checkpoint_loss", "distance_to_plane"
# own losses are drawn where one differs from that on the plane by more than this factor
FACTOR = 1.5
NAME = "own loss"


def checkpoint_losses(landscape, array="loss"):
    """The loss at each checkpoint's projection, and its own; both empty where one is missing.

    Args:
        landscape: `LandscapeSources`.
        array: the quantity that is drawn; only the loss is known of the checkpoints themselves.
    """
    empty = np.zeros(0), np.zeros(0)
    if landscape.trajectories is None or array != "loss":
        return empty
    data = fetch(landscape.trajectories)
    on_plane, own = point_array(data, "loss"), point_array(data, OWN)
    if on_plane is None or own is None:
        return empty
    known = np.isfinite(on_plane) & np.isfinite(own)
    return on_plane[known].astype(float), own[known].astype(float)


def own_losses_differ(landscape, array="loss"):
    """Whether a checkpoint's own loss differs from that on the plane by more than `FACTOR`."""
    return _differ(_ratios(landscape, array))


def _ratios(landscape, array):
    """The checkpoints' own losses in units of those on the plane, where both are above 0."""
    on_plane, own = checkpoint_losses(landscape, array)
    positive = (on_plane > 0) & (own > 0)
    return own[positive] / on_plane[positive]


def _differ(ratio):
    return bool(ratio.size) and max(ratio.max(), 1 / ratio.min()) > FACTOR


def note_differences(panel):
    """Say in a panel's notes how far a trajectory is from the plane, and its losses from it."""
    ratio = _ratios(panel.landscape, panel.scale.array)
    facts = panel.report.setdefault("own_losses", {})
    if ratio.size:
        facts["least_ratio"], facts["greatest_ratio"] = float(ratio.min()), float(ratio.max())
        if _differ(ratio):
            panel.notes.append(
                f"checkpoints' own losses: {ratio.min():.2g} to {ratio.max():.2g} times the plane's"
            )
    data = fetch(panel.landscape.trajectories)
    distance = point_array(data, DISTANCE)
    if distance is not None and np.isfinite(distance).any():
        facts["largest_distance"] = float(np.nanmax(distance))
        if facts["largest_distance"] > 0:
            panel.notes.append(f"at most {facts['largest_distance']:.2g} away from the plane")


def add_own_losses(panel, least=FACTOR):
    """A dot at each checkpoint's own loss, and a stem from there to its place on the surface.

    Args:
        panel: a `Panel`.
        least: only where the own loss differs from that on the plane by more than this factor.

    Raises:
        LandscapeError: the landscape has no trajectory, or not the checkpoints' own losses.
    """
    from paraview import simple

    source, scale = panel.landscape.trajectories, panel.scale
    data = fetch(source) if source is not None else None
    if data is None or point_array(data, OWN) is None or scale.array != "loss":
        raise LandscapeError(
            f"{panel.landscape.path}: the checkpoints' own losses are not in it, or another "
            "quantity is drawn; leave them out (--no-own-losses)"
        )
    on_plane, own = point_array(data, "loss"), point_array(data, OWN)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(np.log(own / on_plane)) > np.log(least)
    numbers = np.flatnonzero(away & np.isfinite(own))
    if panel.dimensions == 3 or not numbers.size:
        return
    chosen = panel.chosen_points(source, numbers.tolist(), "own losses", "those that differ")
    lifted = drape_points(panel, chosen, "own losses, projections")
    lifted = panel.nearer(lifted, "own losses, nearer", theme.TUBE_RADIUS + theme.OUTLINE)
    above = simple.Calculator(
        registrationName=panel.named("own losses, above the surface"),
        Input=lifted,
        Function=f"({scale.expression_of(OWN)} - {HEIGHT})*{panel.box.factor!r}",
        ResultArrayName="above",
        ReplaceInvalidResults=1,
        ReplacementValue=0.0,
    )
    stems = glyphs_at(above, panel.named("own losses, stems"), "Line", "above")
    stems.GlyphType.Point1, stems.GlyphType.Point2 = [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    tubes = simple.Tube(
        registrationName=panel.named("own losses: stems"),
        Input=stems,
        Radius=0.6 * theme.LINE_RADIUS * panel.box.unit,
        NumberofSides=8,
    )
    shown = panel.show(tubes, theme.INK)
    shown.Ambient, shown.Diffuse = 1.0, 0.0
    placed = simple.Calculator(
        registrationName=panel.named("own losses, places"),
        Input=above,
        Function="coords + above*kHat",
        CoordinateResults=1,
    )
    dots = panel.spheres(placed, "own losses", theme.OWN_LOSS_RADIUS, sides=16)
    shown = panel.show(dots, theme.INK)
    shown.Ambient, shown.Diffuse = 0.6, 0.4
    panel.figure.marks[NAME] = theme.INK
