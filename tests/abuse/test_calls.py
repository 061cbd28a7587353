"""Each call of calls.txt raises a LossLandscapeError with its words."""

import os

import numpy as np
import pytest
import torch
from tests.abuse import m
from tests.abuse.cases import call_cases

import losslandscape as ll


@pytest.fixture(scope="module")
def names(template):
    """The names that the expressions use; the working folder is the template."""
    model, data = m.build(), m.load()
    objective = ll.Objective(model, "cross_entropy", data)
    plane = ll.Subspace.random(model, seed=0)
    grid = ll.Grid.square(3)
    landscape = ll.evaluate(objective, plane, grid, keep_samples=True, quiet=True)
    before = os.getcwd()
    os.chdir(template)
    yield {
        "ll": ll, "np": np, "torch": torch, "model": model, "data": data, "objective": objective,
        "plane": plane, "line": ll.Subspace.random(model, 1, seed=0), "grid": grid,
        "landscape": landscape, "points": ll.find_critical_points(landscape, draws=40, quiet=True),
        "trajectory": ll.Trajectory.open(template / "run" / "trajectory"), "path": template,
    }  # fmt: skip
    os.chdir(before)


@pytest.mark.parametrize("case", call_cases(), ids=lambda case: f"line {case.line}")
def test_a_call(case, names):
    words, expression = case.parts
    if words == "=":
        eval(expression, dict(names))
        return
    kind = TypeError if words.startswith("TypeError") else ll.LossLandscapeError
    with pytest.raises(kind) as error:
        eval(expression, dict(names))
    assert type(error.value).__module__.startswith("losslandscape") or kind is TypeError
    words = words.removeprefix("TypeError").strip(" :")
    assert " ".join(words.lower().split()) in " ".join(str(error.value).lower().split())
