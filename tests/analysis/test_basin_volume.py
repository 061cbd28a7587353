"""Volumes of basins against those of balls and ellipsoids, which formulas give."""

import math

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from torch import nn

from losslandscape import Objective, basin_volume
from losslandscape.errors import LossLandscapeError


class Bowl(nn.Module):
    """half sum c_i (w_i - m_i)^2, for every sample."""

    def __init__(self, curvatures, center=0.0):
        super().__init__()
        self.register_buffer("curvatures", torch.as_tensor(curvatures, dtype=torch.float64))
        self.w = nn.Parameter(torch.full_like(self.curvatures, center))
        self.center = center

    def forward(self, inputs):
        height = 0.5 * (self.curvatures * (self.w - self.center).square()).sum()
        return height.expand(len(inputs))


def outputs(values, targets):
    return values


def objective_of(model, dtype=torch.float64):
    return Objective(model, outputs, (torch.zeros(2, 1, dtype=dtype), torch.zeros(2, dtype=dtype)))


def true_log10(curvatures, cutoff):
    """log10 of the volume of {half sum c_i w_i^2 <= cutoff}."""
    n = len(curvatures)
    ball = n / 2 * math.log(math.pi) - gammaln(n / 2 + 1)
    return (ball + 0.5 * np.log(2 * cutoff / np.asarray(curvatures)).sum()) / math.log(10)


def decades(n, span):
    return np.logspace(0, span, n)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_a_ball_is_exact_in_any_dimension_and_every_direction_counts(n):
    found = basin_volume(objective_of(Bowl(np.full(n, 3.0))), cutoff=0.2, directions=20)
    assert found.log10_volume == pytest.approx(true_log10(np.full(n, 3.0), 0.2), abs=0.01)
    assert found.dimension == n
    assert found.effective_samples == pytest.approx(20, rel=1e-3)
    np.testing.assert_allclose(found.radii, math.sqrt(0.4 / 3), rtol=0.01 / n)
    assert found.crossed.all()
    low, high = found.interval
    assert low <= found.log10_volume <= high
    assert high - low < 0.01


def test_few_dimensions_need_no_preconditioner():
    curvatures = decades(3, 0.5)
    found = basin_volume(objective_of(Bowl(curvatures)), directions=600, seed=1)
    low, high = found.interval
    assert low < true_log10(curvatures, 0.1) < high
    assert found.effective_samples > 300
    assert not found.few_samples


@pytest.mark.parametrize(("n", "span"), [(10, 3), (100, 3), (1000, 3)])
def test_an_ellipsoid_is_too_small_without_a_preconditioner_and_exact_with_one(n, span):
    curvatures = decades(n, span)
    objective, truth = objective_of(Bowl(curvatures)), true_log10(curvatures, 0.1)
    naive = basin_volume(objective, directions=30)
    assert naive.lower_bound < naive.log10_volume < truth
    assert naive.effective_samples < 10
    exact = basin_volume(objective, directions=20, preconditioner="hessian")
    assert exact.log10_volume == pytest.approx(truth, abs=0.01)
    assert exact.effective_samples == pytest.approx(20, rel=1e-3)
    if n >= 100:  # by orders of magnitude, of which the bootstrap knows nothing
        assert naive.interval[1] < truth - 5
        assert naive.few_samples
        assert "lower bound" in str(naive)


def test_a_given_scale_of_each_parameter_is_exact_as_well():
    curvatures = decades(50, 3)
    scale = torch.from_numpy(curvatures) ** -0.5
    found = basin_volume(
        objective_of(Bowl(curvatures)), directions=10, preconditioner={"w": 7 * scale}
    )
    assert found.log10_volume == pytest.approx(true_log10(curvatures, 0.1), abs=0.01)
    assert found.preconditioner == "given"


def test_the_weighted_mean_is_unbiased():
    """In 4 dimensions any preconditioner gives the volume, as far as its interval says."""
    curvatures = np.array([1.0, 2.0, 5.0, 9.0])
    wrong = {"w": torch.tensor([0.3, 0.5, 0.4, 0.2], dtype=torch.float64)}
    found = basin_volume(objective_of(Bowl(curvatures)), directions=2000, preconditioner=wrong)
    low, high = found.interval
    assert low < true_log10(curvatures, 0.1) < high
    assert high - low < 0.1


def test_curvatures_that_are_many_are_found_by_lanczos():
    """1,100 dimensions, of which 1,000 are alike: the largest 100 are found, the others equal."""
    curvatures = np.concatenate([np.full(1000, 1.0), decades(100, 2) * 2])
    model = Bowl(curvatures, center=0.01)  # whose norm makes the others 2 cutoff / norm^2
    cutoff = 0.5 * 1100 * 0.01**2
    found = basin_volume(
        objective_of(model), cutoff=cutoff, directions=10, preconditioner="hessian"
    )
    assert found.log10_volume == pytest.approx(true_log10(curvatures, cutoff), abs=0.1)
    assert found.effective_samples > 5


def test_the_first_crossing_ends_the_basin_and_not_a_later_one():
    """The loss rises above the cut-off at 1, and falls below it again from 2 on."""

    class Ring(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(3, dtype=torch.float64))

        def forward(self, inputs):
            r = self.w.norm()
            return (r * (r < 2)).expand(len(inputs))

    found = basin_volume(objective_of(Ring()), cutoff=1.0, directions=5, reach=50.0)
    np.testing.assert_allclose(found.radii, 1.0, rtol=0.01)


def test_a_loss_that_is_not_a_number_ends_the_basin():
    class Cliff(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, inputs):
            return (1 - self.w.square().sum()).sqrt().expand(len(inputs)) * 0

    found = basin_volume(objective_of(Cliff()), directions=4, reach=10.0)
    np.testing.assert_allclose(found.radii, 1.0, rtol=0.01)
    assert found.crossed.all()


def test_directions_that_never_cross_are_counted_and_make_a_lower_bound():
    class Valley(nn.Module):
        """Flat for w_0 > 0."""

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, inputs):
            return self.w[0].clamp(max=0).square().expand(len(inputs))

    found = basin_volume(objective_of(Valley()), directions=200, reach=30.0)
    beyond = int((~found.crossed).sum())
    assert 60 < beyond < 140
    assert (found.radii[~found.crossed] == 30.0).all()
    assert (found.radii[found.crossed] < 30.0).all()
    assert f"{beyond} directions never cross the cut-off within 30: " in str(found)


def test_a_part_of_the_parameters_has_its_own_dimension():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    data = torch.randn(20, 2).double(), torch.randn(20, 1).double()
    objective = Objective(model, "mse", data)
    found = basin_volume(objective, directions=20, parameters="*.weight")
    assert found.dimension == 9
    with pytest.raises(LossLandscapeError, match="matches no trainable parameter"):
        basin_volume(objective, parameters="nothing.*")


def test_the_same_seed_gives_the_same_volume_and_the_model_stays():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    objective = Objective(model, "cross_entropy", (torch.randn(30, 3), torch.randint(2, (30,))))
    before = [p.detach().clone() for p in model.parameters()]
    first = basin_volume(objective, directions=20, seed=4)
    again = basin_volume(objective, directions=20, seed=4)
    other = basin_volume(objective, directions=20, seed=5)
    assert first.log10_volume == again.log10_volume
    assert first.log10_volume != other.log10_volume
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
    more = basin_volume(objective, directions=30, seed=4)  # the first of them are the same
    np.testing.assert_allclose(more.radii[:20], first.radii, rtol=1e-3)


@pytest.mark.parametrize(
    ("preconditioner", "message"),
    [
        ({}, "'w' .3,. is missing"),
        ({"w": torch.ones(2)}, "has shape"),
        ({"w": torch.ones(3), "v": torch.ones(3)}, "'v' is not a parameter that moves"),
        ({"w": torch.tensor([1.0, 0.0, 1.0])}, "not positive and finite"),
        ({"w": torch.tensor([1.0, math.nan, 1.0])}, "not positive and finite"),
        ("hesian", "did you mean 'hessian'"),
    ],
)
def test_preconditioners_that_do_not_fit_are_refused(preconditioner, message):
    with pytest.raises(LossLandscapeError, match=message):
        basin_volume(objective_of(Bowl(np.ones(3))), preconditioner=preconditioner)


def test_a_cutoff_below_rounding_and_a_flat_model_are_refused():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, inputs):
            return (self.w.abs().sum() > 0).double().expand(len(inputs))

    with pytest.raises(LossLandscapeError, match="below the rounding of the loss"):
        basin_volume(objective_of(Noisy()))
    with pytest.raises(LossLandscapeError, match="zero or not finite"):
        basin_volume(objective_of(Bowl(np.zeros(3))), preconditioner="hessian")
