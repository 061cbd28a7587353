"""What ``precision="auto"`` costs and how far it is off: a trained VGG-11 on digits, and trials.

    OMP_NUM_THREADS=1 python -m benchmarks.precision --weights vgg11/weights.safetensors
    OMP_NUM_THREADS=1 python -m benchmarks.precision --trials

The first command measures the same surface with "auto" and in float32, and compares them point by
point; the weights are those of ``losslandscape train --model vgg11 --data digits``. The second one
shows what the trial decides for each network of `benchmarks.models` on a grid of 51 x 51 points.
Costs are seconds of processor time of the whole evaluation, trials included, because other load on
the machine changes them less than it changes the time of the clock.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks import models, results
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate, load_weights
from losslandscape.run.fast_type import find_fast
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.settings import Settings
from losslandscape.run.task import checked_task
from losslandscape.study.datasets import digits, stratified_subset
from losslandscape.study.networks import build_network

IMAGES = {"resnet50": 64, "vgg11": 128}  # of the trials; others as in benchmarks.models


def measured(precision: str, weights: str, images: int, side: int) -> tuple[Landscape, float]:
    """A surface, and the seconds of processor time that it took."""
    model = build_network("vgg11")
    load_weights(model, weights)
    data = stratified_subset(*digits(), images)
    objective = Objective(model.eval(), "cross_entropy", data, precision=precision)
    plane = Subspace.random(model, seed=0)
    start = time.process_time()
    found = evaluate(objective, plane, Grid.square(side, half_width=1.0))
    return found, time.process_time() - start


def surface(weights: str, images: int, side: int) -> None:
    """Compare a surface of two types with that of float32."""
    mixed, cost = measured("auto", weights, images, side)
    exact, exact_cost = measured("float32", weights, images, side)
    stated = mixed.provenance["precision"]
    if "fast_points" not in stated:
        raise SystemExit(f"everything was measured in float32: {stated['reason']}")
    fast = mixed.values("loss_precision_error") > 0
    off = np.abs(mixed.values() - exact.values())
    scale = np.log10 if stated["scale"] == "log" else np.asarray
    shares = np.abs(scale(mixed.values()) - scale(exact.values())) / stated["range"]
    within = (off <= mixed.values("loss_precision_error"))[fast].mean()
    of_float32 = off[~fast].max() / exact.values()[~fast].max()
    agree = f"differ by {of_float32:.0e} of the largest loss" if of_float32 else "are the same bits"
    results.write(
        "precision",
        "A surface in two types beside the same in float32",
        ["surface", "type", "a point, times as fast", "points in float32", "whole surface, times "
         "as cheap", "95% stated", "95% true", "largest stated", "largest true", "within theirs"],
        [[
            f"VGG-11, {images} digits, {side}x{side}",
            stated["type"],
            f"{stated['speed_up']:.2f}",
            f"{stated['exact_points']} of {side * side}",
            f"{exact_cost / cost:.2f}",
            f"{100 * stated['difference_95']:.3f}%",
            f"{100 * np.quantile(shares[fast], 0.95):.3f}%",
            f"{100 * stated['largest_difference']:.3f}%",
            f"{100 * shares[fast].max():.3f}%",
            f"{100 * within:.1f}%",
        ]],
        [
            f"Shares of the range ({stated['range']:.2f}"
            f"{' decades' if stated['scale'] == 'log' else ''}), over the points that were not "
            "measured in float32. The last column is the share of them whose difference is within "
            "their own stated error. Costs are processor time of the whole evaluation, trial "
            f"included: {cost:.0f} s and {exact_cost:.0f} s in float32. At points in float32, the "
            f"two surfaces {agree}.",
        ],
    )  # fmt: skip


def trials() -> None:
    """What the trial decides for each network."""
    rows = []
    for name, samples in models.SAMPLES.items():
        count = IMAGES.get(name, samples)
        model = models.build(name)
        objective = Objective(model, "cross_entropy", models.data(count), precision="auto")
        plane = Subspace.random(model, seed=0)
        task = checked_task(
            objective, plane, Grid.square(51), None, None, None, "", None, None, True
        )
        with OneEvaluator(plane) as evaluators:
            evaluator = evaluators.of(objective)
            origin = evaluator.measure((0.0, 0.0))
            settings = Settings(evaluator.batch_size, torch.get_num_threads(), ["loss"])
            found = find_fast(task, settings, origin, evaluators)
        assert found is not None
        speed = f"{found['speed_up']:.2f}" if "speed_up" in found else ""
        rows.append([name, count, found["type"] or "float32", speed, found.get("reason", "")])
        print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "precision_trials",
        'What the trial of precision="auto" decides for 51 x 51 points',
        ["model", "images", "type", "times as fast", "why float32"],
        rows,
        ["Random images; the weights do not matter for the time, but for the difference."],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="of a trained VGG-11")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side", type=int, default=17)
    parser.add_argument("--trials", action="store_true")
    arguments = parser.parse_args()
    if arguments.weights:
        surface(arguments.weights, arguments.images, arguments.side)
    if arguments.trials:
        trials()


if __name__ == "__main__":
    main()
