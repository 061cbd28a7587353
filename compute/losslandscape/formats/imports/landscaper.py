"""Landscaper's ``.npz`` (``LossLandscape.save``): ``loss`` and ``coordinates``."""

from __future__ import annotations

import numpy as np

from losslandscape.formats.imports.npz import names_in, read_arrays
from losslandscape.formats.imports.source import (
    Imported,
    Options,
    Source,
    grid_from_bounds,
    grid_of,
    in_order,
)

TOOL = "Landscaper"
OPTIONS = ("bounds",)


def recognizes(source: Source) -> bool:
    return source.is_zip and set(names_in(source)) == {"loss", "coordinates"}


def read(source: Source, options: Options) -> Imported:
    arrays = read_arrays(source)
    if set(arrays) != {"loss", "coordinates"}:
        raise source.error(
            "not a Landscaper file, which has the arrays loss and coordinates "
            f"(found: {', '.join(arrays) or 'nothing'})"
        )
    loss, coordinates = arrays["loss"], arrays["coordinates"]
    if coordinates.ndim != 2 or coordinates.shape[0] != loss.ndim:
        raise source.error(
            f"its coordinates have shape {coordinates.shape}, but must have one row for each of "
            f"the {loss.ndim} axes of its loss"
        )
    if loss.shape != (coordinates.shape[1],) * loss.ndim:
        raise source.error(
            f"its loss has shape {loss.shape}, but its coordinates {coordinates.shape}"
        )
    # the first index belongs to the first direction
    values = np.ascontiguousarray(loss.T)
    notes = [
        "Landscaper replaces losses that are not finite by the mean, the highest or the lowest of "
        "the others, and adds noise to the highest: the file does not tell where",
    ]
    if options.bounds is not None:
        grid = grid_from_bounds(source, values.shape, options.bounds)
    else:
        axes, turned = in_order(list(coordinates), notes)
        values, grid = turned(values), grid_of(source, axes, notes)
        notes.append(_where_measured(coordinates[0]))
    return Imported(
        grid,
        {"loss": values},
        "loss",
        plane={"unit": "norm of the parameters"},
        notes=notes,
    )


def _where_measured(axis: np.ndarray) -> str:
    """Where ``compute_loss_landscape`` of version 1.3.1 evaluates, which differs from its file."""
    steps, distance = len(axis), float(axis[-1])
    low, high = (2 * distance * i / steps for i in (-(steps // 2), steps - 1 - steps // 2))
    return (
        f"coordinates are the file's, {axis[0]:g} to {axis[-1]:g}; Landscaper 1.3.1 writes these "
        f"and evaluates from {low:g} to {high:g}: give --bounds to have those"
    )
