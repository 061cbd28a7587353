"""What can be drawn in a panel, layer by layer.

A layer is a function `layer(panel, **options)` that shows one or more pipeline objects. What it
shows is named `layer` or `layer: part` (and the panel's name in brackets), so that a layer can be
found again in any state file, in the pipeline browser as by a program. To add one, write such a
function and enter it in `LAYERS`.
"""

from . import style
from .curve_layers import add_curve, add_error_band
from .drape import drape_curves, drape_difference, drape_points
from .evaluated_points import add_evaluated_points
from .landscape_sources import fetch, point_array
from .topology_layers import LAYERS as TOPOLOGY_LAYERS
from .volume_layers import add_isosurfaces, add_minimum, add_origin, add_volume


def add_surface(panel, coloured=True):
    """The surface, its height and (where `coloured`) its colour the quantity.

    A one-dimensional landscape is drawn as a curve, a three-dimensional one as isosurfaces.
    """
    from paraview import simple

    if panel.dimensions == 1:
        curve = panel.lift(panel.flat, "curve")
        shown = panel.show(panel.tubes(curve, "surface", style.CURVE_RADIUS), style.PAPER)
    elif panel.dimensions == 3:
        return add_isosurfaces(panel, name="surface")
    else:
        lifted = panel.lift(panel.flat, "surface")
        smooth = simple.GenerateSurfaceNormals(
            registrationName=panel.named("surface"), Input=lifted, FeatureAngle=180.0, Splitting=0
        )
        shown = panel.show(smooth, style.PAPER)
    if coloured:
        panel.colour_by(shown, panel.scale.array, panel.figure.quantity_table)
    return shown


def add_plain_surface(panel):
    """The surface in one light colour, to carry contours."""
    return add_surface(panel, coloured=False)


def add_contours(panel, count=10):
    """Contours evenly spaced in height, lifted, coloured by the level.

    Args:
        panel: a `Panel` whose surface is planar.
        count: how many levels between the least and the greatest value.
    """
    from paraview import simple

    levels = panel.scale.levels(count)
    if panel.sliders:
        lines = simple.LossContours(
            registrationName=panel.named("contours, levels"), Input=panel.flat, Contours=count
        )
        panel.level_slider = lines
    else:
        lines = panel.contour(panel.flat, levels, "contours")
    joined = panel.lift(lines, "contours")
    tubes = panel.tubes(joined, "contours", style.CONTOUR_RADIUS, sides=12)
    shown = panel.show(tubes)
    panel.colour_by(shown, panel.scale.array, panel.figure.quantity_table)
    panel.figure.bar_ticks = panel.report["levels"] = [float(level) for level in levels]
    return shown


def add_trajectory(panel, array="step"):
    """The trajectories as tubes on the surface, coloured by recorded step, with a dark edge."""
    source = _trajectories(panel)
    steps = point_array(fetch(source), array)
    if panel.dimensions == 3:
        curves = panel.lift(source, "trajectory")
    else:
        carried = None if steps is None else array
        curves = drape_curves(panel, source, "trajectory", carried)
    tubes = panel.tubes(curves, "trajectory", style.TUBE_RADIUS)
    shown = panel.show(tubes)
    shown.Ambient, shown.Diffuse = 0.25, 0.75
    if steps is not None:
        panel.colour_by(shown, array, panel.figure.step_table(array, steps))
    panel.outline(panel.tubes(curves, "trajectory: edge", style.TUBE_RADIUS + style.OUTLINE))
    if panel.dimensions < 3:
        panel.report["trajectory"] = drape_difference(panel, fetch(source))
    return shown


def add_markers(panel, array="step"):
    """A sphere where each trajectory starts and where it ends, in the colours of these steps."""
    source = _trajectories(panel)
    data = fetch(source)
    ends = []
    for cell in range(data.GetNumberOfCells()):
        ids = data.GetCell(cell).GetPointIds()
        ends += [ids.GetId(0), ids.GetId(ids.GetNumberOfIds() - 1)]
    points = panel.chosen_points(source, ends, "markers", "start and end")
    if panel.dimensions == 3:
        lifted = panel.lift(points, "markers")
    else:
        lifted = drape_points(panel, points, "markers")
    shown = panel.show(panel.spheres(lifted, "markers", style.MARKER_RADIUS), style.INK)
    steps = point_array(data, array)
    if steps is not None:
        panel.colour_by(shown, array, panel.figure.step_table(array, steps))
    panel.outline(panel.spheres(lifted, "markers: edge", style.MARKER_RADIUS + style.OUTLINE))
    return shown


def has_trajectory(panel):
    """Whether the panel's landscape has a trajectory."""
    source = panel.landscape.trajectories
    return source is not None and fetch(source).GetNumberOfPoints() > 0


def _trajectories(panel):
    from .errors import LandscapeError

    source = panel.landscape.trajectories
    if not has_trajectory(panel):
        raise LandscapeError(
            f"{panel.landscape.path}: there is no trajectory in it; add one with "
            "landscape.add_trajectory(...) or `losslandscape trajectory`"
        )
    return source


# What a figure may ask for by name.
LAYERS = {
    "surface": add_surface,
    "plain surface": add_plain_surface,
    "contours": add_contours,
    "trajectory": add_trajectory,
    "markers": add_markers,
    "evaluated points": add_evaluated_points,
    "curve": add_curve,
    "error band": add_error_band,
    "isosurfaces": add_isosurfaces,
    "volume": add_volume,
    "minimum": add_minimum,
    "origin": add_origin,
    **TOPOLOGY_LAYERS,
}
