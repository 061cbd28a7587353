"""The trajectories of a landscape as tubes on its surface, and markers at their ends."""

from typing import Any

import numpy as np

from ..errors import LandscapeError
from ..sources.landscape_sources import fetch, point_array, points_of
from ..sources.provenance import literal
from ..style import theme
from ..style.screen import meet, within
from ..style.text import write_at
from .drape import drape_curves, drape_difference, drape_points, surface_points
from .free_places import coverage, letter_colour, nearest, surface_on_screen

RUN = "trajectory"  # the point array of their numbers
MOST_DOTS = 200  # of checkpoints; more would be a band
_TUBE = theme.TUBE_RADIUS + theme.OUTLINE
MOST_RUNS = 16  # more are coloured by step: there are no names and colours for all of them


def add_trajectory(panel, array="step"):
    """The trajectories as tubes on the surface, with a dark edge.

    One is coloured by its checkpoints' steps. Several have a colour each, which the legend names.
    """
    source = _trajectories(panel)
    if panel.dimensions < 3:
        panel.report["trajectory"] = drape_difference(panel, fetch(source))
    if labels := run_labels(panel):
        for number, label in enumerate(labels):
            _add_run(panel, source, number, label)
        return None
    steps = point_array(fetch(source), array)
    if panel.dimensions == 3:
        curves = panel.lift(source, "trajectory")
    else:
        carried = None if steps is None else array
        curves = drape_curves(panel, source, "trajectory", carried)
    curves = panel.nearer(curves, "trajectory, nearer", _TUBE)
    tubes = panel.tubes(curves, "trajectory", theme.TUBE_RADIUS)
    shown = panel.show(tubes)
    shown.Ambient, shown.Diffuse = 0.25, 0.75
    if steps is not None:
        panel.colour_by(shown, array, panel.figure.step_table(array, steps))
    panel.outline(panel.tubes(curves, "trajectory: edge", theme.TUBE_RADIUS + theme.OUTLINE))
    dots = _add_checkpoints(panel, source, "trajectory: checkpoints")
    if dots and steps is not None:
        panel.colour_by(dots, array, panel.figure.step_table(array, steps))
    return shown


def add_markers(panel, array="step"):
    """A sphere where each trajectory starts and where it ends.

    Those of one trajectory have the colours of these steps. Of several, each start is a small white
    sphere, and each end a large one in the colour of the run with its label beside it.
    """
    source = _trajectories(panel)
    if labels := run_labels(panel):
        _add_run_markers(panel, source, labels)
        return None
    points = panel.chosen_points(source, _ends(fetch(source)), "markers", "start and end")
    lifted = _lifted_points(panel, points, "markers")
    lifted = panel.nearer(lifted, "markers, nearer", theme.MARKER_RADIUS + theme.OUTLINE)
    shown = panel.show(panel.spheres(lifted, "markers", theme.MARKER_RADIUS), theme.INK)
    steps = point_array(fetch(source), array)
    if steps is not None:
        panel.colour_by(shown, array, panel.figure.step_table(array, steps))
    panel.outline(panel.spheres(lifted, "markers: edge", theme.MARKER_RADIUS + theme.OUTLINE))
    places = points_of(fetch(lifted))
    if len(places) == 2:
        _write_labels(panel, dict(zip(("start", "end"), places)), theme.MARKER_RADIUS)
    return shown


def has_trajectory(panel):
    """Whether the panel's landscape has a trajectory."""
    return has_trajectory_in(panel.landscape)


def has_trajectory_in(landscape):
    """Whether a landscape has a trajectory."""
    source = landscape.trajectories
    return source is not None and fetch(source).GetNumberOfPoints() > 0


def run_labels(panel):
    """The labels of several trajectories; empty for one, for very many, and without labels."""
    labels = panel.landscape.provenance.get("trajectories")
    numbers = point_array(fetch(_trajectories(panel)), RUN)
    if numbers is None or not isinstance(labels, list) or len(labels) != numbers.max() + 1:
        return []
    if len(labels) > MOST_RUNS:
        return []
    return [str(label) for label in labels]


def _add_run(panel, source, number, label):
    """One of several trajectories, in the colour of its label."""
    from paraview import simple

    what = f"trajectory: {label}"
    chosen = simple.Threshold(
        registrationName=panel.named(f"{what}, chosen"),
        Input=source,
        Scalars=["POINTS", RUN],
        ThresholdMethod="Between",
        LowerThreshold=number - 0.5,
        UpperThreshold=number + 0.5,
    )
    line = simple.ExtractSurface(registrationName=panel.named(f"{what}, line"), Input=chosen)
    if fetch(line).GetNumberOfPoints() < 2:
        return
    curves = panel.lift(line, what) if panel.dimensions == 3 else drape_curves(panel, line, what)
    curves = panel.nearer(curves, f"{what}, nearer", _TUBE)
    shown = panel.show(panel.tubes(curves, what, theme.TUBE_RADIUS), _colour(panel, label))
    shown.Ambient, shown.Diffuse = 0.4, 0.6
    edge = f"trajectory: edge of {label}"
    panel.outline(panel.tubes(curves, edge, theme.TUBE_RADIUS + theme.OUTLINE))
    if dots := _add_checkpoints(panel, line, f"trajectory: checkpoints of {label}"):
        dots.AmbientColor = dots.DiffuseColor = _colour(panel, label)


def _add_checkpoints(panel, source, what):
    """A dot at each checkpoint, in ink; None where there are too many to be told apart."""
    if not 2 < fetch(source).GetNumberOfPoints() <= MOST_DOTS:
        return None
    lifted = panel.nearer(_lifted_points(panel, source, what), f"{what}, nearer", _TUBE)
    shown = panel.show(panel.spheres(lifted, what, theme.CHECKPOINT_RADIUS, sides=16), theme.INK)
    shown.Ambient, shown.Diffuse = 0.25, 0.75
    edge = what.replace("checkpoints", "edge of checkpoints")
    panel.outline(panel.spheres(lifted, edge, theme.CHECKPOINT_RADIUS + theme.OUTLINE, sides=16))
    return shown


def _add_run_markers(panel, source, labels):
    data = fetch(source)
    ends = np.reshape(_ends(data), (-1, 2))
    runs = point_array(data, RUN)[ends[:, 0]]
    ends_drawn = {}
    for (first, last), number in zip(ends, runs):
        label = labels[number]
        for point, which, radius in (
            (first, "start", theme.START_RADIUS),
            (last, "end", theme.END_RADIUS),
        ):
            what = f"markers: {which} of {label}"
            points = panel.chosen_points(source, [int(point)], what, which)
            lifted = _lifted_points(panel, points, what)
            lifted = panel.nearer(lifted, f"{what}, nearer", radius + theme.OUTLINE)
            if fetch(lifted).GetNumberOfPoints() == 0:  # outside of the grid
                continue
            # a start that runs share hides no run
            colour = theme.WHITE if which == "start" else _colour(panel, label)
            shown = panel.show(panel.spheres(lifted, what, radius), colour)
            shown.Ambient, shown.Diffuse = 0.4, 0.6
            panel.outline(panel.spheres(lifted, f"{what}, edge", radius + theme.OUTLINE))
            if which == "end":
                ends_drawn[label] = points_of(fetch(lifted))[0]
    _write_labels(panel, ends_drawn)


def _write_labels(panel, places, radius=theme.END_RADIUS):
    """Labels beside marks on the surface, moved where they would lie over a curve or a label.

    Args:
        panel: a `Panel`.
        places: dict of each label -> the point in the view's space that it names.
        radius: of the marks, in half plane widths.
    """
    from paraview import simple

    figure = panel.figure
    width, unit = figure.letter_width, panel.box.unit
    letter = theme.LETTER_SHARE * width * figure.pixel_size(panel)
    right, up = figure.screen_axes()
    towards = figure.towards_reader()
    beside = 1.4 * (radius + theme.OUTLINE) * unit
    low, high = _screen_range(panel, right)
    surface = surface_points(panel)
    taken = figure.words_on_screen(panel)  # left, right, below and above
    curves, on_screen = _curve_points(panel, right, up), surface_on_screen(panel)
    for label, place in sorted(places.items(), key=lambda item: float(item[1] @ up)):
        # white letters are read on the surface: towards the middle
        inwards = place @ right > (low + high) / 2
        long = 0.62 * letter * len(label)
        least: Any = None
        for step, side in ((step, side) for step in range(2 * len(places) + 7) for side in (0, 1)):
            # 0, then by turns further up and further down; on either side
            shift = (step + 1) // 2 * (0.6 if step % 2 else -0.6) * letter
            turned = bool(inwards) != bool(side)
            start = place + (-beside if turned else beside) * right + beside * towards
            anchor = start + (shift - 0.35 * letter) * up
            x, y = float(anchor @ right), float(anchor @ up)
            box = (x - long, x, y, y + letter) if turned else (x, x + long, y, y + letter)
            over = sum(meet(box, other, 1e-9) for other in taken)
            near = int(within(curves, box, 0.15 * letter).sum())
            over = 10 * over + near + 0.01 * step + 0.02 * side
            covered = coverage(on_screen, box)  # letters half beside it are read in no colour
            over += 8 * covered * (1 - covered)
            if least is None or over < least[0]:
                least = (over, anchor, box, turned)
            if over < 0.5:
                break
        _over, anchor, box, turned = least
        taken.append(box)
        # the projection is parallel: nearer to the reader, a label is where it was on the screen
        hidden = nearest(surface, box, right, up, towards) + beside - float(anchor @ towards)
        anchor = anchor + max(0.0, hidden) * towards
        text = simple.Text(
            registrationName=panel.named(f"markers: label of {label}"), Text=literal(label)
        )
        written = write_at(panel.view, text, anchor, width)
        if turned:
            written.Justification = "Right"
        written.Color, shadow = letter_colour(panel, box)
        written.Bold, written.Shadow = 1, int(shadow)


def _curve_points(panel, right, up):
    """Where the trajectories are on the screen, close together; shape (points, 2)."""
    if panel.dimensions == 3:
        source = panel.lift(_trajectories(panel), "labels, curves")
    else:
        source = drape_curves(panel, _trajectories(panel), "labels, curves")
    points = points_of(fetch(source)).astype(float)
    from paraview import simple

    simple.Delete(source)
    return np.stack([points @ right, points @ up], axis=1)


def _screen_range(panel, right):
    """The least and the greatest place of the plane along the screen's width."""
    x0, x1, y0, y1 = panel.box.bounds[:4]
    corners = [float(np.array([x, y, 0.0]) @ right) for x in (x0, x1) for y in (y0, y1)]
    return min(corners), max(corners)


def _colour(panel, label):
    """The colour of a label: the same in every panel, and in the legend."""
    runs = panel.figure.runs
    return runs.setdefault(label, theme.RUN_COLOURS[len(runs) % len(theme.RUN_COLOURS)])


def _lifted_points(panel, points, what):
    return panel.lift(points, what) if panel.dimensions == 3 else drape_points(panel, points, what)


def _ends(data):
    """The numbers of the first and the last point of each trajectory."""
    ends = []
    for cell in range(data.GetNumberOfCells()):
        ids = data.GetCell(cell).GetPointIds()
        ends += [ids.GetId(0), ids.GetId(ids.GetNumberOfIds() - 1)]
    return ends


def _trajectories(panel):
    source = panel.landscape.trajectories
    if not has_trajectory(panel):
        raise LandscapeError(
            f"{panel.landscape.path}: there is no trajectory in it; add one with "
            "landscape.add_trajectory(...) or `losslandscape trajectory`"
        )
    return source
