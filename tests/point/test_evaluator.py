"""An evaluator: the model that it moves, what it gives, and what it leaves behind."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.point import evaluator as evaluators
from losslandscape.point.evaluator import Evaluator


def data(count, dtype=torch.float32):
    torch.manual_seed(count)
    return torch.randn(count, 3, dtype=dtype), torch.randn(count, 2, dtype=dtype)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))


def losses(weights, inputs, targets, mean=0.0, variance=1.0):
    """Mean squared errors a sample, by the formula of batch norm in evaluation."""
    outputs = inputs @ weights["0.weight"].T + weights["0.bias"]
    outputs = (outputs - mean) / (variance + 1e-5) ** 0.5
    outputs = outputs * weights["1.weight"] + weights["1.bias"]
    return (outputs - targets).square().mean(dim=1).numpy()


@pytest.mark.parametrize(
    ("precision", "copied"), [(None, False), ("float32", False), ("float64", True)]
)
def test_a_model_of_the_type_asked_for_is_moved_itself_and_another_is_a_copy(
    model, precision, copied
):
    subspace = Subspace.random(model)
    with Evaluator(Objective(model, "mse", data(6), precision=precision), subspace) as evaluator:
        assert (evaluator.model is not model) == copied
        before = model[0].weight.detach().clone()
        found = evaluator.measure((0.5, -1.0))["train"]["loss"]
        assert torch.equal(before, model[0].weight) == copied
        assert evaluator.model.training is False
    assert found.dtype == (np.float64 if copied else np.float32)
    weights = {name: tensor.detach() for name, tensor in subspace.parameters_at((0.5, -1)).items()}
    np.testing.assert_allclose(found, losses(weights, *data(6)), rtol=1e-5)
    assert model.training
    assert torch.equal(before, model[0].weight)


def test_passes_and_batches_of_all_sets(model):
    sets = {"train": data(10), "test": data(3)}
    objective = Objective(model, "mse", sets, batch_size=4)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        assert (evaluator.passes, evaluator.batch_size) == (4, 4)
        measured = evaluator.measure((0, 0))
    assert {name: len(values["loss"]) for name, values in measured.items()} == {
        "train": 10,
        "test": 3,
    }
    with Evaluator(objective, Subspace.random(model), 5) as evaluator:
        assert (evaluator.passes, evaluator.batch_size) == (3, 5)
    with Evaluator(objective.with_batch_norm("reestimated"), Subspace.random(model)) as evaluator:
        assert evaluator.passes == 7


def test_an_allotment_is_asked_with_the_size_of_each_set(model):
    asked = []

    class Two:
        def suffices(self, losses, of):
            asked.append((len(losses), of))
            return len(losses) >= 4

    sets = {"train": data(10), "test": data(3)}
    with Evaluator(Objective(model, "mse", sets, batch_size=2), Subspace.random(model)) as one:
        whole = one.measure((0, 0))
        asked.clear()
        part = one.measure((0, 0), Two())
    assert asked == [(2, 10), (4, 10), (2, 3), (3, 3)]
    np.testing.assert_array_equal(part["train"]["loss"], whole["train"]["loss"][:4])


def test_other_parameters_are_measured_with_their_buffers_which_then_go(model):
    parameters = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    buffers = {"1.running_mean": torch.tensor([1.0, -2.0]), "1.running_var": torch.tensor([4.0, 9])}
    with Evaluator(Objective(model, "mse", data(6)), Subspace.random(model)) as evaluator:
        before = evaluator.measure((0, 0))["train"]["loss"]
        found = evaluator.measure_parameters(parameters, buffers)["train"]["loss"]
        after = evaluator.measure((0, 0))["train"]["loss"]
        with pytest.raises(LossLandscapeError, match="parameters to measure"):
            evaluator.measure_parameters({"0.weight": parameters["0.weight"]}, {})
    expected = losses(parameters, *data(6), *buffers.values())
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("batch_norm", ["fixed", "reestimated"])
def test_statistics_gathered_anew_are_not_altered_buffers(model, batch_norm):
    class Counts(nn.Linear):
        def forward(self, inputs):
            self.calls += 1
            return super().forward(inputs)

    model[0] = Counts(3, 2)
    model[0].register_buffer("calls", torch.zeros(()))
    objective = Objective(model, "mse", data(6), batch_norm=batch_norm)
    with Evaluator(objective, Subspace.random(model)) as evaluator:
        evaluator.measure((0, 0))
        assert evaluator.altered_buffers() == ["0.calls"]
    assert model[0].calls == 0
    assert model[1].running_mean.tolist() == [0, 0]


def test_every_point_begins_with_the_seed(model):
    class Draws(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs) + torch.rand(1)

    model[0] = Draws(3, 2)
    samples = data(6)
    objective = Objective(model, "mse", samples, nondeterminism="stated")
    subspace = Subspace.random(model)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    torch.manual_seed(0)
    weights["0.bias"] = weights["0.bias"] + torch.rand(1)
    before = torch.get_rng_state()
    with Evaluator(objective, subspace) as evaluator:
        one, other = (evaluator.measure((0, 0))["train"]["loss"] for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(one, losses(weights, *samples), rtol=1e-4)


def test_a_refused_opening_leaves_the_model_as_it_was(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    objective = Objective(model, "mse", (torch.randn(6, 4), torch.randn(6, 2)))
    generator = torch.get_rng_state()
    with pytest.raises(LossLandscapeError, match="shapes of the data do not fit"):
        Evaluator(objective, Subspace.random(model)).__enter__()
    assert model.training
    assert torch.equal(torch.get_rng_state(), generator)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_deviation_is_measured_once_on_the_default_grid_and_by_the_plain_arithmetic():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    subspace = Subspace.random(model)
    objective = Objective(model, "mse", data(6), precision="bfloat16")
    with Evaluator(objective, subspace) as evaluator:
        found = evaluator.deviation
        assert evaluator.deviation is found
        assert found == evaluator.deviation_on(subspace.default_grid())
        assert evaluator.deviation_on(Grid.square(3, 4.0))["points"][1] == [-2.0, -2.0]
    points = [tuple(point) for point in found["points"]]
    with Evaluator(Objective(model, "mse", data(6)), subspace) as plain:
        expected = [plain.measure(point)["train"]["loss"].mean() for point in points]
    assert found["reference_loss"] == pytest.approx(expected, rel=1e-6)
    assert found["loss"] != found["reference_loss"]
    assert 0 < found["largest_relative"] < 0.05


def test_a_batch_size_is_found_once_for_samples_of_one_length(model, monkeypatch):
    tried = []

    def found(first, rate, count, known):
        tried.append((len(first(2)[0]), count, rate(first(2)) > 0))
        return 3

    monkeypatch.setattr(evaluators, "trial_batch_size", found)
    with Evaluator(Objective(model, "mse", data(6)), Subspace.random(model)) as evaluator:
        assert (evaluator.batch_size, evaluator.passes) == (3, 2)
    assert tried == [(2, 6, True)]


@pytest.mark.parametrize("swapped", [(0, 0), (1, 1), (1, 0)])
def test_arguments_of_another_kind_are_refused(model, swapped):
    arguments = Objective(model, "mse", data(6)), Subspace.random(model)
    with pytest.raises((LossLandscapeError, TypeError), match="is expected"):
        Evaluator(*(arguments[place] for place in swapped))
