"""How every figure looks: white ground, one camera, light axes, perceptually uniform colours.

Lengths in a picture are given as shares of its width, so that the same figure is legible at any
size: letters of 2 % of the width are 5 pt high in a paper column of 85 mm.
"""

import math

import numpy as np

from .colour_maps import KINDS, LOSS, STEPS, categories, control_points
from .display_scale import label_format, multiples, round_ticks
from .provenance import literal

# A picture has so many pixels a pixel of the layout, which fits a window.
PICTURE_SCALE = 2

# Of a figure's height, below the panels.
LEGEND_SHARE = 0.175

LETTER_SHARE = 0.020
TITLE_LETTER_SHARE = 0.026
BAR_LETTER_SHARE = 0.020

# Perceptually uniform, readable in grey and by colour-blind people.
QUANTITY_COLOURS = control_points(LOSS)

# White to dark red, CIELAB lightness linear in the step: hues the quantity's colours do not have.
STEP_COLOURS = control_points(STEPS)

INK = [0.10, 0.10, 0.10]
GRID = [0.80, 0.80, 0.80]
PAPER = [0.90, 0.90, 0.89]

# The camera looks from (-, -, +) on the box of the plane; one direction for all figures.
VIEW_DIRECTION = (-0.62, -1.0, 1.3)
STEEP_DIRECTION = (-0.40, -0.70, 1.55)
# A cube is seen from less high up.
VOLUME_DIRECTION = (-0.50, -1.0, 0.70)
VIEW_UP = (0.0, 0.0, 1.0)

# Centre and length of each colour bar, as shares of the legend's width.
BAR_PLACES = (((0.5, 0.56),), ((0.31, 0.46), (0.82, 0.26)))
# two bars and a key
BAR_PLACES_NARROW = ((0.23, 0.38), (0.61, 0.24))
BAR_PLACES_WIDE = ((0.5, 0.8),)

# Where each kind of the key stands, as shares of the legend's width.
KEY_PLACES = (0.6, 0.745, 0.86)
KEY_PLACES_NARROW = (0.78, 0.89)

# in units of half the plane's width
HALF_HEIGHT_OF_VIEW = {2: 1.56, 3: 1.88}
STEEP_HALF_HEIGHT = 1.78
HEIGHT_OF_RANGE = {1: 1.2, 2: 0.8, 3: 0.8}
TUBE_RADIUS = 0.021
CURVE_RADIUS = 0.011
LINE_RADIUS = 0.006
CURVE_MARGIN = 0.03
# a curve's least half height and half width, with the room for its labels
CURVE_HALF_HEIGHT, CURVE_HALF_WIDTH = 0.86, 1.24
# how much more room larger letters need around a curve
ROOM_FOR_LETTERS = 0.4
CURVE_SHIFT = (-0.1, 0.0, -0.02)
CONTOUR_RADIUS = 0.0085
OUTLINE = 0.009
MARKER_RADIUS = 0.07
CRITICAL_RADIUS = 0.055
FAINT_RADIUS = 0.028
SEPARATRIX_RADIUS = 0.008
POINT_RADIUS = 0.019
DOT_RADIUS = 0.012
MARK_RADIUS = 0.06

# Minima, saddles and maxima, as everywhere in the topology of scalar fields.
KIND_COLOURS = categories(KINDS)
BASIN_COLOURS = [
    [0.55, 0.83, 0.78],
    [1.00, 0.93, 0.65],
    [0.75, 0.73, 0.85],
    [0.98, 0.71, 0.60],
    [0.70, 0.80, 0.90],
    [0.80, 0.92, 0.77],
    [0.97, 0.80, 0.90],
    [0.85, 0.85, 0.85],
]
FLAT_REGION = [0.93, 0.33, 0.23]
CURVE = [0.13, 0.36, 0.63]
BAND = [0.76, 0.85, 0.94]
WHITE = [1.00, 1.00, 1.00]

# Of isosurfaces: of the lowest, and of the highest.
INNER_OPACITY, OUTER_OPACITY = 0.34, 0.16

# Of a volume: share of the grid's points that lie lower -> opacity of a layer of a given
# thickness, in half plane widths.
VOLUME_OPACITY = ((0.0, 0.30), (0.05, 0.17), (0.25, 0.06), (0.6, 0.015), (1.0, 0.0))
OPACITY_DISTANCE = 0.15


def dress_view(view):
    """White ground, neutral light, no orientation axes, smooth edges."""
    view.UseColorPaletteForBackground = 0
    view.BackgroundColorMode = "Single Color"
    view.Background = [1.0, 1.0, 1.0]
    view.OrientationAxesVisibility = 0
    view.CenterAxesVisibility = 0
    view.UseFXAA = 1
    view.CameraParallelProjection = 1
    # Warm and cool lamps would tint the colours that the colour bar promises.
    view.UseLight = 1
    view.KeyLightWarmth = view.FillLightWarmth = 0.5
    view.BackLightWarmth = view.HeadLightWarmth = 0.5
    view.KeyLightIntensity = 0.85
    view.FillLightKFRatio = 1.9


def dress_axes(view, titles, width, box):
    """The grid behind the surface, with ticks and titles along the plane's directions.

    Args:
        view: a render view.
        titles: the three axis titles.
        width: whose share the letters are, in pixels.
        box: the panel's `Box`.
    """
    axes = view.AxesGrid
    axes.Visibility = 1
    axes.XTitle, axes.YTitle, axes.ZTitle = titles
    axes.DataScale, axes.DataPosition = box.axes_scale, box.axes_position
    axes.GridColor = GRID
    # The box of the scale, and not of what happens to be shown: alike in all panels.
    axes.UseCustomBounds, axes.CustomBounds = 1, box.bounds
    for letter in "XYZ":
        setattr(axes, f"{letter}TitleFontSize", round(TITLE_LETTER_SHARE * width))
        setattr(axes, f"{letter}LabelFontSize", round(LETTER_SHARE * width))
        setattr(axes, f"{letter}TitleColor", INK)
        setattr(axes, f"{letter}LabelColor", INK)
    for axis, letter in enumerate("XYZ"[: box.dimensions]):
        ends = [
            (box.bounds[2 * axis + end] - box.axes_position[axis]) / box.axes_scale[axis]
            for end in (0, 1)
        ]
        setattr(axes, f"{letter}AxisUseCustomLabels", 1)
        ticks = axis_ticks(*ends)
        if box.dimensions == 3:
            # three axes meet in the box's corners, and so would the labels there
            ticks = [t for t in ticks if ends[0] < t < ends[1]]
        setattr(axes, f"{letter}AxisLabels", ticks)


def axis_ticks(low, high):
    """Three or more round values along an axis, few, and none in the middle, by the title.

    >>> axis_ticks(-1.0, 1.0), axis_ticks(-3.0, 19.0)
    ([-1.0, -0.5, 0.5, 1.0], [0.0, 4.0, 12.0, 16.0])
    """
    span, middle = high - low, (low + high) / 2
    power = math.floor(math.log10(span))
    steps = (float(f"{factor}e{power - less}") for less in (0, 1, 2) for factor in (5, 4, 2, 1))
    for step in steps:
        ticks = [t for t in multiples(step, low, high) if abs(t - middle) > 0.15 * span]
        if len(ticks) >= 3:
            return ticks
    return [low, high]


def step_bar_title(what):
    """The title of the colour bar along trajectories; its ends are the markers' colours."""
    return f"{what}, white to red"


def step_ticks(low, high):
    """The ends and round values between them, for the colour bar along trajectories.

    >>> step_ticks(0, 5), step_ticks(0, 115)
    ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 50.0, 115.0])
    """
    if not high > low:
        return [float(low)]
    for count in (4, 5, 3, 6):
        ticks = round_ticks(low, high, count)
        if np.allclose([ticks[0], ticks[-1]], [low, high], rtol=0, atol=1e-9 * (high - low)):
            return ticks
    ticks = round_ticks(low, high, 4)
    room = 0.6 * (ticks[1] - ticks[0])
    inner = [t for t in ticks if t - low >= room and high - t >= room]
    return [float(low), *inner, float(high)]


def dress_colour_bar(bar, title, ticks, centre, length, width, letter_width):
    """A horizontal colour bar with its title above it.

    Args:
        bar: a scalar bar's proxy.
        title: quantity, scale and statistics.
        ticks: the labelled values.
        centre: its centre along the width of its view, 0 to 1.
        length: its length in the same unit.
        width: of the whole layout in pixels.
        letter_width: the width whose share the letters are.
    """
    bar.Title, bar.ComponentTitle, bar.HorizontalTitle = title, "", 1
    bar.TitleColor = bar.LabelColor = INK
    bar.LabelFontSize = round(BAR_LETTER_SHARE * letter_width)
    room = 1.9 * min(centre, 1 - centre) * width
    bar.TitleFontSize = fitted(bar.LabelFontSize, title, room)
    bar.Orientation = "Horizontal"
    bar.WindowLocation = "Any Location"
    bar.Position = [centre - length / 2, 0.07]
    bar.ScalarBarLength = length
    bar.ScalarBarThickness = round(0.6 * BAR_LETTER_SHARE * width)
    bar.UseCustomLabels, bar.CustomLabels = 1, ticks
    bar.AddRangeLabels = 0
    bar.AutomaticLabelFormat = 0
    bar.LabelFormat = bar.RangeLabelFormat = label_format(ticks)
    bar.DrawTickMarks = 1


def draw_key(view, categories, width, aspect, places=KEY_PLACES):
    """The kinds in a row to the right of the colour bar: a sphere in its colour, and its name.

    Args:
        view: the legend, a render view.
        categories: dict of each kind's name -> its colour.
        width: whose share the letters are, in pixels.
        aspect: the view's width in units of its height.
        places: where each stands, as shares of the width.
    """
    from paraview import simple

    face_key(view)
    for place, (name, colour) in zip(places, categories.items()):
        x = aspect * (2 * place - 1)
        for what, radius in (("", 0.19), (": edge", 0.225)):
            ball = simple.Sphere(
                registrationName=f"key{what} ({name})",
                Center=[x, -0.45, 1.0 if not what else 0.0],
                Radius=radius,
                ThetaResolution=48,
                PhiResolution=48,
            )
            shown = simple.Show(ball, view)
            simple.ColorBy(shown, ("POINTS", None))
            shown.AmbientColor = shown.DiffuseColor = INK if what else colour
            shown.Ambient, shown.Diffuse = 1.0, 0.0
        text = simple.Text(registrationName=f"key: name ({name})", Text=literal(name))
        write_at(view, text, [x + 0.42, -0.6, 0.0], width)


def face_key(view):
    """The legend's camera: x and y as on paper, from -1 to 1 along its height."""
    view.CameraFocalPoint, view.CameraPosition = [0.0, 0.0, 0.0], [0.0, 0.0, 10.0]
    view.CameraViewUp, view.CameraParallelScale = [0.0, 1.0, 0.0], 1.0


def write_at(view, text, place, width):
    """Show a text at a place in the view's space, facing the reader."""
    from paraview import simple

    shown = simple.Show(text, view)
    shown.TextPropMode = "Billboard 3D Text"
    shown.BillboardPosition = [float(x) for x in place]
    shown.FontSize = round(LETTER_SHARE * width)
    shown.Color = INK
    shown.Justification = "Left"
    shown.VerticalJustification = "Bottom"
    return shown


def even_ticks(box):
    """Round values along the first axis, the middle one among them."""
    low, high = ((end - box.axes_position[0]) / box.axes_scale[0] for end in box.bounds[:2])
    return round_ticks(low, high, 4)


def place_axes(axes, box, heights):
    """Which faces and edges of the box carry axes, for the camera's one direction.

    Args:
        axes: a view's axes grid.
        box: the panel's `Box`.
        heights: of the ticks along the height, for a curve.
    """
    if box.dimensions == 1:
        axes.FacesToRender, axes.AxesToLabel = 16, 5
        # the titles and the values at the height's ticks are texts (curve_layers.label_axes)
        axes.XTitle = axes.ZTitle = ""
        axes.ZLabelOpacity = 0.0
        axes.XAxisLabels = even_ticks(box)
        axes.ZAxisUseCustomLabels, axes.ZAxisLabels = 1, [float(h) for h in heights]
    elif box.dimensions == 2:
        axes.FacesToRender, axes.AxesToLabel = 28, 3
        axes.ZAxisUseCustomLabels, axes.ZAxisLabels = 1, []
    else:
        axes.FacesToRender, axes.AxesToLabel = 28, 19


def half_height(box, direction, aspect, letters=1.0):
    """Half the height of what the camera sees, in the view's space.

    Args:
        box: the panel's `Box`.
        direction: from where the camera looks.
        aspect: the view's width in units of its height.
        letters: how many times larger than usual they are.
    """
    if box.dimensions == 1:
        room = 1.0 + ROOM_FOR_LETTERS * (letters - 1.0)
        return room * box.unit * max(CURVE_HALF_HEIGHT, CURVE_HALF_WIDTH / aspect)
    if direction == STEEP_DIRECTION and box.dimensions == 2:
        return box.unit * STEEP_HALF_HEIGHT
    return box.unit * HALF_HEIGHT_OF_VIEW[box.dimensions]


def place_camera(view, box, direction, aspect, letters=1.0):
    """Parallel projection along a direction, filled by the panel's box; see `half_height`."""
    bounds = box.bounds
    centre = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
    view.CameraParallelScale = half_height(box, direction, aspect, letters)
    if box.dimensions == 1:
        direction = (0.0, -1.0, 0.0)
        centre = [c + box.unit * d for c, d in zip(centre, CURVE_SHIFT)]
    elif box.dimensions == 3 and direction == VIEW_DIRECTION:
        direction = VOLUME_DIRECTION
    view.CameraFocalPoint = centre
    view.CameraPosition = [c + 10 * box.unit * d for c, d in zip(centre, direction)]
    view.CameraViewUp = VIEW_UP


def fitted(letters, text, room):
    """A letter size in pixels, smaller where the text would be longer than the room for it."""
    # a letter of these fonts is about half as wide as high
    return round(min(letters, room / (0.53 * max(1, len(text)))))
