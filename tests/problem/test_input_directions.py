"""Directions over the inputs, against their definitions sample by sample."""

import pytest
import torch
from torch import nn

from losslandscape import Objective, Subspace
from losslandscape.errors import LossLandscapeError


def over(model, data, loss="cross_entropy"):
    return Objective(model, loss, data, batch_size=7).over_inputs()


def vectors(plane):
    return [plane.layout.views(direction)["inputs"] for direction in plane.directions]


def own_gradients(model, inputs, targets):
    """One sample after the other."""
    model.eval()
    rows = []
    for one, target in zip(inputs, targets):
        leaf = one[None].clone().requires_grad_()
        loss = nn.functional.cross_entropy(model(leaf), target[None])
        rows.append(torch.autograd.grad(loss, leaf)[0][0])
    return torch.stack(rows)


def test_the_gradient_and_its_sign(cnn, images):
    expected = own_gradients(cnn, *images)
    sign, unit = vectors(Subspace.inputs(over(cnn, images), ["gradient_sign", "gradient"]))
    certain = expected.abs() > 1e-6 * expected.abs().max()  # the sign of less is rounding
    assert torch.equal(sign[certain], expected.sign()[certain])
    norms = expected.flatten(1).norm(dim=1)
    torch.testing.assert_close(unit, expected / norms.view(-1, 1, 1, 1), rtol=1e-4, atol=1e-6)


def test_random_directions(cnn, images):
    objective = over(cnn, images)
    plane = Subspace.inputs(objective, ["gradient", "random_sign", "random"], seed=5)
    first, signs, rest = vectors(plane)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.05
    flat = rest.double().flatten(1)
    torch.testing.assert_close(flat.norm(dim=1), torch.ones(40, dtype=torch.float64))
    for other in (first, signs):
        assert (flat * other.double().flatten(1)).sum(1).abs().max() < 1e-5
    again = Subspace.inputs(objective, ["gradient", "random_sign", "random"], seed=5)
    assert again.identity == plane.identity
    different = Subspace.inputs(objective, ["gradient", "random_sign", "random"], seed=6)
    assert (
        different.part_hashes["directions_sha256"][0] == plane.part_hashes["directions_sha256"][0]
    )
    assert (
        different.part_hashes["directions_sha256"][1:] != plane.part_hashes["directions_sha256"][1:]
    )


def test_the_default_grid_is_a_tenth_of_the_range_of_the_values(cnn, images):
    plane = Subspace.inputs(over(cnn, images), ["gradient_sign", "random"])
    step = 0.1 * float(images[0].max() - images[0].min())
    (low, high), (_, far) = plane.default_grid().bounds
    assert (-low, high) == (pytest.approx(step), pytest.approx(step))
    assert far == pytest.approx(step * 192**0.5)


def test_saturated_samples_are_stated_or_refused():
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)

    def relu_loss(model, batch):
        return model(batch[0])[:, 0].relu()

    data = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [2.0, 0.0]]), torch.zeros(3)
    with pytest.warns(UserWarning, match="exactly zero for 1 of 3 samples"):
        plane = Subspace.inputs(over(model, data, relu_loss), ["gradient_sign"])
    assert plane.recipe["samples_of_zero_gradient"] == 1
    with pytest.raises(LossLandscapeError, match="for all 3 samples"):
        Subspace.inputs(over(model, (-data[0].abs(), data[1]), relu_loss), ["gradient_sign"])
    Subspace.inputs(over(model, (-data[0].abs(), data[1]), relu_loss), ["random_sign"])


def test_what_is_refused(cnn, images):
    plain = Objective(cnn, "cross_entropy", images)
    with pytest.raises(LossLandscapeError, match=r"objective\.over_inputs"):
        Subspace.inputs(plain)
    with pytest.raises(LossLandscapeError, match="'fgsm' is not one of gradient_sign"):
        Subspace.inputs(over(cnn, images), ["fgsm"])
    with pytest.raises(LossLandscapeError, match="dimensions must be"):
        Subspace.inputs(over(cnn, images), [])
    bad = (images[0].clone(), images[1])
    bad[0][3, 0, 0, 0] = torch.inf
    with pytest.raises(LossLandscapeError, match="not finite for 1 of 40 samples"):
        Subspace.inputs(over(cnn, bad))
    plane = Subspace.inputs(over(cnn, images))
    with pytest.raises(LossLandscapeError, match="this plane moves the inputs"):
        plane.check_model(cnn)
    line = nn.Linear(1, 1)
    one = over(line, (torch.ones(2, 1), torch.zeros(2, 1)), "mse")
    with pytest.raises(LossLandscapeError, match="no direction orthogonal to 1 others"):
        Subspace.inputs(one, ["gradient_sign", "random"])
