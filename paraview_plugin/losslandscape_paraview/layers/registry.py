"""What can be drawn in a panel, layer by layer.

A layer is a function `layer(panel, **options)` that shows one or more pipeline objects. What it
shows is named `layer` or `layer: part` (and the panel's name in brackets), so that a layer can be
found again in any state file, in the pipeline browser as by a program. To add one, write such a
function and enter it in `LAYERS`.
"""

from collections.abc import Callable
from typing import Any

from .curve import add_curve, add_error_band
from .evaluated_points import add_evaluated_points
from .flat_region import add_flat_region
from .own_losses import add_own_losses
from .places import add_places
from .surface import add_contours, add_plain_surface, add_surface
from .topology import (
    add_basins,
    add_critical_points,
    add_models,
    add_separatrices,
)
from .trajectory import add_markers, add_trajectory
from .volume import add_isosurfaces, add_minimum, add_origin, add_volume

# What a figure may ask for by name.
LAYERS: dict[str, Callable[..., Any]] = {
    "surface": add_surface,
    "plain surface": add_plain_surface,
    "contours": add_contours,
    "trajectory": add_trajectory,
    "markers": add_markers,
    "own losses": add_own_losses,
    "places": add_places,
    "evaluated points": add_evaluated_points,
    "curve": add_curve,
    "error band": add_error_band,
    "isosurfaces": add_isosurfaces,
    "volume": add_volume,
    "minimum": add_minimum,
    "origin": add_origin,
    "critical points": add_critical_points,
    "separatrices": add_separatrices,
    "basins": add_basins,
    "models": add_models,
    "flat region": add_flat_region,
}
