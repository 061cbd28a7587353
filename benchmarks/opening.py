"""What the opening of an evaluator chooses, what it costs, and what another choice would cost.

Run ``python -m benchmarks.opening``; ``--only resnet50 vgg11`` selects models. The cost is that of
fresh processes, without and with a cache of configurations, in passes of the plain model. Other
choices take turns with the one that was made.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import Any

import torch

from benchmarks import models, results
from losslandscape import Objective, Subspace
from losslandscape.point.evaluator import Evaluator

SAMPLES = {**models.SAMPLES, "resnet50": 128, "vgg11": 128}
FORCED = ("channels_last", "contiguous", "plain")
TURNS = 3
_WORDS = {"channels_last": "channels-last", "contiguous": "row-major"}


def opening(name: str) -> dict[str, float]:
    """Seconds of the plain pass and of the opening, in this process."""
    model = models.build(name)
    images, targets = models.data(SAMPLES[name])
    plane = Subspace.random(model, seed=0)
    objective = Objective(model, "cross_entropy", (images.clone(), targets))
    passes = []
    with torch.no_grad():
        for _ in range(4):
            start = time.perf_counter()
            model(images)
            passes.append(time.perf_counter() - start)
    start = time.perf_counter()
    with Evaluator(objective, plane):
        return {"opening": time.perf_counter() - start, "plain": min(passes)}


def in_fresh_processes(name: str, rounds: int) -> tuple[list[float], list[float]]:
    """Plain passes of openings without a cache, and with a warm one."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for ratios in found:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.opening", "--once", name],
                    env={**os.environ, "LOSSLANDSCAPE_CACHE": folder},
                    stdout=subprocess.PIPE,
                    check=True,
                    text=True,
                )
                times = json.loads(done.stdout.splitlines()[-1])
                ratios.append(times["opening"] / times["plain"])
    return found


def forced(name: str) -> tuple[Any, dict[str, list[float]]]:
    """The configuration found, and the time of a point by each other as a multiple of its."""
    model = models.build(name)
    images, targets = models.data(models.SAMPLES[name])
    plane = Subspace.random(model, seed=0)
    evaluators = {}
    for execution in ("auto", *FORCED):
        other = copy.deepcopy(model)
        objective = Objective(
            other, "cross_entropy", (images.clone(), targets), execution=execution
        )
        evaluators[execution] = Evaluator(objective, plane).__enter__()
    times: dict[str, list[float]] = {execution: [] for execution in evaluators}
    points = 1
    for turn in range(TURNS + 1):
        for execution, evaluator in evaluators.items():
            start = time.perf_counter()
            for i in range(points):
                evaluator.measure((1e-3 * i, 0.2 + turn))
            seconds = (time.perf_counter() - start) / points
            if turn:  # the first one warms up
                times[execution].append(seconds)
        points = max(1, min(50, round(0.1 / seconds)))
    found = evaluators["auto"].configuration
    for evaluator in reversed(evaluators.values()):
        evaluator.__exit__()
    ratios = {
        execution: [other / own for other, own in zip(times[execution], times["auto"])]
        for execution in FORCED
    }
    return found, ratios


def described(configuration: Any) -> list[Any]:
    """The configuration as cells of a table."""
    ways = Counter((configuration.convolutions or {}).values())
    optional = [s for s in configuration.shortcuts if not s.endswith("l_convolutions")]
    kept = [s for s in optional if s != "row_major_convolutions"]
    return [
        _WORDS[configuration.memory_format],
        ways["row_major"] or "",
        ways["products"] or "",
        ", ".join(s.replace("_", " ") for s in kept),
        configuration.batch_size,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SAMPLES, default=list(SAMPLES))
    parser.add_argument("--quick", action="store_true", help="one opening of each kind")
    parser.add_argument("--once", choices=SAMPLES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(opening(arguments.once)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOSSLANDSCAPE_CACHE"] = folder
        for name in arguments.only:
            found, ratios = forced(name)
            cold, warm = in_fresh_processes(name, 1 if arguments.quick else 3)
            rows.append(
                [
                    name,
                    *described(found),
                    *(results.spread(ratios[execution]) for execution in FORCED),
                    SAMPLES[name],
                    results.spread(cold),
                    results.spread(warm),
                ]
            )
            print(*rows[-1], sep=" | ", flush=True)
    results.write(
        results.of_processor("opening"),
        "What the opening chose, the time of a point by another choice, and the opening's cost",
        [
            "model",
            "maps",
            "convolutions row-major",
            "as products",
            "shortcuts",
            "batch",
            "channels_last",
            "contiguous",
            "plain",
            "images",
            "opening, plain passes",
            "with a warm cache",
        ],
        rows,
        [
            "The time of a point is a multiple of that of the choice, in turns. The opening is "
            "timed in fresh processes, in passes of the plain model over these images, row-major, "
            "in one batch.",
        ],
    )


if __name__ == "__main__":
    main()
