"""A run opens its evaluator once, and the values do not depend on it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.point.evaluator import Evaluator
from losslandscape.run import one_evaluator
from losslandscape.run.one_evaluator import OneEvaluator


@pytest.fixture
def openings(monkeypatch):
    """(objective, batch size asked for) of each evaluator that a run opens in this process."""
    opened = []
    present = []

    class Counted(Evaluator):
        def __init__(self, objective, subspace, batch_size=None, configuration=None):
            super().__init__(objective, subspace, batch_size, configuration)
            self.asked = batch_size

        def __enter__(self):
            assert not present, "two evaluators would move one model"
            present.append(self)
            opened.append((self.objective, self.asked))
            return super().__enter__()

        def __exit__(self, *error):
            super().__exit__(*error)
            present.remove(self)

    monkeypatch.setattr(one_evaluator, "Evaluator", Counted)
    yield opened
    assert not present


def test_one_is_open_and_another_only_where_it_has_to_be(cnn, images, openings):
    objective = Objective(cnn, "cross_entropy", images)
    own = cnn.head.weight
    before = own.detach().clone()
    with OneEvaluator(Subspace.random(cnn)) as evaluators:
        first = evaluators.of(objective)
        assert evaluators.of(objective, first.batch_size) is first
        second = evaluators.of(objective, 7)
        assert second is not first
        assert second.batch_size == 7
        assert evaluators.of(objective.shuffled(0), 7) is not second
        evaluators.close()
        assert torch.equal(own, before)
        second.objective.model(images[0])  # its own again
    assert [size for _, size in openings] == [None, 7, 7]


def test_an_evaluator_is_closed_when_a_run_fails(cnn, images, openings):
    objective = Objective(cnn, "cross_entropy", images)
    before = cnn.head.weight.detach().clone()

    def fail():
        with OneEvaluator(Subspace.random(cnn)) as evaluators:
            evaluators.of(objective).measure((0.5, 0.5))
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert torch.equal(cnn.head.weight, before)


@pytest.mark.parametrize("tolerance", [None, 0.05])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_run_in_this_process_opens_once_for_everything(
    cnn, images, openings, tmp_path, record_trajectory, tolerance, batch_size
):
    torch.manual_seed(3)
    models = [type(cnn)() for _ in range(3)]
    plane = Subspace.between(*models)
    objective = Objective(models[0], "cross_entropy", images, batch_norm="reestimated")
    trajectory = record_trajectory(models[0], [dict(models[0].named_parameters())])
    plane = Subspace.between(*models)
    found = evaluate(
        objective, plane, Grid.square(12), path=tmp_path / "x.nc", trajectory=trajectory,
        tolerance=tolerance, batch_size=batch_size, quiet=True,
    )  # fmt: skip
    assert len(openings) == 1
    assert len(found.models) == 3
    assert len(found.trajectories) == 1
    # an evaluator of its own gives the same bits
    size = found.provenance["objective"]["batch_size"]
    with Evaluator(objective, plane, size) as evaluator:
        for model in found.models:
            measured = evaluator.measure(model.coordinates)["train"]["loss"]
            assert model.loss == np.mean(measured, dtype=np.float64)


def test_with_an_executor_the_models_are_measured_by_a_second_one(cnn, images, openings):
    torch.manual_seed(3)
    models = [type(cnn)() for _ in range(2)]
    objective = Objective(models[0], "cross_entropy", images, batch_norm="reestimated")
    line = Subspace.between(*models)
    expected = evaluate(objective, line, Grid.line(5), batch_size=40, quiet=True)
    assert len(openings) == 1
    with ThreadPoolExecutor(2) as executor:
        found = evaluate(
            objective, line, Grid.line(5), batch_size=40, executor=executor, quiet=True
        )
    assert len(openings) == 3
    np.testing.assert_array_equal(found.values(), expected.values())
    assert [m.loss for m in found.models] == [m.loss for m in expected.models]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.narrow = nn.Conv2d(16, 8, 1)
        self.back = nn.Conv2d(8, 16, 3, padding=1)
        self.head = nn.Linear(16 * 16, 5)

    def forward(self, images):
        hidden = torch.relu(self.norm(self.stem(images)))
        hidden = torch.relu(hidden + self.back(torch.relu(self.narrow(hidden))))
        return self.head(nn.functional.adaptive_avg_pool2d(hidden, 4).flatten(1))


def multilayer():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 40), nn.Tanh(), nn.Dropout(), nn.Linear(40, 5)
    )


@pytest.mark.parametrize("build", [Residual, multilayer])
@pytest.mark.parametrize("options", [{}, {"batch_norm": "reestimated"}, {"precision": "bfloat16"}])
def test_a_batch_size_that_is_given_has_the_bits_of_one_that_is_found(build, options):
    torch.manual_seed(0)
    model = build()
    data = torch.randn(333, 3, 8, 8), torch.randint(0, 5, (333,))
    objective = Objective(model, "cross_entropy", data, **options)
    plane = Subspace.random(model)
    points = [(0.0, 0.0), (0.7, -0.3), (-1.0, 1.0)]
    with Evaluator(objective, plane) as evaluator:
        size = evaluator.batch_size
        found = [evaluator.measure(point)["train"] for point in points]
        again = [evaluator.measure(point)["train"] for point in reversed(points)][::-1]
    with Evaluator(objective, plane, size) as evaluator:
        given = [evaluator.measure(point)["train"] for point in points]
    for one, other, last in zip(found, given, again):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
            np.testing.assert_array_equal(one[name], last[name])
