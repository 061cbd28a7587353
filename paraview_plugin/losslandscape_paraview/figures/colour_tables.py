"""The colour tables of a figure, which all its panels share."""

import hashlib
import re

import numpy as np

from ..style import theme
from ..style.colour_maps import named
from ..style.scale import HEIGHT

# in the names of tables, where ParaView keeps letters and digits alone
_FIGURE_NUMBER = re.compile(r"offigure(\d+)x[0-9a-f]{6}\.")


class ColourTables:
    """ParaView's colour tables under names of one figure.

    Args:
        scale: the figure's `DisplayScale`.
        colours: the quantity's colour map; see `colour_maps.named`.

    Attributes:
        quantity: the table of the quantity, as a proxy.
        step_ranges: dict of an array along trajectories -> the least and the greatest step.
        categories: dict of an array of kinds -> dict of each kind's name -> its colour, for those
            that the legend shows.
        others: dict of an array of the grid that colours a surface in the quantity's place ->
            its `DisplayScale`.
    """

    def __init__(self, scale, colours=None):
        self.scale = scale
        self.quantity_colours = named(colours)
        self.step_ranges, self.categories, self.others = {}, {}, {}
        self._number = _free_number()
        self.quantity = self._quantity_table()

    def of_steps(self, array, steps):
        """The table of an array along trajectories; it grows with the steps of every panel."""
        table = self._table(array)
        low, high = self.step_ranges.get(array, (np.inf, -np.inf))
        low, high = min(low, float(np.min(steps))), max(high, float(np.max(steps)))
        self.step_ranges[array] = (low, high)
        span = (high - low) or 1.0
        table.ColorSpace = "Lab"
        table.RGBPoints = [
            number
            for share, *colour in theme.STEP_COLOURS
            for number in (low + share * span, *colour)
        ]
        return table

    def of_other(self, scale):
        """The table of another array of the grid, white to dark red; grey where it is not known.

        Args:
            scale: its `DisplayScale`.
        """
        table = self._table(scale.array)
        self._fill(table, scale, theme.STEP_COLOURS)
        table.ColorSpace, table.NanColor = "Lab", theme.UNKNOWN
        self.others[scale.array] = scale
        return table

    def of_categories(self, array, categories, in_legend=None):
        """The table of an array of kinds.

        Args:
            array: the array's name; its values count from 0.
            categories: dict of each kind's name -> its colour.
            in_legend: the numbers of those that are shown beside the colour bar, besides those of
                earlier calls; None: all of them.
        """
        table = self._table(array)
        table.InterpretValuesAsCategories = 1
        table.AnnotationsInitialized = 1
        table.Annotations = [
            text for number, name in enumerate(categories) for text in (str(number), name)
        ]
        table.IndexedColors = [share for colour in categories.values() for share in colour]
        table.IndexedOpacities = [1.0] * len(categories)
        numbers = range(len(categories)) if in_legend is None else in_legend
        earlier = self.categories.get(array, {})
        shown = {
            name: colour
            for number, (name, colour) in enumerate(categories.items())
            if number in numbers or name in earlier
        }
        if shown:
            self.categories[array] = shown
        return table

    def of_heights(self, values):
        """The colour table and the opacities of a volume, both of the height.

        Args:
            values: ndarray, the quantity at every grid point of every panel.
        """
        from paraview import simple

        table = self._table(HEIGHT)
        points = np.reshape(self.quantity.RGBPoints, (-1, 4))
        points[:, 0] = self.scale.heights(points[:, 0])
        table.RGBPoints = points.ravel().tolist()
        opacity = simple.GetOpacityTransferFunction(self._name(HEIGHT))
        heights = self.scale.heights(values)
        shares, opacities = zip(*theme.VOLUME_OPACITY)
        # by quantiles: most of a landscape may lie in a small part of its range
        places = np.quantile(heights[np.isfinite(heights)], shares)
        opacity.Points = [
            number
            for place, value, before in zip(places, opacities, (-np.inf, *places))
            if place > before
            for number in (float(place), value, 0.5, 0.0)
        ]
        return table, opacity

    def named(self, array):
        """The table of an array, which was made before."""
        from paraview import simple

        return simple.GetColorTransferFunction(self._name(array))

    def _name(self, array):
        # ParaView's own table of an array is one for everything in the session, and changes with
        # each filter that shows that array: a figure's tables have names of their own. A state
        # that is loaded beside it replaces tables of the same name, and so the scale is in it.
        digest = hashlib.sha256(repr(self.scale).encode()).hexdigest()[:6]
        return f"{array} of figure {self._number}x{digest}"

    def _table(self, array):
        """The figure's colour table of an array, as ParaView would make it without settings."""
        table = self.named(array)
        table.AutomaticRescaleRangeMode = "Never"
        table.UseLogScale = table.InterpretValuesAsCategories = 0
        table.Discretize, table.NumberOfTableValues = 1, 256
        table.ColorSpace, table.NanColor = "RGB", [1.0, 1.0, 1.0]
        return table

    def _quantity_table(self):
        table = self._table(self.scale.array)
        self._fill(table, self.scale, self.quantity_colours)
        return table

    def _fill(self, table, scale, points):
        shares, *colours = np.transpose(points)
        values = scale.values(scale.bottom + shares * (scale.top - scale.bottom))
        values[[0, -1]] = scale.lower, scale.upper
        table.RGBPoints = np.transpose([values, *colours]).ravel().tolist()
        # after the points: set on a log scale, ParaView would take them to one once more
        table.UseLogScale = int(scale.log)


def _free_number():
    """The least number from 1 that no figure of the session has, by the names of their tables."""
    from paraview import servermanager

    names = servermanager.ProxyManager().GetProxiesInGroup("lookup_tables")
    taken = {
        int(found[1]) for found in (_FIGURE_NUMBER.search(name) for name, _id in names) if found
    }
    return next(number for number in range(1, len(taken) + 2) if number not in taken)
