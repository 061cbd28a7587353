"""Profiles along random directions against a quadratic whose numbers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.analysis.random_lines import Quantity, random_lines
from losslandscape.errors import LossLandscapeError

# the loss is the sum of h_i (w_i - w0_i)^2 / 2: the mean over 4 samples of sqrt(2 h_i) on the
# diagonal
HESSIAN = np.array([0.5, 1.0, 2.0, 4.0])


def data_of(model):
    inputs = torch.diag(torch.from_numpy(np.sqrt(4 * HESSIAN / 2)))
    return inputs, inputs @ model.weight.detach().T


@pytest.fixture(scope="module")
def problem():
    model = nn.Linear(4, 1, bias=False).double()
    model.weight.data.copy_(torch.tensor([[0.3, -0.2, 0.1, 0.4]]))
    objective = Objective(model, "mse", data_of(model))
    return objective, Subspace.random(model, normalization="none", seed=0)


def directions(model, seeds):
    for seed in seeds:
        plane = Subspace.random(model, 3, "none", seed)
        yield from (direction.numpy() for direction in plane.directions)


def test_quantities_of_a_quadratic(problem):
    objective, plane = problem
    found = random_lines(
        objective, plane, epsilon=0.25, width=1e-9, points=81, half_width=2.0, most=9
    )
    along = list(directions(objective.model, [1, 2, 3]))
    curvatures = np.array([d @ (HESSIAN * d) for d in along])
    assert found.count == 9
    assert not found.settled
    assert found.quantities["curvature"].values == pytest.approx(curvatures, rel=1e-9)
    losses = 0.5 * curvatures[:, None] * found.coordinates**2
    assert found.profiles == pytest.approx(losses, abs=1e-12)
    assert found.quantities["lowest loss"].values == pytest.approx(np.zeros(9), abs=1e-12)
    assert found.quantities["roughness"].values == pytest.approx(np.full(9, 2.0))
    lengths = np.minimum(2 * np.sqrt(2 * 0.25 / curvatures), 4.0)
    # straight lines between points, a twentieth apart
    assert found.quantities["flat length"].values == pytest.approx(lengths, rel=0.03)
    assert found.at_edge == (lengths == 4.0).sum()
    own = np.array([d.numpy() @ (HESSIAN * d.numpy()) for d in plane.directions])
    assert found.quantities["curvature"].own == pytest.approx(own, rel=1e-9)
    low, middle, high = found.band()
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert "are not known within" in found.sentence()


def test_as_many_directions_as_the_width_needs(problem):
    objective, plane = problem
    wide = random_lines(objective, plane, width=0.6, points=9, most=60)
    narrow = random_lines(objective, plane, width=0.25, points=9, most=60)
    assert wide.settled
    assert narrow.settled
    assert wide.count < narrow.count < 60
    for name in ("flat length", "curvature"):
        quantity = narrow.quantities[name]
        assert quantity.half_width <= 0.25 * quantity.mean
    assert (narrow.profiles[: wide.count] == wide.profiles).all()


def test_seeds_leave_out_the_plane_of_the_figure(problem):
    objective, _ = problem
    plane = Subspace.random(objective.model, normalization="none", seed=1)
    found = random_lines(objective, plane, points=5, most=3, seed=0)
    (first, *_) = directions(objective.model, [2])
    assert found.quantities["curvature"].values[0] == pytest.approx(first @ (HESSIAN * first))


def test_directions_are_those_of_the_origin_and_not_of_the_model(problem):
    objective, _plane = problem
    other = nn.Linear(4, 1, bias=False).double()
    moved = Objective(other, "mse", data_of(objective.model))  # other weights
    through = Subspace(
        {"weight": objective.model.weight.detach()}, [{"weight": torch.ones(1, 4).double()}]
    )
    before = other.weight.detach().clone()
    one = random_lines(moved, through, points=5, most=3)
    two = random_lines(objective, through, points=5, most=3)
    assert (one.profiles == two.profiles).all()
    assert one.own_profiles is None
    assert torch.equal(other.weight, before)


def test_interval_of_the_mean():
    values = np.array([1.0, 2.0, 3.0, np.nan])
    quantity = Quantity("curvature", values, None)
    assert quantity.mean == 2.0
    assert quantity.half_width == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)  # t of 2 degrees


def test_an_even_number_of_points_misses_the_model(problem):
    with pytest.raises(LossLandscapeError, match="odd number of points"):
        random_lines(*problem, points=20)
