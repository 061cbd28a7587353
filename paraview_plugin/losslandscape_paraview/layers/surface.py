"""The surface of a landscape, and contours on it."""

from ..style import theme
from .volume import add_isosurfaces


def add_surface(panel, coloured=True, array=None):
    """The surface, its height and (where `coloured`) its colour the quantity.

    A one-dimensional landscape is drawn as a curve, a three-dimensional one as isosurfaces.

    Args:
        panel: a `Panel`.
        coloured: without it, the surface has one light colour.
        array: another array of the landscape, for the colour.
    """
    if panel.dimensions == 1:
        curve = panel.lift(panel.flat, "curve")
        shown = panel.show(panel.tubes(curve, "surface", theme.CURVE_RADIUS), theme.PAPER)
    elif panel.dimensions == 3:
        return add_isosurfaces(panel, name="surface")
    else:
        smooth = panel.smooth(panel.lift(panel.flat, "surface"), "surface")
        shown = panel.show(smooth, theme.PAPER)
    if coloured:
        figure, array = panel.figure, array or panel.scale.array
        of_quantity = array == panel.scale.array
        table = figure.quantity_table if of_quantity else figure.other_table(array)
        panel.colour_by(shown, array, table)
    return shown


def add_plain_surface(panel):
    """The surface in one light colour, to carry contours."""
    return add_surface(panel, coloured=False)


def add_contours(panel, count=10):
    """Contours evenly spaced in height, lifted, coloured by the level.

    Args:
        panel: a `Panel` whose surface is planar.
        count: how many levels between the least and the greatest value.
    """
    from paraview import simple

    levels = panel.scale.levels(count)
    if panel.sliders:
        lines = simple.LossContours(
            registrationName=panel.named("contours, levels"), Input=panel.flat, Contours=count
        )
        panel.level_slider = lines
    else:
        lines = panel.contour(panel.flat, levels, "contours")
    joined = panel.lift(lines, "contours")
    tubes = panel.tubes(joined, "contours", theme.CONTOUR_RADIUS, sides=12)
    shown = panel.show(tubes)
    panel.colour_by(shown, panel.scale.array, panel.figure.quantity_table)
    panel.figure.bar_ticks = panel.report["levels"] = [float(level) for level in levels]
    return shown
