"""The figures that can be asked for by name. To add one, enter its function here."""

from collections.abc import Callable

from .figure import Figure
from .techniques import compare, contours, curve, default, isosurfaces, surface, trajectory, volume
from .topology import flat_region, flatness, topology

# What can be asked for by name.
FIGURES: dict[str, Callable[..., Figure]] = {
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
    "default": default,
}
