"""Where the plane of a panel lies in its view."""

from copy import copy

import numpy as np

from ..style import theme


class Box:
    """Where a panel's plane lies in its view.

    Panels that share their bounds are drawn in plane coordinates. Planes that differ are brought to
    a common size. Both axes have equal units, but for planes that are much longer than wide: these
    are drawn square.

    Args:
        bounds: of the grid.
        display_scale: `DisplayScale`.
        common: all panels have these bounds.
        dimensions: of the grid.
        equal: whether both axes of a plane have equal units; None decides by its proportions.

    Attributes:
        equal_units: whether they have.
        factor: the one scale factor of Warp By Scalar.
        scale, position: what Transform does after it, three numbers each.
        unit: half the drawn plane's width.
        bounds: xmin, xmax, ymin, ymax, zmin, zmax as drawn.
    """

    # A plane longer than this many times its width is drawn square.
    GREATEST_ASPECT = 1.6

    def __init__(self, bounds, display_scale, common, dimensions, equal=None):
        self.dimensions = dimensions
        low, high = np.array(bounds[::2]), np.array(bounds[1::2])
        extent = (high - low)[: min(dimensions, 3)]
        near = extent.max() <= self.GREATEST_ASPECT * extent.min()
        self.equal_units = near if equal is None else equal
        self.is_plain = common and self.equal_units
        self.scale, self.position = np.ones(3), np.zeros(3)
        if not self.is_plain:
            spread = np.ones(3)
            equal_plane = self.equal_units and dimensions == 2
            spread[: len(extent)] = extent.max() if equal_plane else extent
            self.scale[: len(extent)] = 2.0 / spread[: len(extent)]
            middle = (low + high) / 2
            self.position[: len(extent)] = -(self.scale * middle)[: len(extent)]
        low, high = low * self.scale + self.position, high * self.scale + self.position
        self.unit = float((high - low)[: len(extent)].max() / 2)
        span = display_scale.top - display_scale.bottom
        self.factor = theme.HEIGHT_OF_RANGE[dimensions] * self.unit / span
        if dimensions < 3:
            low[2], high[2] = self.factor * display_scale.bottom, self.factor * display_scale.top
        if dimensions == 1:
            # the line, thick as it is, and the dots stay within the frame
            low[2] -= theme.CURVE_MARGIN * self.unit
            high[2] += theme.CURVE_MARGIN * self.unit
        self.bounds = [value for pair in zip(low, high) for value in pair]
        self.axes_scale = [float(s) for s in self.scale]
        self.axes_position = [float(p) for p in self.position]
        if dimensions < 3:
            self.axes_scale[2] = self.factor

    def stretched(self, share):
        """A box like this one, of a plane, whose height is so many times as great."""
        other = copy(self)
        other.factor = share * self.factor
        other.bounds = [*self.bounds[:4], *(share * end for end in self.bounds[4:])]
        other.axes_scale = [*self.axes_scale[:2], other.factor]
        return other
