"""This project's colour maps, as the preset file that ParaView imports and the figures use.

`colour_maps.json` is in ParaView's format. How the maps were made, and what was measured of them,
is in `docs/paraview_guide.md`.
"""

import json
from functools import cache
from pathlib import Path

from ..errors import LandscapeError

# perceptually uniform maps of the quantity, of matplotlib
NAMES = ("viridis", "cividis", "magma", "inferno", "plasma", "gray")
PRESETS = Path(__file__).resolve().with_name("colour_maps.json")
LOSS, STEPS, KINDS = (
    f"Loss landscape: {what}" for what in ("loss", "steps", "kinds of critical points")
)


@cache
def _presets():
    found = json.loads(PRESETS.read_text(encoding="utf-8"))
    return {preset["Name"]: preset for preset in found}


def control_points(name):
    """A continuous map: tuples of a place from 0 to 1, red, green and blue."""
    numbers = _presets()[name]["RGBPoints"]
    return [tuple(numbers[start : start + 4]) for start in range(0, len(numbers), 4)]


def named(name):
    """The control points of a map of the quantity.

    Args:
        name: of `NAMES`; None for this project's.

    Raises:
        LandscapeError: there is no such map, or this ParaView's Python has no matplotlib.
    """
    if name is None or name == NAMES[0]:
        return control_points(LOSS)
    if name not in NAMES:
        raise LandscapeError(f"no color map '{name}'; there are {', '.join(NAMES)}")
    try:
        from matplotlib import colormaps
    except ImportError as error:
        raise LandscapeError(
            f"color map '{name}': this ParaView's Python has no matplotlib ({error}); leave it out "
            "(--color-map)"
        ) from error
    table = colormaps[name]
    return [(n / 255, *(float(x) for x in table(n / 255)[:3])) for n in range(256)]


def categories(name):
    """A map of categories: dict of each name -> [red, green, blue], in the order of values."""
    preset = _presets()[name]
    colours, labels = preset["IndexedColors"], preset["Annotations"][1::2]
    return {label: colours[3 * n : 3 * n + 3] for n, label in enumerate(labels)}


def import_presets():
    """Make the maps known to ParaView's *Color Map Editor*; nothing where they are already."""
    from paraview import servermanager, simple

    presets = servermanager.vtkSMTransferFunctionPresets.GetInstance()
    if not all(presets.HasPreset(name) for name in _presets()):
        simple.ImportPresets(str(PRESETS))
