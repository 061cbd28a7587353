"""Planes of a part of the network, and the choice of its parameters."""

import numpy as np
import pytest
import torch

from losslandscape import Grid, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parts import matching_names

NAMES = ["stem.weight", "layer3.0.weight", "layer3.0.bias", "layer31.weight", "head.weight"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("layer3.*", NAMES[1:3]),
        ("layer3", NAMES[1:3]),  # a module, and not what begins like it
        ("layer3*", NAMES[1:4]),
        ("*.weight", [n for n in NAMES if n.endswith("weight")]),
        (["head", "stem.weight"], [NAMES[0], NAMES[4]]),
        ("layer3.?.b*", NAMES[2:3]),
    ],
)
def test_patterns(patterns, expected):
    assert matching_names(patterns, NAMES) == expected


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ("layer4.*", "'layer3'"),
        ("LAYER3.*", "near are 'layer3.0.weight', 'layer3.0.bias'"),
        ("xyz", "near are 'stem', 'layer3', 'layer31', 'head'"),
        (["head", "xyz"], "parameters 'xyz'"),
        ("frozen", "matches only frozen parameters"),
        ([], "pass a pattern"),
        ([3], "pass a pattern"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_what_is_near(patterns, words):
    with pytest.raises(LossLandscapeError, match=words):
        matching_names(patterns, NAMES, ["frozen.weight"])


def test_a_random_part_is_the_whole_direction_with_zeros_elsewhere(cnn):
    whole = Subspace.random(cnn, seed=4)
    part = Subspace.random(cnn, seed=4, parameters=["transposed", "head.*"])
    for one, other in zip(whole.directions, part.directions):
        everywhere, chosen = whole.layout.views(one), part.layout.views(other)
        for name, view in chosen.items():
            inside = name.startswith(("transposed.", "head."))
            expected = everywhere[name] if inside else torch.zeros_like(view)
            assert torch.equal(view, expected), name
    moved = 8 * 2 * 4 + 5 * 256
    assert part.recipe["parameters_moved"] == f"{moved} of {part.layout.size}"
    assert part.direction_names == ("alpha: transposed, ...", "beta: transposed, ...")


def test_the_loss_on_a_part_is_that_of_the_moved_part(cnn, images):
    plane = Subspace.random(cnn, 1, seed=4, parameters="head")
    objective = Objective(cnn, "cross_entropy", images)
    found = evaluate(objective, plane, Grid.line(3), quiet=True)
    direction = plane.layout.views(plane.directions[0])["head.weight"]
    cnn.eval()
    with torch.no_grad():
        cnn.head.weight += direction
        expected = torch.nn.functional.cross_entropy(cnn(images[0]), images[1])
    assert found.values("loss")[2] == pytest.approx(float(expected), rel=1e-5)
    assert found.provenance["subspace"]["parameters"] == ["head"]
    assert found.provenance["direction_names"] == ["alpha: head"]


def test_principal_components_of_a_part(cnn, record_trajectory):
    torch.manual_seed(0)
    start = {name: p.detach().clone() for name, p in cnn.named_parameters()}
    steps = [{name: p + 0.1 * torch.randn_like(p) for name, p in start.items()} for _ in range(4)]
    trajectory = record_trajectory(cnn, steps)
    plane = Subspace.pca(trajectory, parameters="head")
    heads = np.array(
        [torch.cat([s["head.weight"].flatten(), s["head.bias"]]).numpy() for s in steps]
    )
    differences = (heads - heads[-1]).astype(float)
    singular = np.linalg.svd(differences, compute_uv=False)
    np.testing.assert_allclose(
        plane.recipe["explained_variance"], singular[:2] ** 2 / (singular**2).sum(), rtol=1e-5
    )
    for direction in plane.directions:
        views = plane.layout.views(direction)
        assert all(not views[name].any() for name in views if not name.startswith("head"))
        assert float(direction.norm()) == pytest.approx(1, rel=1e-5)


def test_a_part_of_vectors_alone_does_not_move_by_default(cnn):
    with pytest.raises(LossLandscapeError, match="all chosen parameters are biases, normalization"):
        Subspace.random(cnn, parameters="norm")
    Subspace.random(cnn, parameters="norm", zero_vectors=False)
    cnn.head.requires_grad_(False)
    with pytest.raises(LossLandscapeError, match="only frozen parameters of SmallCNN"):
        Subspace.random(cnn, parameters="head")
