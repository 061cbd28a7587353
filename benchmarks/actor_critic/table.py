"""The table of the study: each number's mean over seeds, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import results
from benchmarks.actor_critic.agents import ALGORITHMS, PROBLEM
from benchmarks.studies import interval

NAME = "actor_critic"
_ROWS = {
    "level": (f"level after ordering (optimum {PROBLEM.base_stock:g})", 3),
    "level_spread": ("its standard deviation over the visited states", 3),
    "extra_cost": (f"cost per period above the optimum ({PROBLEM.optimal_cost:g})", 4),
    "rise": ("median cost of the random plane above that of the trained policy", 2),
    "roughness_cost": ("roughness of the cost", 2),
    "roughness_actor": ("roughness of the actor loss", 2),
    "rank_correlation": ("rank correlation of actor loss and cost", 2),
    "regret": ("cost of the actor loss's minimum above the lowest", 3),
}


def rows(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[str]]:
    """A row for each number: its name, and what each algorithm has."""
    made = []
    for key, (title, digits) in _ROWS.items():
        row = [title]
        for algorithm in ALGORITHMS:
            values = [one[key] for one in found[algorithm]]
            if len(values) < 2:  # one seed has no interval
                row.append(f"{values[0]:.{digits}f}")
                continue
            mean, half = interval(values)
            row.append(f"{mean:.{digits}f} ± {half:.{digits}f}")
        made.append(row)
    return made


def write(found: Mapping[str, Sequence[Mapping[str, Any]]], covered: Mapping[str, float]) -> None:
    """Write ``benchmarks/results/actor_critic.json``, from which the page is filled in."""
    seeds = len(found[ALGORITHMS[0]])
    results.write(
        NAME,
        "Inventory control by actor and critic",
        ["quantity", *ALGORITHMS],
        rows(found),
        [
            f"Means over {seeds} seeds, with 95% intervals of Student's t."
            if seeds > 1
            else "One seed: no intervals.",
            *coverage_in_words(covered),
        ],
        device=None,
    )


def coverage_in_words(covered: Mapping[str, float]) -> list[str]:
    return [
        "At 100 points of the cost of TD3, 1.96 standard errors over 200 episodes cover a surface "
        f"of 10,000 other episodes in {covered['reference']:.1%} ± "
        f"{1.96 * covered['reference_error']:.1%} of the cases, and a rerun of 200 other episodes "
        f"in {covered['rerun']:.1%} ± {1.96 * covered['rerun_error']:.1%}."
    ]
