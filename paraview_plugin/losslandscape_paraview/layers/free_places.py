"""Places for labels where they lie over no curve, no mark and no other label."""

import numpy as np

from ..sources.landscape_sources import fetch, point_array
from ..style import theme
from ..style.scale import HEIGHT
from ..style.screen import meet, within
from .drape import surface_points

_HEIGHTS = np.linspace(0.1, 1.6, 16)  # of poles, in half plane widths


class FreePlaces:
    """The places of a panel's labels on the screen.

    Args:
        panel: a `Panel` whose `obstacles` are known.
    """

    def __init__(self, panel):
        self._panel = panel
        self._right, self._up = panel.figure.screen_axes()
        self._letter = theme.LETTER_SHARE * panel.figure.letter_width
        self._letter *= panel.figure.pixel_size(panel)
        points = np.concatenate([np.zeros((0, 3)), *panel.obstacles])
        self._points = np.stack([points @ self._right, points @ self._up], axis=1)
        self._surface = surface_on_screen(panel)
        self._taken = panel.figure.words_on_screen(panel)
        bounds = panel.box.bounds
        corners = [np.array([bounds[0], bounds[2], 0.0]), np.array([bounds[1], bounds[2], 0.0])]
        corners += [np.array([bounds[0], bounds[3], 0.0]), np.array([bounds[1], bounds[3], 0.0])]
        across = [float(corner @ self._right) for corner in corners]
        self._middle = (min(across) + max(across)) / 2

    def above(self, place, label):
        """Where a label stands best on a pole.

        Args:
            place: the pole's foot.
            label: the words.

        Returns:
            list of three numbers, the pole's top; list of three numbers, where the label stands,
            which is the same place on the screen and before the surface; whether the label ends
            there, not begins; the colour of its letters, and whether they have a shadow.
        """
        least = None
        foot = float(place @ self._right)
        for height in _HEIGHTS:
            top = place + np.array([0.0, 0.0, height * self._panel.box.unit])
            for turned in (foot > self._middle, foot <= self._middle):
                box = self._box(top, label, turned)
                cost = self._cost(box) + 0.3 * height + 0.1 * (turned != (foot > self._middle))
                if least is None or cost < least[0]:
                    least = (cost, top, box, turned)
        assert least is not None
        _cost, top, box, turned = least
        self._taken.append(box)
        # the projection is parallel: nearer to the reader, a label is where it was on the screen
        towards = self._panel.figure.towards_reader()
        surface = surface_points(self._panel)
        hidden = nearest(surface, box, self._right, self._up, towards) - float(top @ towards)
        label_at = top + max(0.0, hidden + 0.05 * self._panel.box.unit) * towards
        places = [[float(x) for x in place] for place in (top, label_at)]
        return (*places, bool(turned), *letter_colour(self._panel, box))

    def _box(self, anchor, label, turned):
        x, y = float(anchor @ self._right), float(anchor @ self._up)
        wide = 0.62 * self._letter * len(label)
        return (x - wide if turned else x, x if turned else x + wide, y, y + self._letter)

    def _cost(self, box):
        inside = within(self._points, box, 0.2 * self._letter)
        labels = sum(meet(box, other) for other in self._taken)
        covered = coverage(self._surface, box)
        return int(inside.sum()) + 20 * labels + 8 * covered * (1 - covered)


def surface_on_screen(panel):
    """The vertices of the surface on the screen, shape (points, 2)."""
    right, up = panel.figure.screen_axes()
    points = surface_points(panel)
    return np.stack([points @ right, points @ up], axis=1)


def coverage(surface, box):
    """Which share of a box on the screen the surface lies behind, from 0 to 1.

    Args:
        surface: of `surface_on_screen`.
        box: left, right, below and above.
    """
    if not len(surface):
        return 0.0
    left, right, below, above = box
    near = 0.7 * (above - below)
    across = np.linspace(left, right, 7)
    hit = [(np.abs(surface - [x, (below + above) / 2]).max(axis=1) < near).any() for x in across]
    return float(np.mean(hit))


def nearest(points, box, right, up, towards):
    """How near to the reader the surface comes behind a box of the screen, or just beside it."""
    # beside it by a letter, where what lies between vertices is seen
    behind = within(np.stack([points @ right, points @ up], axis=1), box, box[3] - box[2])
    return float((points[behind] @ towards).max()) if behind.any() else -np.inf


def ball_points(panel, places, radius):
    """Points around balls on the screen, for `Panel.obstacles`; list of one array."""
    right, up = panel.figure.screen_axes()
    angles = np.linspace(0, 2 * np.pi, 9)
    around = (
        radius * panel.box.unit * (np.outer(np.cos(angles), right) + np.outer(np.sin(angles), up))
    )
    return [(np.asarray(places, float)[:, None, :] + around[None]).reshape(-1, 3)]


def letter_colour(panel, box):
    """The colour of letters, and whether they have a shadow, which is of the other colour.

    White on a dark surface, ink on a light one, beside it, and half beside it, where white letters
    would be lost on the page.

    Args:
        panel: a `Panel`.
        box: left, right, below and above of the letters on the screen.
    """
    surface = surface_on_screen(panel)
    behind = within(surface, box, box[3] - box[2])
    if not behind.any():
        return theme.INK, False
    heights = point_array(fetch(panel.heights), HEIGHT)[behind]
    share = (heights.mean() - panel.scale.bottom) / (panel.scale.top - panel.scale.bottom)
    places, *colours = np.transpose(panel.figure.tables.quantity_colours)
    red, green, blue = (np.interp(share, places, colour) for colour in colours)
    dark = bool(0.3 * red + 0.59 * green + 0.11 * blue <= 0.42)
    letter = box[3] - box[2]
    is_on_it = coverage(surface, (box[0] - letter, box[1] + letter, box[2], box[3])) == 1.0
    return theme.WHITE if dark and is_on_it else theme.INK, dark
