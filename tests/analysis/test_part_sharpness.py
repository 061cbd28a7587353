"""Sharpness by part, against Hessians made entry by entry."""

import numpy as np
import pytest
import torch
from tests.analysis.once_differentiable import Once
from torch import nn
from torch.func import functional_call, hessian, vmap

from losslandscape import Grid, Objective, Subspace, curvature, evaluate, sharpness_by_part
from losslandscape.errors import LossLandscapeError


@pytest.fixture
def problem():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 3, bias=False))
    model = model.double()
    data = torch.randn(50, 4, dtype=torch.float64), torch.randint(3, (50,))
    return model, data


def hessians(model, data, names):
    """The Hessian of each sample's loss in these parameters, shape (samples, size, size)."""
    given = dict(model.named_parameters())
    sizes = [given[name].numel() for name in names]
    start = torch.cat([given[name].detach().flatten() for name in names])

    def loss(flat, inputs, target):
        parts = {n: p.view(given[n].shape) for n, p in zip(names, flat.split(sizes))}
        outputs = functional_call(model, parts, (inputs[None],))
        return nn.functional.cross_entropy(outputs, target[None])

    return vmap(hessian(loss), (None, 0, 0))(start, *data).detach().numpy()


def test_eigenvalue_trace_and_their_errors(problem):
    model, data = problem
    found = sharpness_by_part(Objective(model, "cross_entropy", data), probes=40, tolerance=1e-9)
    rows = {row["part"]: row for row in found.table()}
    assert {name: row["parameters"] for name, row in rows.items()} == {"0": 30, "2": 12, "3": 18}
    parts = {"0": ["0.weight", "0.bias"], "2": ["2.weight", "2.bias"], "3": ["3.weight"]}
    for part, names in parts.items():
        row, each = rows[part], hessians(model, data, names)
        values, vectors = np.linalg.eigh(each.mean(0))
        assert row["eigenvalue"] == pytest.approx(values[-1], rel=1e-8)
        assert row["eigenvalue_residual"] < 1e-6
        along = np.einsum("i,nij,j->n", vectors[:, -1], each, vectors[:, -1])
        assert row["eigenvalue_standard_error"] == pytest.approx(
            along.std(ddof=1) / 50**0.5, rel=1e-4
        )
        traces = np.trace(each, axis1=1, axis2=2)
        over_samples = traces.std(ddof=1) / 50**0.5
        # the probes alone are known up to their own part of the stated error
        probes = (row["trace_standard_error"] ** 2 - 0.5 * over_samples**2) ** 0.5
        assert abs(row["trace"] - traces.mean()) < 4 * probes
        assert row["trace_standard_error"] >= 0.9 * over_samples
        norm = sum(
            float(p.detach().square().sum()) for n, p in model.named_parameters() if n in names
        )
        assert row["norm"] == pytest.approx(norm**0.5)


def test_filter_normalized_curvature_is_the_sum_over_filters(problem):
    model, data = problem
    found = sharpness_by_part(Objective(model, "cross_entropy", data), ["3"], probes=60)
    (row,) = found.parts
    mean = hessians(model, data, ["3.weight"]).mean(0)
    weight = model[3].weight.detach().numpy()
    expected = sum(
        (weight[f] ** 2).sum() / 6 * np.trace(mean[6 * f : 6 * f + 6, 6 * f : 6 * f + 6])
        for f in range(3)
    )
    assert (
        abs(row.filter_normalized_curvature - expected) < 4 * row.filter_normalized_standard_error
    )
    assert row.filter_normalized_standard_error < expected


def test_it_is_the_second_difference_of_the_landscape_of_the_part(problem):
    model, data = problem
    objective = Objective(model, "cross_entropy", data)
    (row,) = sharpness_by_part(objective, ["0"], probes=1).parts
    line = Subspace.random(model, 1, seed=0, parameters="0")
    below, here, above = evaluate(objective, line, Grid.line(3, 1e-3), quiet=True).values()
    assert row.filter_normalized_curvature == pytest.approx(
        (below - 2 * here + above) / 1e-6, rel=1e-4
    )
    assert np.isnan(row.filter_normalized_standard_error)


def test_rescaled_filters_keep_the_filter_normalized_curvature_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()
    data = torch.randn(80, 4, dtype=torch.float64), torch.randint(3, (80,))
    with torch.no_grad():
        model(data[0])  # statistics
        model.eval()
    objective = Objective(model, "cross_entropy", data)
    (before,) = sharpness_by_part(objective, ["0"], probes=3).parts
    with torch.no_grad():
        model[0].weight *= 10
        model[0].bias *= 10
        model[1].running_mean *= 10
        model[1].running_var *= 100
        model[1].eps *= 100
    (after,) = sharpness_by_part(objective, ["0"], probes=3).parts
    assert after.filter_normalized_curvature == pytest.approx(
        before.filter_normalized_curvature, rel=1e-9
    )
    assert after.eigenvalue == pytest.approx(before.eigenvalue / 100, rel=1e-2)


def test_the_sharpest_is_first_and_said(problem):
    model, data = problem
    found = sharpness_by_part(
        Objective(model, "cross_entropy", data), {"first": "0", "last": ["2", "3"], "norm": "2"}
    )
    values = [part.filter_normalized_curvature for part in found.parts]
    assert values[-1] is None  # a part without filters
    assert values[:2] == sorted(values[:2], reverse=True)
    assert found.summary().startswith(f"sharpest part: {found.parts[0].part}, with a curvature")
    assert "largest eigenvalue" in str(found)
    assert found.to_json()["parts"][0]["part"] == found.parts[0].part


def test_what_is_refused(problem):
    model, data = problem
    objective = Objective(model, "cross_entropy", data)
    for arguments, words in [
        ({"parts": ["9"]}, "near are"),
        ({"parts": []}, "parts is empty"),
        ({"probes": 0}, "probes=0: must be"),
    ]:
        with pytest.raises(LossLandscapeError, match=words):
            sharpness_by_part(objective, **arguments)


@pytest.mark.parametrize("batch_norm", ["fixed", "reestimated"])
def test_batch_norm_is_that_of_the_landscape(batch_norm):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double()
    data = torch.randn(30, 3, dtype=torch.float64), torch.randint(2, (30,))
    objective = Objective(model.eval(), "cross_entropy", data, batch_norm=batch_norm)
    (row,) = sharpness_by_part(objective, ["0"], probes=1, tolerance=1e-10).parts
    assert row.eigenvalue == pytest.approx(_second_difference(objective, "0"), rel=1e-4)
    line = Subspace.random(model, 1, seed=0, parameters="0")
    below, here, above = evaluate(objective, line, Grid.line(3, 1e-3), quiet=True).values()
    assert row.filter_normalized_curvature == pytest.approx(
        (below - 2 * here + above) / 1e-6, rel=1e-4
    )


def _second_difference(objective, part):
    """The second difference of the loss along the eigenvector of the part's largest eigenvalue."""
    found = curvature(objective, 1, parameters=part, tolerance=1e-10)
    line = Subspace.eigenvectors(found, [0])
    below, here, above = evaluate(objective, line, Grid.line(3, 1e-3), quiet=True).values()
    return (below - 2 * here + above) / 1e-6


class StraightThrough(nn.Module):
    def forward(self, x):
        return x + (x.round() - x).detach()


def of_layer(layer, data):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), layer, nn.Linear(5, 3)).double()
    objective = Objective(model, "cross_entropy", data)
    return sharpness_by_part(objective, ["0"], probes=2, tolerance=1e-6)


def test_layers_without_a_second_derivative_are_differenced(problem):
    _, data = problem
    found, smooth = of_layer(Once(), data), of_layer(nn.Tanh(), data)
    (row,), (expected,) = found.parts, smooth.parts
    assert row.eigenvalue == pytest.approx(expected.eigenvalue, rel=1e-5)
    assert row.trace == pytest.approx(expected.trace, rel=1e-5)
    assert "differences of gradients" in str(found)
    assert found.to_json()["derivatives"]["reasons"]
    assert "derivatives" not in str(smooth)


def test_gradients_that_are_not_those_of_the_loss_are_refused(problem):
    with pytest.raises(LossLandscapeError, match="none agree with the measured losses"):
        of_layer(StraightThrough(), problem[1])


def test_class_weights_count_as_in_the_loss_of_torch(problem):
    model, data = problem
    weights = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    objective = Objective(model, nn.CrossEntropyLoss(weight=weights), data)
    (row,) = sharpness_by_part(objective, ["3"], probes=1, tolerance=1e-9).parts
    given = model[3].weight

    def loss(weight):
        outputs = functional_call(model, {"3.weight": weight.view(3, 6)}, (data[0],))
        return nn.functional.cross_entropy(outputs, data[1], weight=weights)

    expected = torch.autograd.functional.hessian(loss, given.detach().flatten())
    assert row.eigenvalue == pytest.approx(float(torch.linalg.eigvalsh(expected)[-1]), rel=1e-7)
