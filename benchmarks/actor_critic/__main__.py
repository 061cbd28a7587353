"""``python -m benchmarks.actor_critic``: the study of actor and critic, from nothing to its table.

A study that was killed goes on by the same command.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch

import losslandscape as ll
from benchmarks.actor_critic import agents, error_bars, exports, landscapes, picture, table
from benchmarks.studies import exit_status, kept_numbers

FOLDER = Path("study_runs/actor_critic")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="agents of each algorithm")
    parser.add_argument("--steps", type=int, default=agents.STEPS, help="of the environment")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of everything that is made")
    parser.add_argument(
        "--write", action="store_true", help="store table, picture and data of Figure 11"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    return exit_status(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Train, measure and judge what is missing; then print the table."""
    agents.require_libraries()
    began = time.perf_counter()
    found: dict[str, list[dict[str, Any]]] = {}
    shown: dict[str, dict[str, ll.Landscape]] = {}
    for algorithm in agents.ALGORITHMS:
        for seed in range(arguments.seeds):
            folder = arguments.folder / f"{algorithm}_{seed}"
            agent = agents.trained(algorithm, seed, folder, arguments.steps)
            measured = landscapes.measured(agent, folder)
            shown.setdefault(algorithm, measured)
            numbers = kept_numbers(
                folder / "numbers.json",
                lambda: landscapes.judged(agent, measured),  # noqa: B023
            )
            found.setdefault(algorithm, []).append(numbers)
            print(
                f"{algorithm}, seed {seed}, {time.perf_counter() - began:.0f} s: level "
                f"{numbers['level']:.3f}, cost above the optimum {numbers['extra_cost']:.4f}",
                flush=True,
            )
    covered = kept_numbers(
        arguments.folder / "error_bars.json", lambda: _covered(arguments.folder, arguments.steps)
    )
    for row in table.rows(found):
        print(" | ".join(row))
    print("\n".join(table.coverage_in_words(covered)))
    picture.draw(shown, arguments.folder / "actor_critic.png")
    print(f"{arguments.folder / 'actor_critic.png'}; {time.perf_counter() - began:.0f} s")
    if arguments.write:
        table.write(found, covered)
        picture.draw(shown, Path("docs/images/actor_critic.png"))
        exports.export(shown)


def _covered(folder: Path, steps: int) -> dict[str, float]:
    first = folder / f"{agents.ALGORITHMS[0]}_0"
    agent = agents.trained(agents.ALGORITHMS[0], 0, first, steps)
    plane = ll.Subspace.pca(ll.Trajectory.open(first / "trajectory"), parameters="actor")
    return error_bars.coverage(agent, plane, folder / "error_bars")


if __name__ == "__main__":
    sys.exit(main())
