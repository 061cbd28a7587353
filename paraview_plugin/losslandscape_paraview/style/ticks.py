"""Round values for axes, colour bars and levels, and the labels that tell them apart."""

import math

import numpy as np


def round_step(step):
    """The least of 1, 2, 5 times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def multiples(step, low, high):
    """The multiples of a step of one or two digits from `low` to `high`, free of rounding.

    Ends are included.

    >>> multiples(0.1, 0.1, 0.5)
    [0.1, 0.2, 0.3, 0.4, 0.5]
    """
    slack = 1e-9 * (high - low)
    first, last = math.ceil((low - slack) / step), math.floor((high + slack) / step)
    decimals = 1 - math.floor(math.log10(step) + 1e-9)
    return [round(step * n, decimals) + 0.0 for n in range(first, last + 1)]


def round_ticks(low, high, count):
    """About `count` round values from `low` to `high`."""
    return multiples(round_step((high - low) / count), low, high)


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


def label_format(ticks):
    """The format with the fewest digits, three or more, that tells ticks apart and truly.

    A label is off by at most a hundredth of the least distance between two ticks. Up to 99999 there
    is no exponent.

    >>> label_format([98.0, 100.0, 102.0]), label_format([2.302586, 2.302587])
    ('{:.3g}', '{:.7g}')
    """
    ticks = sorted(float(tick) for tick in ticks)
    gaps = [b - a for a, b in zip(ticks, ticks[1:]) if b > a]
    room = 0.01 * min(gaps or [abs(ticks[0]) if ticks else 1.0])
    least = max([3, *(len(f"{abs(tick):.0f}") for tick in ticks if 1e3 <= abs(tick) < 1e5)])
    for digits in range(least, 17):
        if all(abs(float(f"{tick:.{digits}g}") - tick) <= room for tick in ticks):
            return f"{{:.{digits}g}}"
    return "{:.17g}"


def are_written_alike(ticks, label):
    """Whether ParaView's automatic labels, of six digits, are as true as a format's, and as short.

    >>> are_written_alike([0.01, 0.1], "{:.3g}"), are_written_alike([2.302586, 2.302587], "{:.7g}")
    (True, False)
    """
    return all(
        abs(float(f"{tick:g}") - tick) <= abs(float(label.format(tick)) - tick)
        and len(f"{tick:g}") <= len(label.format(tick)) + 2
        for tick in ticks
    )
