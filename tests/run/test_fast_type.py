"""When another type is used: the decisions of losslandscape/run/fast_type.py, with known times."""

import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace
from losslandscape.run import fast_type
from losslandscape.run.fast_type import find_fast
from losslandscape.run.one_evaluator import OneEvaluator
from losslandscape.run.settings import Settings
from losslandscape.run.task import checked_task

SETTINGS = Settings(batch_size=8, threads=1, names=["loss"])
ORIGIN = {"train": {"loss": torch.full((8,), 1.0).numpy()}}


def task_of(precision="auto", dtype=torch.float32, grid=51, tolerance=None):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(dtype)
    data = torch.randn(8, 3, dtype=dtype), torch.randint(0, 2, (8,))
    objective = Objective(model, "cross_entropy", data, precision=precision, batch_size=8)
    plane = Subspace.random(model, seed=0)
    return checked_task(
        objective, plane, Grid.square(grid), tolerance, None, None, "", None, None, True
    )


def found(task, monkeypatch, measured, settings=SETTINGS):
    """The decision where each measurement of float32 and the other types takes and gives these.

    `measured`: (seconds, losses) of float32 at two points, then of each type at the origin, and at
    the two points if it was not too slow.
    """
    answers = iter(measured)
    points = []

    def answer(evaluator, at):
        points.append((evaluator.objective.arithmetic.name, list(at)))
        return next(answers)

    monkeypatch.setattr(fast_type, "_measured", answer)
    with OneEvaluator(task.subspace) as evaluators:
        decided = find_fast(task, settings, ORIGIN, evaluators)
    return decided, points


EXACT = (1.0, [2.0, 3.0])


def test_a_type_several_times_as_fast_is_used(monkeypatch):
    decided, points = found(task_of(), monkeypatch, [EXACT, (0.6, [1.0]), (0.4, [2.001, 3.0])])
    configuration = decided.pop("configuration")
    assert configuration["memory_format"] in ("contiguous", "channels_last")
    assert decided == {
        "type": "bfloat16",
        "batch_size": 8,
        "speed_up": 2.5,
        "seconds": {"float32": 1.0, "bfloat16": 0.4},
    }
    corners = [(-0.5, -0.5), (0.5, 0.5)]
    assert points == [
        ("float32", corners),
        ("bfloat16", [(0.0, 0.0)]),
        ("bfloat16", corners),
    ]


def test_a_slower_type_costs_one_pass(monkeypatch):
    decided, points = found(task_of(), monkeypatch, [EXACT, (2.0, [1.0])])
    assert decided["type"] is None
    assert decided["reason"] == "bfloat16 is slower than float32 (0.5 times as fast)"
    assert len(points) == 2


@pytest.mark.parametrize(
    ("seconds", "grid", "tolerance"),
    [
        (0.7, 51, None),  # hardly faster
        (0.4, 9, None),  # 81 points, of which 30 would be measured twice
        (0.5, 33, 0.01),  # some 109 points of 1,089
    ],
)
def test_what_saves_less_than_three_tenths_is_not_used(monkeypatch, seconds, grid, tolerance):
    task = task_of(grid=grid, tolerance=tolerance)
    decided, _ = found(task, monkeypatch, [EXACT, (1.0, [1.0]), (seconds, [2.0, 3.0])])
    assert decided["type"] is None
    assert "does not pay" in decided["reason"]


def test_losses_that_differ_by_more_than_the_tolerance_allows_fall_back(monkeypatch):
    fast = (1.0, [1.0]), (0.2, [2.1, 2.9])  # 5% of the range
    decided, _ = found(task_of(), monkeypatch, [EXACT, *fast])
    assert decided["type"] is None
    assert "differ from those in float32 by 5% of the range" in decided["reason"]
    assert "allows 0.33%" in decided["reason"]
    decided, _ = found(task_of(tolerance=0.5, grid=101), monkeypatch, [EXACT, *fast])
    assert decided["type"] == "bfloat16"
    infinite = (1.0, [1.0]), (0.2, [float("inf"), 3.0])
    decided, _ = found(task_of(), monkeypatch, [EXACT, *infinite])
    assert "finite at other points" in decided["reason"]


def test_the_fastest_of_several_types_is_used(monkeypatch):
    monkeypatch.setattr(fast_type, "narrower", lambda device: ("float16", "bfloat16"))
    same = [2.0, 3.0]
    times = [EXACT, (1.0, [1.0]), (0.4, same), (1.0, [1.0]), (0.3, same)]
    assert found(task_of(), monkeypatch, times)[0]["type"] == "bfloat16"
    times = [EXACT, (1.0, [1.0]), (0.2, same), (1.0, [1.0]), (0.3, same)]
    assert found(task_of(), monkeypatch, times)[0]["type"] == "float16"
    times = [EXACT, (9.0, [1.0]), (1.0, [1.0]), (0.9, same)]
    reason = found(task_of(), monkeypatch, times)[0]["reason"]
    assert "float16 is slower" in reason
    assert "; bfloat16 is 1.1 times" in reason


def test_nothing_is_tried_without_auto_and_in_float64(monkeypatch):
    assert found(task_of("float32"), monkeypatch, []) == (None, [])
    decided, _ = found(task_of(dtype=torch.float64), monkeypatch, [])
    assert decided == {"type": None, "reason": "the model computes in float64"}


def test_with_an_allotment_both_types_have_the_same_batches(monkeypatch):
    monkeypatch.setattr(fast_type, "_SAMPLES", 6)  # fewer than there are, and measured anew
    allotted = Settings(4, 1, ["loss"], allotment={"scale": "log", "error": 0.1})
    answers = [(1.0, [1.0, 2.0, 3.0]), (0.6, [1.0]), (0.4, [2.0, 3.0])]
    decided, points = found(task_of(), monkeypatch, answers, allotted)
    assert decided["type"] == "bfloat16"
    assert decided["batch_size"] == 4
    assert points[0] == ("float32", [(0.0, 0.0), (-0.5, -0.5), (0.5, 0.5)])


def test_a_model_that_does_not_run_in_the_type_falls_back(monkeypatch):
    task = task_of()

    class Refuses(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, inputs):
            if self.layer(inputs).dtype == torch.bfloat16:
                raise RuntimeError("no kernel")
            return self.layer(inputs)

    model = Refuses()
    objective = Objective(
        model, "cross_entropy", (torch.randn(8, 3), torch.randint(0, 2, (8,))), precision="auto"
    )
    task = checked_task(
        objective, Subspace.random(model), Grid.square(51), None, 8, None, "", None, None, True
    )
    with OneEvaluator(task.subspace) as evaluators:
        decided = find_fast(task, SETTINGS, ORIGIN, evaluators)
    assert decided["type"] is None
    assert "does not run in bfloat16" in decided["reason"]
    assert "no kernel" in decided["reason"]


def test_times_are_those_of_the_fastest_point(monkeypatch):
    clock = iter([0.0, 3.0, 10.0, 11.0])
    monkeypatch.setattr(fast_type.time, "perf_counter", lambda: next(clock))

    class Evaluator:
        def measure(self, point):
            return {"train": {"loss": torch.full((2,), float(sum(point))).numpy()}}

    assert fast_type._measured(Evaluator(), [(1.0, 2.0), (0.5, 0.0)]) == (1.0, [3.0, 0.5])
