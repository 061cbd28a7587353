"""Shares of curvature and gradient in a plane, on quadratics whose Hessian is known."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace, curvature
from losslandscape.analysis.plane_curvature import _trace_spread, plane_curvature
from losslandscape.errors import LossLandscapeError

SIZE = 12
HESSIAN = np.array([9.0, 5.0, 3.0, *np.linspace(1.0, 0.1, SIZE - 3)])


@pytest.fixture(scope="module")
def problem():
    """A loss of sum h_i (w_i - t_i)^2 / 2, away from its minimum."""
    torch.manual_seed(0)
    model = nn.Linear(SIZE, 1, bias=False).double()
    inputs = torch.diag(torch.from_numpy(np.sqrt(SIZE * HESSIAN / 2)))
    objective = Objective(model, "mse", (inputs, torch.zeros(SIZE, 1).double()))
    return objective, curvature(objective, top=3)


def plane_of(objective, *directions):
    weight = objective.model.weight.detach().clone()
    return Subspace({"weight": weight}, [{"weight": torch.tensor(d)[None]} for d in directions])


def oblique():
    return np.random.default_rng(3).standard_normal((2, SIZE))


def test_every_share_is_its_formula(problem):
    objective, curved = problem
    directions = oblique()
    found = plane_curvature(objective, plane_of(objective, *directions), curved)
    basis = np.linalg.qr(directions.T)[0]
    projection = basis @ basis.T
    gradient = HESSIAN * objective.model.weight.detach().numpy()[0]
    top = np.diag(projection)[:3]
    assert found.eigenvalues == pytest.approx(HESSIAN[:3])
    assert found.eigenvector_shares == pytest.approx(top, rel=1e-8)
    assert found.top.value == pytest.approx(HESSIAN[:3] @ top / HESSIAN[:3].sum(), rel=1e-8)
    assert found.trace.value == pytest.approx(
        np.trace(projection @ np.diag(HESSIAN)) / HESSIAN.sum(), rel=1e-8
    )
    assert found.gradient.value == pytest.approx(
        gradient @ projection @ gradient / (gradient @ gradient), rel=1e-8
    )
    assert found.top.random == found.trace.random == found.gradient.random == 2 / SIZE
    assert found.whole_trace == pytest.approx(HESSIAN.sum())


def test_a_plane_of_eigenvectors_holds_all_of_them(problem):
    objective, curved = problem
    found = plane_curvature(objective, plane_of(objective, *np.eye(SIZE)[:2]), curved, top=2)
    assert found.top.value == pytest.approx(1.0)
    assert found.trace.value == pytest.approx(14 / HESSIAN.sum())
    assert found.top.more_than_chance
    assert found.trace.more_than_chance
    other = plane_curvature(objective, plane_of(objective, *np.eye(SIZE)[-2:]), curved)
    assert other.top.value == pytest.approx(0.0, abs=1e-12)
    assert not other.top.more_than_chance
    assert not other.trace.more_than_chance


def test_random_planes_are_as_stated(problem):
    objective, curved = problem
    plane = plane_of(objective, *oblique())
    stated = plane_curvature(objective, plane, curved)
    bases = np.linalg.qr(np.random.default_rng(0).standard_normal((6000, SIZE, 2)))[0]
    squares = (bases**2).sum(axis=2)  # of the unit vectors, by plane
    shares = {
        "top": squares[:, :3] @ HESSIAN[:3] / HESSIAN[:3].sum(),
        "trace": squares @ HESSIAN / HESSIAN.sum(),
        "gradient": squares[:, 0],
    }
    for name, drawn in shares.items():
        share = getattr(stated, name)
        low, high = share.random_interval
        assert drawn.mean() == pytest.approx(share.random, rel=0.05)
        assert ((drawn >= low) & (drawn <= high)).mean() == pytest.approx(0.95, abs=0.025)
    assert _trace_spread(curved, 2) == pytest.approx((squares @ HESSIAN).std(), rel=0.05)


def test_curvature_of_another_place_or_part_is_refused(problem):
    objective, curved = problem
    origin = {"weight": objective.model.weight.detach() + 1}
    away = Subspace(origin, [{"weight": torch.ones(1, SIZE).double()}])
    with pytest.raises(LossLandscapeError, match="other parameters than the origin"):
        plane_curvature(objective, away, curved)
    there = curvature(objective, top=3, subspace=away)
    found = plane_curvature(objective, away, there)
    assert found.trace.value == pytest.approx(1 / SIZE)  # along (1, ..., 1): the mean eigenvalue


def test_curvature_of_another_loss_or_matrix_is_refused(problem):
    objective, curved = problem
    plane = plane_of(objective, *oblique())
    newton = curvature(objective, top=3, kind="gauss_newton")
    with pytest.raises(LossLandscapeError, match="Gauss-Newton matrix"):
        plane_curvature(objective, plane, newton)
    fewer = torch.eye(4, SIZE).double(), torch.zeros(4, 1).double()
    other = Objective(objective.model, "mse", fewer)
    with pytest.raises(LossLandscapeError, match="another loss"):
        plane_curvature(other, plane, curved)


def test_curvature_in_another_batch_norm_mode_is_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).double().eval()
    data = torch.randn(20, 2).double(), torch.randint(2, (20,))
    fixed = Objective(model, "cross_entropy", data)
    again = Objective(model, "cross_entropy", data, batch_norm="reestimated")
    plane = Subspace.random(model)
    with pytest.raises(LossLandscapeError, match="batch_norm='fixed'"):
        plane_curvature(again, plane, curvature(fixed, top=2))
    found = plane_curvature(again, plane, curvature(again, top=2))
    assert found.trace.value != plane_curvature(fixed, plane, curvature(fixed, top=2)).trace.value


def test_a_hill_has_no_curvature_to_share():
    model = nn.Linear(3, 1, bias=False).double()
    data = torch.eye(3).double(), torch.zeros(3, 1).double()
    objective = Objective(model, lambda outputs, targets: -(outputs**2).sum(1), data)
    with pytest.raises(LossLandscapeError, match="no eigenvalue is positive"):
        plane_curvature(objective, Subspace.random(model, 1), curvature(objective, top=1))
