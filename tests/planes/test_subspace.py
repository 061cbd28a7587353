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


def test_parameters_at_follows_the_formula(cnn):
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
    plane = Subspace.random(model, seed=seed)  # its directions are not orthogonal
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
    with pytest.raises(
        LossLandscapeError, match=r"direction 1 \(beta\) is parallel to direction 0"
    ):
        Subspace(origin, [direction, {"w": 2 * direction["w"]}])
    nearly = {"w": 2 * direction["w"] + torch.tensor([1e-5, 0.0, 0.0])}
    with pytest.raises(LossLandscapeError, match="not independent"):
        Subspace(origin, [direction, nearly]).project(origin)


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


def test_another_model_is_refused_by_the_name_of_the_tensor(cnn):
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
def test_invalid_grids_are_refused(counts, bounds, message):
    with pytest.raises(LossLandscapeError, match=message):
        Grid(counts, bounds)


def test_models_that_differ_in_a_frozen_parameter_are_refused(cnn):
    cnn.convolution.requires_grad_(False)
    with pytest.raises(
        LossLandscapeError, match=r"differ in 'convolution.weight', which is frozen"
    ):
        Subspace.between(cnn, perturbed(cnn, 1))


def test_a_direction_with_an_unknown_name_is_refused():
    with pytest.raises(LossLandscapeError, match="'v' is not a parameter of the origin"):
        Subspace({"w": torch.zeros(3)}, [{"w": torch.ones(3), "v": torch.ones(3)}])


@pytest.mark.parametrize("frozen", [["0.weight"], ["0.weight", "0.bias", "1.weight", "1.bias"]])
def test_a_parameter_frozen_after_the_plane_was_made_is_refused(frozen):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    plane = Subspace.random(model)
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    objective = Objective(model, "mse", (torch.ones(4, 2), torch.ones(4, 1)))
    with pytest.raises(LossLandscapeError, match=r"'0.weight' is frozen .* subspace moves"):
        evaluate(objective, plane, Grid.square(2), quiet=True)


def test_a_frozen_parameter_that_the_subspace_does_not_move_is_accepted():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    plane = Subspace.random(model)
    for direction in plane.directions:
        plane.layout.views(direction)["0.weight"].zero_()
    model[0].weight.requires_grad_(False)
    plane.check_model(model)


def test_meta_and_complex_models_are_refused_with_a_remedy():
    with pytest.raises(LossLandscapeError, match=r"'weight' is on the meta device .*to_empty"):
        Subspace.random(nn.Linear(2, 1, device="meta"))
    line = Subspace.random(nn.Linear(2, 1))
    with pytest.raises(LossLandscapeError, match="on the meta device"):
        line.check_model(nn.Linear(2, 1, device="meta"))
    with pytest.raises(LossLandscapeError, match=r"complex64; .*two real ones"):
        Subspace.random(nn.Linear(2, 1, dtype=torch.complex64))


def test_the_plane_through_three_models_is_that_of_gram_and_schmidt(cnn):
    b, c = perturbed(cnn, 1), perturbed(cnn, 2)
    plane = Subspace.between(cnn, b, c)
    a, b, c = (
        plane.layout.flatten(dict(m.named_parameters())).double().numpy() for m in (cnn, b, c)
    )
    first = b - a
    along = (c - a) @ first / (first @ first)
    rest = c - a - along * first
    second = rest * np.linalg.norm(first) / np.linalg.norm(rest)
    np.testing.assert_allclose(plane.directions[0], first, atol=1e-6)
    np.testing.assert_allclose(plane.directions[1], second, atol=1e-5)
    expected = [(0, 0), (1, 0), (along, np.linalg.norm(rest) / np.linalg.norm(first))]
    np.testing.assert_allclose([p.coordinates for p in plane.points], expected, rtol=1e-5)
    assert [p.label for p in plane.points] == ["model a", "model b", "model c"]
    corners = np.array(expected)
    border = 0.4 * (corners.max(0) - corners.min(0)).max()
    np.testing.assert_allclose(
        plane.default_grid(7).bounds,
        np.transpose([corners.min(0) - border, corners.max(0) + border]),
        rtol=1e-5,
    )
    assert plane.default_grid(7).counts == (7, 7)


def test_the_line_through_two_models(cnn):
    line = Subspace.between(cnn, perturbed(cnn, 1))
    assert [(p.label, p.coordinates) for p in line.points] == [
        ("model a", (0.0,)), ("model b", (1.0,)),
    ]  # fmt: skip
    np.testing.assert_allclose(line.default_grid().bounds, [(-0.4, 1.4)])
    assert line.default_grid().counts == (51,)
    assert line.recipe == {"kind": "between", "models": ["model a", "model b"]}


def test_a_label_a_model(cnn):
    with pytest.raises(LossLandscapeError, match=r"3 labels .* 2 models"):
        Subspace.between(cnn, perturbed(cnn, 1), labels=["a", "b", "c"])


@pytest.mark.parametrize("third", [1.0, 0.5, -3.0, 1e6])
def test_a_third_model_on_the_line_is_refused(third):
    def model(value):
        made = nn.Linear(2, 1, bias=False).double()
        made.weight.data = torch.tensor([[value, 2 * value]], dtype=torch.float64)
        return made

    with pytest.raises(LossLandscapeError, match=r"model c .* span no plane"):
        Subspace.between(model(0.0), model(1.0), model(third))


def test_a_third_model_a_little_off_the_line_spans_a_plane():
    def model(*values):
        made = nn.Linear(2, 1, bias=False).double()
        made.weight.data = torch.tensor([values], dtype=torch.float64)
        return made

    plane = Subspace.between(model(0.0, 0.0), model(2.0, 0.0), model(1.0, 1e-5))
    np.testing.assert_allclose(plane.directions[1], [0.0, 2.0], atol=1e-9)
    assert plane.points[2].coordinates == pytest.approx((0.5, 0.5e-5))
    with pytest.raises(LossLandscapeError, match="span no plane"):
        Subspace.between(model(0.0, 0.0), model(2.0, 0.0), model(1.0, 1e-6))


def test_models_of_equal_frozen_parts_have_a_line_whatever_moves(cnn):
    cnn.convolution.requires_grad_(False)
    other = copy.deepcopy(cnn)
    with torch.no_grad():
        other.head.weight.add_(1)
    line = Subspace.between(cnn, other)
    assert "convolution.weight" not in [s.name for s in line.layout.segments]
    third = copy.deepcopy(cnn)
    with torch.no_grad():
        third.convolution.bias.add_(1)
        third.head.weight.sub_(torch.rand_like(third.head.weight))
    with pytest.raises(LossLandscapeError, match=r"first and third .*'convolution\.bias'"):
        Subspace.between(cnn, other, third, labels=["first", "second", "third"])


def test_a_model_without_one_of_the_frozen_parameters_can_be_an_end():
    class Extended(nn.Linear):
        def __init__(self):
            super().__init__(2, 1)
            self.unused = nn.Parameter(torch.zeros(1), requires_grad=False)

    line = Subspace.between(Extended(), nn.Linear(2, 1))
    assert [s.name for s in line.layout.segments] == ["weight", "bias"]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_random_subspaces_of_each_dimension(cnn, dimensions):
    subspace = Subspace.random(cnn, dimensions)
    assert subspace.dimensions == len(subspace.directions) == dimensions
    assert subspace.direction_names == ("alpha", "beta", "gamma")[:dimensions]
    assert subspace.default_grid(5, 0.5) == Grid((5,) * dimensions, ((-0.5, 0.5),) * dimensions)
    assert subspace.default_grid() == Grid((51,) * dimensions, ((-1.0, 1.0),) * dimensions)
    assert subspace.gram_matrix.shape == (dimensions, dimensions)
    coordinates = np.array([0.5, -2.0, 1.5])[:dimensions]
    np.testing.assert_allclose(
        subspace.project(subspace.parameters_at(coordinates)), coordinates, atol=1e-4
    )
    with pytest.raises(LossLandscapeError, match=f"{dimensions + 1} .* {dimensions} direction"):
        subspace.parameters_at([0.0] * (dimensions + 1))


@pytest.mark.parametrize("dimensions", [0, 4, 1.5])
def test_random_subspaces_of_other_dimensions_are_refused(cnn, dimensions):
    with pytest.raises(
        LossLandscapeError, match=f"dimensions={dimensions}: must be a whole number from 1 to 3"
    ):
        Subspace.random(cnn, dimensions)


def test_the_recipe_of_random_directions_makes_them_again(cnn):
    plane = Subspace.random(cnn, 2, "layer", 4, False)
    assert plane.recipe == {
        "kind": "random", "normalization": "layer", "seed": 4, "zero_vectors": False,
    }  # fmt: skip
    options = {key: value for key, value in plane.recipe.items() if key != "kind"}
    assert Subspace.random(cnn, 2, **options).identity == plane.identity
    assert Subspace.random(cnn).recipe["zero_vectors"] is True
    assert Subspace.random(cnn).recipe["seed"] == 0


def test_gram_matrix_and_distance_of_known_vectors():
    origin = {"w": torch.tensor([1.0, 1.0, 1.0])}
    plane = Subspace(
        origin, [{"w": torch.tensor([2.0, 0.0, 0.0])}, {"w": torch.tensor([1.0, 1.0, 0.0])}]
    )
    np.testing.assert_array_equal(plane.gram_matrix, [[4, 2], [2, 2]])
    coordinates, distance = plane._project({"w": torch.tensor([6.0, 4.0, 8.0])})
    np.testing.assert_allclose(coordinates, [1.0, 3.0])
    assert distance == pytest.approx(7.0)
    # so near to the plane that differences of squares would be rounding
    near = plane._project({"w": torch.tensor([1001.0, 1.0, 1.0 + 2**-12])})
    assert near[1] == pytest.approx(2**-12, rel=1e-9)
    assert plane._project(origin)[1] == 0.0


def test_identity_and_hashes_tell_which_part_differs(cnn):
    def parts(**changes):
        vectors = {"origin": 0.0, "first": 1.0, "second": 2.0, "buffer": 3.0, **changes}
        origin, first, second, buffer = (torch.tensor([v, 1.0]) for v in vectors.values())
        plane = Subspace({"w": origin}, [{"w": first}, {"w": second}], {"b": buffer, "a": origin})
        return plane.identity, plane.part_hashes

    identity, own = parts()
    assert parts() == (identity, own)
    assert len(own["directions_sha256"]) == 2
    for change, key in {"first": "directions_sha256", "buffer": "buffers_sha256"}.items():
        other, hashes = parts(**{change: 9.0})
        assert other != identity
        assert {k for k in own if own[k] != hashes[k]} == {key}
    [_, second] = parts(second=9.0)[1]["directions_sha256"]
    assert [parts(second=9.0)[1]["directions_sha256"][0], second] == [
        own["directions_sha256"][0], second,
    ]  # fmt: skip
    assert second != own["directions_sha256"][1]
    assert parts(origin=9.0)[1]["parameters_sha256"] != own["parameters_sha256"]


def test_the_order_of_the_buffers_is_no_part_of_the_identity():
    origin, direction = {"w": torch.zeros(2)}, [{"w": torch.ones(2)}]
    buffers = {"a": torch.zeros(1), "b": torch.ones(1)}
    turned = dict(reversed(buffers.items()))
    one, other = Subspace(origin, direction, buffers), Subspace(origin, direction, turned)
    assert one.identity == other.identity
    assert one.part_hashes == other.part_hashes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels_last", [True, False])
def test_a_placed_subspace_is_the_same_in_another_type_and_order(cnn, dtype, channels_last):
    plane = Subspace.between(cnn, perturbed(cnn, 1))
    placed = plane.placed(torch.device("cpu"), dtype, channels_last)
    assert (placed is plane) == (dtype == torch.float32 and channels_last)
    assert placed.layout == plane.layout.changed(dtype, channels_last)
    assert placed.origin.dtype == placed.layout.dtype == dtype
    found = placed.parameters_at((0.25,))
    for name, tensor in plane.parameters_at((0.25,)).items():
        torch.testing.assert_close(found[name], tensor.to(dtype))
        assert found[name].is_contiguous() or channels_last
    assert placed.default_grid() == plane.default_grid()
    assert placed.points == plane.points
    assert placed.recipe == plane.recipe
    assert placed.buffers.keys() == plane.buffers.keys()


def test_given_origins_of_several_types_or_none_are_refused():
    origin = {"a": torch.zeros(1), "b": torch.zeros(1, dtype=torch.float64)}
    with pytest.raises(LossLandscapeError, match="float64"):
        Subspace(origin, [origin])
    with pytest.raises(LossLandscapeError, match="it has no tensors"):
        Subspace({}, [{}])


def test_a_trainable_parameter_that_the_subspace_lacks_is_named(cnn):
    cnn.head.bias.requires_grad_(False)
    line = Subspace.random(cnn, 1)
    cnn.head.bias.requires_grad_(True)
    with pytest.raises(LossLandscapeError, match=r"'head\.bias' is not in the subspace"):
        line.check_model(cnn)


def test_a_frozen_parameter_that_the_second_direction_moves_is_refused():
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    parts = {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    others = {"weight": torch.tensor([[1.0, 0.0]]), "bias": torch.zeros(1)}
    still = Subspace(dict(model.named_parameters()), [parts, others])
    still.check_model(model)
    moved = Subspace(dict(model.named_parameters()), [parts, {**others, "bias": torch.ones(1)}])
    with pytest.raises(LossLandscapeError, match="'bias' is frozen"):
        moved.check_model(model)


def test_pca_without_checkpoints_and_its_recipe(cnn, record_trajectory):
    plane = Subspace.random(cnn, seed=5)
    points = [(1.0, 0.5), (0.5, -0.25), (0.1, 0.2), (0.0, 0.0)]
    trajectory = record_trajectory(copy.deepcopy(cnn), [plane.parameters_at(c) for c in points])
    line = Subspace.pca(trajectory, 1, "mean")
    assert line.dimensions == 1
    assert line.recipe["kind"] == "pca"
    assert line.recipe["center"] == "mean"
    assert line.recipe["checkpoints"] == 4
    assert line.recipe["trajectory"] == trajectory.path.name
    assert 0 < line.recipe["explained_variance"][0] < 1
    assert line.trajectory_folder == trajectory.path.absolute()
    last = trajectory.parameters(-1)
    for name, tensor in line.parameters_at((0.0,)).items():
        assert torch.equal(tensor, last[name])
    with pytest.raises(LossLandscapeError, match="no checkpoint"):
        Subspace.pca(record_trajectory(cnn, [], "empty"))


@pytest.mark.parametrize(
    ("dtype", "angle", "refused"),
    [
        (torch.float32, 1e-2, False),
        (torch.float32, 1e-3, False),
        (torch.float32, 1e-4, True),
        (torch.float64, 1e-4, False),
    ],
)
def test_nearly_parallel_directions_are_refused_where_rounding_spoils_coordinates(
    dtype, angle, refused
):
    generator = torch.Generator().manual_seed(0)
    origin, first, other = torch.randn(3, 1000, generator=generator, dtype=torch.float64)
    vectors = [v.to(dtype) for v in (30 * origin, first, first + angle * other)]
    plane = Subspace({"w": vectors[0]}, [{"w": vectors[1]}, {"w": vectors[2]}])
    point = plane.parameters_at((0.7, -0.4))
    if refused:
        with pytest.raises(LossLandscapeError, match="nearly parallel"):
            plane.project(point)
    else:
        np.testing.assert_allclose(plane.project(point), (0.7, -0.4), atol=1e-3)


def test_short_directions_are_not_called_parallel():
    plane = Subspace({"w": torch.ones(10)}, [{"w": 1e-6 * torch.eye(10)[i]} for i in (0, 1)])
    plane.project({"w": torch.ones(10)})
