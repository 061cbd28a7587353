"""Layers of a landscape along one direction: the curve and its error band."""

import numpy as np

from ..sources import provenance as words
from ..sources.landscape_sources import fetch, point_array
from ..style import theme
from ..style.scale import HEIGHT

# The band is the mean and so many standard errors up and down.
BAND_ERRORS = 2.0


def band_ends(landscape, array):
    """Both ends of the error band at every grid point, flat; empty where the file has no errors."""
    errors = point_array(fetch(landscape.surface), _error_name(array))
    if errors is None:
        return np.zeros(0)
    values = landscape.values(array)
    return np.concatenate([values - BAND_ERRORS * errors, values + BAND_ERRORS * errors])


def add_curve(panel):
    """The quantity along alpha as a line, with its axis and, in the legend, its key."""
    line = panel.tubes(panel.lift(panel.flat, "curve"), "curve", theme.LINE_RADIUS, sides=12)
    shown = panel.show(line, theme.CURVE)
    shown.Ambient, shown.Diffuse = 1.0, 0.0
    figure = panel.figure
    figure.has_bar = False
    figure.curve_key.setdefault(
        "curve", words.quantity_title(panel.landscape.provenance, panel.scale.array)
    )
    return shown


def add_error_band(panel):
    """The mean and two standard errors up and down; nothing where the file has no errors.

    On a log scale an end that is not positive, or more than a decade below the least mean, is
    drawn at the foot of the axis.
    """
    from paraview import simple

    name, scale = _error_name(panel.scale.array), panel.scale
    errors = point_array(fetch(panel.flat), name)
    if errors is None or not np.isfinite(errors).any():
        return None
    source = panel.flat
    if not np.isfinite(errors).all():
        source = simple.Threshold(
            registrationName=panel.named("error band, finite errors only"),
            Input=source,
            Scalars=["POINTS", name],
            ThresholdMethod="Between",
        )
        source.LowerThreshold, source.UpperThreshold = -1e300, 1e300
        source = simple.ExtractSurface(
            registrationName=panel.named("error band, lines"), Input=source
        )
    # A ruled surface by ParaView's own means: the line and its copy at z = 1 are the band's ends.
    doubled = simple.LinearExtrusion(
        registrationName=panel.named("error band, two ends"),
        Input=source,
        Vector=[0.0, 0.0, 1.0],
        ScaleFactor=1.0,
        Capping=0,
    )
    end = f"({scale.array} + if(coordsZ > 0.5, {BAND_ERRORS!r}, {-BAND_ERRORS!r})*{name})"
    valued = simple.Calculator(
        registrationName=panel.named(f"error band, mean -+ {BAND_ERRORS:g} standard errors"),
        Input=doubled,
        Function=scale.expression_of(end, at_least=scale.lower),
        ResultArrayName=HEIGHT,
        ReplaceInvalidResults=0,
    )
    flat = simple.Calculator(
        registrationName=panel.named("error band, flat again"),
        Input=valued,
        Function="coordsX*iHat",
        CoordinateResults=1,
    )
    shown = panel.show(panel.lift(flat, "error band", shown=True), theme.BAND)
    shown.Ambient, shown.Diffuse = 1.0, 0.0
    panel.figure.curve_key["band"] = f"\u00b1 {BAND_ERRORS:g} standard errors"
    return shown


def _error_name(array):
    return f"{array}_standard_error"
