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


def words_at_axes(box, scale, provenance, direction, width):
    """The words at the axes of a plane's box.

    Args:
        box: the panel's `Box`, of two dimensions.
        scale: `DisplayScale`.
        provenance: the landscape's.
        direction: from where the camera looks.
        width: the width in pixels that text sizes are shares of.

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
    if abs(up[2]) > 0.05:
        found += _loss_axis(box, scale, provenance, direction, letter, up[2])
    return found


def _loss_axis(box, scale, provenance, direction, letter, rise):
    """The true values along the box's left upright edge, and its title above."""
    x, y = loss_corner(direction)
    foot = np.array([box.bounds[x], box.bounds[2 + y], box.bounds[4]])
    found, ticks = [], loss_ticks(scale)
    label = label_format(ticks)
    for tick in ticks:
        place = foot.copy()
        place[2] = box.factor * float(scale.heights(tick))
        text = label.format(tick)
        size = np.array([LETTER_WIDTH * len(text), 1.0]) * letter
        shift = np.array([-size[0] - 0.5 * letter, -0.5 * letter])
        found.append(Words(text, place, shift, size, letter, f"loss {text}"))
    text = words.short_quantity(scale.array) + (", log" if scale.log else "")
    size = np.array([LETTER_WIDTH * len(text), 1.0]) * letter
    place = foot.copy()
    place[2] = box.bounds[5]
    shift = np.array([-min(size[0] / 2, 2.4 * letter), 0.7 * letter])
    found.append(Words(text, place, shift, size, letter, "title of the loss"))
    return found


def without_crowd(found, pixels, right, up):
    """The words without the values of the loss that would lie over others."""
    kept: list[Words] = []
    taken: list[tuple] = []
    for one in sorted(found, key=lambda word: word.what.startswith("loss ")):
        x = float(one.place @ right) / pixels + one.shift[0]
        y = float(one.place @ up) / pixels + one.shift[1]
        space = (x, x + one.size[0], y, y + 1.05 * one.size[1])
        if one.what.startswith("loss ") and any(meet(space, other) for other in taken):
            continue
        kept.append(one)
        taken.append(space)
    return kept


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


def loss_ticks(scale):
    """Values along the height: few, for the edge is short."""
    ticks = scale.ticks(3)
    while len(ticks) > 4:
        ticks = ticks[:: math.ceil(len(ticks) / 4)]
    return ticks


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
