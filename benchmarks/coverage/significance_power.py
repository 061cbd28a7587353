"""Which pairs of critical points are called significant, on surfaces whose own pairs are known.

``python -m benchmarks.coverage.significance_power`` (seeded; ten minutes on one core) draws
per-sample losses around known population surfaces. It counts surfaces with any false positive, and
those on which the true second well is found, for each method; the tables are in
docs/significance.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

import losslandscape as ll
from benchmarks import results
from benchmarks.coverage.claim import clopper_pearson
from losslandscape.analysis.pair_significance import pair_significance
from losslandscape.analysis.significance import noise_threshold, on_scale
from losslandscape.topology import persistence_pairs

METHODS = ("bootstrap", "studentized")
DRAWS = 399
SIZE = 13  # points along each axis
NEIGHBORS = {1: np.ones(3, bool), 2: np.array([[0, 1, 1], [1, 1, 1], [1, 1, 0]], bool)}

X, Y = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE))
LINE = np.linspace(-1, 1, 49)


@dataclass(frozen=True)
class Family:
    """Population surfaces with a second well of a depth, or without one.

    Attributes
    ----------
    surface : callable
        Depth of the second well -> mean losses on the grid, all positive. Without a second well the
        depth has no effect.
    second_well : bool
    samples : callable, optional
        (random generator, n) -> losses, shape (points, n), where the noise is the family's own.
    """

    surface: Callable[[float], np.ndarray]
    second_well: bool = False
    samples: Callable[[np.random.Generator, int], np.ndarray] | None = None


def _double_well(x: np.ndarray, depth: float) -> np.ndarray:
    """Wells at -1/2 and 1/2; the second is ``depth`` below the barrier at 0, the first 1.5."""
    shape = depth * np.minimum((4 * x**2 - 1) ** 2, 4)
    return np.where(x < 0, 1.5 * shape - 0.5 * depth, shape)


def _pits(depth: float) -> np.ndarray:
    first = np.exp(-((X + 0.5) ** 2 + Y**2) / 0.04)
    second = np.exp(-((X - 0.5) ** 2 + Y**2) / 0.04)
    return 1 + 1.5 * depth * (1 - first) + depth * (1 - second)


def _valley(depth: float) -> np.ndarray:
    """A winding floor, one point wide, between walls; wells at its ends."""
    path = (
        [(1, i) for i in range(1, 12)] + [(j, 11) for j in range(2, 6)]
        + [(5, i) for i in range(10, 0, -1)] + [(j, 1) for j in range(6, 10)]
        + [(9, i) for i in range(2, 12)]
    )  # fmt: skip
    along = np.linspace(-0.75, 0.75, len(path))
    surface = np.full(X.shape, 6.0)
    surface[tuple(np.array(path).T)] = 1 + _double_well(along, depth)
    return surface


def _logistic(random: np.random.Generator, count: int) -> np.ndarray:
    """Logistic losses on a random plane of a linear classifier; a convex mean."""
    fixed = np.random.default_rng(12)
    weights, one, other = fixed.normal(size=(3, 20))
    data = random.normal(size=(count, 20))
    labels = np.sign(data @ weights + 2 * random.logistic(size=count))
    plane = weights + 3 * X.reshape(-1, 1) * one + 3 * Y.reshape(-1, 1) * other
    return np.logaddexp(0, -(plane @ data.T) * labels)


@cache
def families() -> dict[str, Family]:
    """The population surfaces by name.

    >>> sorted(name for name, family in families().items() if family.second_well)
    ['line, two wells', 'pits', 'two wells', 'two wells, decades', 'valley, two wells']
    """
    logistic = _logistic(np.random.default_rng(34), 200_000).mean(axis=1).reshape(X.shape)
    return {
        "bowl": Family(lambda depth: 1 + X**2 + Y**2),
        "plateau": Family(lambda depth: np.ones(X.shape)),
        "trough": Family(lambda depth: 1 + 20 * Y**2),
        "narrow valley": Family(lambda depth: _valley(0.0)),
        "line": Family(lambda depth: np.ones(LINE.shape)),
        "logistic": Family(lambda depth: logistic, samples=_logistic),
        "two wells": Family(
            lambda depth: 1.5 * (1 + depth) + 2 * Y**2 + _double_well(X, depth), True
        ),
        "two wells, decades": Family(
            lambda depth: 10 ** np.minimum(_double_well(X, depth) + depth * Y**2, 1.3 * depth), True
        ),
        "pits": Family(_pits, True),
        "valley, two wells": Family(lambda depth: _valley(depth) + depth, True),
        "line, two wells": Family(lambda depth: 1 + depth + _double_well(LINE, depth), True),
    }  # fmt: skip


def _smooth(random: np.random.Generator, shape: tuple, count: int, frequency: float) -> np.ndarray:
    """Smooth Gaussian functions of variance 1, shape (points, count): six random waves each."""
    places = np.column_stack([X.ravel(), Y.ravel()]) if len(shape) == 2 else LINE[:, None]
    total = np.zeros((len(places), count))
    for _ in range(6):
        phase = places @ random.normal(0, frequency, (places.shape[1], count))
        cosine, sine = random.normal(size=(2, count)) / np.sqrt(6)
        total += cosine * np.cos(phase) + sine * np.sin(phase)
    return total


def _rough(random: np.random.Generator, shape: tuple, count: int, frequency: float) -> np.ndarray:
    return random.normal(size=(int(np.prod(shape)), count))


def _added(make: Callable, size: float, frequency: float = 3.0) -> Callable:
    def noise(random: np.random.Generator, surface: np.ndarray, count: int) -> np.ndarray:
        return surface.reshape(-1, 1) + size * make(random, surface.shape, count, frequency)

    return noise


def _factor(make: Callable, size: float, carriers: float = 1.0) -> Callable:
    """Lognormal factors; a share of the samples carries all of the loss."""

    def noise(random: np.random.Generator, surface: np.ndarray, count: int) -> np.ndarray:
        factors = np.exp(size * make(random, surface.shape, count, 3.0) - size**2 / 2)
        if carriers < 1:
            factors *= (random.random(count) < carriers) * random.exponential(size=count) / carriers
        return surface.reshape(-1, 1) * factors

    return noise


def _on_slopes(random: np.random.Generator, surface: np.ndarray, count: int) -> np.ndarray:
    size = 0.05 + (LINE**2 if surface.ndim == 1 else X**2 + Y**2)
    return surface.reshape(-1, 1) + 3 * size.reshape(-1, 1) * random.normal(
        size=(surface.size, count)
    )


NOISES: dict[str, Callable[[np.random.Generator, np.ndarray, int], np.ndarray]] = {
    "normal": _added(_rough, 1.0),
    "normal, growing outwards": _on_slopes,
    "smooth": _added(_smooth, 1.0),
    "lognormal": _factor(_rough, 1.5),
    "smooth lognormal": _factor(_smooth, 1.0),
    "5% carry the loss": _factor(_smooth, 1.0, 0.05),
    "own": lambda random, surface, count: np.empty(0),
}
SAMPLES = {"5% carry the loss": 400, "own": 200}  # 60 elsewhere


def losses_of(family: Family, noise: str, depth: float, seed: int, samples: int) -> np.ndarray:
    """Per-sample losses, shape (*grid, samples)."""
    random = np.random.default_rng([seed, samples])
    surface = family.surface(depth)
    if family.samples is not None:
        losses = family.samples(random, samples)
    else:
        losses = NOISES[noise](random, surface, samples)
    return losses.reshape(*surface.shape, samples)


def trial(
    family: str,
    noise: str,
    scale: str,
    depth: float,
    seed: int,
    samples: int | None = None,
    draws: int = DRAWS,
) -> dict[str, tuple[bool, bool]]:
    """One surface from one set of samples, judged by each method.

    Parameters
    ----------
    family, noise : str
        A key of :func:`families` and of ``NOISES``; "own" for a family with its own samples.
    scale : "log" or "linear"
    depth : float
        Of the second well below the barrier, in units of the loss, or in decades for surfaces of
        decades.
    samples : int, optional

    Returns
    -------
    dict of method to (any false positive, second well found)
    """
    chosen = families()[family]
    count = samples or SAMPLES.get(noise, 60)
    losses = losses_of(chosen, noise, depth, seed, count)
    landscape = landscape_of(losses)
    return {
        method: verdict(chosen.surface(depth), landscape, significant)
        for method, significant in judged(landscape, scale, seed, draws).items()
    }


def landscape_of(losses: np.ndarray) -> ll.Landscape:
    """A landscape of per-sample losses, shape (*grid, samples), stored as float32."""
    losses = losses.astype(np.float32)
    shape = losses.shape[:-1]
    grid = ll.Grid(shape[::-1], ((-1.0, 1.0),) * len(shape))
    fields = {"loss": losses.mean(axis=-1, dtype=np.float64)}
    return ll.Landscape(
        grid, fields, np.ones(shape, np.int8), np.eye(len(shape)), samples={"loss_samples": losses}
    )


def judged(
    landscape: ll.Landscape, scale: str, seed: int, draws: int = DRAWS
) -> dict[str, tuple[Mapping[str, np.ndarray], np.ndarray]]:
    """The pairs, and which are significant, by method."""
    values, _ = on_scale(landscape, scale)
    pairs = persistence_pairs(values)
    t = noise_threshold(landscape, scale=scale, draws=draws, seed=seed).persistence
    found = pair_significance(landscape, values, scale, pairs, draws=draws, seed=seed)
    above = (pairs["IsFinite"] == 1) & (pairs["Persistence"] > t)
    return {"bootstrap": (pairs, above), "studentized": (pairs, found.significant)}


def verdict(
    truth: np.ndarray,
    landscape: ll.Landscape,
    judgment: tuple[Mapping[str, np.ndarray], np.ndarray],
) -> tuple[bool, bool]:
    """Whether any pair is a false positive, and whether both wells have a minimum that counts.

    The wells are those of the population's surface, each up to the barrier between them. A second
    significant extremum in a well or on a hill is a false positive, and so is one elsewhere.
    """
    pairs, significant = judgment
    wells, hills = _features(truth, 0), _features(truth, 1)
    lowest = (pairs["PairType"] == 0) & (pairs["IsFinite"] == 0)
    minima = pairs["birth_vertex"][(significant & (pairs["PairType"] == 0)) | lowest]
    maxima = pairs["death_vertex"][significant & (pairs["PairType"] == 1)]
    in_wells, on_hills = wells.ravel()[minima], hills.ravel()[maxima]
    others = in_wells[minima != pairs["birth_vertex"][lowest][0]]
    false = _too_many(others, in_wells) or _too_many(on_hills, on_hills)
    return bool(false), bool(wells.max() == 2 and {1, 2} <= set(in_wells.tolist()))


def _too_many(features: np.ndarray, counted: np.ndarray) -> bool:
    """Whether an extremum is in no feature, or a feature has several."""
    inside = counted[counted > 0]
    return bool((features == 0).any() or (np.unique(inside).size < inside.size and features.size))


def _features(truth: np.ndarray, kind: int) -> np.ndarray:
    """Number of the true well or hill that each point lies in, 0 for none.

    >>> _features(np.array([3.0, 0.0, 2.0, 1.0, 3.0]), 0).tolist()
    [0, 1, 0, 2, 0]
    """
    if np.ptp(truth) == 0:
        return np.full(truth.shape, 1 - kind)
    pairs = persistence_pairs(truth)
    finite = (pairs["IsFinite"] == 1) & (pairs["Persistence"] > 1e-9) & (pairs["PairType"] == kind)
    if not finite.any():
        return np.full(truth.shape, 1 - kind)  # one well everywhere, or no hill
    saddles, field = pairs["death_vertex"], truth
    if kind == 1:
        saddles, field = pairs["birth_vertex"], -truth
    level = min(field.ravel()[saddles[finite]])
    return ndimage.label(field < level - 1e-9, NEIGHBORS[truth.ndim])[0]


def interval(times: int, trials: int) -> str:
    """Percent with the 95% Clopper-Pearson interval.

    >>> interval(0, 100)
    '0 [0, 4]'
    """
    low, high = clopper_pearson(times, trials)
    return f"{100 * times / trials:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def cells() -> list[tuple[str, str, str]]:
    """Family without a second well, noise, scale."""
    noisy = [noise for noise in NOISES if noise != "own"]
    shapes = [name for name, family in families().items() if not family.second_well]
    found = [
        (shape, noise, scale)
        for shape in shapes
        if shape != "logistic"
        for noise in noisy
        for scale in ("linear", "log")
        if scale == "linear" or noise not in ("normal", "normal, growing outwards", "smooth")
    ]
    return [*found, ("logistic", "own", "linear"), ("logistic", "own", "log")]


def false_positives(trials: int) -> list[list[str]]:
    rows = []
    for family, noise, scale in cells():
        outcomes = [trial(family, noise, scale, 0.0, seed) for seed in range(trials)]
        counts = [sum(outcome[method][0] for outcome in outcomes) for method in METHODS]
        rows.append([family, noise, scale, *(interval(count, trials) for count in counts)])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


# family, noise, scale, depths of the second well
POWER = (
    ("two wells", "normal", "linear", (0.5, 0.75, 1.0, 1.25)),
    ("two wells", "smooth", "linear", (0.25, 0.5, 0.75, 1.0)),
    ("two wells", "normal, growing outwards", "linear", (1.0, 2.0, 4.0)),
    ("pits", "normal", "linear", (0.5, 0.75, 1.0)),
    ("valley, two wells", "normal", "linear", (0.25, 0.5, 0.75)),
    ("line, two wells", "normal", "linear", (0.25, 0.5, 0.75)),
    ("two wells, decades", "lognormal", "linear", (0.75, 1.5)),
    ("two wells, decades", "lognormal", "log", (0.75, 1.0, 1.5)),
    ("two wells, decades", "smooth lognormal", "linear", (0.25, 0.5, 1.0)),
    ("two wells, decades", "smooth lognormal", "log", (0.25, 0.5, 1.0)),
    ("two wells, decades", "5% carry the loss", "linear", (1.0,)),
    ("two wells, decades", "5% carry the loss", "log", (0.5, 1.0, 1.5)),
)


def power(trials: int) -> list[list[str]]:
    rows = []
    for family, noise, scale, depths in POWER:
        for depth in depths:
            outcomes = [trial(family, noise, scale, depth, 10_000 + seed) for seed in range(trials)]
            row = [family, noise, scale, f"{depth:g}"]
            for method in METHODS:
                row.append(interval(sum(outcome[method][1] for outcome in outcomes), trials))
            for method in METHODS:
                row.append(interval(sum(outcome[method][0] for outcome in outcomes), trials))
            rows.append(row)
            print(*row, sep=" | ", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--only", choices=("false", "power"))
    arguments = parser.parse_args()
    note = [
        f"{arguments.trials} surfaces a row, {DRAWS} draws each; percent of the surfaces with 95% "
        "Clopper-Pearson intervals. 13 x 13 points, or 49 on a line; 60 samples, 400 where 5% "
        "carry the loss, 200 of logistic losses."
    ]
    if arguments.only != "power":
        results.write(
            "coverage/significance_false_positives", "Surfaces with any false positive, in percent",
            ["surface", "noise", "scale", *METHODS], false_positives(arguments.trials), note,
            device=None,
        )  # fmt: skip
    if arguments.only != "false":
        results.write(
            "coverage/significance_power", "Surfaces on which the second well is found, in percent",
            ["surface", "noise", "scale", "depth", *METHODS,
             *(f"false positives, {method}" for method in METHODS)],
            power(arguments.trials), note, device=None,
        )  # fmt: skip


if __name__ == "__main__":
    main()
