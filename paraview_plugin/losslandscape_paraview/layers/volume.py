"""Layers of a landscape along three directions: isosurfaces, the volume, marked points."""

import numpy as np

from ..compatibility import translation
from ..sources.landscape_sources import fetch
from ..style import theme
from ..style.scale import HEIGHT
from ..style.ticks import label_format

ISOSURFACES = 5
# VTK's mark of a point that is not there
HIDDEN_POINT = 2


def add_isosurfaces(panel, count=ISOSURFACES, name="isosurfaces"):
    """Isosurfaces evenly spaced in height, the lowest the least transparent.

    Each is a layer's part of its own, so that its opacity can be changed in ParaView.

    Args:
        panel: a `Panel` of a landscape along three directions.
        count: how many levels between the least and the greatest value, at most.
        name: the layer's.
    """
    levels = [float(level) for level in panel.scale.levels(count)]
    label = label_format(levels)
    for index, level in enumerate(levels):
        words = label.format(level)
        shell = panel.contour(panel.flat, [level], f"{name} {words}")
        smooth = panel.smooth(panel.lift(shell, f"{name} {words}"), f"{name}: {words}")
        shown = panel.show(smooth)
        panel.colour_by(shown, panel.scale.array, panel.figure.quantity_table)
        # from the innermost out, so that what lies inside is seen through what lies around it
        share = index / max(1, len(levels) - 1)
        shown.Opacity = theme.INNER_OPACITY * (theme.OUTER_OPACITY / theme.INNER_OPACITY) ** share
        shown.Ambient, shown.Diffuse = 0.35, 0.65
    panel.figure.bar_ticks = panel.report["levels"] = levels


def add_volume(panel):
    """The volume itself: the lower the quantity, the more opaque.

    It is coloured by the height, in which ParaView's table of colours and opacities is even; the
    colour bar shows the same colours at the quantity's values.
    """
    from paraview import simple

    volume = panel.valued if not panel.holes else _holes_hidden(panel)
    volume = simple.PassArrays(
        registrationName=panel.named("volume"),
        Input=volume,
        PointDataArrays=[HEIGHT, panel.scale.array, "vtkGhostType"],
        CellDataArrays=[],
    )
    shown = simple.Show(volume, panel.view)
    shown.SetRepresentationType("Volume")
    simple.ColorBy(shown, ("POINTS", HEIGHT))
    table, opacity = panel.figure.height_tables()
    shown.LookupTable, shown.ScalarOpacityFunction = table, opacity
    shown.ScalarOpacityUnitDistance = theme.OPACITY_DISTANCE * panel.box.unit
    shown.Shade = 0
    if not panel.box.is_plain:
        # Transform would make a curvilinear grid of it, which is drawn cell by cell.
        shown.Scale = list(panel.box.scale)
        setattr(shown, translation(), list(panel.box.position))
    shown.SetScalarBarVisibility(panel.view, False)
    return shown


def add_minimum(panel):
    """A ball at the grid point of the least value."""
    values = panel.landscape.values(panel.scale.array)
    lowest = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
    point = panel.chosen_points(panel.landscape.surface, [lowest], "minimum", "lowest point")
    position = fetch(panel.landscape.surface).GetPoint(lowest)
    panel.report["minimum"] = {
        "position": list(position),
        panel.scale.array: float(values[lowest]),
    }
    _mark(panel, point, "minimum", theme.KIND_COLOURS["minimum"])


def add_origin(panel):
    """A ball at the origin, where the model itself is; nothing where the grid has no origin."""
    from paraview import simple

    bounds = panel.landscape.bounds
    if any(bounds[2 * axis] > 0 or bounds[2 * axis + 1] < 0 for axis in range(3)):
        return
    point = simple.PointSource(
        registrationName=panel.named("origin, point"),
        Center=[0.0, 0.0, 0.0],
        NumberOfPoints=1,
        Radius=0.0,
    )
    _mark(panel, point, "origin", theme.WHITE)


def _holes_hidden(panel):
    """The whole grid with its holes marked as hidden points, which volumes leave out.

    A threshold would make an unstructured grid, drawn cell by cell, and a texture must not hold
    values that are not finite: hidden points get the least height, which nobody sees.
    """
    from paraview import simple

    scale = panel.scale
    kept = f"{scale.array} > -1e300"
    if scale.ceiling is None:
        kept = f"{kept} & {scale.array} < 1e300"
    valued = simple.Calculator(
        registrationName=panel.named(f"volume, height = {scale.label}"),
        Input=panel.landscape.surface,
        Function=f"if({kept}, {scale.expression}, {scale.bottom!r})",
        ResultArrayName=HEIGHT,
        ReplaceInvalidResults=0,
    )
    return simple.Calculator(
        registrationName=panel.named("volume, holes hidden"),
        Input=valued,
        Function=f"if({kept}, 0, {HIDDEN_POINT})",
        ResultArrayName="vtkGhostType",
        ResultArrayType="Unsigned Char",
    )


def _mark(panel, point, name, colour):
    placed = panel.lift(point, name)
    shown = panel.show(panel.spheres(placed, name, theme.MARK_RADIUS), colour)
    shown.Ambient, shown.Diffuse = 0.3, 0.7
    panel.outline(panel.spheres(placed, f"{name}: edge", theme.MARK_RADIUS + theme.OUTLINE))
    panel.figure.marks[name] = colour
