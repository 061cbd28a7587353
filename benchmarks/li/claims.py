"""The claims, each as one number with an interval over seeds, and the verdict by rule.

A claim's number is computed for each seed, from means over its planes or directions. Its interval
is Student's, over the seeds. A number is such that it is positive if the claim is true, so it holds
if the whole interval is above 0. Of fewer than three seeds nothing is judged, and a rank
correlation must also be one that chance does not give to as many networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import studies
from benchmarks.li.presets import VGG
from losslandscape.analysis.convexity import NEARLY_CONVEX

HOLDS, DOES_NOT, UNKNOWN = "holds", "does not hold here", "cannot be told"
MOST_TRAINING_ERROR = 0.1  # of a network that counts as trained
FEWEST_SEEDS = 3  # that give a number; the interval of two has no use
_EVERY_ORDER = 8  # networks of which every order is tried; of more, random ones
_ORDERS = 20_000

Row = dict[str, Any]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95% interval of Student's t; the interval is infinite for fewer than two values.

    >>> [round(x, 3) for x in interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    if len(values) < 2:
        return float(np.mean(values)) if len(values) else math.nan, -math.inf, math.inf
    mean, half = studies.interval(values)
    return mean, mean - half, mean + half


def verdict(low: float, high: float) -> str:
    """By the interval of a number that is positive if the claim is true.

    >>> verdict(0.1, 2.0), verdict(-2.0, -0.1), verdict(-1.0, 1.0)
    ('holds', 'does not hold here', 'cannot be told')
    """
    if low > 0:
        return HOLDS
    return DOES_NOT if high < 0 else UNKNOWN


def claim(
    number: int,
    text: str,
    what: str,
    values: Iterable[float | None],
    note: str = "",
    ends: tuple[float, float] = (-math.inf, math.inf),
    chance: float | None = None,
) -> dict[str, Any]:
    """A line of the score card; seeds whose value is None or not finite are left out, and said.

    No interval goes beyond the ends of what the number can be, as -1 and 1 of a correlation.

    Nothing is judged of fewer than three seeds; of seeds with one and the same number, such as a
    count, whose spread is not known; and where ``chance``, which is how often chance alone gives
    such a correlation, is 5% or more.
    """
    values = list(values)
    known = [float(v) for v in values if v is not None and math.isfinite(v)]
    mean, low, high = interval(known)
    low, high = max(low, ends[0]), min(high, ends[1])
    notes = [note] if note else []
    if len(known) < len(values):
        notes.append(f"{len(values) - len(known)} of {len(values)} seeds give no number")
    known_spread = len(set(known)) > 1 if chance is None else chance + studies.LEVEL < 1
    judged = known_spread and len(known) >= FEWEST_SEEDS
    return {
        "claim": number, "text": text, "number": what, "value": mean if known else None,
        "interval": [low, high] if len(known) > 1 else None, "seeds": len(known),
        "verdict": verdict(low, high) if judged else UNKNOWN, "note": "; ".join(notes),
    }  # fmt: skip


def score_card(rows: Sequence[Row], pairs: Sequence[Row], deepest: int) -> list[dict[str, Any]]:
    """All claims, of the numbers of the networks and of the pairs of batch sizes."""
    seeds = sorted({row["seed"] for row in rows})
    rows = [row for row in rows if is_trained(row)]
    names = {(row["network"], row["seed"]) for row in rows}
    total = len(pairs)
    ends = "small_batch", "large_batch"
    pairs = [pair for pair in pairs if {(pair[end], pair["seed"]) for end in ends} <= names]
    every_decayed = [pair for pair in pairs if pair["weight_decay"] > 0]
    on_line = [pair for pair in every_decayed if pair["barrier"] > 0 and not pair["raw_at_edge"]]

    def by_seed(value: Callable[[list[Row]], float | None]) -> list[float | None]:
        return [value([row for row in rows if row["seed"] == seed]) for seed in seeds]

    def deep(name: str) -> Callable[[list[Row]], float | None]:
        return lambda some: _difference(some, deepest, name)

    of_pairs = [[pair for pair in pairs if pair["seed"] == seed] for seed in seeds]
    decayed = [[pair for pair in on_line if pair["seed"] == seed] for seed in seeds]
    judged = [_agreements(some, [r for r in rows if r["seed"] == s])
              for s, some in zip(seeds, of_pairs)]  # fmt: skip
    left_out = total - sum(len(found) for found in judged)
    vgg = [row for row in rows if row["kind"] == VGG]
    resnets = [row for row in rows if row["kind"] != VGG]
    return [
        claim(
            1, "Without filter normalization, a large-batch minimum looks flatter",
            "log10 of the flat length at the large-batch minimum over that at the small-batch one, "
            "on the line through both, each on its outer side, trained with weight decay",
            [_mean([math.log10(p["raw_large"] / p["raw_small"]) for p in some])
             for some in decayed],
            f"{len(every_decayed) - len(on_line)} of {len(every_decayed)} pairs left out: no "
            "barrier is between them, so one is no minimum of the line, or the line ends first"
            if len(on_line) < len(every_decayed) else "",
        ),
        claim(
            1, "With it, the minimum with the higher test error is sharper",
            "log10 of the flat length of the better minimum over that of the worse one, on "
            "filter-normalized lines",
            [_mean(found) for found in judged],
            f"{left_out} of {total} pairs left out: a network is not trained, or their test "
            "errors do not differ by two standard errors" if left_out else "",
        ),
        claim(
            2, "Sharper minima have higher test errors: VGG-9",
            "rank correlation of sharpness and test error", by_seed(_of(vgg, _rank)),
            *_doubts(vgg),
        ),
        claim(
            2, "Sharper minima have higher test errors: ResNets",
            "rank correlation of sharpness and test error", by_seed(_of(resnets, _rank)),
            *_doubts(resnets),
        ),
        claim(
            3, "Without shortcuts, more of the deepest network's plane is far from convex",
            "share of the plane with a ratio above 0.1, without minus with shortcuts",
            by_seed(deep("not_convex")), _unsure(rows, deepest),
        ),
        claim(
            3, "Without shortcuts, the deepest network's surface is rougher",
            "roughness of log10 of the loss, without minus with shortcuts",
            by_seed(deep("roughness")),
        ),
        claim(
            3, "Without shortcuts, the deepest network's surface has more significant minima",
            "their number, without minus with shortcuts", by_seed(deep("minima")),
        ),
        claim(
            4, "Width flattens, with shortcuts",
            "slope of log10 of the flat length for each doubling of the width",
            by_seed(lambda some: _slope(some, True)),
        ),
        claim(
            4, "Width flattens, without shortcuts",
            "slope of log10 of the flat length for each doubling of the width",
            by_seed(lambda some: _slope(some, False)),
        ),
        claim(
            5, "With shortcuts, the deepest network starts in the convex region",
            "-log10 of |smallest / largest eigenvalue| / 0.1 at the start",
            by_seed(lambda some: _start(some, deepest, True, -1)),
        ),
        claim(
            5, "Without shortcuts, the deepest network starts outside of it",
            "log10 of |smallest / largest eigenvalue| / 0.1 at the start",
            by_seed(lambda some: _start(some, deepest, False, 1)),
        ),
        claim(
            6, "Two principal components hold more of a trajectory than of a random walk",
            "share of the squared distances, minus that of a random walk with the same step "
            "lengths; mean over all networks",
            by_seed(lambda some: _mean([r["path_variance"] - r["walk_variance"] for r in some])),
        ),
    ]  # fmt: skip


def sharpness(row: Row) -> float:
    """Of a network: -log10 of its mean flat length."""
    return -math.log10(row["flat_length"])


def is_trained(row: Row) -> bool:
    """Whether its minimum may be compared with others."""
    return row["training_error"] <= MOST_TRAINING_ERROR


def test_error(row: Row) -> float:
    return row["test_errors"] / row["test_samples"]


def errors_differ(rows: Sequence[Row]) -> bool:
    """Whether the networks' numbers of test errors differ at all, by a chi-squared test at 5%.

    Networks of one kind are tested on the same samples, so the test is on the careful side.
    """
    wrong = [row["test_errors"] for row in rows]
    right = [row["test_samples"] - row["test_errors"] for row in rows]
    if len(rows) < 2 or not sum(wrong) or not sum(right):
        return False
    return bool(stats.chi2_contingency([wrong, right]).pvalue < 1 - studies.LEVEL)


def chance_of_order(rows: Sequence[Row]) -> float:
    """How often chance gives a mean rank correlation over seeds of this size or more.

    Seeds tell how a correlation of these networks varies, but not whether as few networks have it
    by chance. So their test errors are exchanged among the networks, in all seeds alike: in every
    order, or in 20,000 random ones of many networks. Only networks of every seed that gives a
    number take part. 1 if there is none.
    """
    seeds = [some for some in _split(rows) if errors_differ(some)]
    found = [{row["network"]: row for row in some} for some in seeds]
    names = sorted(set.intersection(*map(set, found))) if found else []
    if len(names) < 3:
        return 1.0
    sharp, wrong = (
        np.array([stats.rankdata([of(some[name]) for name in names]) for some in found])
        for of in (sharpness, test_error)
    )
    sharp, wrong = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (sharp, wrong))
    scale = np.linalg.norm(sharp, axis=1) * np.linalg.norm(wrong, axis=1)
    if not scale.all():
        return 1.0
    if len(names) <= _EVERY_ORDER:
        orders = np.array(list(permutations(range(len(names)))))
    else:
        generator = np.random.default_rng(0)
        orders = np.array([generator.permutation(len(names)) for _ in range(_ORDERS)])
    sharp /= scale[:, None]
    by_chance = np.einsum("sn,son->o", sharp, wrong[:, orders]) / len(seeds)
    observed = abs((sharp * wrong).sum()) / len(seeds)
    return float((abs(by_chance) >= observed - 1e-9).mean())


def _doubts(rows: Sequence[Row]) -> tuple[str, tuple[float, float], float]:
    """The note of a rank correlation, its ends, and how often chance alone gives it."""
    chance = chance_of_order(rows)
    notes = []
    if not all(errors_differ(some) for some in _split(rows)):
        notes.append("where the test errors of a seed do not differ beyond chance, it gives no "
                     "number")  # fmt: skip
    if chance < 1:
        share = "under 0.1%" if chance < 0.001 else f"{100 * chance:.2g}%"
        notes.append(f"chance alone gives so many networks such a correlation in {share} of cases")
    return "; ".join(notes), (-1, 1), chance


def _unsure(rows: Sequence[Row], deepest: int) -> str:
    """How many points of the maps have a ratio nearer to 0.1 than its error."""
    maps = [row for row in rows if row["depth"] == deepest and "not_convex" in row]
    unsure = sum(row["map_points_unsure"] for row in maps)
    if not unsure:
        return ""
    points = sum(row["map_points"] for row in maps)
    return (
        f"at {unsure} of {points} points of the maps the ratio is nearer to {NEARLY_CONVEX:g} than "
        "its error"
    )


def _split(rows: Sequence[Row]) -> list[list[Row]]:
    return [[r for r in rows if r["seed"] == s] for s in sorted({r["seed"] for r in rows})]


def _of(
    chosen: Sequence[Row], value: Callable[[list[Row]], float | None]
) -> Callable[[list[Row]], float | None]:
    return lambda some: value([row for row in some if row in chosen])


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _rank(rows: list[Row]) -> float | None:
    if not errors_differ(rows):
        return None
    return float(stats.spearmanr([sharpness(r) for r in rows], [test_error(r) for r in rows])[0])


def _agreements(pairs: Sequence[Row], rows: Sequence[Row]) -> list[float]:
    """Of each pair of different test errors, how much flatter the better minimum is."""
    by_name = {row["network"]: row for row in rows}
    found = []
    for pair in pairs:
        one, other = by_name[pair["small_batch"]], by_name[pair["large_batch"]]
        better, worse = sorted((one, other), key=test_error)
        variance = sum(
            test_error(r) * (1 - test_error(r)) / r["test_samples"] for r in (one, other)
        )
        if test_error(worse) - test_error(better) > 2 * math.sqrt(variance):
            found.append(sharpness(worse) - sharpness(better))
    return found


def _plain(rows: Sequence[Row], depth: int, shortcuts: bool) -> Row | None:
    for row in rows:
        if (row["kind"] != VGG and row["width"] == 1
                and (row["depth"], row["shortcuts"]) == (depth, shortcuts)):  # fmt: skip
            return row
    return None


def _difference(rows: Sequence[Row], depth: int, name: str) -> float | None:
    """Without shortcuts minus with."""
    without, with_them = (_plain(rows, depth, shortcuts) for shortcuts in (False, True))
    if without is None or with_them is None or name not in without or name not in with_them:
        return None
    if name == "not_convex" and any(
        row["map_points_known"] < row["map_points"] for row in (without, with_them)
    ):
        return None  # the points without eigenvalues are not those of chance
    return without[name] - with_them[name]


def _start(rows: Sequence[Row], depth: int, shortcuts: bool, sign: int) -> float | None:
    row = _plain(rows, depth, shortcuts)
    if row is None or "ratio_at_start" not in row:
        return None
    return sign * math.log10(row["ratio_at_start"] / NEARLY_CONVEX)


def _slope(rows: Sequence[Row], shortcuts: bool) -> float | None:
    """Of the networks of the depth that has several widths."""
    some = [r for r in rows if r["kind"] != VGG and r["shortcuts"] == shortcuts]
    depths = {r["depth"] for r in some if r["width"] > 1}
    some = [r for r in some if r["depth"] in depths]
    if len(some) < 2:
        return None
    doublings = [math.log2(r["width"]) for r in some]
    return float(np.polyfit(doublings, [-sharpness(r) for r in some], 1)[0])
