"""Arrays returned by functions of ``loss-landscapes`` (PyPI), saved with ``numpy.save``.

The array does not contain the coordinates. They follow from the function, its number of steps
(the array's size) and its ``distance``.
"""

from __future__ import annotations

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.formats.imports.npy import read_file
from losslandscape.formats.imports.source import Imported, Options, Source
from losslandscape.landscape.landscape import EVALUATED, NOT_EVALUATED, NOT_FINITE
from losslandscape.planes.grid import Grid

TOOL = "loss-landscapes"
OPTIONS = ("function", "distance")
# function -> axes of its array, whether it takes a distance
_FUNCTIONS = {
    "linear_interpolation": (1, False),
    "random_line": (1, True),
    "planar_interpolation": (2, False),
    "random_plane": (2, True),
}
_DEFAULT_DISTANCE = {"random_line": 0.1, "random_plane": 1}
FUNCTIONS = tuple(_FUNCTIONS)


def recognizes(source: Source) -> bool:
    return False  # cannot be distinguished from other .npy files


def read(source: Source, options: Options) -> Imported:
    function, distance = options.function, options.distance
    if function not in _FUNCTIONS:
        raise LossLandscapeError(
            f"{source.path}: name the function of loss-landscapes that returned it "
            f"(function=, --function): {', '.join(FUNCTIONS)}"
        )
    values = read_file(source)
    dimensions, random = _FUNCTIONS[function]
    if values.ndim != dimensions or len(set(values.shape)) != 1 or len(values) < 2:
        wanted = "one axis" if dimensions == 1 else "two equal axes"
        raise source.error(
            f"its array has shape {values.shape}, but {function} with a scalar metric returns "
            f"{wanted} of 2 or more points"
        )
    scale = 1.0
    if random:
        if distance is None or not 0 < distance < np.inf:
            raise LossLandscapeError(
                f"{source.path}: give the distance passed to {function} (distance=, --distance), "
                f"a number above 0; the function's default is {_DEFAULT_DISTANCE[function]}"
            )
        scale = 1 / distance  # the directions have length |theta| / distance
    elif distance is not None:
        raise LossLandscapeError(f"{source.path}: {function} takes no distance; omit it")
    notes = []
    if dimensions == 1:
        grid = Grid((len(values),), ((scale / len(values), scale),))
        status = np.where(np.isfinite(values), EVALUATED, NOT_FINITE)
    else:
        grid, values, status = _plane(values, scale, centered=random)
        notes.append(
            f"{function} evaluates every other line of beta one step higher than its neighbors: "
            "the grid has one point more along beta, and every other one at either end was not "
            "evaluated"
        )
    return Imported(
        grid,
        {"loss": values},
        "loss",
        status=status,
        plane={"unit": "norm of the parameters" if random else "difference of the models"},
        details={"function": function, **({"distance": distance} if random else {})},
        notes=notes,
    )


def _plane(values: np.ndarray, scale: float, centered: bool) -> tuple[Grid, np.ndarray, np.ndarray]:
    """The grid, values and status of a plane, with each value where it was measured.

    The functions go up and down alternately. ``values[i, j]`` is at step i of the first direction.
    In the second direction it is at step j + 1 if i is even (going up), otherwise at step j.
    """
    steps = len(values)
    placed = np.full((steps, steps + 1), np.nan)
    evaluated = np.zeros(placed.shape, bool)
    placed[::2, 1:], evaluated[::2, 1:] = values[::2], True
    placed[1::2, :-1], evaluated[1::2, :-1] = values[1::2], True
    start = steps / 2 if centered else 0
    grid = Grid(
        (steps, steps + 1),
        tuple(
            (-start * scale / steps, (last - start) * scale / steps) for last in (steps - 1, steps)
        ),
    )
    status = np.where(
        evaluated, np.where(np.isfinite(placed), EVALUATED, NOT_FINITE), NOT_EVALUATED
    )
    return grid, np.ascontiguousarray(placed.T), np.ascontiguousarray(status.T)
