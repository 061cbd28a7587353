"""Configurations: any of them gives the same values, and an evaluator computes as it is told."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import LossLandscapeError, Objective, Subspace
from losslandscape.point import evaluator as evaluators
from losslandscape.point.convolution_trial import Formats
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.fused_convolutions import FusedConvolutions
from losslandscape.problem.configuration import PRODUCTS, ROW_MAJOR, Configuration
from losslandscape.problem.execution import EXECUTIONS

POINT = (0.3, -0.2)


class Network(nn.Module):
    """Convolutions on 8 x 8 pixels, on 2 x 2 pixels and to one pixel."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.small = nn.Conv2d(8, 8, 3, padding=1)
        self.pixel = nn.Conv2d(8, 8, 2)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        maps = torch.relu(self.norm(self.first(images)))
        maps = torch.relu(self.small(nn.functional.avg_pool2d(maps, 4)))
        return self.head(self.pixel(maps).flatten(1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture
def tries(monkeypatch):
    """Trials are made however short a pass is."""
    monkeypatch.setattr(evaluators, "_WORTH_TRIALS", 0.0)
    monkeypatch.setattr(evaluators, "_CERTAINLY_WORTH", 0.0)


def objective_of(model, images, **options):
    return Objective(model, "cross_entropy", images, **options)


def losses(objective, subspace, configuration=None):
    with Evaluator(objective, subspace, 16, configuration) as evaluator:
        return evaluator.measure(POINT)["train"]["loss"], evaluator.configuration


WAYS = [
    Configuration("contiguous", (), {}),
    Configuration("channels_last", (), {}),
    Configuration("channels_last", ("fused_convolutions", "pixel_convolutions"), None),
    Configuration("contiguous", ("pixel_convolutions",), {"pixel": PRODUCTS, "small": PRODUCTS}),
    Configuration(
        "channels_last",
        ("pixel_convolutions", "row_major_convolutions", "fused_convolutions"),
        {"pixel": PRODUCTS, "small": ROW_MAJOR},
    ),
    Configuration(
        "channels_last",
        ("row_major_convolutions",),
        {"first": ROW_MAJOR, "small": ROW_MAJOR},
    ),
]


@pytest.mark.parametrize("configuration", WAYS)
def test_every_configuration_gives_the_models_values_and_is_the_one_that_was_given(
    model, images, configuration
):
    plane = Subspace.random(model, seed=0)
    exact, _ = losses(objective_of(model, images, precision="float64"), plane, WAYS[0])
    found, used = losses(objective_of(model, images), plane, configuration)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
    assert used.memory_format == configuration.memory_format
    assert set(used.shortcuts) == set(configuration.shortcuts)
    assert used.convolutions == configuration.convolutions
    again, _ = losses(objective_of(model, images), plane, used)
    assert np.array_equal(found, again)


def test_kernels_of_row_major_convolutions_are_row_major(model, images):
    with Evaluator(objective_of(model, images), Subspace.random(model), 16, WAYS[4]):
        order = torch.channels_last
        assert model.small.weight.is_contiguous()
        assert not model.small.weight.is_contiguous(memory_format=order)
        assert model.first.weight.is_contiguous(memory_format=order)
        assert not model.first.weight.is_contiguous()


@pytest.mark.parametrize(
    "damage",
    [
        {"memory_format": "diagonal"}, {"memory_format": None}, {"shortcuts": "fused"},
        {"shortcuts": [1]}, {"convolutions": {"a": "fast"}}, {"convolutions": ["a"]},
        {"convolutions": {1: "products"}}, {"batch_size": 0}, {"batch_size": "8"},
        {"batch_size": True}, {"batch_size": 2.5},
        {"batch_size": 0, "loss": 10**5000},
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_none(damage):
    good = Configuration("contiguous", ("kept_products",), {"a": "products"}, 8).to_json()
    assert Configuration.from_json(good) is not None
    assert Configuration.from_json({**good, **damage}) is None
    objective = Objective(nn.Linear(2, 1), "mse", (torch.ones(4, 2), torch.ones(4, 1)))
    assert Configuration.of(objective.with_execution(good).execution).to_json() == good
    with pytest.raises(LossLandscapeError, match="does not say how points are computed"):
        objective.with_execution({**good, **damage})


@pytest.mark.parametrize("value", [None, "contiguous", 3, [], {}])
def test_other_values_are_no_configuration(value):
    assert Configuration.from_json(value) is None


def test_a_trial_is_made_once_and_its_result_used(model, images, tries, monkeypatch):
    chosen = Formats(True, {"small": ROW_MAJOR, "pixel": PRODUCTS})
    calls = []

    def formats(seen, samples, allowed):
        calls.append((set(seen), samples, set(allowed)))
        return chosen

    monkeypatch.setattr(evaluators, "fastest_formats", formats)
    plane = Subspace.random(model, seed=0)
    found, used = losses(objective_of(model, images), plane)
    assert calls == [({"first", "small", "pixel"}, 16, {True, False})]
    assert used.memory_format == "channels_last"
    assert used.convolutions == chosen.convolutions
    assert {"row_major_convolutions", "pixel_convolutions"} <= set(used.shortcuts)
    again, same = losses(objective_of(model, images), plane, used)
    assert len(calls) == 1
    assert same == used
    assert np.array_equal(found, again)


@pytest.mark.parametrize("last", [True, False])
def test_the_format_that_a_trial_found_is_laid_out(model, images, tries, monkeypatch, last):
    monkeypatch.setattr(evaluators, "fastest_formats", lambda *_: Formats(last, {}))
    with Evaluator(objective_of(model, images), Subspace.random(model)) as evaluator:
        assert evaluator.configuration.memory_format == ["contiguous", "channels_last"][last]
        assert model.first.weight.is_contiguous(memory_format=torch.channels_last) is last
        batch = evaluator.batches.sets["train"][0][0]
        assert batch.is_contiguous(memory_format=torch.channels_last) is last
        assert batch.is_contiguous() is not last


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_each_execution_gives_the_same_values(model, images, tries, execution):
    plane = Subspace.random(model, seed=0)
    expected, _ = losses(objective_of(model, images, precision="float64"), plane, WAYS[0])
    found, used = losses(objective_of(model, images, execution=execution), plane)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if execution in ("channels_last", "contiguous"):
        assert used.memory_format == execution
    if execution == "plain":
        assert (used.memory_format, used.shortcuts, used.convolutions) == ("contiguous", (), {})


def test_unknown_executions_are_refused(model, images):
    with pytest.raises(LossLandscapeError, match="execution"):
        objective_of(model, images, execution="fast")


class Viewing(Network):
    """A model that does not run channels-last."""

    def forward(self, images):
        return super().forward(images.view(images.shape[0], -1).view(images.shape))


def test_a_model_that_does_not_run_channels_last_is_refused_if_that_is_asked_for(images):
    objective = objective_of(Viewing().eval(), images, execution="channels_last")
    with pytest.raises(LossLandscapeError, match="does not run channels-last"):
        losses(objective, Subspace.random(objective.model))


def test_such_a_model_is_tried_row_major_alone(images, tries):
    objective = objective_of(Viewing().eval(), images)
    _, used = losses(objective, Subspace.random(objective.model))
    assert used.memory_format == "contiguous"


@pytest.mark.parametrize(("without", "kept"), [(1.0, True), (3.0, True), (0.2, False)])
def test_an_optional_shortcut_stays_only_if_it_is_faster(
    model, images, tries, monkeypatch, without, kept
):
    shortcuts = "losslandscape.point.shortcuts"
    calls = []

    def seconds(run, batch, warm):
        calls.append(run.__self__.used(FusedConvolutions) is not None)
        return 0.5 if calls[-1] else without

    monkeypatch.setattr(f"{shortcuts}.seconds_of_pass", seconds)
    monkeypatch.setattr(f"{shortcuts}._TURNS_SECONDS", 0.0)
    monkeypatch.setattr(evaluators, "fastest_formats", lambda *_: Formats(True, {}))
    plane = Subspace.random(model, seed=0)
    expected, _ = losses(objective_of(model, images, precision="float64"), plane, WAYS[0])
    found, used = losses(objective_of(model, images), plane)
    assert calls == [True, False]
    assert ("fused_convolutions" in used.shortcuts) is kept
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_short_passes_are_not_tried(model, images, monkeypatch):
    monkeypatch.setattr(evaluators, "_WORTH_TRIALS", 3600.0)
    monkeypatch.setattr(evaluators, "fastest_formats", None)
    _, used = losses(objective_of(model, images), Subspace.random(model))
    assert used.memory_format == "channels_last"
    assert used.convolutions is None


def test_a_batch_of_a_trial_that_memory_does_not_hold_ends_the_trial(model, images, monkeypatch):
    def used_up(*_):
        raise torch.OutOfMemoryError("used up")

    monkeypatch.setattr(evaluators, "_WORTH_TRIALS", 1e-9)
    monkeypatch.setattr(evaluators, "seconds_of_pass", used_up)
    monkeypatch.setattr(evaluators, "fastest_formats", None)
    _, used = losses(objective_of(model, images), Subspace.random(model))
    assert used.convolutions is None
