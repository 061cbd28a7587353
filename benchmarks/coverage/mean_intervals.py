"""Intervals of means and of differences, and stopping when the error suffices."""

from __future__ import annotations

from functools import partial

import numpy as np

import losslandscape as ll
from benchmarks.coverage.claim import Claim, Family, Outcome
from benchmarks.coverage.mean_tables import (
    BATCH,
    PLAIN,
    RIGHT,
    SIZE,
    UNDRAWN_LOSS,
    WRONG,
    landscape_of,
    stopped,
    trained,
)
from losslandscape.adaptive.allotment import Allotment, tried
from losslandscape.landscape.mean_intervals import LEVEL, mean_interval
from losslandscape.landscape.sampling_errors import STOPPING_FACTOR, mean_standard_error

SECTION = "Means and their differences"
SHARES, COUNTS = (0.001, 0.003, 0.01, 0.03, 0.1), (50, 200, 1000, 5000)
KINDS = [(wrong, right) for wrong in WRONG for right in RIGHT]


def _one(losses: np.ndarray) -> ll.Landscape:
    """A landscape of one point, twice: a grid has two at least."""
    return landscape_of(np.vstack([losses, losses]))


def mean_loss(share: float, count: int, seed: int) -> Outcome:
    """Whether the stated interval of a trained network's loss holds its mean, or warns."""
    losses, truth = trained(np.random.default_rng(seed), 1, count, share, *KINDS[seed % len(KINDS)])
    low, high, trust = _one(losses).confidence_interval(undrawn_loss=UNDRAWN_LOSS)
    right = bool(low[0] <= truth <= high[0]) or not trust[0]
    return Outcome(right, note=f"{low[0]:.3g} to {high[0]:.3g}, truth {truth:.3g}")


def plain_mean(name: str, count: int, seed: int) -> Outcome:
    """Whether the interval of well-behaved losses holds the mean; its width beside 2 s/sqrt(n)."""
    draw, truth = PLAIN[name]
    losses = draw(np.random.default_rng(seed), (1, count))
    low, high = mean_interval(losses)
    return Outcome(
        bool(low[0] <= truth <= high[0]),
        float((high[0] - low[0]) / (4 * mean_standard_error(losses)[0])),
    )


def needless(name: str, count: int, seed: int) -> Outcome:
    """Whether there is no warning for well-behaved losses."""
    losses = PLAIN[name][0](np.random.default_rng(seed), (1, count))
    return Outcome(bool(_one(losses).confidence_interval().trusted[0]))


def of_dataset(share: float, count: int, seed: int) -> Outcome:
    """The interval for the mean of a data set of four times as many samples."""
    random = np.random.default_rng(seed)
    whole, _ = trained(random, 1, 4 * count, share, *KINDS[seed % len(KINDS)])
    drawn = whole[:, random.permutation(4 * count)[:count]]
    low, high, trust = _one(drawn).confidence_interval(
        against="dataset", dataset_samples=4 * count, undrawn_loss=UNDRAWN_LOSS
    )
    right = bool(low[0] <= whole.mean() <= high[0]) or not trust[0]
    return Outcome(right, note=f"{low[0]:.3g} to {high[0]:.3g}, truth {whole.mean():.3g}")


def pair(share: float, count: int, seed: int) -> Outcome:
    """The difference of two points at which the same samples are wrong."""
    random = np.random.default_rng(seed)
    losses, truth = trained(random, 1, count, share)
    both = np.vstack([losses, losses * random.gamma(4.0, 0.3, size=count)])
    low, high, trust = landscape_of(both).difference_confidence_interval(
        0, undrawn_loss=UNDRAWN_LOSS
    )
    right = bool(low[1] <= 0.2 * truth <= high[1]) or not trust[1]
    return Outcome(right, note=f"{low[1]:.3g} to {high[1]:.3g}, truth {0.2 * truth:.3g}")


VALLEYS = {
    "flat": np.zeros(81),
    "flat, and a bowl around it": np.clip(np.linspace(-2, 2, 81) ** 2 - 1, 0, None),
    "bowl": 2 * np.linspace(-1, 1, 81) ** 2,
}


def selected(valley: str, noise: str, seed: int) -> Outcome:
    """The difference of a point from the lowest of 81, which was selected as the minimum."""
    random, loss = np.random.default_rng(seed), VALLEYS[valley]
    draw = {
        "normal": lambda: random.normal(3, 1, (81, 200)),
        "gamma(1/2)": lambda: random.gamma(0.5, np.sqrt(2), (81, 200)),
    }[noise]
    losses = draw() + loss[:, None]
    lowest = int(losses.mean(axis=1).argmin())
    low, high, trust = landscape_of(losses).difference_confidence_interval("minimum")
    near = np.flatnonzero((loss <= loss.min() + 0.2) & (np.arange(81) != lowest))
    point = int(random.choice(near))
    truth = loss[point] - loss[lowest]
    return Outcome(bool(low[point] <= truth <= high[point]) or not trust[point])


def neighbors(seed: int) -> Outcome:
    """Two standard errors of the difference of neighbors, whose losses are correlated."""
    random = np.random.default_rng(seed)
    common, own = random.normal(size=300), random.normal(size=(2, 300))
    losses = np.stack([common, 1.1 * common]) + 0.1 * own + np.array([[1.0], [1.3]])
    error = landscape_of(losses).neighbour_difference_standard_error("alpha")[0]
    off = abs(losses[1].mean() - losses[0].mean() - 0.3)
    return Outcome(bool(off <= 2 * error))


def stopping(share: float, seed: int) -> Outcome:
    """Two stated standard errors of a mean whose drawing stopped when its error sufficed."""
    random = np.random.default_rng(seed)
    wrong, part = tuple(WRONG)[seed % len(WRONG)], (0.08, 0.2, 0.4)[seed // 8 % 3]
    losses = trained(random, 1, SIZE, share, wrong, "exponential 0.01")[0][0]
    error = 2 * losses.std() / np.sqrt(part * SIZE) * np.sqrt(1 - part)
    allotment = tried(Allotment("linear", error, seed), losses, BATCH)
    if allotment is None:  # all samples are taken
        return Outcome(None)
    at = stopped(losses, allotment, 1, random)
    if not at["part"][0]:
        return Outcome(None)
    stated = float(max(2 * at["error"][0], STOPPING_FACTOR * error))
    return Outcome(bool(at["off"][0] <= stated), stated / float(2 * at["error"][0]))


def claims() -> tuple[Claim, ...]:
    grid = [(share, count) for share in SHARES for count in COUNTS]

    def words(share: float, count: int) -> str:
        return f"{100 * share:g}% wrong, n = {count:,}"

    return (
        Claim(
            "mean",
            SECTION,
            "The interval of a loss holds its mean, or is marked as not to trust.",
            LEVEL,
            tuple(Family(words(*cell), partial(mean_loss, *cell), 600) for cell in grid),
            required=0.93,
            why="Wrong samples have losses that are exponential, lognormal or Pareto; the others "
            "are near 0. It is conservative where few wrong samples are drawn: the upper end is "
            "then raised to what was not drawn, with an assumed loss of log 10, and the interval "
            "is marked. [How a landscape is measured](measurement.md#confidence-intervals) has the "
            "coverage without marks, and the width.",
        ),
        Claim(
            "mean of a data set",
            SECTION,
            "The same against a data set of which a quarter was measured.",
            LEVEL,
            tuple(
                Family(words(share, count), partial(of_dataset, share, count), 400)
                for share in (0.01, 0.1)
                for count in (200, 1000)
            ),
            required=0.93,
        ),
        Claim(
            "well-behaved mean",
            SECTION,
            "For losses without rare large ones the interval holds the mean.",
            LEVEL,
            tuple(
                Family(f"{name}, n = {count:,}", partial(plain_mean, name, count), 600)
                for name in PLAIN
                for count in COUNTS
            ),
            required=0.93,
            number="width / (4 s / sqrt(n))",
        ),
        Claim(
            "needless warnings",
            SECTION,
            "For losses without rare large ones, at most one point in 100 is marked as not to "
            "trust.",
            0.99,
            tuple(
                Family(f"{name}, n = {count:,}", partial(needless, name, count), 300)
                for name in PLAIN
                for count in COUNTS
            ),
        ),
        Claim(
            "difference",
            SECTION,
            "The interval of the difference of two points holds it, or is marked as not to trust.",
            LEVEL,
            tuple(
                Family(words(share, count), partial(pair, share, count), 400)
                for share, count in ((0.03, 200), (0.1, 200), (0.01, 1000), (0.1, 1000))
            ),
            required=0.93,
        ),
        Claim(
            "difference from the minimum",
            SECTION,
            "The interval of the difference from the lowest of 81 points holds it although that "
            "point was selected.",
            LEVEL,
            tuple(
                Family(f"{valley}, {noise} noise", partial(selected, valley, noise), 400)
                for valley in VALLEYS
                for noise in ("normal", "gamma(1/2)")
            ),
            required=0.93,
            why="It is conservative because it covers all points that could be the minimum at "
            "once; without that it covers 60 to 85%.",
        ),
        Claim(
            "neighbors",
            SECTION,
            "Two standard errors of the difference of neighbors hold it.",
            LEVEL,
            (Family("correlated normal losses, n = 300", neighbors, 600),),
            required=0.93,
        ),
        Claim(
            "stopping",
            SECTION,
            "Where a point stopped drawing samples, two stated standard errors hold the data "
            "set's mean.",
            LEVEL,
            tuple(
                Family(f"{100 * share:g}% wrong, {SIZE:,} samples", partial(stopping, share), 100)
                for share in (0.001, 0.003, 0.01, 0.05)
            ),
            required=0.93,
            number="stated / (2 s / sqrt(n))",
            why="See [adaptive evaluation](adaptive.md#large-data-sets-samples-by-variance): two "
            "times s / sqrt(n) alone would hold in 74 to 91% of the cases.",
        ),
    )
