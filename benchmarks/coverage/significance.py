"""Significant critical points: false positives, and wells that are found."""

from __future__ import annotations

from functools import partial

from benchmarks.coverage.claim import Claim, Family, Outcome
from benchmarks.coverage.significance_power import POWER, cells, trial

SECTION = "Noise or structure"
METHOD = "studentized"


def false_positive(family: str, seed: int) -> Outcome:
    """Whether no pair that the noise made is called significant; each noise and scale in turn."""
    noises = [(noise, scale) for name, noise, scale in cells() if name == family]
    noise, scale = noises[seed % len(noises)]
    wrong, _ = trial(family, noise, scale, 0.0, seed)[METHOD]
    return Outcome(not wrong, note=f"{noise} noise, {scale}")


def found(family: str, noise: str, scale: str, depth: float, seed: int) -> Outcome:
    """Whether the second well is found."""
    return Outcome(trial(family, noise, scale, depth, seed)[METHOD][1])


def claims() -> tuple[Claim, ...]:
    return (
        Claim(
            "false positives",
            SECTION,
            "At most 5% of the surfaces have a pair that noise made and that is called "
            "significant.",
            0.95,
            tuple(
                Family(name, partial(false_positive, name), 200)
                for name in dict.fromkeys(name for name, _, _ in cells())
            ),
            why="Each surface has six kinds of noise, normal to heavy-tailed, on both scales. "
            "[Noise or structure](significance.md#how-often-it-is-right) has more surfaces.",
        ),
        Claim(
            "power",
            SECTION,
            "A second well of this depth is found on at least four of five surfaces.",
            0.8,
            tuple(
                Family(
                    f"{name}, {noise} noise, {scale}, depth {depths[-1]:g}",
                    partial(found, name, noise, scale, depths[-1]),
                    50,
                )
                for name, noise, scale, depths in POWER
            ),
            why="Depths are those of the surfaces' table in [noise or structure]"
            "(significance.md#how-often-it-is-right), the largest of each. On the linear scale, a "
            "well is not found where few samples carry the loss, or where noise is a heavy-tailed "
            "factor: there the scale to use is log.",
        ),
    )
