"""How every figure looks: white ground, one camera, light axes, perceptually uniform colours.

Lengths are shares of the picture's width, so that a figure is legible at any size: text of 2 % of
the width is 5 pt in a paper column of 85 mm.
"""

from .colour_maps import KINDS, LOSS, STEPS, categories, control_points

# A picture has so many pixels a pixel of the layout, which fits a window.
PICTURE_SCALE = 2

# Of a figure's height, below the panels.
LEGEND_SHARE = 0.175
# The same of a figure whose bar and keys are elsewhere.
NO_LEGEND_SHARE = 0.02
# The least height of the legend, in heights of a letter.
LEGEND_LETTERS = 4.3

LETTER_SHARE = 0.020
TITLE_LETTER_SHARE = 0.026
# What has no room is smaller than the other texts, down to this share: 5 pt where those have 7.
LEAST_LETTERS = 5 / 7
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
BAR_PLACES_NARROW = ((0.24, 0.36), (0.62, 0.23))
BAR_PLACES_WIDE = ((0.5, 0.8),)
# a bar beside a short table
BAR_PLACES_BESIDE = ((0.40, 0.68),)

# Where each kind of the key stands, as shares of the legend's width.
KEY_PLACES = (0.6, 0.745, 0.86)
KEY_PLACES_NARROW = (0.78, 0.89)

# Where a table of names begins and ends, in the same unit.
TABLE_ENDS = (0.60, 0.98)
TABLE_ENDS_NARROW = (0.80, 0.99)

# Of a chart's width, beside a plane of width 1.
CHART_SHARE = 0.8

# in units of half the plane's width
HALF_HEIGHT_OF_VIEW = {3: 1.88}
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
START_RADIUS, END_RADIUS = 0.04, 0.065
CRITICAL_RADIUS = 0.055
FAINT_RADIUS = 0.028
SEPARATRIX_RADIUS = 0.008
POINT_RADIUS = 0.019
CHECKPOINT_RADIUS = 0.028
OWN_LOSS_RADIUS = 0.024
PLACE_RADIUS = 0.04
DOT_RADIUS = 0.012
MARK_RADIUS = 0.06

# Training runs, in their order: colours that color-blind people tell apart (Okabe and Ito 2008).
# Those that are hardest to tell apart, or nearest to the quantity's colours, come last.
RUN_COLOURS = [
    [0.835, 0.369, 0.000],
    [0.337, 0.706, 0.914],
    [0.000, 0.000, 0.000],
    [0.800, 0.475, 0.655],
    [1.000, 1.000, 1.000],
    [0.902, 0.624, 0.000],
    [0.000, 0.447, 0.698],
    [0.941, 0.894, 0.259],
]

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
# where an array that colours a surface has no value
UNKNOWN = [0.55, 0.60, 0.66]
# a curve, a bar or a dot that stands out from others; of Okabe and Ito 2008
ACCENT, SECOND = [0.835, 0.369, 0.000], [0.000, 0.447, 0.698]
# one curve among many, and words about them
FAINT_CURVE, FAINT_WORDS = [0.62, 0.66, 0.72], [0.36, 0.40, 0.46]
WHITE = [1.00, 1.00, 1.00]

# Of isosurfaces: of the lowest, and of the highest.
INNER_OPACITY, OUTER_OPACITY = 0.34, 0.16

# Of a volume: share of the grid's points that lie lower -> opacity of a layer of a given
# thickness, in half plane widths.
VOLUME_OPACITY = ((0.0, 0.30), (0.05, 0.17), (0.25, 0.06), (0.6, 0.015), (1.0, 0.0))
OPACITY_DISTANCE = 0.15
