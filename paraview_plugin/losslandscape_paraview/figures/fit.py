"""Where a plane's box and the words at its axes lie on the screen, and the camera that holds them.

The projection is parallel. So words keep their size in pixels, and the box can be as large as they
leave room for.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..sources import provenance as words
from ..style import theme
from ..style.screen import meet, screen_axes
from ..style.ticks import label_format, round_ticks

# a letter's mean width, and the distance of a tick's label from its edge, in heights of a letter
LETTER_WIDTH, AWAY = 0.56, 0.45
# a digit's height, in heights of a letter
DIGIT_HEIGHT = 0.74
LEAST_LOSS_TICKS, MOST_LOSS_TICKS = 3, 5
# how much higher a box gets, and how small the values at its upright edge, until three have room
LOSS_AXIS_TRIES = (
    *((1.0, 1.0), (1.15, 1.0), (1.3, 1.0), (1.5, 1.0)),
    *((1.5, 0.85), (1.75, 0.75), (2.0, 0.72), (2.2, 0.72)),
)
# of the height, on the screen: what is less is seen from above
LEAST_RISE = 0.05
MARGIN = 6.0  # of a panel, in pixels


@dataclass
class Words:
    """Words at an axis.

    Attributes:
        text: what is written.
        place: the point in the view's space beside which they stand.
        shift: from that point to their lower left corner, in pixels, right and up.
        size: their width and height in pixels.
        letters: height of a letter in pixels.
        what: their part of the axes, for the pipeline browser.
        drawn_by_axes: ParaView's own axes write them.
    """

    text: str
    place: Any
    shift: Any
    size: Any
    letters: float
    what: str
    drawn_by_axes: bool = False


@dataclass
class Fitted:
    """Planes with the words at their axes, and the camera that holds them.

    Attributes:
        boxes: list of `Box`, one a panel.
        words: list of lists of `Words`, one a panel.
        loss_ticks: the values along the height.
        pixels: the length of a pixel in the view's space.
        shift: ndarray, how far the view's middle is from the middle of a box.
    """

    boxes: Any
    words: Any
    loss_ticks: Any
    pixels: float
    shift: Any


def view_up(direction):
    """Which direction is up on the screen: the height, or beta where one looks straight down."""
    return (0.0, 1.0, 0.0) if abs(direction[0]) + abs(direction[1]) < 1e-6 else theme.VIEW_UP


def near_corner(direction):
    """0 or 1 along x and y: the corner of the plane that is nearest to the reader."""
    return int(direction[0] > 0), int(direction[1] > 1e-6)


def loss_corner(direction):
    """0 or 1 along x and y: the corner of the box whose upright edge stands furthest left."""
    right, _up = screen_axes(direction, view_up(direction))
    corners = [(x, y) for x in (0, 1) for y in (0, 1)]
    # of two that stand equally far left the nearer
    near = np.array(direction[:2])
    return min(corners, key=lambda c: (round(float(c @ right[:2]), 6), -float(c @ near)))


def words_at_axes(box, scale, provenance, direction, width, loss_ticks, loss_share=1.0):
    """The words at the axes of a plane's box.

    Args:
        box: the panel's `Box`, of two dimensions.
        scale: `DisplayScale`.
        provenance: the landscape's.
        direction: from where the camera looks.
        width: the width in pixels that text sizes are shares of.
        loss_ticks: the values along the height.
        loss_share: their size, of the other ticks'.

    Returns:
        list of `Words`
    """
    right, up = screen_axes(direction, view_up(direction))
    near, low, high = near_corner(direction), np.array(box.bounds[::2]), np.array(box.bounds[1::2])
    ends = np.stack([low, high])
    letter = theme.LETTER_SHARE * width
    found: list[Words] = []
    for axis, title in enumerate(words.axis_titles(provenance, shares=True)[:2]):
        along, other = np.zeros(3), 1 - axis
        along[other] = 1 if near[other] else -1
        outward = np.array([along @ right, along @ up])
        # across the edge, and away from the box
        edge = np.eye(3)[axis]
        edge = np.array([edge @ right, edge @ up])
        if np.hypot(*edge) < 0.05:  # it is seen end on
            continue
        across = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
        if across @ outward < 0 or (abs(across @ outward) < 1e-9 and across[1] > 0):
            across = -across
        ticks = box_ticks(box, axis)
        label = label_format(ticks)
        reach = 0.0
        for tick in ticks:
            text = f"{tick:g}"
            place = np.array([0.0, 0.0, low[2]])
            place[axis] = tick * box.axes_scale[axis] + box.axes_position[axis]
            place[other] = ends[near[other], other]
            size = np.array([LETTER_WIDTH * len(text), 1.0]) * letter
            far = AWAY * letter + abs(across[0]) * size[0] / 2 + abs(across[1]) * size[1] / 2
            found.append(
                Words(text, place, across * far - size / 2, size, letter, f"{axis} {label}", True)
            )
            reach = max(reach, far + abs(across[0]) * size[0] / 2 + abs(across[1]) * size[1] / 2)
        place = np.array([0.0, 0.0, low[2]])
        place[other] = ends[near[other], other]
        letters = letter
        if len(words.plain(title)) == 1:
            letters = theme.TITLE_LETTER_SHARE * width
        size = np.array([LETTER_WIDTH * len(words.plain(title)), 1.0]) * letters
        if abs(across[0]) < 0.25 or (len(words.plain(title)) == 1 and abs(across[0]) < 0.85):
            # a letter beside the edge's middle; words under an edge that lies level
            place[axis] = (low[axis] + high[axis]) / 2
            shift = across * (reach + 0.35 * letters + abs(across[1]) * size[1] / 2) - size / 2
            shift[0] += across[0] * size[0] / 2
        elif abs(across[0]) < 0.85:
            # below the nearest corner, each on the side of its axis
            place[axis] = ends[near[axis], axis]
            side = 1.0 if across[0] > 0 else -1.0
            shift = np.array([side * 0.5 * letter, -(AWAY + 2.1) * letter])
            shift[0] -= size[0] if side < 0 else 0.0
        else:
            # above an edge that stands upright
            upper = int(edge[1] > 0)
            place[axis] = ends[upper, axis]
            shift = np.array([-size[0] / 2 + 0.5 * across[0] * reach, 0.9 * letter])
        name = ("alpha", "beta")[axis]
        found.append(Words(title, place, shift, size, letters, f"title of {name}"))
    if abs(up[2]) > LEAST_RISE:
        title = words.literal(words.short_quantity(provenance, scale.array))
        title += ", log" if scale.log else ""
        found += _loss_axis(box, scale, title, direction, letter, loss_ticks, loss_share)
    return found


def _loss_axis(box, scale, title, direction, letter, ticks, share):
    """The true values along the box's left upright edge, and its title above."""
    x, y = loss_corner(direction)
    foot = np.array([box.bounds[x], box.bounds[2 + y], box.bounds[4]])
    found = []
    label = label_format(ticks)
    for tick in ticks:
        place = foot.copy()
        place[2] = box.factor * float(scale.heights(tick))
        text, digits = label.format(tick), share * letter
        size = np.array([LETTER_WIDTH * len(text), 1.0]) * digits
        shift = np.array([-size[0] - 0.5 * letter, -0.5 * digits])
        found.append(Words(text, place, shift, size, digits, f"loss {text}"))
    size = np.array([LETTER_WIDTH * len(words.plain(title)), 1.0]) * letter
    place = foot.copy()
    place[2] = box.bounds[5]
    shift = np.array([-min(size[0] / 2, 2.4 * letter), 0.7 * letter])
    found.append(Words(title, place, shift, size, letter, "title of the loss"))
    return found


def without_crowd(found, pixels, right, up):
    """The words without the values of the loss that would lie over others."""
    kept: list[Words] = []
    taken: list[tuple] = []
    for one in sorted(found, key=lambda word: word.what.startswith("loss ")):
        x = float(one.place @ right) / pixels + one.shift[0]
        y = float(one.place @ up) / pixels + one.shift[1]
        # digits fill the middle of a line's height
        spare = 0.0 if one.what.startswith("title") else (1.0 - DIGIT_HEIGHT) / 2 * one.letters
        gap = 0.1 * one.letters
        space = (x, x + one.size[0], y + spare - gap, y + one.size[1] - spare + gap)
        if one.what.startswith("loss ") and any(meet(space, other) for other in taken):
            continue
        kept.append(one)
        taken.append(space)
    return kept


def best_loss_ticks(scale, words_with, pixels, right, up):
    """The values along the height that have room: three to five of them where that can be.

    Args:
        scale: `DisplayScale`.
        words_with: function of a list of values to a list of lists of `Words`, one a panel.
        pixels: the length of a pixel in the view's space.
        right, up: the screen's directions in it.

    Returns:
        list of float: the first of `DisplayScale.tick_choices` whose three to five values have all
        room in all panels, or else those with room of the choice that has most of them; and bool,
        whether it is the former.
    """
    best: list[float] = []
    for ticks in scale.tick_choices():
        label = label_format(ticks)
        names = [f"loss {label.format(tick)}" for tick in ticks]
        for found in words_with(ticks):
            kept = {one.what for one in without_crowd(found, pixels, right, up)}
            names = [name for name in names if name in kept]
        free = [tick for tick in ticks if f"loss {label.format(tick)}" in names]
        if len(free) == len(ticks) and LEAST_LOSS_TICKS <= len(ticks) <= MOST_LOSS_TICKS:
            return ticks, True
        if len(best) < len(free) <= MOST_LOSS_TICKS:
            best = free
    return best, False


def fit_planes(boxes, scale, provenances, direction, width, size, above, below, least=0.0):
    """Make the boxes of planes as large as the words around them leave room for.

    Where the upright edge is too short for three values, the boxes get higher, and these values
    smaller, as little as will do.

    Args:
        boxes: list of `Box`, one a panel; they are of one size.
        scale: `DisplayScale`.
        provenances: the landscapes'.
        direction: from where the camera looks.
        width: the width in pixels that text sizes are shares of.
        size, above, below: see `fitted_camera`.
        least: the smallest size of these values, of the other ticks'.

    Returns:
        `Fitted`
    """
    right, up = screen_axes(direction, view_up(direction))
    best = None
    for stretch, share in LOSS_AXIS_TRIES:
        higher = [box.stretched(stretch) for box in boxes]

        size_of_loss = max(share, least)

        def words_with(ticks, boxes=higher, share=size_of_loss):
            return [
                words_at_axes(box, scale, provenance, direction, width, ticks, share)
                for box, provenance in zip(boxes, provenances)
            ]

        ticks = scale.tick_choices()[0]
        for _round in range(2):  # which values have room depends on the size, and it on them
            pixels, _shift = fitted_camera(higher, words_with(ticks), direction, size, above, below)
            ticks, complete = best_loss_ticks(scale, words_with, pixels, right, up)
        found = words_with(ticks)
        pixels, shift = fitted_camera(higher, found, direction, size, above, below)
        found = [without_crowd(one, pixels, right, up) for one in found]
        fitted = Fitted(higher, found, ticks, pixels, shift)
        # seen from above there are none
        if complete or abs(up[2]) <= LEAST_RISE:
            return fitted
        if best is None or len(ticks) > len(best.loss_ticks):
            best = fitted
    return best


def box_ticks(box, axis):
    """Round values along an axis of a box, both ends among them where they are round."""
    low, high = (
        (box.bounds[2 * axis + end] - box.axes_position[axis]) / box.axes_scale[axis]
        for end in (0, 1)
    )
    for count in (4, 5, 6, 8):
        ticks = round_ticks(low, high, count)
        if len(ticks) >= 3:
            return ticks
    return [low, high]


def fitted_camera(boxes, found, direction, size, above, below):
    """How large a pixel is in the view's space, and where its middle is.

    Args:
        boxes: list of `Box`, one a panel; they are of one size.
        found: list of lists of `Words`, one a panel.
        direction: from where the camera looks.
        size: width and height of a panel in pixels.
        above, below: pixels that other texts take there.

    Returns:
        float, the length of a pixel, and ndarray, how far the view's middle is from the middle of
        a box.
    """
    right, up = screen_axes(direction, view_up(direction))
    points, reach = [], []
    for box, at_axes in zip(boxes, found):
        middle = (np.array(box.bounds[::2]) + np.array(box.bounds[1::2])) / 2
        for corner in range(8):
            place = [box.bounds[2 * axis + (corner >> axis & 1)] for axis in range(3)]
            points.append(np.array(place) - middle)
            reach.append((0.0, 0.0, 0.0, 0.0))
        for one in at_axes:
            points.append(one.place - middle)
            reach.append((*one.shift, *(one.shift + one.size)))
    x, y = np.array(points) @ right, np.array(points) @ up
    left, bottom, far, top = np.transpose(reach)
    room = np.array([size[0] - 2 * MARGIN, size[1] - above - below - 2 * MARGIN])
    room = np.maximum(room, 0.2 * np.array(size))

    def extent(pixels):
        ends = (x / pixels + left).min(), (x / pixels + far).max()
        return (*ends, (y / pixels + bottom).min(), (y / pixels + top).max())

    # the words alone may be too long for the room: then they stick out
    smallest = 2.0 * max(np.ptp(x), np.ptp(y), 1e-12) / max(size)
    low, high = smallest / 50, smallest * 50
    for _ in range(80):
        pixels = math.sqrt(low * high)
        x0, x1, y0, y1 = extent(pixels)
        fits = x1 - x0 <= room[0] and y1 - y0 <= room[1]
        low, high = (low, pixels) if fits else (pixels, high)
    pixels = min(high, 2 * smallest)
    x0, x1, y0, y1 = extent(pixels)
    across = (x0 + x1) / 2
    # the room is not in the middle of the panel
    upwards = (y0 + y1) / 2 + (above - below) / 2
    return pixels, pixels * (across * right + upwards * up)
