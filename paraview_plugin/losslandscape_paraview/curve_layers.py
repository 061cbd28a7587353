"""Layers of a landscape along one direction: the curve, its error band, its axis and its key."""

import numpy as np

from . import provenance as words
from . import style
from .display_scale import HEIGHT, label_format
from .landscape_sources import fetch, point_array

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
    line = panel.tubes(panel.lift(panel.flat, "curve"), "curve", style.LINE_RADIUS, sides=12)
    shown = panel.show(line, style.CURVE)
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
    shown = panel.show(panel.lift(flat, "error band", shown=True), style.BAND)
    shown.Ambient, shown.Diffuse = 1.0, 0.0
    panel.figure.curve_key["band"] = f"\u00b1 {BAND_ERRORS:g} standard errors"
    return shown


def draw_curve_key(view, entries, width, aspect, letters=1.0):
    """What line, band and dots are, in a row in the middle of the legend.

    Args:
        view: the legend, a render view.
        entries: dict of `curve`, `band`, `points` -> the words for it.
        width: whose share the letters are, in pixels.
        aspect: the view's width in units of its height.
        letters: how many times larger than usual they are.
    """
    from paraview import simple

    style.face_key(view)
    # in units of half the view's height
    letter, sample, gap = letters * style.LETTER_SHARE * aspect, 0.36, 0.5
    order = [name for name in ("curve", "band", "points") if name in entries]
    lengths = [sample + 0.1 + letter * len(entries[name]) for name in order]
    x = -(sum(lengths) + gap * (len(order) - 1)) / 2
    for name, length in zip(order, lengths):
        thickness = {"curve": 0.055, "band": 0.34}.get(name)
        if thickness:
            mark = simple.Box(
                registrationName=f"key ({name})",
                Center=[x + sample / 2, 0.0, 0.0],
                XLength=sample,
                YLength=thickness,
                ZLength=0.01,
            )
        else:
            mark = simple.Sphere(
                registrationName=f"key ({name})", Center=[x + sample / 2, 0.0, 0.0], Radius=0.075
            )
            mark.ThetaResolution = mark.PhiResolution = 32
        shown = simple.Show(mark, view)
        simple.ColorBy(shown, ("POINTS", None))
        colours = {"curve": style.CURVE, "band": style.BAND, "points": style.INK}
        shown.AmbientColor = shown.DiffuseColor = colours[name]
        shown.Ambient, shown.Diffuse = 1.0, 0.0
        text = simple.Text(
            registrationName=f"key: words ({name})", Text=words.literal(entries[name])
        )
        style.write_at(view, text, [x + sample + 0.1, -0.16, 0.0], width)
        x += length + gap


def label_axes(panel):
    """The values at the height's ticks, its title above the axis, and alpha below.

    ParaView's axes can only write the number a coordinate is, and on a log scale that is the
    logarithm.
    """
    from paraview import simple

    figure, box, scale = panel.figure, panel.box, panel.scale
    width = figure.letter_width
    left, right, bottom, top = box.bounds[0], box.bounds[1], box.bounds[4], box.bounds[5]
    letter = style.LETTER_SHARE * width * figure.pixel_size(panel)
    ticks = scale.ticks(5)
    label = label_format(ticks)
    for tick in ticks:
        height = float(scale.heights(tick)) * box.factor
        written = label % tick
        text = simple.Text(registrationName=panel.named(f"axes: loss {written}"), Text=written)
        place = [left - 0.8 * letter, 0.0, height - 0.42 * letter]
        style.write_at(panel.view, text, place, width).Justification = "Right"
    title = ", ".join((words.quantity_title(panel.landscape.provenance, scale.array), scale.words))
    text = simple.Text(
        registrationName=panel.named("axes: title of the loss"), Text=words.literal(title)
    )
    style.write_at(panel.view, text, [left, 0.0, top + 0.7 * letter], width)
    name = words.axis_titles(panel.landscape.provenance)[0]
    text = simple.Text(registrationName=panel.named("axes: title of alpha"), Text=name)
    length = 1 if name.startswith("$") else len(name)
    place = [(left + right) / 2 - 0.3 * length * letter, 0.0, bottom - 3.2 * letter]
    style.write_at(panel.view, text, place, width).FontSize = round(
        style.TITLE_LETTER_SHARE * width
    )


def _error_name(array):
    return f"{array}_standard_error"
