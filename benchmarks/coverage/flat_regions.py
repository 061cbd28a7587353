"""Flat regions of known size: what is called resolved, the stated errors, the lower bounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

import losslandscape as ll
from benchmarks.coverage.claim import Claim, Family, Outcome
from benchmarks.coverage.mean_tables import WRONG, trained
from losslandscape.analysis.flatness import BasinOfMinimum, FlatRegion

SECTION = "Flat regions"
# coordinates -> field, whose region is {field <= 1}; its size; a point inside
Shape = tuple[Callable[..., np.ndarray], float, np.ndarray]


def _turned(random: np.random.Generator, center: np.ndarray):
    """A function to local coordinates, and the angle."""
    angle = random.uniform(0, np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)

    def local(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = x - center[0], y - center[1]
        return x * cosine + y * sine, -x * sine + y * cosine

    return local, angle


def ellipse(random: np.random.Generator, h: float, center: np.ndarray) -> Shape:
    local, _ = _turned(random, center)
    a, b = random.uniform(2, 12, 2) * h

    def field(x, y):
        u, v = local(x, y)
        return (u / a) ** 2 + (v / b) ** 2

    return field, np.pi * a * b, center


def ring(random: np.random.Generator, h: float, center: np.ndarray) -> Shape:
    radius, width = random.uniform(0.3, 0.6), random.uniform(0.8, 6) * h

    def field(x, y):
        return ((np.hypot(x - center[0], y - center[1]) - radius) / width) ** 2

    return field, 4 * np.pi * radius * width, center + np.array([radius, 0.0])


def crescent(random: np.random.Generator, h: float, center: np.ndarray) -> Shape:
    local, angle = _turned(random, center)
    radius, width = random.uniform(0.3, 0.6), random.uniform(0.8, 6) * h

    def along(turn):
        return (turn / 1.5) ** 2 * 0.9 + (abs(turn) / 1.8) ** 6

    def field(x, y):
        u, v = local(x, y)
        return ((np.hypot(u, v) - radius) / width) ** 2 + along(np.arctan2(v, u))

    end = brentq(lambda turn: along(turn) - 1, 0.0, 3.0)
    area = 2 * quad(lambda t: 2 * radius * width * np.sqrt(max(1 - along(t), 0.0)), 0, end)[0]
    return field, area, center + radius * np.array([np.cos(angle), np.sin(angle)])


def star(random: np.random.Generator, h: float, center: np.ndarray) -> Shape:
    local, _ = _turned(random, center)
    rays, radius, depth = random.integers(2, 7), random.uniform(0.2, 0.5), random.uniform(0.2, 0.7)

    def field(x, y):
        u, v = local(x, y)
        return (np.hypot(u, v) / (radius * (1 + depth * np.cos(rays * np.arctan2(v, u))))) ** 2

    return field, np.pi * radius**2 * (1 + depth**2 / 2), center


def banana(random: np.random.Generator, h: float, center: np.ndarray) -> Shape:
    """An ellipse bent along a parabola, as Rosenbrock's valley; shears keep the area."""
    local, _ = _turned(random, center)
    a, b, bend = random.uniform(6, 14) * h, random.uniform(1.5, 6) * h, random.uniform(0.3, 1.5)

    def field(x, y):
        u, v = local(x, y)
        return (u / a) ** 2 + ((v - bend * u**2) / b) ** 2

    return field, np.pi * a * b, center


def rounded_box(random: np.random.Generator, h: float, center: np.ndarray) -> Shape:
    """|u/a|^4 + |v/b|^4: nearly a rectangle. The area has gamma functions; here by quadrature."""
    local, _ = _turned(random, center)
    a, b = random.uniform(3, 12, 2) * h

    def field(x, y):
        u, v = local(x, y)
        return np.sqrt((u / a) ** 4 + (v / b) ** 4)

    return field, 4 * a * b * quad(lambda t: (1 - t**4) ** 0.25, 0, 1)[0], center


SHAPES = {
    "ellipses": ellipse, "rings": ring, "crescents": crescent, "stars": star,
    "bananas": banana, "rounded boxes": rounded_box,
}  # fmt: skip


def _landscape(grid: ll.Grid, values: np.ndarray) -> ll.Landscape:
    fields = {"loss": np.asarray(values, np.float64).reshape(grid.shape)}
    return ll.Landscape(grid, fields, np.ones(grid.shape, np.int8), np.eye(grid.dimensions))


def _region(name: str, seed: int, outside: bool = False) -> tuple[FlatRegion, float]:
    """The region of a random shape on 51 x 51 points of [-1, 1]^2, and its true size."""
    random, grid = np.random.default_rng(seed), ll.Grid.square(51)
    while True:
        center = random.uniform(-0.9, 0.9, 2) if outside else random.uniform(-0.05, 0.05, 2)
        field, area, inside = SHAPES[name](random, grid.spacing[0], center)
        if abs(inside).max() <= 1:
            basin = BasinOfMinimum(
                _landscape(grid, field(*grid.points().T)), "linear", inside.tolist()
            )
            if basin.loss < 1:  # else no grid point lies in the region
                return basin.region(1.0 - basin.loss), area


def resolved(name: str, seed: int) -> Outcome:
    """Whether a region that is called resolved is at most 2% off."""
    region, area = _region(name, seed)
    if region.lower_bound or not region.resolved:
        return Outcome(None)
    off = abs(region.size / area - 1)
    return Outcome(off <= 0.02, 100 * off, "" if off <= 0.02 else f"{off:.2%} off")


def size_error(name: str, seed: int) -> Outcome:
    """Whether the true error of the size is at most 1.2 times the stated one."""
    region, area = _region(name, seed)
    if region.lower_bound or not np.isfinite(region.errors.discretization):
        return Outcome(None)
    off, stated = abs(region.size - area), region.errors.discretization
    right = off <= 1.2 * stated + 1e-4 * area
    note = "" if right else f"off by {off / area:.2%}, stated {stated / area:.2%}"
    return Outcome(right, off / stated, note)


def lower_bound(name: str, seed: int) -> Outcome:
    """Whether a region at the window's edge is no larger than the whole shape."""
    region, area = _region(name, seed, outside=True)
    if not region.lower_bound:
        return Outcome(None)
    ratio = region.size / area
    return Outcome(ratio <= 1.01, ratio, "" if ratio <= 1.01 else f"{ratio:.3g} of the true size")


def length(seed: int) -> Outcome:
    """As :func:`resolved`, on a line with a skewed well."""
    random, grid = np.random.default_rng(seed), ll.Grid.line(101)
    width, skew = random.uniform(1, 20) * grid.spacing[0], random.uniform(-0.5, 0.5)

    def field(x):
        return (x / width) ** 2 * (1 + skew * np.tanh(x / width))

    ends = (
        brentq(lambda x: field(x) - 1, 0, 3 * width),
        brentq(lambda x: field(x) - 1, -3 * width, 0),
    )
    basin = BasinOfMinimum(_landscape(grid, field(grid.points()[:, 0])), "linear", (0.0,))
    region, true = basin.region(1.0), ends[0] - ends[1]
    off = abs(region.size / true - 1)
    if not region.resolved or region.lower_bound:
        return Outcome(None)
    return Outcome(off <= 0.02, 100 * off, "" if off <= 0.02 else f"{off:.2%} off")


def volume(seed: int) -> Outcome:
    """As :func:`resolved`, on ellipsoids; 4% is allowed."""
    random, grid = np.random.default_rng(seed), ll.Grid((25,) * 3, ((-1.0, 1.0),) * 3)
    axes = random.uniform(2.5, 10, 3) * grid.spacing[0]
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    places = grid.points() @ turn.T
    basin = BasinOfMinimum(
        _landscape(grid, ((places / axes) ** 2).sum(axis=1)), "linear", (0.0, 0.0, 0.0)
    )
    region, true = basin.region(1.0), 4 / 3 * np.pi * axes.prod()
    if not region.resolved or region.lower_bound:
        return Outcome(None)
    off = abs(region.size / true - 1)
    return Outcome(off <= 0.04, 100 * off, "" if off <= 0.04 else f"{off:.2%} off")


SAMPLED: dict[str, tuple[float | None, int]] = {  # share of wrong samples (None: exponential), n
    "1% of samples wrong, n = 200": (0.01, 200),
    "10% of samples wrong, n = 1,000": (0.1, 1000),
    "30% of samples wrong, n = 2,000": (0.3, 2000),
    "exponential, n = 1,000": (None, 1000),
    "exponential, n = 2,000": (None, 2000),
}


def sampled_size(name: str, seed: int) -> Outcome:
    """Whether the bootstrap's interval holds the size for the population; None where it warns.

    Sample i has the loss a_i r^2, so that the population's region is a disc. Far from it half of
    the samples are wrong, as on a real landscape.
    """
    share, count = SAMPLED[name]
    random, grid = np.random.default_rng(seed), ll.Grid.square(17)
    if share is None:
        steepness, mean = random.exponential(size=count), 1.0
    else:
        wrong = tuple(WRONG)[seed % len(WRONG)]
        rows, mean = trained(random, 1, count, share, wrong, "exponential 0.01")
        steepness = rows[0]
    height = (grid.points() ** 2).sum(axis=1)
    losses = height[:, None] * steepness
    losses[height > 0.6] += random.exponential(0.5, count) * (random.random(count) < 0.5)
    landscape = _landscape(grid, losses.mean(axis=1))
    landscape.samples["loss_samples"] = losses.reshape(*grid.shape, count)
    epsilon = 0.4 * mean
    found = ll.flat_region(landscape, epsilon, scale="linear", draws=200, seed=seed)
    if not found.errors.sampling_trusted or found.lower_bound:
        return Outcome(None)
    low, high = found.errors.sampling
    true = np.pi * epsilon / mean
    note = f"{low:.3g} to {high:.3g}, truth {true:.3g}"
    return Outcome(low <= true <= high, (high - low) / true, note)


def claims() -> tuple[Claim, ...]:
    return (
        Claim(
            "resolved",
            SECTION,
            "A region that is called resolved is at most 2% off (volumes: 4%).",
            1.0,
            (
                *(Family(name, partial(resolved, name), 200) for name in SHAPES),
                Family("skewed wells on a line", length, 200),
                Family("ellipsoids in a volume", volume, 40),
            ),
            number="off, in %",
        ),
        Claim(
            "size error",
            SECTION,
            "The true error of the size, by the grid alone, is at most 1.2 times the stated one.",
            1.0,
            tuple(Family(name, partial(size_error, name), 200) for name in SHAPES),
            required=0.98,
            number="true / stated error",
            why="On most shapes the stated error is the true one to a few percent. It is larger or "
            "smaller where rays or corners are only a few cells wide.",
        ),
        Claim(
            "lower bounds",
            SECTION,
            "A region that reaches the window's edge has a size of at least what is stated "
            "(within 1%).",
            1.0,
            tuple(Family(name, partial(lower_bound, name), 100) for name in SHAPES),
            number="stated / true size",
        ),
        Claim(
            "sampled size",
            SECTION,
            "The interval of the size for other samples holds the size for the population, unless "
            "the report warns.",
            0.95,
            tuple(Family(name, partial(sampled_size, name), 100) for name in SAMPLED),
            required=0.90,
            number="width / size",
            why="It is the percentiles of a bootstrap, which are a little too narrow. The report "
            "warns in the cases that are not counted: fewer than three samples carry half of the "
            "variance at the region's edge, or samples that were not drawn could move it.",
        ),
    )
