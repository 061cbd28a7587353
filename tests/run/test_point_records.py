"""A record is the float64 values, then the float32 losses of the kept sets."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.point.device_memory import BatchMemoryError
from losslandscape.run.point_records import PointFailure, PointJob, attempt, summarised


def job(kept):
    model = nn.Linear(2, 1)
    sets = {name: (torch.zeros(n, 2), torch.zeros(n, 1)) for name, n in (("train", 3), ("test", 2))}
    points = np.array([[0.5, 1.0], [2.0, 3.0]])
    objective, plane = Objective(model, "mse", sets), Subspace.random(model)
    return PointJob(objective, plane, points, None, 1, kept, ["loss", "test_loss"], None, {})


MEASURED = {
    "train": {"loss": np.array([1.0, 2.0, 6.0])},
    "test": {"loss": np.array([0.25, 0.75])},
}


@pytest.mark.parametrize("kept", [[], ["train"], ["test"], ["train", "test"]])
def test_a_record_comes_back(kept):
    one = job(kept)
    record = one.packed(MEASURED)
    assert len(record) == one.record_bytes == 16 + 4 * sum(len(MEASURED[k]["loss"]) for k in kept)
    values, samples = one.unpack(record)
    assert values.tolist() == [3.0, 0.5]
    assert list(samples) == kept
    for name in kept:
        assert samples[name].dtype == np.float32
        assert samples[name].tolist() == MEASURED[name]["loss"].tolist()


def test_the_origin_is_the_number_after_the_last_point():
    one = job([])
    assert one.origin == 2
    assert one.points.tolist() == [[0.5, 1.0], [2.0, 3.0], [0.0, 0.0]]
    assert one.draws is False


class Fails:
    def __init__(self, error):
        self.error, self.asked = error, []

    def measure(self, point, allotment):
        self.asked.append((point.tolist(), allotment))
        if self.error is not None:
            raise self.error
        return MEASURED


@pytest.mark.parametrize(
    ("error", "said", "too_large"),
    [
        (BatchMemoryError("memory"), "memory", True),
        (LossLandscapeError("no loss"), "no loss", False),
        (ArithmeticError("overflow"), "ArithmeticError: overflow (", False),
    ],
)
def test_a_point_that_fails_has_a_reason(error, said, too_large):
    found = attempt(job([]), Fails(error), 1, "this process")
    assert found.error.startswith(said)  # and then the line that raised
    assert found == PointFailure(found.error, "this process", too_large)


def test_an_interrupt_is_no_failure_of_a_point():
    with pytest.raises(KeyboardInterrupt):
        attempt(job([]), Fails(KeyboardInterrupt()), 1, "this process")


def test_a_point_is_measured_where_its_number_is_and_with_the_allotment():
    one, evaluator = job(["train"]), Fails(None)
    one.allotment = "allotment"
    assert attempt(one, evaluator, 1, "this process") == one.packed(MEASURED)
    assert evaluator.asked == [([2.0, 3.0], "allotment")]


def test_means_and_the_standard_error_by_the_formula():
    losses = np.array([1.0, 2.0, 6.0], np.float32)
    sets = {"train": {"loss": losses, "accuracy": np.array([1.0, 0.0, 1.0], np.float32)}}
    found = summarised({**sets, "test": {"loss": losses[:1]}}, {"train": "", "test": "test_"})
    assert found.pop("test_loss_standard_error") != found["loss_standard_error"]
    assert found == {
        "loss": 3.0,
        "loss_standard_error": pytest.approx(math.sqrt((4 + 1 + 9) / 2 / 3)),
        "loss_sample_count": 3.0,
        "accuracy": pytest.approx(2 / 3),
        "test_loss": 1.0,
        "test_loss_sample_count": 1.0,
    }


def test_one_sample_has_no_standard_error_and_infinity_is_a_result(recwarn):
    found = summarised({"train": {"loss": np.array([2.0])}}, {"train": ""})
    assert math.isnan(found["loss_standard_error"])
    found = summarised({"train": {"loss": np.array([2.0, np.inf])}}, {"train": ""})
    assert found["loss"] == math.inf
    assert math.isnan(found["loss_standard_error"])
    assert not recwarn.list


def test_sums_are_in_float64():
    losses = np.full(5, 3e38, np.float32)
    assert summarised({"train": {"loss": losses}}, {"train": ""})["loss"] == float(losses[0])


def test_two_sets_with_a_variable_of_one_name_are_refused():
    sets = {
        "train": {"loss": np.ones(2), "test_loss": np.ones(2)},
        "test": {"loss": np.ones(2)},
    }
    with pytest.raises(LossLandscapeError, match="'test_loss' is a quantity of two sets"):
        summarised(sets, {"train": "", "test": "test_"})
