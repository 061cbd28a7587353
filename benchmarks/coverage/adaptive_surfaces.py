"""Adaptive evaluation of surfaces whose values are known everywhere, family by family.

The engine runs on the surface itself, without a network: ``tried("cones", seed=3)`` refines one
random surface of a family and compares the result with the truth.
``python -m benchmarks.coverage.adaptive_surfaces`` prints a line a family, and with ``--write``
writes the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks import results
from losslandscape import Grid
from losslandscape.adaptive.refinement import Adaptive, Refinement
from losslandscape.landscape.gaps import gaps_between

TOLERANCE = 0.01
_SIDES = (31, 41, 51)


@dataclass(frozen=True)
class Surface:
    """A surface that is known everywhere.

    Attributes
    ----------
    grid : Grid
    values : float64 ndarray, shape (size,)
    scale : "log" or "linear"
        On which its tolerance is.
    half_width : float or None
        Of its narrow well at half its depth, in spacings; None without such a well.
    """

    grid: Grid
    values: np.ndarray
    scale: str = "linear"
    half_width: float | None = None


class Outcome(NamedTuple):
    """What a refinement gave beside the truth.

    Attributes
    ----------
    error : float
        Largest true error, relative to the tolerance.
    stated : float
        Largest true error, relative to the stated largest error; 0 if there is no error.
    within : float
        Share of the interpolated points whose error is within its estimate; NaN if there are none.
    points : int
        Number of points evaluated.
    """

    error: float
    stated: float
    within: float
    points: int


def surface_families() -> dict[str, Callable[[np.random.Generator], Surface]]:
    """Functions that draw a random surface, by the name of the family."""
    return {
        "bowls": _bowl,
        "valleys": _valley,
        "Rosenbrock": _rosenbrock,
        "egg crates": _egg_crate,
        "plateaus": _plateau,
        "log cusps": _log_cusp,
        "cones": _cone,
        "creases": _crease,
        "wide wells": _wide_wells,
        "wells of half width 1.5": lambda random: _narrow_well(random, 1.5),
        "wells of half width 3": lambda random: _narrow_well(random, 3.0),
        "wells of half width 5": lambda random: _narrow_well(random, 5.0),
        "random networks": _network,
        "noisy": _noisy,
        "lines": _line,
    }


def tried(family: str, seed: int, tolerance: float = TOLERANCE) -> Outcome:
    """Refine one surface of a family and compare the result with the truth.

    Parameters
    ----------
    family : str
        A name of :func:`surface_families`.
    seed : int
        Of the surface and of the refinement.

    Raises
    ------
    KeyError
        If there is no such family.

    Examples
    --------
    >>> found = tried("bowls", seed=1)
    >>> found.error < 1, found.points < 500
    (True, True)
    """
    return compared(drawn(family, seed), *refined(drawn(family, seed), seed, tolerance))


def drawn(family: str, seed: int) -> Surface:
    """The surface of a family that belongs to a seed."""
    return surface_families()[family](np.random.default_rng([seed, 20]))


def refined(
    surface: Surface, seed: int, tolerance: float = TOLERANCE
) -> tuple[Refinement, np.ndarray]:
    """The refinement of a surface, and which of its points were evaluated."""
    refinement = Refinement(surface.grid, Adaptive(tolerance, scale=surface.scale, seed=seed))
    evaluated = np.zeros(surface.grid.size, bool)
    seen = np.full(surface.grid.size, np.nan)
    while (numbers := refinement.next_round(seen, evaluated)).size:
        evaluated[numbers] = True
        seen[numbers] = surface.values[numbers]
    return refinement, evaluated


def compared(surface: Surface, refinement: Refinement, evaluated: np.ndarray) -> Outcome:
    """A finished refinement beside the truth; errors are on the scale of the tolerance."""
    known = np.where(evaluated, surface.values, np.nan)
    values, error = refinement.interpolated(known)
    truth = surface.values
    if surface.scale == "log":
        error = np.log10(1 + error / values)
        truth, values = np.log10(truth), np.log10(values)
    off = np.abs(values - truth)
    rest = ~evaluated
    largest = float(off.max()) / float(np.ptp(truth))
    stated = refinement.estimated_error
    return Outcome(
        error=largest / refinement.settings.tolerance,
        stated=largest / stated if stated > 0 else 0.0,
        within=float((off <= error)[rest].mean()) if rest.any() else float("nan"),
        points=int(evaluated.sum()),
    )


def _square(random: np.random.Generator) -> tuple[Grid, np.ndarray, np.ndarray]:
    """A grid and its coordinates, rotated by a random angle about a random middle."""
    grid = Grid.square(int(random.choice(_SIDES)))
    angle = random.uniform(0, np.pi)
    x, y = grid.points().T - random.uniform(-0.6, 0.6, (2, 1))
    return grid, np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _bowl(random):
    grid, x, y = _square(random)
    values = x**2 + random.uniform(0.2, 5) * y**2 + random.uniform(-0.3, 0.3) * x**3
    values += random.uniform(0, 1) * (x**4 + y**4)
    if random.random() < 0.5:
        return Surface(grid, values - values.min() + 10 ** random.uniform(-2.5, -1), "log")
    return Surface(grid, values)


def _valley(random):
    grid, x, y = _square(random)
    y = y + random.uniform(-0.3, 0.3) * x**2
    values = 10 ** random.uniform(1.5, 3.5) * y**2 + x**2 + 10 ** random.uniform(-1.5, 0)
    return Surface(grid, values, str(random.choice(["log", "linear"])))


def _rosenbrock(random):
    grid, x, y = _square(random)
    x, y = 1.5 * x, 1.5 * y + 0.7
    values = 10 ** random.uniform(0.5, 2) * (y - x**2) ** 2 + (x - random.uniform(-1, 1)) ** 2
    return Surface(grid, values + 10 ** random.uniform(-2, 0), "log")


def _egg_crate(random):
    grid, x, y = _square(random)
    periods = random.uniform(10, 25, 2) / ((grid.counts[0] - 1) / 2)
    waves = np.cos(2 * np.pi * x / periods[0]) + np.cos(2 * np.pi * y / periods[1])
    return Surface(grid, x**2 + y**2 - random.uniform(0.1, 1) * waves)


def _plateau(random):
    grid, x, y = _square(random)
    spacing = 2 / (grid.counts[0] - 1)
    width = random.choice([0.0, 1.0, 4.0]) * spacing
    round_ = random.random() < 0.5
    across = np.hypot(x, y) - random.uniform(0.3, 0.9) if round_ else x
    ramp = np.clip(across / width, 0, 1) if width > 0 else (across > 0).astype(float)
    return Surface(grid, ramp + random.uniform(0, 0.3) * (x**2 + y**2))


def _log_cusp(random):
    grid, x, y = _square(random)
    spacing = 2 / (grid.counts[0] - 1)
    floor = (10 ** random.uniform(-1.5, 0) * spacing) ** 2
    values = x**2 + 10 ** random.uniform(-1, 1) * y**2 + floor
    return Surface(grid, values * np.exp(random.uniform(-1, 1) * x), "log")


def _cone(random):
    grid, x, y = _square(random)
    power = random.choice([0.5, 0.75, 1.0, 1.0])
    values = np.hypot(x, random.uniform(0.3, 3) * y) ** power
    return Surface(grid, values + random.uniform(0, 0.5) * x**2)


def _crease(random):
    grid, x, y = _square(random)
    values = np.abs(x + random.uniform(-0.5, 0.5) * y**2) + random.uniform(0, 0.5) * y**2
    for _ in range(random.integers(0, 3)):
        a, b, c = random.normal(size=3)
        values += random.uniform(0, 1) * np.maximum(a * x + b * y + c / 2, 0)
    return Surface(grid, values)


def _wide_wells(random):
    grid, x, y = _square(random)
    spacing = 2 / (grid.counts[0] - 1)
    values = random.uniform(0.1, 0.5) * (x**2 + y**2)
    for _ in range(random.integers(2, 7)):
        sigma = random.uniform(5, 9) * spacing
        a, b = random.uniform(-1, 1, 2)
        values -= random.uniform(0.2, 1) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2))
    return Surface(grid, values)


def _narrow_well(random, half_width):
    grid, x, y = _square(random)
    values = random.uniform(0.3, 1) * x**2 + random.uniform(0.3, 1) * y**2
    index = (grid.points() + 1) * (grid.counts[0] - 1) / 2
    place = random.uniform(2, grid.counts[0] - 3, 2)
    sigma = half_width / np.sqrt(2 * np.log(2))
    depth = random.uniform(0.05, 0.5) * np.ptp(values)
    values -= depth * np.exp(-((index - place) ** 2).sum(axis=1) / (2 * sigma**2))
    return Surface(grid, values, half_width=half_width)


def _network(random):
    """The mean square of residuals of small random networks, as the loss of a small data set is."""
    grid, x, y = _square(random)
    units, samples = 12, 24
    weights = random.normal(size=(samples, units, 3)) * [2.0, 2.0, 1.0]
    features = np.tanh(np.tensordot(weights, np.stack([x, y, np.ones_like(x)]), 1))
    outputs = np.einsum("suk,su->sk", features, random.normal(size=(samples, units)))
    middle = outputs[:, outputs.shape[1] // 2, None]
    values = ((outputs - middle) ** 2).mean(axis=0) / units + 0.05 * (x**2 + y**2)
    if random.random() < 0.5:
        return Surface(grid, values + 10 ** random.uniform(-3, -1.5), "log")
    return Surface(grid, values)


def _noisy(random):
    surface = random.choice([_bowl, _wide_wells, _network])(random)
    on_scale = np.log10(surface.values) if surface.scale == "log" else surface.values
    noise = 10 ** random.uniform(-3.5, -2.3) * np.ptp(on_scale) * random.normal(size=on_scale.size)
    noisy = on_scale + noise
    return Surface(surface.grid, 10**noisy if surface.scale == "log" else noisy, surface.scale)


def _line(random):
    grid = Grid.line(int(random.choice([101, 201, 401])))
    x = grid.points()[:, 0] - random.uniform(-0.7, 0.7)
    kind = random.integers(5)
    if kind == 0:  # a cusp
        return Surface(grid, np.abs(x) ** random.choice([0.5, 0.75, 1.0]) + 0.3 * x**2)
    if kind == 1:
        floor = 10 ** random.uniform(-4, -1)
        return Surface(grid, (x**2 + floor**2) * np.exp(random.uniform(-1, 1) * x), "log")
    if kind == 2:
        return Surface(grid, x**2 - random.uniform(0, 0.5) * np.cos(random.uniform(3, 20) * x))
    if kind == 3:
        edges = random.uniform(-1, 1, 3)
        values = sum(random.normal() * np.maximum(x - edge, 0) for edge in edges)
        return Surface(grid, values + 0.5 * x**2)
    return Surface(grid, np.tanh(x / 10 ** random.uniform(-1.5, 0)) + 0.2 * x**2)


def within_most(surface: Surface, refinement: Refinement, evaluated: np.ndarray) -> float:
    """The share of the interpolated points within the error that is stated for 95% of them."""
    known = np.where(evaluated, surface.values, np.nan)
    values, truth = refinement.interpolated(known)[0], surface.values
    if surface.scale == "log":
        values, truth = np.log10(values), np.log10(truth)
    off = np.abs(values - truth)[~evaluated]
    stated = refinement.to_json()["estimated_error_95"]
    return float((off <= stated * np.ptp(truth[evaluated])).mean()) if off.size else 1.0


def row(family: str, seeds: range) -> list[str]:
    """A row of the table."""
    outcomes, most, narrow = [], [], 0
    for seed in seeds:
        surface = drawn(family, seed)
        refinement, evaluated = refined(surface, seed)
        found = compared(surface, refinement, evaluated)
        outcomes.append(found)
        most.append(within_most(surface, refinement, evaluated))
        if surface.half_width is not None and found.error > 1:
            shaped = evaluated.reshape(surface.grid.shape)
            narrow += surface.half_width < gaps_between(shaped).largest
    error, stated, within, points = np.array(outcomes, float).T
    return [
        family,
        f"{(error > 1).sum()} of {len(seeds)}",
        str(narrow),
        f"{error.max():.2f}",
        f"{(stated > 1).sum()}",
        f"{stated.max():.2f}",
        f"{100 * np.nanmean(within):.1f}%",
        f"{100 * np.nanmin(within):.1f}%",
        f"{np.sum(np.array(most) < 0.95)}",
        f"{np.median(points):.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", nargs="*", help="families; all by default")
    parser.add_argument("--surfaces", type=int, default=14, help="of each family")
    parser.add_argument("--first", type=int, default=1000, help="first seed")
    parser.add_argument("--write", action="store_true", help="write results/adaptive_surfaces.json")
    given = parser.parse_args()
    columns = [
        "family", "above the tolerance", "of these narrower than the gaps",
        "largest error / tolerance", "above the stated largest", "largest error / stated",
        "within their estimate", "least", "under 95% within the 95% error", "points, median",
    ]  # fmt: skip
    rows = []
    for family in given.family or surface_families():
        rows.append(row(family, range(given.first, given.first + given.surfaces)))
        print(*rows[-1], sep="  ", flush=True)
    if given.write:
        results.write(
            "adaptive_surfaces",
            f"Adaptive evaluation against the truth, {given.surfaces} random surfaces of a family, "
            f"tolerance {100 * TOLERANCE:g}% of the range",
            columns,
            rows,
            ["31 x 31, 41 x 41 or 51 x 51 points; lines have 101, 201 or 401."],
            device=None,
        )


if __name__ == "__main__":
    main()
