"""How often intervals of means cover the truth: skewed losses, selected minima, early stopping.

``python -m benchmarks.coverage.mean_tables`` (a few minutes on one core, seeded) draws losses of
known means and writes four tables for docs/measurement.md and docs/adaptive.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

import losslandscape as ll
from benchmarks import results
from losslandscape.adaptive.allotment import Allotment, least, tried
from losslandscape.landscape.confidence import confidence_interval, difference_confidence_interval
from losslandscape.landscape.mean_intervals import LEVEL, mean_interval
from losslandscape.landscape.sampling_errors import STOPPING_FACTOR

WRONG = {
    "exponential": (lambda random, size: random.exponential(size=size), 1.0),
    "lognormal": (lambda random, size: random.lognormal(0, 1, size), float(np.exp(0.5))),
    "Pareto": (lambda random, size: random.pareto(3, size) + 1, 1.5),
}
RIGHT = {
    "abs(N) 1e-3": (
        lambda random, size: abs(random.normal(0, 1e-3, size)),
        1e-3 * np.sqrt(2 / np.pi),
    ),
    "exponential 0.01": (lambda random, size: random.exponential(0.01, size), 0.01),
}
PLAIN = {
    "normal": (lambda random, size: random.normal(3, 1, size), 3.0),
    "gamma(2)": (lambda random, size: random.gamma(2.0, size=size), 2.0),
}
SHARES, COUNTS = (0.001, 0.003, 0.01, 0.03, 0.1), (50, 200, 1000, 5000)
UNDRAWN_LOSS = float(np.log(10))  # that of a network which knows nothing of ten classes
SIZE, BATCH = 50_000, 512  # of the data set of which points take a part


def trained(random, rows, count, share, wrong="exponential", right="abs(N) 1e-3"):
    """Losses of trained networks, shape (rows, count), and their true mean."""
    (draw_wrong, mean_wrong), (draw_right, mean_right) = WRONG[wrong], RIGHT[right]
    losses = draw_right(random, (rows, count))
    chosen = random.random((rows, count)) < share
    losses[chosen] = draw_wrong(random, int(chosen.sum()))
    return losses, (1 - share) * mean_right + share * mean_wrong


def landscape_of(losses: np.ndarray) -> ll.Landscape:
    """A line of points with per-sample losses, shape (points, samples)."""
    points = len(losses)
    fields = {"loss": losses.mean(axis=1)}
    return ll.Landscape(
        ll.Grid.line(points), fields, np.ones(points, np.int8), np.eye(1),
        samples={"loss_samples": losses},
    )  # fmt: skip


def found(covered: np.ndarray) -> str:
    """A coverage in percent with its 95% Clopper-Pearson interval.

    >>> found(np.array([True] * 95 + [False] * 5))
    '95.0 [88.7, 98.4]'
    """
    times, trials = int(covered.sum()), covered.size
    low = stats.beta.ppf(0.025, times, trials - times + 1) if times else 0.0
    high = stats.beta.ppf(0.975, times + 1, trials - times) if times < trials else 1.0
    return f"{100 * times / trials:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def worst(cells: list[np.ndarray]) -> str:
    return found(min(cells, key=np.mean))


def means(draws: int) -> None:
    """Coverage of the mean's interval; of each row the worst kind of losses."""
    rows = []
    groups: list[tuple[str, list[Callable]]] = [
        (
            f"{100 * share:g}% wrong",
            [
                lambda r, n, s=share, w=wrong, o=right: trained(r, draws, n, s, w, o)
                for wrong in WRONG
                for right in RIGHT
            ],
        )
        for share in SHARES
    ]
    groups += [
        (name, [lambda r, n, d=draw, m=mean: (d(r, (draws, n)), m)])
        for name, (draw, mean) in PLAIN.items()
    ]
    for words, kinds in groups:
        for count in COUNTS:
            random = np.random.default_rng([count, len(rows)])
            plain, skewed, stated, warned, trusted, needless, width = ([] for _ in range(7))
            for kind in kinds:
                losses, truth = kind(random, count)
                error = 2 * losses.std(axis=1, ddof=1) / np.sqrt(count)
                low, high = mean_interval(losses)
                skewed.append((low <= truth) & (truth <= high))
                width.append((high - low) / (2 * error))
                # the level's interval, with the assumed loss of ten classes
                low, high, trust = confidence_interval(
                    landscape_of(losses), undrawn_loss=UNDRAWN_LOSS
                )
                inside = (low <= truth) & (truth <= high)
                plain.append(abs(losses.mean(axis=1) - truth) <= error)
                stated.append(inside)
                warned.append(inside | ~trust)
                trusted.append(trust)
                needless.append(skewed[-1] & ~trust)
            rows.append(
                [
                    words, f"{count:,}", worst(plain), worst(skewed), worst(stated), worst(warned),
                    f"{100 * np.mean(trusted):.0f}", f"{100 * np.mean(needless):.0f}",
                    f"{np.median(width):.2f}",
                ]
            )  # fmt: skip
            print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "coverage_mean",
        f"Coverage of a mean loss in percent, nominal {100 * LEVEL:g}",
        [
            "losses", "n", "2 s / sqrt(n)", "corrected for skewness", "stated interval",
            "stated, or warned", "trusted", "warned, but the corrected one covers", "width",
        ],
        rows,
        [
            f"{draws} draws of each kind. Wrong losses are exponential with mean 1, lognormal(0, 1)"
            " or Pareto with exponent 3, the others abs(N) 1e-3 or exponential with mean 0.01. "
            "These are six kinds a row. Each coverage is that of the worst kind, with its 95% "
            "Clopper-Pearson interval. The stated interval assumes a loss of log 10 for what was "
            "not drawn. \"Trusted\" is the percentage of draws without a warning; the next column "
            "is that of needless warnings. The width is that of the interval corrected for "
            "skewness, relative to 4 s / sqrt(n), a median."
        ],
        device=None,
    )  # fmt: skip


def bootstrap_t(losses, random, resamples=399):
    """Bootstrap-t intervals (Hall 1992), one for each row."""
    count = losses.shape[1]
    ends = []
    for row in losses:
        drawn = row[random.integers(count, size=(resamples, count))]
        error = drawn.std(axis=1, ddof=1)
        error[error == 0] = np.nan
        t = (drawn.mean(axis=1) - row.mean()) / error
        a, b = np.nanquantile(t, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        deviation = row.std(ddof=1)
        ends.append((row.mean() - b * deviation, row.mean() - a * deviation))
    return np.array(ends).T


def empirical_likelihood_covers(losses, truth):
    """Whether the empirical likelihood ratio of the true mean is within its limit (Owen 2001)."""
    away = losses - truth
    inside = (away.min(axis=1) < 0) & (away.max(axis=1) > 0)
    # the multiplier is between those at which a weight is 1
    with np.errstate(divide="ignore"):
        low = (1 / losses.shape[1] - 1) / away.max(axis=1)
        high = (1 / losses.shape[1] - 1) / away.min(axis=1)
    for _ in range(60):
        middle = (low + high) / 2
        with np.errstate(all="ignore"):
            slope = (away / (1 + middle[:, None] * away)).sum(axis=1)
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    with np.errstate(all="ignore"):
        ratio = 2 * np.log1p(((low + high) / 2)[:, None] * away).sum(axis=1)
    return inside & (ratio <= stats.chi2.ppf(LEVEL, 1))


def johnson(losses):
    """Johnson's (1978) modified t, with the skewness of both of its terms."""
    count = losses.shape[1]
    mean, error = losses.mean(axis=1), losses.std(axis=1, ddof=1) / np.sqrt(count)
    with np.errstate(all="ignore"):
        skewness = np.nan_to_num(stats.skew(losses, axis=1))
    quantile = stats.t.ppf((1 + LEVEL) / 2, count - 1)
    shift = skewness * error / (6 * np.sqrt(count)) * (1 + 2 * quantile**2)
    return mean + shift - quantile * error, mean + shift + quantile * error


def methods(draws: int) -> None:
    """The intervals that were compared."""
    rows = []
    cases = {
        "10% wrong, n = 50": (50, lambda r, n: trained(r, draws, n, 0.1)),
        "3% wrong, n = 200": (200, lambda r, n: trained(r, draws, n, 0.03)),
        "10% wrong, n = 200": (200, lambda r, n: trained(r, draws, n, 0.1)),
        "10% wrong, lognormal, n = 200": (
            200, lambda r, n: trained(r, draws, n, 0.1, "lognormal"),
        ),
        "normal, n = 200": (200, lambda r, n: (r.normal(3, 1, (draws, n)), 3.0)),
        "gamma(2), n = 200": (200, lambda r, n: (r.gamma(2.0, size=(draws, n)), 2.0)),
    }  # fmt: skip
    for words, (count, draw) in cases.items():
        random = np.random.default_rng([7, len(rows)])
        losses, truth = draw(random, count)
        error = 2 * losses.std(axis=1, ddof=1) / np.sqrt(count)
        cells = []
        for low, high in (
            johnson(losses), mean_interval(losses), bootstrap_t(losses, random),
        ):  # fmt: skip
            with np.errstate(all="ignore"):
                width = np.nanmedian((high - low) / (2 * error))
            cells.append(f"{found((low <= truth) & (truth <= high))}, {width:.2f}")
        rows.append([words, *cells, found(empirical_likelihood_covers(losses, truth))])
        print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "coverage_methods",
        f"Intervals that were compared: coverage in percent, nominal {100 * LEVEL:g}, and width",
        ["losses", "Johnson", "Hall (used)", "bootstrap-t", "empirical likelihood"],
        rows,
        [
            f"{draws} draws; the right losses are abs(N) 1e-3. Widths are medians, relative to "
            "4 s / sqrt(n)."
        ],
        device=None,
    )


def differences(draws: int) -> None:
    """Differences from a fixed point, and from the lowest of 81."""
    rows = []
    for share, count in ((0.03, 200), (0.1, 200), (0.01, 1000), (0.03, 1000), (0.1, 1000)):
        random = np.random.default_rng([11, len(rows)])
        plain, inside, trusted, width = [], [], [], []
        for _ in range(draws):
            losses, truth = trained(random, 1, count, share)
            # a second point at which the same samples are wrong, by more or less
            pair = np.vstack([losses, losses * random.gamma(4.0, 0.3, size=count)])
            low, high, trust = difference_confidence_interval(
                landscape_of(pair), 0, undrawn_loss=UNDRAWN_LOSS
            )
            difference, truth = pair[1] - pair[0], 0.2 * truth
            error = 2 * difference.std(ddof=1) / np.sqrt(count)
            plain.append(abs(difference.mean() - truth) <= error)
            inside.append(low[1] <= truth <= high[1])
            trusted.append(trust[1])
            width.append((high[1] - low[1]) / (2 * error))
        inside, trusted = np.array(inside), np.array(trusted)
        words = f"two points, {100 * share:g}% wrong, n = {count:,}"
        rows.append(
            [words, found(np.array(plain)), found(inside), found(inside | ~trusted),
             f"{100 * trusted.mean():.0f}", f"{np.median(width):.2f}"]
        )  # fmt: skip
        print(*rows[-1], sep=" | ", flush=True)
    shapes = {
        "flat": np.zeros(81),
        "flat, and a bowl around it": np.clip(np.linspace(-2, 2, 81) ** 2 - 1, 0, None),
        "bowl": 2 * np.linspace(-1, 1, 81) ** 2,
    }
    for words, loss in shapes.items():
        for noise in ("normal", "gamma(1/2)"):
            random = np.random.default_rng([13, len(rows)])
            plain, inside, trusted, width = [], [], [], []
            for _ in range(draws):
                if noise == "normal":
                    losses = random.normal(3, 1, (81, 200))
                else:
                    losses = random.gamma(0.5, np.sqrt(2), (81, 200))
                losses += loss[:, None]
                lowest = int(losses.mean(axis=1).argmin())
                low, high, trust = difference_confidence_interval(landscape_of(losses))
                flat = np.flatnonzero((loss <= loss.min() + 0.2) & (np.arange(81) != lowest))
                point = int(random.choice(flat))
                difference, truth = losses[point] - losses[lowest], loss[point] - loss[lowest]
                error = 2 * difference.std(ddof=1) / np.sqrt(200)
                plain.append(abs(difference.mean() - truth) <= error)
                inside.append(low[point] <= truth <= high[point])
                trusted.append(trust[point])
                width.append((high[point] - low[point]) / (2 * error))
            inside, trusted = np.array(inside), np.array(trusted)
            rows.append(
                [f"lowest of 81, {words}, {noise} noise, n = 200", found(np.array(plain)),
                 found(inside), found(inside | ~trusted), f"{100 * trusted.mean():.0f}",
                 f"{np.median(width):.2f}"]
            )  # fmt: skip
            print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "coverage_differences",
        f"Coverage of a difference in percent, nominal {100 * LEVEL:g}",
        ["difference", "2 s_d / sqrt(n)", "interval", "interval, or warned", "trusted", "width"],
        rows,
        [
            f"{draws} draws. At two points the same samples are wrong, at the second by a factor "
            "from a gamma(4) distribution with mean 1.2. From the lowest of 81 points with "
            "independent noise to another point, drawn at random of those whose true loss is at "
            "most 0.2 deviations of the noise above the least. The width is relative to "
            "4 s_d / sqrt(n), a median."
        ],
        device=None,
    )


def stopped(losses: np.ndarray, allotment: Allotment, orders: int, random) -> dict[str, np.ndarray]:
    """Where drawing stops in random orders, and how far off mean and errors are there.

    A fast way of :meth:`Allotment.suffices` batch by batch, from sums of powers.
    """
    size, parts = len(losses), -(-len(losses) // BATCH)
    ends = np.cumsum([len(part) for part in np.array_split(np.empty(size), parts)])
    whole = losses.mean()
    powers = np.stack([(losses - whole) ** k for k in (1, 2, 3, 4)])
    starts = np.concatenate([[0], ends[:-1]])
    sums = np.stack(
        [
            np.add.reduceat(powers[:, random.permutation(size)], starts, axis=1).cumsum(axis=1)
            for _ in range(orders)
        ]
    )
    shift = sums[:, 0] / ends
    second = np.maximum(sums[:, 1] - ends * shift**2, 0)
    fourth = sums[:, 3] - 4 * shift * sums[:, 2] + 6 * shift**2 * sums[:, 1] - 3 * ends * shift**4
    enough = allotment._suffice(ends, whole + shift, second, fourth, size) | (ends == size)
    stop, each = enough.argmax(axis=1), np.arange(orders)
    count = ends[stop]
    correction = np.sqrt(1 - count / size)
    error = np.sqrt(second[each, stop] / (count - 1) / count) * correction
    # as many samples again, from the rest
    again = np.minimum(2 * stop + 1, parts - 1)
    more = np.maximum(ends[again] - count, 1)
    mean = (sums[each, 0, again] - sums[each, 0, stop]) / more
    square = (sums[each, 1, again] - sums[each, 1, stop]) / more - mean**2
    fresh = np.sqrt(np.maximum(square, 0) / more) * np.sqrt(1 - more / size)
    return {
        "count": count, "part": (count < size), "off": abs(shift[each, stop]), "error": error,
        "fresh": (abs(mean) <= 2 * fresh) | (again < 2 * stop + 1),
    }  # fmt: skip


def sequence_factor(count: np.ndarray) -> np.ndarray:
    """An asymptotic confidence sequence's half width over s / sqrt(n), sharpest at the first look.

    I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform central limit
    theory and asymptotic confidence sequences", Annals of Statistics 52, 2024, theorem 2.2.
    """
    alpha = 1 - LEVEL
    spread = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / least(SIZE)
    scaled = count * spread
    return np.sqrt(2 * (scaled + 1) / scaled * np.log(np.sqrt(scaled + 1) / alpha))


def stopping(orders: int) -> None:
    """Coverage at the points where drawing stopped, at the origin for which the rule was tried."""
    rows = []
    for share in (0.001, 0.003, 0.01, 0.05):
        cells: dict[str, list[np.ndarray]] = {
            key: [] for key in ("plain", "sequence", "fresh", "allotted")
        }
        widths, taken = [], []
        for wrong in WRONG:
            for part in (0.08, 0.2, 0.4):
                random = np.random.default_rng([17, len(rows), len(taken)])
                losses = trained(random, 1, SIZE, share, wrong, "exponential 0.01")[0][0]
                error = 2 * losses.std() / np.sqrt(part * SIZE) * np.sqrt(1 - part)
                allotment = tried(Allotment("linear", error, len(taken)), losses, BATCH)
                taken.append(part)
                if allotment is None:  # all samples are taken
                    continue
                at = stopped(losses, allotment, orders, random)
                some = at["part"]
                if not some.any():
                    continue
                half = {
                    "plain": 2 * at["error"],
                    "sequence": sequence_factor(at["count"]) * at["error"],
                    "allotted": np.maximum(2 * at["error"], STOPPING_FACTOR * error),
                }
                for key, width in half.items():
                    cells[key].append((at["off"] <= width)[some])
                cells["fresh"].append(at["fresh"][some])
                widths.append(np.median(half["allotted"][some] / half["plain"][some]))
        rows.append(
            [f"{100 * share:g}%", *(worst(cells[key]) for key in cells),
             *(found(np.concatenate(cells[key])) for key in ("plain", "allotted")),
             f"{np.median(widths):.2f}"]
        )  # fmt: skip
        print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "coverage_stopping",
        "Coverage of two standard errors where drawing stopped, in percent, nominal 95.4",
        [
            "wrong", "s / sqrt(n): worst", "confidence sequence: worst", "a fresh sample: worst",
            "stated: worst", "s / sqrt(n): all", "stated: all", "width",
        ],
        rows,
        [
            f"{SIZE:,} samples, {orders} random orders of each of up to nine data sets (wrong "
            "losses exponential with mean 1, lognormal or Pareto, the others exponential with mean "
            "0.01; allotted errors that need 8, 20 and 40% of the samples), with the factor of the "
            "trial. A fresh sample has as many samples again, which doubles the "
            "cost. The width is that of the stated error relative to s / sqrt(n), a median."
        ],
        device=None,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=600)
    parser.add_argument(
        "--only", choices=("means", "methods", "differences", "stopping"), action="append"
    )
    arguments = parser.parse_args()
    parts = {
        "means": (means, arguments.draws),
        "methods": (methods, arguments.draws),
        "differences": (differences, arguments.draws),
        "stopping": (stopping, max(20, arguments.draws // 2)),
    }
    for name, (part, draws) in parts.items():
        if not arguments.only or name in arguments.only:
            part(draws)


if __name__ == "__main__":
    main()
