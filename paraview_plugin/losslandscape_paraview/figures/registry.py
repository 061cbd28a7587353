"""The figures that can be asked for by name. To add one, enter its function here."""

from collections.abc import Callable
from functools import partial
from typing import Union

from .curvature import curvature
from .figure import Figure
from .panels import MOST, panels
from .sheet import Sheet
from .techniques import (
    TECHNIQUES,
    compare,
    contours,
    curve,
    default,
    isosurfaces,
    surface,
    trajectory,
    volume,
)
from .topology import flat_region, flatness, topology
from .trust import trust

# What can be asked for by name.
FIGURES: dict[str, Callable[..., Union[Figure, Sheet]]] = {
    "surface": surface,
    "contours": contours,
    "trajectory": trajectory,
    "curve": curve,
    "isosurfaces": isosurfaces,
    "volume": volume,
    "topology": topology,
    "flatness": flatness,
    "flat_region": flat_region,
    "compare": compare,
    "panels": panels,
    "default": default,
    "curvature": curvature,
    "trust": trust,
}

# How many landscapes those draw that do not draw one or two.
NUMBERS: dict[str, tuple[int, ...]] = {
    "compare": (2,),
    "panels": tuple(range(2, MOST + 1)),
    "topology": (1,),
    "flat_region": (1,),
    "default": (1,),
    "curvature": (1,),
    "trust": (1,),
}


def figure_of(name, count):
    """The function of a figure for so many landscapes.

    Args:
        name: in `FIGURES`; a technique of two landscapes is `compare` with it.
        count: of the landscapes.
    """
    if count == 2 and name in TECHNIQUES:
        return partial(compare, techniques=name)
    return FIGURES[name]
