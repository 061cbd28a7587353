import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import nn
from torch.nn.utils import prune

from losslandscape import Subspace
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.directions import principal_directions, random_direction, vector_names
from losslandscape.planes.parameters import ParameterLayout


def filters_one_by_one(name, module, weight):
    """Slices of a weight along its output dimension, in explicit loops."""
    if isinstance(module, nn.ConvTranspose2d):
        inputs = weight.shape[0] // module.groups
        for group in range(module.groups):
            for output in range(weight.shape[1]):
                yield weight[group * inputs : (group + 1) * inputs, output]
    else:
        yield from weight


def direction_of(model, **options):
    layout = ParameterLayout.of(model)
    return layout.views(random_direction(model, layout, 0, 0, **options))


def test_every_filter_has_the_norm_of_the_weights_filter(cnn):
    direction = direction_of(cnn)
    checked = 0
    for module_name, module in cnn.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None or weight.dim() < 2:
            continue
        name = f"{module_name}.weight"
        pairs = zip(
            filters_one_by_one(name, module, weight.detach()),
            filters_one_by_one(name, module, direction[name]),
        )
        for own, moved in pairs:
            assert moved.double().norm().item() == pytest.approx(
                own.double().norm().item(), rel=1e-6
            )
            checked += 1
    assert checked == 8 + 4 + 5


def test_rows_of_embedding_and_attention_are_filters():
    model = nn.ModuleDict({"words": nn.Embedding(7, 4), "mix": nn.MultiheadAttention(4, 2)})
    direction = direction_of(model)
    for name in ("words.weight", "mix.in_proj_weight", "mix.out_proj.weight"):
        own = dict(model.named_parameters())[name].detach().double().norm(dim=1)
        torch.testing.assert_close(direction[name].double().norm(dim=1), own, rtol=1e-6, atol=0)


def test_layer_normalization_matches_whole_parameters(cnn):
    direction = direction_of(cnn, normalization="layer")
    weight = cnn.convolution.weight.detach()
    assert direction["convolution.weight"].norm().item() == pytest.approx(
        weight.norm().item(), rel=1e-5
    )
    ratio = direction["convolution.weight"].flatten(1).norm(dim=1) / weight.flatten(1).norm(dim=1)
    assert ratio.std() > 0.01  # the filters themselves are not matched


def test_without_normalization_numbers_are_standard_normal(cnn):
    values = direction_of(cnn, normalization="none")["head.weight"]
    assert values.mean().abs() < 0.1
    assert (values.std() - 1).abs() < 0.1


def test_vectors_stay_fixed_by_default_and_move_on_request(cnn):
    assert not direction_of(cnn)["norm.weight"].any()
    moved = direction_of(cnn, zero_vectors=False)
    assert moved["norm.weight"].norm().item() == pytest.approx(
        cnn.norm.weight.norm().item(), rel=1e-5
    )


def test_a_model_with_vectors_alone_is_refused_with_the_option_to_set():
    with pytest.raises(LossLandscapeError, match="zero_vectors=False"):
        Subspace.random(nn.BatchNorm1d(3))
    assert Subspace.random(nn.BatchNorm1d(3), zero_vectors=False).dimensions == 2


def test_a_filter_of_norm_zero_stays_zero(cnn):
    with torch.no_grad():
        cnn.convolution.weight[3] = 0
    direction = direction_of(cnn)["convolution.weight"]
    assert not direction[3].any()
    assert direction[2].any()


def test_tied_weights_move_once_and_frozen_ones_do_not():
    model = nn.ModuleDict({"a": nn.Linear(4, 4, bias=False), "b": nn.Linear(4, 4, bias=False)})
    model["b"].weight = model["a"].weight
    model["c"] = nn.Linear(4, 4)
    model["c"].requires_grad_(False)
    assert [segment.name for segment in ParameterLayout.of(model).segments] == ["a.weight"]


def test_nothing_trainable_is_an_error():
    with pytest.raises(LossLandscapeError, match="requires_grad_"):
        Subspace.random(nn.Linear(2, 2).requires_grad_(False))


def test_a_parameters_numbers_do_not_depend_on_the_others():
    torch.manual_seed(0)
    small = nn.ModuleDict({"a": nn.Linear(3, 4)})
    large = nn.ModuleDict({"z": nn.Linear(9, 9), "a": nn.Linear(3, 4)})
    large["a"].load_state_dict(small["a"].state_dict())
    assert torch.equal(direction_of(small)["a.weight"], direction_of(large)["a.weight"])


def test_seeds_and_dimensions_differ(cnn):
    first, second = Subspace.random(cnn, seed=0).directions
    other = Subspace.random(cnn, seed=1).directions[0]
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(["filter", "layer"]))
def test_a_normalized_direction_has_the_norm_of_the_weights(seed, normalization):
    torch.manual_seed(0)
    model = nn.Linear(6, 3, bias=False)
    direction = Subspace.random(model, 1, normalization, seed).directions[0]
    assert direction.norm().item() == pytest.approx(model.weight.norm().item(), rel=1e-5)


def walk(model, rng, count, block=False):
    """A random walk of parameters, as rows of a matrix and as states."""
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    rows, states = [], []
    current = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    for _ in range(count):
        current = {name: value + rng.normal(size=value.shape) for name, value in current.items()}
        states.append({n: torch.tensor(v, dtype=torch.float32) for n, v in current.items()})
        rows.append(np.concatenate([s.numpy().ravel() for s in states[-1].values()]))
    return np.array(rows, dtype=np.float64), states


def as_rows(layout, directions):
    """The directions as rows, with each parameter in row-major order."""
    views = [layout.views(direction) for direction in directions]
    return np.array([np.concatenate([v.numpy().ravel() for v in view.values()]) for view in views])


def same_up_to_sign(found, expected, tolerance):
    for one, other in zip(found, expected):
        assert min(abs(one - other).max(), abs(one + other).max()) < tolerance


@pytest.mark.parametrize("block_bytes", [1 << 20, 1000])
def test_origin_centered_plane_is_the_svd(cnn, rng, record_trajectory, block_bytes):
    rows, states = walk(cnn, rng, 7)
    layout = ParameterLayout.of(cnn)
    directions, explained = principal_directions(
        record_trajectory(cnn, states), layout, 2, block_bytes=block_bytes
    )
    _, singular, vectors = np.linalg.svd(rows - rows[-1], full_matrices=False)
    same_up_to_sign(as_rows(layout, directions), vectors[:2], 1e-6)
    np.testing.assert_allclose(explained, singular[:2] ** 2 / (singular**2).sum(), rtol=1e-6)


def test_mean_centered_plane_is_scikit_learns_pca(cnn, rng, record_trajectory):
    rows, states = walk(cnn, rng, 7)
    layout = ParameterLayout.of(cnn)
    directions, explained = principal_directions(
        record_trajectory(cnn, states), layout, 2, center="mean"
    )
    expected = PCA(2).fit(rows - rows[-1]).components_
    same_up_to_sign(as_rows(layout, directions), expected, 1e-6)
    differences = rows - rows[-1]
    drawn = ((differences @ expected.T) ** 2).sum(axis=0) / (differences**2).sum()
    np.testing.assert_allclose(explained, drawn, rtol=1e-5)


def test_the_origin_centered_plane_shows_more_than_the_mean_centered_one(
    cnn, rng, record_trajectory
):
    _, states = walk(cnn, rng, 6)
    trajectory = record_trajectory(cnn, states)
    share = {
        c: sum(Subspace.pca(trajectory, 2, c).recipe["explained_variance"])
        for c in ("origin", "mean")
    }
    assert share["origin"] > share["mean"]


def test_too_few_checkpoints_are_refused(cnn, rng, record_trajectory):
    _, states = walk(cnn, rng, 2)
    with pytest.raises(
        LossLandscapeError, match="2 directions need 3 checkpoints or more, and there are 2"
    ):
        Subspace.pca(record_trajectory(cnn, states))


def test_checkpoints_on_a_line_span_no_plane(cnn, rng, record_trajectory):
    _, (start, _) = walk(cnn, rng, 2)
    states = [{n: t * (1 + i) for n, t in start.items()} for i in range(5)]
    with pytest.raises(LossLandscapeError, match="span fewer than 2 directions"):
        Subspace.pca(record_trajectory(cnn, states))


def test_gains_of_weight_norm_are_vectors():
    model = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    direction = direction_of(model)
    assert not direction["parametrizations.weight.original0"].any()
    assert direction["parametrizations.weight.original1"].any()


@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose3d])
def test_grouped_transposed_convolutions_are_normalized_per_filter(kind):
    model = kind(6, 4, 2, groups=2)
    direction = direction_of(model)["weight"]
    for group in range(2):
        for output in range(2):
            part = slice(3 * group, 3 * group + 3), output
            own = model.weight.detach()[part].double().norm().item()
            assert direction[part].double().norm().item() == pytest.approx(own, rel=1e-6)


def test_an_unknown_normalization_is_refused(cnn):
    with pytest.raises(LossLandscapeError, match="'filters'"):
        direction_of(cnn, normalization="filters")


def test_random_numbers_follow_from_seed_index_and_name(cnn):
    # other numbers would be other planes under the same seed: files name the seed alone
    layout = ParameterLayout.of(cnn)
    found = layout.views(random_direction(cnn, layout, 7, 1, normalization="none"))["head.weight"]
    key = hashlib.sha256(b"7/1/head.weight").digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little") // 2)
    assert torch.equal(found, torch.randn(cnn.head.weight.shape, generator=generator))


def test_layer_normalisation_of_transposed_convolutions_is_of_the_whole(cnn):
    direction = direction_of(cnn, normalization="layer")["transposed.weight"]
    assert direction.norm().item() == pytest.approx(cnn.transposed.weight.norm().item(), rel=1e-5)


def test_vectors_that_move_have_the_norm_of_the_whole_or_their_own_numbers(cnn):
    moved = direction_of(cnn, zero_vectors=False, normalization="none")["norm.weight"]
    assert moved.norm().item() != pytest.approx(cnn.norm.weight.norm().item(), rel=1e-3)
    moved = direction_of(cnn, zero_vectors=False)["convolution.bias"]
    assert moved.norm().item() == pytest.approx(cnn.convolution.bias.norm().item(), rel=1e-5)


class OwnWeightNorm(nn.Module):
    """With parameters named as older weight norm names them, and a weight that is called a gain."""

    def __init__(self):
        super().__init__()
        self.weight_v, self.weight_g = (
            nn.Parameter(torch.ones(4, 3)),
            nn.Parameter(torch.ones(4, 1)),
        )
        self.table = nn.ParameterDict({"weight_g": nn.Parameter(torch.ones(4, 2))})
        self.scale = nn.Parameter(torch.ones(()))


WEIGHT_NORMS = [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm]


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize(
    ("model", "moving"),
    [
        (nn.Conv2d(3, 4, 1), ["weight"]),
        (nn.LayerNorm([4, 5]), []),
        (nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.PReLU(4), nn.Embedding(4, 1)),
         ["3.weight"]),
        (nn.MultiheadAttention(4, 2, add_bias_kv=True), ["in_proj_weight", "out_proj.weight"]),
        (OwnWeightNorm(), ["weight_v", "table.weight_g"]),
        *[
            (norm(layer, dim=dim), [weight])
            for norm, weight in zip(
                WEIGHT_NORMS, ["parametrizations.weight.original1", "weight_v"]
            )
            for layer, dim in [
                (nn.Linear(4, 3), 0), (nn.Linear(4, 3), 1), (nn.ConvTranspose2d(4, 3, 2), 1)
            ]
        ],
        (nn.utils.parametrizations.weight_norm(nn.Linear(4, 3), dim=None),
         ["parametrizations.weight.original1"]),
    ],
)  # fmt: skip
def test_biases_and_scales_of_any_shape_are_vectors(model, moving):
    layout = ParameterLayout.of(model)
    names = {segment.name for segment in layout.segments}
    assert names - vector_names(model, layout) == set(moving)
    if moving:
        assert {n for n, direction in direction_of(model).items() if direction.any()} == set(moving)


def norms(weight):
    """Of the filters of a transposed convolution without groups."""
    return weight.detach().double().transpose(0, 1).flatten(1).norm(dim=1)


def test_a_transposed_convolution_under_older_spectral_norm_has_its_filters():
    model = nn.utils.spectral_norm(nn.ConvTranspose2d(4, 3, 2))
    direction = direction_of(model)["weight_orig"]
    assert norms(direction) == pytest.approx(norms(model.weight_orig), rel=1e-6)


@pytest.mark.parametrize("normalization", ["filter", "layer", "none"])
def test_pruned_entries_do_not_move_and_do_not_count(normalization):
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose2d(4, 3, 2))
    prune.l1_unstructured(model[0], "weight", 0.7)
    direction = direction_of(model, normalization=normalization)["0.weight_orig"]
    mask = model[0].weight_mask.bool()
    assert not direction[~mask].any()
    assert direction[mask].all()
    used = model[0].weight  # what the network computes with
    if normalization == "filter":
        assert norms(direction) == pytest.approx(norms(used), rel=1e-6)
    elif normalization == "layer":
        assert direction.norm().item() == pytest.approx(used.norm().item(), rel=1e-6)


def test_a_transposed_convolution_alone_and_under_weight_norm_has_its_filters():
    model = nn.utils.parametrizations.weight_norm(nn.ConvTranspose2d(4, 3, 2), dim=1)
    own = model.parametrizations.weight.original1.detach().double()
    direction = direction_of(model)["parametrizations.weight.original1"].double()
    for output in range(3):
        assert direction[:, output].norm().item() == pytest.approx(
            own[:, output].norm().item(), rel=1e-6
        )


def test_an_unknown_center_is_refused(cnn, rng, record_trajectory):
    _, states = walk(cnn, rng, 3)
    trajectory = record_trajectory(cnn, states)
    with pytest.raises(LossLandscapeError, match="'median'"):
        principal_directions(trajectory, ParameterLayout.of(cnn), 2, center="median")


@pytest.mark.parametrize("center", ["origin", "mean"])
def test_the_trajectory_starts_on_the_positive_side(cnn, rng, record_trajectory, center):
    rows, states = walk(cnn, rng, 5)
    layout = ParameterLayout.of(cnn)
    trajectory = record_trajectory(cnn, states)
    directions, _ = principal_directions(trajectory, layout, 3, center=center)
    assert ((rows[0] - rows[-1]) @ as_rows(layout, directions).T > 0).all()
    norms = np.linalg.norm(as_rows(layout, directions), axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)


def test_as_many_directions_as_checkpoints_span(cnn, rng, record_trajectory):
    _, states = walk(cnn, rng, 3)
    layout = ParameterLayout.of(cnn)
    _, explained = principal_directions(record_trajectory(cnn, states), layout, 2)
    assert explained.sum() == pytest.approx(1, rel=1e-6)  # two directions hold three points
    with pytest.raises(
        LossLandscapeError, match="3 directions need 4 checkpoints or more, and there are 3"
    ):
        principal_directions(record_trajectory(cnn, states, "again"), layout, 3)


def test_frozen_parameters_have_no_part_in_the_components(cnn, rng, record_trajectory):
    _, states = walk(cnn, rng, 4)
    trajectory = record_trajectory(cnn, states)
    layout = ParameterLayout({"head.weight": tuple(cnn.head.weight.shape)})
    directions, explained = principal_directions(trajectory, layout, 2)
    heads = np.array([state["head.weight"].numpy().ravel() for state in states], dtype=np.float64)
    _, singular, vectors = np.linalg.svd(heads - heads[-1], full_matrices=False)
    same_up_to_sign(as_rows(layout, directions), vectors[:2], 1e-6)
    np.testing.assert_allclose(explained, singular[:2] ** 2 / (singular**2).sum(), rtol=1e-6)
