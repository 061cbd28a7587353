"""The trajectories of a landscape as tubes on its surface, and markers at their ends."""

from ..errors import LandscapeError
from ..sources.landscape_sources import fetch, point_array
from ..style import theme
from .drape import drape_curves, drape_difference, drape_points


def add_trajectory(panel, array="step"):
    """The trajectories as tubes on the surface, coloured by recorded step, with a dark edge."""
    source = _trajectories(panel)
    steps = point_array(fetch(source), array)
    if panel.dimensions == 3:
        curves = panel.lift(source, "trajectory")
    else:
        carried = None if steps is None else array
        curves = drape_curves(panel, source, "trajectory", carried)
    tubes = panel.tubes(curves, "trajectory", theme.TUBE_RADIUS)
    shown = panel.show(tubes)
    shown.Ambient, shown.Diffuse = 0.25, 0.75
    if steps is not None:
        panel.colour_by(shown, array, panel.figure.step_table(array, steps))
    panel.outline(panel.tubes(curves, "trajectory: edge", theme.TUBE_RADIUS + theme.OUTLINE))
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
    shown = panel.show(panel.spheres(lifted, "markers", theme.MARKER_RADIUS), theme.INK)
    steps = point_array(data, array)
    if steps is not None:
        panel.colour_by(shown, array, panel.figure.step_table(array, steps))
    panel.outline(panel.spheres(lifted, "markers: edge", theme.MARKER_RADIUS + theme.OUTLINE))
    return shown


def has_trajectory(panel):
    """Whether the panel's landscape has a trajectory."""
    source = panel.landscape.trajectories
    return source is not None and fetch(source).GetNumberOfPoints() > 0


def _trajectories(panel):
    source = panel.landscape.trajectories
    if not has_trajectory(panel):
        raise LandscapeError(
            f"{panel.landscape.path}: there is no trajectory in it; add one with "
            "landscape.add_trajectory(...) or `losslandscape trajectory`"
        )
    return source
