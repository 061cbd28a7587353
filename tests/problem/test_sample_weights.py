"""Weighted means and their errors against ratios of sums, and against drawing again."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll
from losslandscape.adaptive.allotment import Allotment
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.sampling_errors import mean_standard_error
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.sample_weights import check_same, linearized


def drawn(n=400, seed=0):
    random = np.random.default_rng(seed)
    weights = random.integers(0, 6, n).astype(np.float64)
    losses = random.gamma(0.5, 2.0, n) * (1 + weights / 3)  # those that weigh more lose more
    return losses, weights


def test_the_mean_is_the_ratio():
    losses, weights = drawn()
    found = linearized(losses * weights, weights)
    assert found.mean() == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-14)
    assert found[weights == 0] == pytest.approx(found.mean())


def test_the_standard_error_is_that_of_drawing_again():
    losses, weights = drawn()
    stated = mean_standard_error(linearized(losses * weights, weights)[None])[0]
    random = np.random.default_rng(1)
    index = random.integers(0, len(losses), (4000, len(losses)))
    means = (losses * weights)[index].sum(axis=1) / weights[index].sum(axis=1)
    assert stated == pytest.approx(means.std(), rel=0.06)
    plain = losses.std() / 20  # what a plain mean would have
    assert abs(plain / means.std() - 1) > 0.1


def test_the_error_of_a_difference_is_that_of_drawing_again():
    losses, weights = drawn()
    other = losses * 1.1 + np.random.default_rng(2).normal(0, 0.3, len(losses))
    pairs = [linearized(one * weights, weights) for one in (losses, other)]
    stated = mean_standard_error((pairs[0] - pairs[1])[None])[0]
    random = np.random.default_rng(3)
    index = random.integers(0, len(losses), (4000, len(losses)))
    apart = ((losses - other) * weights)[index].sum(axis=1) / weights[index].sum(axis=1)
    assert stated == pytest.approx(apart.std(), rel=0.06)


def test_equal_weights_give_the_losses_to_the_bit():
    losses = np.random.default_rng(0).gamma(1, 1, 50).astype(np.float32)
    found = linearized(losses, np.ones(50, np.float32))
    assert found.dtype == np.float32
    assert (found == losses).all()
    assert (linearized(losses * 4, np.full(50, 4.0)) == losses).all()


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_mean_that_is_not_finite_stays_so(bad):
    numerators = np.array([1.0, bad, 3.0])
    found = linearized(numerators, np.array([1.0, 2.0, 2.0])).mean()
    assert np.array_equal(found, bad, equal_nan=True)


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1, -1, 2], "sample 1 is -1"), ([1, 2, np.nan], "sample 2 is nan"), ([0, 0, 0], "all 3")],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(LossLandscapeError, match=message):
        linearized(np.ones(3), np.array(weights, float))


def test_weights_of_the_first_samples_may_be_compared():
    whole = {"loss": np.array([1.0, 2.0, 3.0])}
    check_same(whole, {"loss": np.array([1.0, 2.0])}, "mine")
    check_same({"loss": np.array([1.0, 2.0])}, whole, "mine")
    check_same({}, {}, "mine")
    for other in ({"loss": np.array([1.0, 2.5])}, {}, {"error": np.array([1.0])}):
        with pytest.raises(LossLandscapeError, match=r"loss mine: .* depend on the model"):
            check_same(whole, other, "mine")


def classifier(n=60):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    return model, torch.randn(n, 6), torch.randint(0, 3, (n,))


def surface(loss, x, y, model, count=3, **options):
    objective = ll.Objective(model, loss, (x, y), batch_size=options.pop("batch_size", 7))
    plane = ll.Subspace.random(model, seed=0)
    return ll.evaluate(
        objective, plane, ll.Grid.square(count, half_width=0.5), quiet=True, **options
    )


CLASS_WEIGHTS = torch.tensor([1.0, 5.0, 0.2])


def by_weight(model, batch):
    losses = functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
    return losses, CLASS_WEIGHTS[batch[1]]


def test_a_pair_of_losses_and_weights_is_the_loss_of_torch():
    model, x, y = classifier()
    own = surface(by_weight, x, y, model)
    torch_loss = nn.CrossEntropyLoss(weight=CLASS_WEIGHTS)
    theirs = surface(torch_loss, x, y, model)
    for name in ("loss", "loss_standard_error"):
        np.testing.assert_allclose(own.values(name), theirs.values(name), rtol=1e-6)
    assert own.values("loss")[1, 1] == pytest.approx(torch_loss(model(x), y).item(), rel=1e-6)
    kept = own.samples["loss_samples"]
    np.testing.assert_allclose(kept.mean(axis=-1), own.values("loss"), rtol=1e-6)
    weights = own.provenance["objective"]["weights"]["train"]["loss"]
    assert weights["mean"] == pytest.approx(CLASS_WEIGHTS[y].mean().item())
    assert weights["zero"] == 0


def test_weights_that_depend_on_the_parameters_are_refused():
    def moving(model, batch):
        losses, _ = by_weight(model, batch)
        return losses, (losses > 1).float() + 1

    model, x, y = classifier()
    with pytest.raises(LossLandscapeError, match=r"moving: the weights .* depend on the model's"):
        surface(moving, x, y, model)


def test_all_weights_zero_are_refused():
    def none(model, batch):
        return model(batch[0]).sum(1), torch.zeros(len(batch[0]))

    model, x, y = classifier()
    with pytest.raises(LossLandscapeError, match="the weights of all 60 samples are 0"):
        surface(none, x, y, model)


def test_a_part_of_the_samples_has_the_weighted_mean():
    model, x, y = classifier(12_000)
    objective = ll.Objective(model, nn.CrossEntropyLoss(weight=CLASS_WEIGHTS), (x, y))
    plane = ll.Subspace.random(model, seed=0)
    off = []
    for seed in range(4):
        with Evaluator(objective.shuffled(seed), plane, 512) as evaluator:
            whole = evaluator.measure((0.3, 0.1))["train"]["loss"]
            part = evaluator.measure((0.3, 0.1), Allotment("linear", 0.01))["train"]["loss"]
        assert 2048 < len(part) < 8000
        error = part.std(ddof=1) / np.sqrt(len(part)) * np.sqrt(1 - len(part) / 12_000)
        assert 0.005 < 2 * error <= 0.01
        off.append((part.mean() - whole.mean()) / error)
    assert 0.05 < np.abs(off).max() < 4


def test_derivatives_are_those_of_the_ratio():
    model, x, y = classifier()
    loss = nn.CrossEntropyLoss(weight=CLASS_WEIGHTS)
    objective = ll.Objective(model, loss, (x, y))
    plane = ll.Subspace.random(model, seed=0)
    here, step = np.array([0.1, -0.2]), 1e-4
    with PlaneDerivatives(objective, plane, precision="float64", batch_size=7) as derivatives:
        found = derivatives.expansion(here)
        by_sample = derivatives.sample_gradients(here)
        steps = [
            (
                derivatives.value_and_gradient(here + step * unit)[0]
                - derivatives.value_and_gradient(here - step * unit)[0]
            )
            / (2 * step)
            for unit in np.eye(2)
        ]
    with Evaluator(objective, plane) as evaluator:
        value = evaluator.measure(here)["train"]["loss"].mean()
    assert found.value == pytest.approx(value, rel=1e-6)
    assert found.gradient == pytest.approx(steps, rel=1e-6)
    assert by_sample.mean(axis=0) == pytest.approx(found.gradient, rel=1e-9)
