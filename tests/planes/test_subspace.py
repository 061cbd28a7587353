import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError


def perturbed(model, seed):
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return other


def test_parameters_at_is_the_formula(cnn):
    plane = Subspace.random(cnn, seed=3)
    first, second = (plane.layout.views(d) for d in plane.directions)
    found = plane.parameters_at((0.5, -2.0))
    for name, own in cnn.named_parameters():
        torch.testing.assert_close(
            found[name], own.detach() + 0.5 * first[name] - 2.0 * second[name]
        )
        assert found[name].shape == own.shape


def test_the_origin_is_a_copy_of_the_model(cnn):
    plane = Subspace.random(cnn)
    before = plane.origin.clone()
    with torch.no_grad():
        cnn.head.weight.zero_()
    assert torch.equal(plane.origin, before)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2), st.integers(0, 1000))
def test_points_of_the_plane_project_to_their_coordinates(coordinates, seed):
    torch.manual_seed(0)
    model = nn.Linear(20, 10).double()
    plane = Subspace.random(model, seed=seed)  # random directions are not orthogonal
    assert abs(plane.gram_matrix[0, 1]) > 0
    found = plane._project(plane.parameters_at(coordinates))
    np.testing.assert_allclose(found[0], coordinates, atol=1e-12)
    assert found[1] < 1e-12


def test_projection_is_the_least_squares_solution(cnn, rng):
    plane = Subspace.random(cnn, seed=1)
    target = {n: p.detach() + torch.randn(p.shape) for n, p in cnn.named_parameters()}
    flat = plane.layout.flatten(target).double().numpy() - plane.origin.double().numpy()
    matrix = np.array([d.double().numpy() for d in plane.directions]).T
    expected, residual, *_ = np.linalg.lstsq(matrix, flat, rcond=None)
    coordinates, distance = plane._project(target)
    np.testing.assert_allclose(coordinates, expected, rtol=1e-9)
    assert distance == pytest.approx(np.sqrt(residual[0]), rel=1e-9)


def test_dependent_directions_are_refused():
    origin = {"w": torch.zeros(3)}
    direction = {"w": torch.tensor([1.0, 2.0, 3.0])}
    plane = Subspace(origin, [direction, {"w": 2 * direction["w"]}])
    with pytest.raises(LossLandscapeError, match="not independent"):
        plane.project(origin)


def test_a_trajectory_on_the_plane_projects_back(cnn, record_trajectory):
    plane = Subspace.random(cnn, seed=5)
    wanted = np.array([[1.0, 0.5], [0.5, -0.25], [0.1, 0.2], [0.0, 0.0]])
    trajectory = record_trajectory(copy.deepcopy(cnn), [plane.parameters_at(c) for c in wanted])
    projection = plane.project_trajectory(trajectory)
    np.testing.assert_allclose(projection.coordinates, wanted, atol=1e-5)
    assert projection.distance.max() < 1e-4


def test_between_puts_the_models_where_garipov_et_al_do(cnn):
    b, c = perturbed(cnn, 1), perturbed(cnn, 2)
    plane = Subspace.between(cnn, b, c, labels=["a", "b", "c"])
    for model, point in zip((cnn, b, c), plane.points):
        for name, tensor in plane.parameters_at(point.coordinates).items():
            torch.testing.assert_close(
                tensor, model.get_parameter(name).detach(), rtol=1e-4, atol=1e-5
            )
    gram = plane.gram_matrix
    assert gram[0, 0] == pytest.approx(gram[1, 1], rel=1e-5)
    assert abs(gram[0, 1]) < 1e-5 * gram[0, 0]
    assert [p.label for p in plane.points] == ["a", "b", "c"]


def test_equal_models_span_nothing(cnn):
    with pytest.raises(LossLandscapeError, match="model a and model b have the same parameters"):
        Subspace.between(cnn, copy.deepcopy(cnn))
    with pytest.raises(LossLandscapeError, match="span no plane"):
        Subspace.between(cnn, perturbed(cnn, 1), perturbed(cnn, 1))


def test_another_model_is_refused_naming_the_tensor(cnn):
    plane = Subspace.random(cnn)
    with pytest.raises(LossLandscapeError, match=r"'convolution.weight' .* is missing"):
        plane.check_model(nn.Linear(2, 2))
    with pytest.raises(LossLandscapeError, match=r"'head.bias' has shape \(7,\)"):
        plane.project({**dict(cnn.named_parameters()), "head.bias": torch.zeros(7)})


@pytest.mark.parametrize("directions", [0, 4])
def test_one_to_three_directions(directions):
    with pytest.raises(LossLandscapeError, match="1, 2 or 3 directions"):
        Subspace({"w": torch.zeros(3)}, [{"w": torch.ones(3)}] * directions)


def test_pca_grid_holds_the_trajectory_and_a_margin(cnn, record_trajectory):
    plane = Subspace.random(cnn, seed=5)
    points = [(1.0, 0.5), (0.5, -0.25), (0.1, 0.2), (0.0, 0.0)]
    trajectory = record_trajectory(copy.deepcopy(cnn), [plane.parameters_at(c) for c in points])
    pca = Subspace.pca(trajectory)
    coordinates = pca.project_trajectory(trajectory).coordinates
    longest = (coordinates.max(0) - coordinates.min(0)).max()
    for (low, high), values in zip(pca.default_grid().bounds, coordinates.T):
        assert low == pytest.approx(values.min() - 0.2 * longest)
        assert high == pytest.approx(values.max() + 0.2 * longest)


def test_grid_points_run_alpha_first_and_meet_zero():
    grid = Grid.rectangle((5, 3), ((-1, 1), (-2, 2)))
    points = grid.points()
    assert points.shape == (15, 2)
    np.testing.assert_array_equal(points[:5, 0], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(points[7], [0, 0])
    assert Grid.from_json(grid.to_json()) == grid


@settings(max_examples=50)
@given(st.integers(2, 400), st.floats(1e-6, 1e6))
def test_axes_are_symmetric_to_the_bit(count, width):
    axis = Grid.line(count, width).axes()[0]
    np.testing.assert_array_equal(axis, -axis[::-1])
    assert axis[0] == -width


@pytest.mark.parametrize(
    ("counts", "bounds", "message"),
    [
        ((0, 5), ((-1, 1), (-1, 1)), "alpha has 0 points"),
        ((5, 1), ((-1, 1), (-1, 1)), "beta has 1 points"),
        ((5,), ((1, -1),), "alpha runs from 1 to -1"),
        ((5,), ((0, float("inf")),), "finite"),
        ((5, 5), ((0, 1),), "2 counts and 1 bounds"),
    ],
)
def test_grids_that_cannot_be(counts, bounds, message):
    with pytest.raises(LossLandscapeError, match=message):
        Grid(counts, bounds)


def test_models_that_differ_where_the_plane_does_not_move_are_refused(cnn):
    cnn.convolution.requires_grad_(False)
    with pytest.raises(
        LossLandscapeError, match=r"differ in 'convolution.weight', which is frozen"
    ):
        Subspace.between(cnn, perturbed(cnn, 1))


def test_a_direction_with_an_unknown_name_is_refused():
    with pytest.raises(LossLandscapeError, match="'v' is not a parameter of the origin"):
        Subspace({"w": torch.zeros(3)}, [{"w": torch.ones(3), "v": torch.ones(3)}])


@pytest.mark.parametrize("frozen", [["0.weight"], ["0.weight", "0.bias", "1.weight", "1.bias"]])
def test_a_parameter_that_was_frozen_since_is_refused(frozen):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    plane = Subspace.random(model)
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    objective = Objective(model, "mse", (torch.ones(4, 2), torch.ones(4, 1)))
    with pytest.raises(LossLandscapeError, match=r"'0.weight' is frozen .* subspace moves"):
        evaluate(objective, plane, Grid.square(2), quiet=True)


def test_a_frozen_parameter_that_the_subspace_leaves_where_it_is():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    plane = Subspace.random(model)
    for direction in plane.directions:
        plane.layout.views(direction)["0.weight"].zero_()
    model[0].weight.requires_grad_(False)
    plane.check_model(model)


def test_models_without_values_or_of_complex_numbers_are_told_what_to_do():
    with pytest.raises(LossLandscapeError, match=r"'weight' is on the meta device .*to_empty"):
        Subspace.random(nn.Linear(2, 1, device="meta"))
    line = Subspace.random(nn.Linear(2, 1))
    with pytest.raises(LossLandscapeError, match="on the meta device"):
        line.check_model(nn.Linear(2, 1, device="meta"))
    with pytest.raises(LossLandscapeError, match=r"complex64; .*two real ones"):
        Subspace.random(nn.Linear(2, 1, dtype=torch.complex64))
