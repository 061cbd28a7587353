"""The convexity map of a plane, against dense Hessians at its points."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian

from losslandscape import Grid, Landscape, Objective, Subspace, convexity, evaluate
from losslandscape.analysis.convexity import summary
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import ParameterLayout


@pytest.fixture(scope="module")
def measured():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    data = torch.randn(30, 3, dtype=torch.float64), torch.randint(3, (30,))
    objective = Objective(model, "cross_entropy", data, batch_size=11)
    plane = Subspace.random(model, seed=2)
    landscape = evaluate(objective, plane, Grid.rectangle((3, 2), [(-1, 1), (0, 0.5)]), quiet=True)
    return model, data, objective, plane, landscape


def test_eigenvalues_and_their_ratio_are_those_of_dense_hessians(measured):
    model, data, objective, plane, landscape = measured
    found = convexity(landscape, objective, plane, tolerance=1e-6)
    layout = ParameterLayout.of(model)

    def loss(flat):
        outputs = functional_call(model, layout.views(flat), (data[0],))
        return nn.functional.cross_entropy(outputs, data[1])

    for number, place in enumerate(landscape.grid.points()):
        start = layout.flatten(plane.parameters_at(place))
        values = np.linalg.eigvalsh(hessian(loss)(start).detach().numpy())
        at = np.unravel_index(number, landscape.status.shape)
        low, high = found.values("hessian_eigenvalue_min"), found.values("hessian_eigenvalue_max")
        below = found.values("hessian_eigenvalue_min_residual")[at]
        above = found.values("hessian_eigenvalue_max_residual")[at]
        assert abs(low[at] - values[0]) <= below + 1e-12
        assert abs(high[at] - values[-1]) <= above + 1e-12
        assert max(below, above) <= 1e-6 * (values[-1] - values[0])
        ratio = abs(values[0] / values[-1])
        error = found.values("convexity_error")[at]
        assert abs(found.values("convexity")[at] - ratio) <= error + 1e-12
        assert 1e-6 < error < 1e-5
    assert found.values("convexity").max() > 1.2 * found.values("convexity").min()
    assert "convexity" not in landscape.fields


def test_it_is_an_array_of_the_file(measured, tmp_path):
    _, _, objective, plane, landscape = measured
    found = convexity(landscape, objective, plane, parameters="2")
    found.save(tmp_path / "c.nc")
    again = Landscape.open(tmp_path / "c.nc")
    assert (again.values("convexity") == found.values("convexity")).all()
    assert again.provenance["convexity"]["parameters"] == 21
    assert again.provenance["quantities"]["convexity"].startswith("|smallest")
    assert (again.values("loss") == landscape.values("loss")).all()


def test_an_interrupted_map_goes_on_with_the_same_bits(measured, tmp_path, monkeypatch):
    from losslandscape.analysis import convexity as module

    _, _, objective, plane, landscape = measured
    whole = convexity(landscape, objective, plane)
    ends, calls = module._ends, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return ends(*arguments)

    monkeypatch.setattr(module, "_ends", interrupted)
    journal = tmp_path / "journal"
    with pytest.raises(KeyboardInterrupt):
        convexity(landscape, objective, plane, journal=journal)
    found = convexity(landscape, objective, plane, journal=journal)
    assert len(calls) == 4 + 3
    for name in whole.fields:
        assert (found.fields[name] == whole.fields[name]).all()


def test_another_plane_is_refused_and_points_without_a_loss_stay_empty(measured):
    model, _, objective, plane, landscape = measured
    with pytest.raises(LossLandscapeError, match="not the landscape's"):
        convexity(landscape, objective, Subspace.random(model, seed=9))
    loss = landscape.values("loss").copy()
    loss[0, 1] = np.inf
    status = landscape.status.copy()
    status[0, 1] = 3
    broken = Landscape(
        landscape.grid, {"loss": loss}, status, landscape.gram_matrix, landscape.provenance
    )
    found = convexity(broken, objective, plane, parameters="2")
    missing = np.isnan(found.values("convexity"))
    assert missing[0, 1]
    assert missing.sum() == 1


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (
            "mse",
            ["is above 0.1 at 100% of 9 points", "at 9 points the smallest eigenvalue is above 0"],
        ),
        (
            nn.L1Loss(),
            ["at 9 points the Hessian is exactly 0, and there is no ratio: the loss is linear"],
        ),
    ],
)
def test_a_loss_that_is_convex_or_has_no_second_derivative_is_called_so(loss, words):
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    inputs = torch.randn(40, 2)
    objective = Objective(model, loss, (inputs, inputs.sum(dim=1, keepdim=True)))
    plane = Subspace.random(model)
    landscape = evaluate(objective, plane, Grid.square(3), quiet=True)
    found = summary(convexity(landscape, objective, plane))
    assert len(found) == len(words)
    assert all(part in line for part, line in zip(words, found))


def test_points_that_are_convex_or_flat_are_counted_beside_others():
    def column(*values):
        return np.array(values)

    fields = {
        "loss": np.ones(4),
        "hessian_eigenvalue_max": column(2.0, 2.0, 0.0, np.nan),
        "hessian_eigenvalue_min": column(1.0, -0.1, 0.0, np.nan),
        "hessian_eigenvalue_min_residual": column(1e-6, 1e-6, 0.0, np.nan),
        "convexity": column(0.5, 0.05, np.nan, np.nan),
        "convexity_error": column(1e-6, 1e-6, np.inf, np.nan),
    }
    about = {"convexity": {"tolerance": 1e-3, "parameters": 100}}
    line = Landscape(Grid.line(4), fields, np.ones(4, np.int8), np.eye(1), about)
    first, convex, flat, missing = summary(line)
    assert first.startswith("|smallest / largest eigenvalue| is above 0.1 at 50% of 2 points")
    assert "at 1 point the smallest" in convex
    assert "at 1 point the Hessian is exactly 0" in flat
    assert missing.startswith("1 point has no eigenvalues")
    fields["hessian_eigenvalue_min_residual"][0] = 2.0  # not known to be above 0
    assert len(summary(line)) == 3
    # nor where one below 0 may have been missed, within the tolerance
    fields["hessian_eigenvalue_min_residual"][0] = 1e-6
    fields["hessian_eigenvalue_min"][0] = 1e-3
    assert len(summary(line)) == 3
    about["convexity"]["parameters"] = 3  # all are known
    assert len(summary(line)) == 4
