"""Products with the Hessian and Gauss-Newton of all parameters, against other ways to them."""

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import LossLandscapeError, Objective, Subspace
from losslandscape.point.differenced_gradients import DifferencedGradients
from losslandscape.point.gauss_newton import GaussNewtonProducts
from losslandscape.point.plane_derivatives import PlaneDerivatives


@pytest.fixture(scope="module")
def normed():
    """A network with batch norm whose statistics are re-estimated, in float64."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    model = model.double().eval()
    data = torch.randn(20, 3, dtype=torch.float64), torch.randint(2, (20,))
    return model, data


def vectors_of(model, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            name: torch.randn(p.shape, generator=generator, dtype=torch.float64)
            for name, p in model.named_parameters()
        }
        for _ in range(count)
    ]


def dot(one, other):
    return float(sum((one[name] * other[name]).sum() for name in one))


@pytest.mark.parametrize("mode", ["fixed", "reestimated"])
@pytest.mark.parametrize("place", [None, (0.2, -0.1)])
def test_products_are_those_of_the_plane_of_two_vectors(normed, mode, place):
    model, data = normed
    objective = Objective(model, "cross_entropy", data, batch_norm=mode, batch_size=7)
    one, two = vectors_of(model, 2)
    plane = Subspace(dict(model.named_parameters()), [one, two], dict(model.named_buffers()))
    with PlaneDerivatives(objective, plane) as loss:
        expected = loss.expansion(place or (0.0, 0.0)).hessian
        images = [loss.hessian_product(vector, place) for vector in (one, two)]
        forms = [loss.sample_curvatures(vector, place) for vector in (one, two)]
    found = [[dot(vector, image) for image in images] for vector in (one, two)]
    assert np.array(found) == pytest.approx(expected, rel=1e-9)
    assert [form.mean() for form in forms] == pytest.approx(np.diag(expected), rel=1e-9)
    assert np.std(forms[0]) > 0


def test_the_two_modes_differ(normed):
    model, data = normed
    (vector,) = vectors_of(model, 1)
    plane = Subspace(dict(model.named_parameters()), [vector], dict(model.named_buffers()))
    found = []
    for mode in ("fixed", "reestimated"):
        with PlaneDerivatives(
            Objective(model, "cross_entropy", data, batch_norm=mode), plane
        ) as loss:
            found.append(dot(vector, loss.hessian_product(vector)))
    assert found[0] != pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize("mode", ["fixed", "reestimated"])
def test_differences_of_gradients_agree(normed, mode):
    model, data = normed
    objective = Objective(model, "cross_entropy", data, batch_norm=mode)
    one, two = vectors_of(model, 2)
    plane = Subspace(dict(model.named_parameters()), [one, two], dict(model.named_buffers()))
    with PlaneDerivatives(objective, plane) as loss:
        image, forms = loss.hessian_product(one), loss.sample_curvatures(two)
    with DifferencedGradients(objective, plane) as loss:
        other, other_forms = loss.hessian_product(one), loss.sample_curvatures(two)
    for name, part in image.items():
        assert other[name].numpy() == pytest.approx(part.numpy(), rel=1e-6, abs=1e-7)
    assert other_forms == pytest.approx(forms, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("mode", ["fixed", "reestimated"])
def test_gauss_newton_of_squared_errors_is_the_product_of_jacobians(normed, mode):
    model, (inputs, _) = normed
    targets = torch.randn(20, 2, dtype=torch.float64)
    objective = Objective(model, "mse", (inputs, targets), batch_norm=mode, batch_size=20)
    one, two = vectors_of(model, 2)
    plane = Subspace(dict(model.named_parameters()), [one, two], dict(model.named_buffers()))
    with GaussNewtonProducts(objective, plane) as loss:
        images = [loss.hessian_product(vector) for vector in (one, two)]
        forms = loss.sample_curvatures(one)
    found = np.array([[dot(vector, image) for image in images] for vector in (one, two)])
    assert forms.mean() == pytest.approx(found[0, 0], rel=1e-10)
    assert (forms >= 0).all()
    # if the model fits the targets exactly, the Hessian is Gauss-Newton, whatever the statistics
    with torch.no_grad():
        fitted = []
        model_copy = Objective(
            model,
            lambda outputs, given: fitted.append(outputs.detach().clone()) or outputs.sum(1),
            (inputs, targets),
            batch_norm=mode,
            batch_size=20,
        )
    with PlaneDerivatives(model_copy, plane) as loss:
        fitted.clear()
        loss.sample_losses((0.0, 0.0))
    same = Objective(model, "mse", (inputs, fitted[-1]), batch_norm=mode, batch_size=20)
    with PlaneDerivatives(same, plane) as loss:
        expected = loss.expansion((0.0, 0.0)).hessian
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("products", [PlaneDerivatives, GaussNewtonProducts, DifferencedGradients])
@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ({}, "vectors is empty; pass a dict"),
        ({"7.weight": torch.ones(4)}, r"has no parameter '7.weight' \(found: 0.weight, 0.bias"),
        ({"0.bias": torch.ones(1)}, r"shape \(1,\); pass real numbers of the .* shape, \(4,\)"),
        ({"0.bias": torch.ones(4, dtype=torch.complex64)}, "pass real numbers"),
    ],
)
def test_vectors_that_are_not_the_parameters_are_refused(normed, products, vectors, words):
    model, data = normed
    with products(
        Objective(model, "cross_entropy", data), Subspace.random(model, dimensions=1)
    ) as loss:
        for call in (loss.hessian_product, loss.sample_curvatures):
            with pytest.raises(LossLandscapeError, match=words):
                call(vectors)
