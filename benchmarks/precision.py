"""What ``precision="auto"`` costs and how far it is off: a trained VGG-11 on digits, and trials.

    OMP_NUM_THREADS=1 python -m benchmarks.precision --weights vgg11/weights.safetensors
    OMP_NUM_THREADS=1 python -m benchmarks.precision --trials
    OMP_NUM_THREADS=1 python -m benchmarks.precision --float64

The first command measures the same surface with "auto" and in float32, and compares them point by
point; the weights are those of ``losslandscape train --model vgg11 --data digits``. The second one
shows what the trial decides for each network of `benchmarks.models` on a grid of 51 x 51 points.
The third one measures whole surfaces of trained networks in bfloat16, float32 and float64, where
bfloat16 is emulated if the processor has none, and lets the method choose from the first two: its
statement must hold against the third.
Costs are seconds of processor time of the whole evaluation, trials included, because other load on
the machine changes them less than it changes the time of the clock.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import models, results
from benchmarks.trained import trained
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate, load_weights
from losslandscape.adaptive.two_precisions import DEFAULT_TOLERANCE, FastField, TwoPrecisions
from losslandscape.landscape.scale import to_scale
from losslandscape.run.fast_type import find_fast
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.settings import Settings
from losslandscape.run.task import checked_task
from losslandscape.study.datasets import digits, stratified_subset
from losslandscape.study.networks import build_network

IMAGES = {"resnet50": 64, "vgg11": 128}  # of the trials; others as in benchmarks.models
# points along an axis, and images, of the surfaces in three types
SIDES = {"mlp": 21, "small_resnet": 21, "small_transformer": 21, "vgg11": 13, "resnet50": 13}


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


def values_in(
    name: torch.dtype, model: nn.Module, data: tuple[Tensor, Tensor], plane: Subspace, grid: Grid
) -> Landscape:
    """The dense surface with parameters and data of this type; in bfloat16, products alone."""
    whole = torch.float64 if name == torch.float64 else torch.float32
    parts = [plane.origin, *plane.directions]
    origin, *directions = (
        {one.name: one.view(part).to(whole) for one in plane.layout.segments} for part in parts
    )
    precision = "bfloat16" if name == torch.bfloat16 else "float32"
    objective = Objective(
        copy.deepcopy(model).to(whole),
        "cross_entropy",
        (data[0].to(whole), data[1]),
        **({} if whole == torch.float64 else {"precision": precision}),
    )
    return evaluate(objective, Subspace(origin, directions), grid, quiet=True)


def against_float64(sides: Mapping[str, int]) -> None:
    """The stated difference of two types, against surfaces in float64.

    Rows of other networks that are in the table stay.
    """
    path = results.FOLDER / "precision_float64.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = [row for row in rows if row[0].split(",")[0] not in sides]
    for name, side in sides.items():
        model, _ = trained(name)
        data = stratified_subset(*digits(), 64 if name in IMAGES else 256)
        plane, grid = Subspace.random(model, seed=0), Grid.square(side, half_width=1.0)
        fast, exact, truth = (
            values_in(kind, model, data, plane, grid)
            for kind in (torch.bfloat16, torch.float32, torch.float64)
        )
        rows.append(compared(f"{name}, {len(data[1])} digits, {side}x{side}", fast, exact, truth))
        print(*rows[-1], sep=" | ", flush=True)
    results.write(
        "precision_float64",
        "Two types, stated and true differences from float64",
        ["surface", "scale", "points in float32", "95% stated", "95% true", "largest stated",
         "largest true", "within theirs", "float32, largest"],
        sorted(rows, key=lambda row: list(SIDES).index(row[0].split(",")[0])),
        ["Trained networks; whole surfaces in bfloat16, float32 and float64. Shares of the range, "
         "over the points in bfloat16, and in the last column the difference of float32 from "
         "float64 at all points. Within theirs: the share of points whose difference is within "
         "their own stated error, for which 95% is stated."],
    )  # fmt: skip


def compared(name: str, fast: Landscape, exact: Landscape, truth: Landscape) -> list[Any]:
    """A row of that table."""
    losses, errors = fast.values().ravel(), fast.values("loss_standard_error").ravel()
    everywhere = np.isfinite(losses)
    field = FastField(losses, errors, everywhere, fast.grid.shape, losses)
    both = TwoPrecisions(field, DEFAULT_TOLERANCE)
    while both.next_round(exact.values().ravel()).size:
        pass
    scale = to_scale(truth.values().ravel(), both.scale)
    of_float32 = np.abs(to_scale(exact.values().ravel(), both.scale) - scale) / both.range
    last = f"{100 * np.nanmax(of_float32):.1e}%"
    if both.fallen_back:
        return [name, both.scale, f"all: {both.fallen_back}", *[""] * 5, last]
    rest = everywhere & ~both.in_both
    shares = (np.abs(to_scale(losses, both.scale) - scale) / both.range)[rest]
    off = np.abs(losses - truth.values().ravel())
    within = (off <= both.error(errors, losses))[rest].mean()
    return [
        name,
        both.scale,
        f"{both.in_both.sum()} of {losses.size}",
        f"{100 * both.difference_95:.3f}%",
        f"{100 * np.quantile(shares, 0.95):.3f}%",
        f"{100 * both.largest_difference:.3f}%",
        f"{100 * shares.max():.3f}%",
        f"{100 * within:.1f}%",
        last,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="of a trained VGG-11")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side", type=int, default=17)
    parser.add_argument("--trials", action="store_true")
    parser.add_argument("--float64", nargs="*", choices=SIDES, help="all networks, or these")
    arguments = parser.parse_args()
    if arguments.weights:
        surface(arguments.weights, arguments.images, arguments.side)
    if arguments.trials:
        trials()
    if arguments.float64 is not None:
        against_float64({name: SIDES[name] for name in arguments.float64 or SIDES})


if __name__ == "__main__":
    main()
