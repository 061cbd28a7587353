"""Directions and boxes on the screen of a view with parallel projection."""

import numpy as np


def screen_axes(direction, view_up):
    """The directions in a view's space that point right and up on the screen.

    Args:
        direction: from where the camera looks.
        view_up: the direction in space that is up on the screen.

    >>> right, up = screen_axes((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    >>> right.tolist(), up.tolist()
    ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    """
    towards = np.array(direction, float)
    right = np.cross(view_up, towards)
    up = np.cross(towards, right)
    return right / np.linalg.norm(right), up / np.linalg.norm(up)


def within(points, box, margin):
    """Which points of the screen lie in a box, or so close beside it; shape (points,) of bool.

    Args:
        points: their places, shape (points, 2).
        box: left, right, below and above.
        margin: in the same unit.
    """
    left, right, below, above = box
    x, y = points.T
    inside = (x > left - margin) & (x < right + margin)
    return inside & (y > below - margin) & (y < above + margin)


def meet(one, other, slack=0.0):
    """Whether two boxes overlap; with a slack also if one stands so close above the other.

    >>> meet((0, 2, 0, 1), (1, 3, 0.5, 2)), meet((0, 1, 0, 1), (2, 3, 0, 1))
    (True, False)
    """
    return (
        one[0] < other[1] and other[0] < one[1] and one[2] < other[3] + slack and other[2] < one[3]
    )
