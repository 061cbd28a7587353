"""Where the loss was evaluated, as dots: an adaptive landscape is interpolated in between."""

import numpy as np

from ..errors import LandscapeError
from ..sources.landscape_sources import EVALUATED, STATUS, fetch, point_array
from ..style import theme
from ..style.scale import HEIGHT


def has_evaluated_points(panel):
    """Whether the file says which grid points were evaluated, and some were."""
    status = point_array(fetch(panel.landscape.surface), STATUS)
    return status is not None and bool((status == EVALUATED).any())


def add_evaluated_points(panel):
    """A dot at every grid point whose loss was evaluated to a finite number.

    Points that were interpolated, not evaluated, or not finite have none. `panel.report` gets
    `evaluated_points`, their number.

    Raises:
        LandscapeError: the file does not say where the loss was evaluated, or it was nowhere.
    """
    from paraview import simple

    status = point_array(fetch(panel.landscape.surface), STATUS)
    if status is None:
        raise LandscapeError(
            f"{panel.landscape.path}: there is no array '{STATUS}', so where the loss was "
            "evaluated is not known; landscapes of losslandscape have it, and their exports"
        )
    count = int(np.count_nonzero(status == EVALUATED))
    if not count:
        raise LandscapeError(f"{panel.landscape.path}: no point of the grid was evaluated")
    panel.report["evaluated_points"] = count
    # One cell a point: a threshold of the grid's own cells would take points with neighbours only.
    every = simple.ConvertToPointCloud(
        registrationName=panel.named("evaluated points, all points"),
        Input=panel.valued if panel.sliders else panel.landscape.surface,
        CellGenerationMode="Vertex cells",
    )
    chosen = simple.Threshold(
        registrationName=panel.named("evaluated points, status 1"),
        Input=every,
        Scalars=["POINTS", STATUS],
        ThresholdMethod="Between",
    )
    chosen.LowerThreshold, chosen.UpperThreshold = EVALUATED - 0.5, EVALUATED + 0.5
    raised = chosen
    if not panel.sliders:
        raised = simple.Calculator(
            registrationName=panel.named("evaluated points, height"),
            Input=chosen,
            Function=panel.scale.expression,
            ResultArrayName=HEIGHT,
            ReplaceInvalidResults=0,
        )
    lifted = panel.lift(raised, "evaluated points")
    # of a fine grid the dots should not touch, and along a curve they must stick out of it
    spacing = panel.landscape.spacing * panel.box.scale[0] / panel.box.unit
    radius = min(theme.DOT_RADIUS, 0.25 * spacing)
    if panel.dimensions == 1:
        radius = max(min(theme.POINT_RADIUS, 0.35 * spacing), 1.5 * theme.LINE_RADIUS)
        panel.figure.curve_key["points"] = "evaluated"
    dots = panel.spheres(lifted, "evaluated points", radius, sides=12)
    shown = panel.show(dots, theme.INK)
    shown.Ambient, shown.Diffuse = 1.0, 0.0
    if panel.dimensions == 3:
        panel.figure.marks["evaluated"] = theme.INK
    elif panel.dimensions == 2:
        panel.figure.marks["evaluated"] = theme.WHITE
        # white with a dark edge: the surface's colours go from dark to light
        shown.AmbientColor = shown.DiffuseColor = theme.WHITE
        edge = panel.spheres(lifted, "evaluated points: edge", 1.6 * radius, sides=12)
        panel.outline(edge)
    return shown
