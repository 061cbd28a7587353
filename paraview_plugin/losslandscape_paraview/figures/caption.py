"""What to state beside a figure, from the files' own provenance: docs/reading.md says what."""

import math

import numpy as np

from ..layers.own_losses import DISTANCE
from ..sources.landscape_sources import EVALUATED, INTERPOLATED, STATUS, fetch, point_array
from ..sources.provenance import variance_shares


def caption(figure):
    """A figure's caption: a line for each panel, then the scale; what a file lacks is left out.

    Args:
        figure: a `Figure` that is finished.

    Returns:
        str, lines that end in a newline.
    """
    lines = []
    for panel in figure.panels:
        facts = [*_measured(panel), *_grid(panel), *_trajectory(panel), *_places(panel)]
        lines.append(f"{panel.name}. {' '.join(facts)}".strip())
    scale = figure.scale
    limits = []
    if scale.floor is not None:
        limits.append(f"losses below {scale.floor:g} are drawn at {scale.floor:g}")
    if scale.ceiling is not None:
        largest = max(np.nanmax(one.landscape.values(scale.array)) for one in figure.panels)
        limits.append(
            f"losses above {scale.ceiling:g} are drawn at {scale.ceiling:g} (the largest is "
            f"{largest:.3g})"
        )
    title = figure.bar_title.split(",")[0]
    where = "Height and color are" if figure.has_bar else "The height is"
    words = f"{where} the {title} on a {'logarithmic' if scale.log else 'linear'} scale"
    lines.append("; ".join([words, *limits]) + ".")
    if "band" in figure.curve_key:
        lines.append(f"The band is the mean {figure.curve_key['band']}.")
    if len(figure.panels) > 1:
        lines.append("All panels share the scale and the camera.")
    lines += figure.chart_words
    return "\n".join(lines) + "\n"


def _measured(panel):
    """Network, loss, data and directions."""
    provenance = panel.landscape.provenance
    objective = provenance.get("objective")
    objective = objective if isinstance(objective, dict) else {}
    parts = [str(objective[name]) for name in ("model", "loss") if objective.get(name)]
    sets = objective.get("sets")
    for name, one in sets.items() if isinstance(sets, dict) else ():
        if isinstance(one, dict) and one.get("samples"):
            of = one.get("dataset_samples")
            parts.append(f"{one['samples']:,}{f' of {of:,}' if of else ''} {name} samples")
    statistics = objective.get("batch_norm")
    if statistics in ("fixed", "reestimated"):
        parts.append(f"batch-norm statistics {statistics.replace('reest', 're-est')}")
    if parts:
        yield f"Measured: {', '.join(parts)}."
    plane = provenance.get("subspace")
    if isinstance(plane, dict) and plane.get("kind"):
        words = [str(plane["kind"])]
        words += [
            f"{name} {plane[name]}"
            for name in ("normalization", "center", "seed")
            if plane.get(name) is not None
        ]
        models = plane.get("models")
        if isinstance(models, list):
            words.append(f"models {', '.join(map(str, models))}")
        yield f"Directions: {', '.join(words)}."


def _grid(panel):
    """The grid, and how many of its points were evaluated."""
    grid = fetch(panel.landscape.surface)
    shape = [n for n in grid.GetDimensions() if n > 1]
    words = f"{' x '.join(map(str, shape))} points"
    status = point_array(grid, STATUS)
    if status is not None:
        evaluated = int(np.count_nonzero(status == EVALUATED))
        words += f", {evaluated:,} evaluated"
        interpolated = int(np.count_nonzero(status == INTERPOLATED))
        if interpolated:
            words += f" and {interpolated:,} interpolated"
    yield f"Grid: {words}."
    if panel.holes:
        yield f"{panel.holes} points have no finite value and are left out."
    if panel.report.get("equal_units") is False:
        yield "The axes have different units of length."


def _trajectory(panel):
    """Of a drawn trajectory: shares of variance, distances, own losses."""
    if "trajectory" not in panel.report and "own_losses" not in panel.report:
        return
    shares = variance_shares(panel.landscape.provenance)
    if shares:
        words = " and ".join(f"{100 * share:.3g}%" for share in shares)
        yield f"The directions hold {words} of the trajectory's variance."
    source = panel.landscape.trajectories
    distance = point_array(fetch(source), DISTANCE) if source is not None else None
    if distance is not None and np.isfinite(distance).any():
        yield f"Checkpoints are at most {np.nanmax(distance):.3g} away from the plane."
    own = panel.report.get("own_losses", {})
    if "least_ratio" in own:
        yield (
            f"Their own losses are {own['least_ratio']:.3g} to {own['greatest_ratio']:.3g} times "
            "those of the plane below the curve."
        )


def _places(panel):
    """The losses of the model, the labelled models and the lowest point."""
    array = panel.scale.array
    for model in panel.report.get("models", []):
        if array in model:
            yield f"{model['label']}: {model[array]:.4g}."
    for which, place in panel.report.get("places", {}).items():
        value = place[array]
        if value is None or not math.isfinite(value):
            continue
        name = place["name"]
        if which == "lowest":
            name = "Lowest evaluated point" if place["evaluated"] else "Lowest point"
        yield f"{name[0].upper()}{name[1:]}: {value:.4g}."
    flat = panel.report.get("flatness")
    if flat:
        bound = "at least " if flat.get("lower_bound") else ""
        yield f"Flat area: {bound}{flat['size']:.3g}, where the loss is within {flat['epsilon']:g}."
