"""The places that a reader asks for first: the model's own, the labelled models', the lowest point.

They are marked alike in every figure, and their losses are in the panel's notes.
"""

import numpy as np

from ..sources.landscape_sources import (
    EVALUATED,
    STATUS,
    fetch,
    grid_points,
    point_array,
    points_of,
)
from ..sources.provenance import plain
from ..style import theme
from .drape import drape_points, surface_points

_ON_GRID = 1e-6  # of the spacing
# what lies at coordinates 0, by the kind of the plane; between models the models have labels
_AT_ORIGIN = {
    "random": "model", "pca": "model", "given": "origin", "eigenvectors": "origin",
    "inputs": "samples as they are",
}  # fmt: skip


def find_places(panel):
    """The places of a landscape and their losses.

    Returns:
        dict of `model` and `lowest`, each a dict of `name`, `position` (three numbers), the
        quantity (None where it is not known) and, of the latter, `evaluated`; what the landscape
        does not have is left out.
    """
    landscape, array = panel.landscape, panel.scale.array
    values = landscape.values(array)
    status = point_array(fetch(landscape.surface), STATUS)
    points = grid_points(landscape.surface)
    found = {}
    plane = landscape.provenance.get("subspace")
    name = _AT_ORIGIN.get(str(plane.get("kind")) if isinstance(plane, dict) else "")
    bounds = landscape.bounds
    inside = all(bounds[2 * n] <= 1e-9 and bounds[2 * n + 1] >= -1e-9 for n in range(3))
    if name and inside:
        value = value_at_origin(landscape, array)
        found["model"] = {"name": name, "position": [0.0, 0.0, 0.0], array: value}
    evaluated = np.isfinite(values)
    if status is not None and (evaluated & (status == EVALUATED)).any():
        evaluated &= status == EVALUATED
    if evaluated.any():
        lowest = int(np.where(evaluated, values, np.inf).argmin())
        found["lowest"] = {
            "name": "lowest",
            "position": [float(x) for x in points[lowest]],
            array: float(values[lowest]),
            "evaluated": status is not None and bool(status[lowest] == EVALUATED),
        }
    return found


def add_places(panel, marked=("model", "lowest", "models")):
    """A ball at the model's own place, at each labelled model, and at the lowest grid point.

    Args:
        panel: a `Panel`.
        marked: which of them get a ball; the others' losses are noted all the same.
    """
    array, places = panel.scale.array, find_places(panel)
    panel.report["places"] = places
    same = len(places) == 2 and np.allclose(
        places["model"]["position"], places["lowest"]["position"]
    )
    words = []
    for which, place in places.items():
        value = place[array]
        words.append(f"{place['name']}: {_written(value)}" if value is not None else "")
        if which in marked and not (same and which == "lowest"):
            colour = theme.WHITE if which == "model" else theme.KIND_COLOURS["minimum"]
            _mark(panel, [place["position"]], place["name"], colour)
    if same and places["model"][array] is not None:
        name = places["model"]["name"]
        words = [f"{name}: {_written(places['model'][array])}, the lowest point"]
    line = ", ".join(word for word in words if word)
    labelled = _labelled(panel)
    if labelled:
        panel.report["models"] = labelled
        models = ", ".join(f"{m['label']}: {_written(m[array])}" for m in labelled if array in m)
        line = "; ".join(part for part in (models, line) if part)
        if "models" in marked:
            _mark(panel, [model["position"] for model in labelled], "models", theme.WHITE)
    if line:
        panel.notes.insert(0, line)


def _mark(panel, positions, name, colour):
    from paraview import simple

    what = f"places: {name}"
    if len(positions) == 1:
        source = simple.PointSource(
            registrationName=panel.named(f"{what}, point"),
            Center=positions[0],
            NumberOfPoints=1,
            Radius=0.0,
        )
    else:
        source = simple.PolyLineSource(
            registrationName=panel.named(f"{what}, points"),
            Points=[float(x) for position in positions for x in position],
        )
    lifted = (
        panel.lift(source, what) if panel.dimensions == 3 else drape_points(panel, source, what)
    )
    if fetch(lifted).GetNumberOfPoints() == 0:  # beside a hole
        return
    near = panel.nearer(lifted, f"{what}, nearer", theme.PLACE_RADIUS + theme.OUTLINE)
    for number, place in enumerate(points_of(fetch(near)) if panel.dimensions == 2 else ()):
        _flag_if_hidden(panel, place, f"{what} {number}" if len(positions) > 1 else what, colour)
    _balls(panel, near, what, f"{what}, edge", colour)
    panel.figure.marks[name] = colour


def _balls(panel, points, what, edge, colour):
    """Balls with a dark edge, and the names of both in the pipeline browser."""
    shown = panel.show(panel.spheres(points, what, theme.PLACE_RADIUS), colour)
    shown.Ambient, shown.Diffuse = 0.4, 0.6
    panel.outline(panel.spheres(points, edge, theme.PLACE_RADIUS + theme.OUTLINE))


def _flag_if_hidden(panel, place, what, colour):
    """A pole with a ball on a place that the surface hides from the reader."""
    from paraview import simple

    right, up = panel.figure.screen_axes()
    towards, unit = panel.figure.towards_reader(), panel.box.unit
    surface = surface_points(panel)
    away = np.stack([(surface - place) @ right, (surface - place) @ up], axis=1)
    spacing = panel.landscape.spacing * max(panel.box.scale[:2])
    close = np.abs(away).max(axis=1) < max(theme.PLACE_RADIUS * unit, spacing)
    if not close.any() or ((surface - place)[close] @ towards).max() < 0.3 * unit:
        return
    foot = [float(x) for x in place]
    top = [foot[0], foot[1], float(panel.box.bounds[5] + 0.12 * unit)]
    pole = simple.Line(registrationName=panel.named(f"{what}, pole"), Point1=foot, Point2=top)
    tube = simple.Tube(
        registrationName=panel.named(f"{what}: pole"),
        Input=pole,
        Radius=theme.LINE_RADIUS * unit,
        NumberofSides=12,
    )
    panel.show(tube, theme.INK)
    flag = simple.PointSource(
        registrationName=panel.named(f"{what}, top of the pole"),
        Center=top,
        NumberOfPoints=1,
        Radius=0.0,
    )
    _balls(panel, flag, f"{what}: flag", f"{what}: edge of the flag", colour)


def _labelled(panel):
    """The labelled models: dicts of `label`, `position` and the quantity where it is the loss."""
    source = panel.landscape.models
    data = fetch(source) if source is not None else None
    if data is None or not data.GetNumberOfPoints():
        return []
    labels = data.GetPointData().GetAbstractArray("label")
    values = point_array(data, panel.scale.array)
    found = []
    for number, point in enumerate(points_of(data)):
        label = plain(labels.GetValue(number)) if labels is not None else f"model {number}"
        one = {"label": label, "position": [float(x) for x in point]}
        if values is not None:
            one[panel.scale.array] = float(values[number])
        found.append(one)
    return found


def value_at_origin(landscape, array):
    """The quantity of the model: of its grid point, or of the recipe; None where neither is."""
    values = landscape.values(array)
    status = point_array(fetch(landscape.surface), STATUS)
    points = grid_points(landscape.surface)
    away = np.abs(points).max(axis=1)
    number = int(away.argmin())
    evaluated = status is None or status[number] == EVALUATED
    if away[number] <= _ON_GRID * landscape.spacing and evaluated:
        return float(values[number]) if np.isfinite(values[number]) else None
    if array != "loss":
        return None
    recorded = landscape.provenance.get("determinism")
    found = recorded.get("origin_loss") if isinstance(recorded, dict) else None
    if found is None and landscape.trajectories is not None:
        # of older files: a plane of principal components goes through a checkpoint
        data = fetch(landscape.trajectories)
        losses = point_array(data, "loss")
        on_it = np.abs(points_of(data)).max(axis=1, initial=0.0) <= _ON_GRID * landscape.spacing
        if losses is not None and on_it.any():
            found = float(losses[np.flatnonzero(on_it)[-1]])
    return float(found) if isinstance(found, (int, float)) and np.isfinite(found) else None


def _written(value):
    return f"{value:.3g}"
