"""Sums of mean losses over several sets: values, errors and derivatives against plain PyTorch."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.sampling_errors import mean_standard_error
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.sums import pooled

FACTORS = {"residual": 1.0, "boundary": 10.0, "data": 0.5}


def residual(model, batch):
    """u'' + sin(t)"""
    t = batch[0].clone().requires_grad_(True)
    u = model(t)
    first = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), t, create_graph=True)[0]
    return (second + torch.sin(t)).square().squeeze(1)


def weighted(model, batch):
    return (model(batch[0]) - batch[1]).square().squeeze(1), batch[2]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)).eval()


@pytest.fixture
def terms():
    torch.manual_seed(1)
    inside = torch.rand(64, 1) * math.pi
    ends = torch.tensor([[0.0], [math.pi], [1.0]])
    measured = torch.rand(20, 1)
    return {
        "residual": ((inside,), residual, FACTORS["residual"]),
        "boundary": ((ends, torch.zeros(3, 1)), "mse", FACTORS["boundary"]),
        "data": ((measured, measured.sin(), torch.rand(20)), weighted, FACTORS["data"]),
    }


def expected(network, terms):
    losses, weights = weighted(network, terms["data"][0])
    parts = {
        "residual": residual(network, terms["residual"][0]).mean(),
        "boundary": functional.mse_loss(network(terms["boundary"][0][0]), terms["boundary"][0][1]),
        "data": (losses * weights).sum() / weights.sum(),
    }
    return sum(FACTORS[name] * part for name, part in parts.items()), parts


def surface(objective, model, **options):
    plane = ll.Subspace.random(model, seed=0)
    grid = ll.Grid.square(3, half_width=0.2)
    return ll.evaluate(objective, plane, grid, quiet=True, **options)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_the_sum_and_its_terms_are_those_of_torch(network, terms, batch_size, tmp_path):
    objective = ll.Objective.sum(network, terms, batch_size=batch_size)
    path = tmp_path / "sum.nc"
    surface(objective, network, path=path)
    found = ll.Landscape.open(path)
    total, parts = expected(network, terms)
    assert found.values("loss")[1, 1] == pytest.approx(total.item(), rel=1e-5)
    square = 0.0
    for name, part in parts.items():
        assert found.values(f"{name}_loss")[1, 1] == pytest.approx(part.item(), rel=1e-5)
        square += (FACTORS[name] * found.values(f"{name}_loss_standard_error")) ** 2
    np.testing.assert_allclose(found.values("loss_standard_error"), np.sqrt(square), rtol=1e-6)
    kept = found.samples["loss_samples"]
    assert kept.shape[-1] == 87
    np.testing.assert_allclose(kept.mean(axis=-1), found.values("loss"), rtol=1e-5)
    assert found.provenance["objective"]["terms"]["boundary"]["factor"] == 10.0
    assert "data" in found.provenance["objective"]["weights"]


def test_a_run_goes_on_with_other_workers_and_gives_the_same(network, terms, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    objective = ll.Objective.sum(network, terms, batch_size=8)
    plain = surface(objective, network)
    with ThreadPoolExecutor(1) as pool:
        pooled_run = surface(objective, network, executor=pool)
    for name, values in plain.fields.items():
        np.testing.assert_array_equal(values, pooled_run.fields[name])


def test_derivatives_are_those_of_the_sum(network, terms):
    objective = ll.Objective.sum(network, terms)
    plane = ll.Subspace.random(network, seed=0)
    total, _ = expected(network, terms)
    gradients = torch.autograd.grad(total, list(network.parameters()), allow_unused=True)
    views = [plane.layout.views(direction) for direction in plane.directions]
    slopes = [
        sum(
            float((g.double() * view[name].double()).sum())
            for (name, _), g in zip(network.named_parameters(), gradients)
            if name in view and g is not None
        )
        for view in views
    ]
    with PlaneDerivatives(objective, plane, batch_size=7, precision="float64") as derivatives:
        found = derivatives.expansion((0.0, 0.0))
        value, gradient = derivatives.value_and_gradient((0.0, 0.0))
        losses = derivatives.sample_losses((0.0, 0.0))
        by_sample = derivatives.sample_gradients((0.0, 0.0))
    assert found.value == pytest.approx(value) == pytest.approx(total.item(), rel=1e-5)
    assert found.gradient == pytest.approx(slopes, rel=1e-3)
    assert gradient == pytest.approx(found.gradient)
    assert losses.mean() == pytest.approx(value, rel=1e-9)
    assert by_sample.mean(axis=0) == pytest.approx(found.gradient, rel=1e-9)
    centre = surface(objective, network)
    stated = centre.values("loss_standard_error")[1, 1]
    assert mean_standard_error(losses[None])[0] == pytest.approx(stated, rel=1e-4)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_curvatures_by_sample_are_second_differences_of_the_pooled_losses(
    network, terms, batch_size
):
    objective = ll.Objective.sum(network, terms)
    line = ll.Subspace.random(network, 1, seed=3)
    vectors = line.layout.views(line.directions[0])
    step = 1e-3
    with PlaneDerivatives(objective, line, "float64", batch_size) as derivatives:
        found = derivatives.sample_curvatures(vectors)
        before, here, after = (derivatives.sample_losses((c,)) for c in (-step, 0.0, step))
        hessian = derivatives.expansion((0.0,)).hessian
    assert found == pytest.approx((before - 2 * here + after) / step**2, rel=1e-4, abs=1e-4)
    assert found.mean() == pytest.approx(hessian.item(), rel=1e-9)


def test_the_pooled_error_is_that_of_independent_sets():
    random = np.random.default_rng(0)
    values = {"a": random.gamma(2, 1, 30), "b": random.gamma(1, 3, 200), "c": np.array([4.0])}
    factors = {"a": 2.0, "b": 0.3, "c": 5.0}
    found = pooled(values, factors)
    assert found.mean() == pytest.approx(sum(factors[n] * values[n].mean() for n in values))
    errors = [factors[n] * values[n].std(ddof=1) / np.sqrt(len(values[n])) for n in "ab"]
    assert mean_standard_error(found[None])[0] == pytest.approx(np.hypot(*errors))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_term_that_is_not_finite_makes_the_sum_so(bad):
    found = pooled({"a": np.array([1.0, bad]), "b": np.ones(3)}, {"a": 1.0, "b": 1.0})
    assert np.array_equal(found.mean(), bad, equal_nan=True)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "dict"),
        ({}, "dict"),
        ({"a": torch.zeros(3)}, "term 'a' is a Tensor"),
        ({"a": ((torch.zeros(3, 1),), "mse", 0.0)}, "factor is 0.0"),
        ({"a": ((torch.zeros(3, 1),), "mse", True)}, "factor is True"),
        ({"sum": ((torch.zeros(3, 1),), "mse", 1.0)}, "has this name"),
        ({"a": ((torch.zeros(3, 1),), "hinge", 1.0)}, "'hinge' is not one of"),
    ],
)
def test_terms_that_are_none_are_refused(network, terms, message):
    with pytest.raises(LossLandscapeError, match=message):
        ll.Objective.sum(network, terms)


def test_what_a_sum_has_not_is_refused(network, terms):
    for options in ({"dataset_samples": 100}, {"metrics": {"a": None}}):
        with pytest.raises(LossLandscapeError, match="a sum of several sets has none"):
            ll.Objective.sum(network, terms, **options)


def test_another_factor_is_another_objective(network, terms):
    landscape = surface(ll.Objective.sum(network, terms), network)
    landscape.check_objective(ll.Objective.sum(network, terms))
    data, loss, _ = terms["data"]
    other = ll.Objective.sum(network, {**terms, "data": (data, loss, 0.6)})
    with pytest.raises(LossLandscapeError, match="its terms differs"):
        landscape.check_objective(other)


def test_terms_with_the_same_samples_are_not_independent(network):
    """The sum over the same points is that of one function that returns both."""
    torch.manual_seed(2)
    x = torch.rand(30, 1)
    y = x.sin() + 0.1 * torch.randn(30, 1)

    def fit(model, batch):
        return (model(batch[0]) - batch[1]).square().squeeze(1)

    def size(model, batch):
        return model(batch[0]).square().squeeze(1)

    def both(model, batch):
        return fit(model, batch) + 3.0 * size(model, batch)

    terms = {"fit": ((x, y), fit, 1.0), "size": ((x,), size, 3.0)}
    objective = ll.Objective.sum(network, terms)
    found = surface(objective, network)
    one = surface(ll.Objective(network, both, (x, y)), network)
    for name in ("loss", "loss_standard_error"):
        np.testing.assert_allclose(found.fields[name], one.fields[name], rtol=1e-5)
    assert found.provenance["objective"]["terms"]["size"]["same_samples_as"] == "fit"
    plane = ll.Subspace.random(network, seed=0)
    with PlaneDerivatives(objective, plane) as derivatives:
        losses = derivatives.sample_losses((0.0, 0.0))
    error = mean_standard_error(losses)
    assert error == pytest.approx(one.fields["loss_standard_error"][1, 1], rel=1e-5)
    third = ((torch.rand(30, 1),), size, 1.0)
    apart = ll.Objective.sum(network, {**terms, "third": third})
    assert apart.same_samples == {"fit": "fit", "size": "fit", "third": "third"}
