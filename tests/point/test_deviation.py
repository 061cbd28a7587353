"""The deviation of reduced precision: where it is measured, and its numbers."""

import math
import warnings

import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective
from losslandscape.errors import LossLandscapeError
from losslandscape.point.deviation import deviation

GRID = Grid.rectangle([3, 3], [(-1.0, 3.0), (0.0, 2.0)])
POINTS = [[0, 0], [-0.5, 0], [-0.5, 1], [1.5, 0], [1.5, 1]]


def objective(dtype=torch.float32, **options):
    model = nn.Linear(3, 2).to(dtype)
    return Objective(model, "mse", (torch.zeros(4, 3), torch.zeros(4, 2)), **options)


def never(points):
    raise AssertionError("not to be measured")


def gives(*losses):
    def measure(points):
        assert [list(point) for point in points] == POINTS
        return losses

    return measure


@pytest.mark.parametrize("options", [{}, {"precision": "float32"}, {"precision": "float64"}])
def test_plain_arithmetic_is_not_measured_again(options):
    assert deviation(objective(**options), GRID, never, never, never) is None


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"precision": "bfloat16"}, "float32"),
        ({"compile": True}, "float32"),
        ({"compile": True, "precision": "float64"}, "float64"),
    ],
)
def test_the_largest_differences(options, reference):
    own, plain = (1.0, 4.0, 30.0, 0.0, 7.0), (1.5, 3.0, 28.0, 0.0, 7.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = deviation(objective(**options), GRID, gives(*own), gives(*plain), never)
    assert found == {
        "reference": reference,
        "points": POINTS,
        "loss": list(own),
        "reference_loss": list(plain),
        "largest_absolute": 2.0,
        "largest_relative": pytest.approx(1 / 3),
    }


def test_differences_are_those_where_both_are_finite():
    own, plain = (2.0, math.inf, 1.0, math.nan, -4.0), (2.0, 1.0, math.inf, 1.0, -5.0)
    found = deviation(objective(compile=True), GRID, gives(*own), gives(*plain), never)
    assert found["largest_absolute"] == 1.0
    assert found["largest_relative"] == pytest.approx(0.2)
    nowhere = gives(*[math.nan] * 5)
    found = deviation(objective(compile=True), GRID, nowhere, gives(*plain), never)
    assert (found["largest_absolute"], found["largest_relative"]) == (0.0, 0.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_16_bits_is_compared_with_float32_and_its_error_and_span_are_told(dtype):
    own, exact = gives(1.0, 2.0, 3.0, math.nan, 5.0), gives(1.25, 2.0, 3.0, math.inf, 9.25)
    with pytest.warns(UserWarning, match="off by up to 4.25 here, where it spans 8") as caught:
        found = deviation(objective(dtype), GRID, own, never, exact)
    assert str(dtype).removeprefix("torch.") in str(caught[0].message)
    assert found["reference"] == "float32"
    assert found["reference_loss"][-1] == 9.25
    assert found["largest_absolute"] == 4.25
    with pytest.warns(UserWarning, match="spans 0$"):
        deviation(objective(dtype), GRID, own, never, gives(*[math.nan] * 5))


def test_a_model_of_16_bits_that_does_not_run_in_float32_has_no_deviation():
    def refuse(points):
        raise LossLandscapeError("no such kernel")

    losses = gives(1.0, 2.0, 3.0, 4.0, 5.0)
    with pytest.warns(UserWarning, match="if the model could: no such kernel"):
        assert deviation(objective(torch.bfloat16), GRID, losses, never, refuse) is None
