"""The vectors of spectral norm are the first singular vectors of the present weight."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from losslandscape.problem.spectral_norms import first_singular_vectors, spectral_vectors


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


class Scaled(nn.Module):
    """A parametrization of two tensors."""

    def forward(self, scale, weight):
        return scale * weight

    def right_inverse(self, weight):
        return torch.ones(1), weight


def old(layer):
    return nn.utils.spectral_norm(layer)


def new(layer):
    return nn.utils.parametrizations.spectral_norm(layer)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5), (1, 4)])
def test_they_are_those_of_the_singular_value_decomposition(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, v = first_singular_vectors(matrix)
    left, sizes, right = torch.linalg.svd(matrix)
    torch.testing.assert_close(u @ matrix @ v, sizes[0])
    torch.testing.assert_close(abs(u @ left[:, 0]), torch.ones((), dtype=torch.float64))
    torch.testing.assert_close(abs(v @ right[0]), torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("norm", [old, new], ids=["hook", "parametrization"])
@pytest.mark.parametrize(
    "layer", [nn.Linear(6, 4), nn.Conv2d(3, 5, 2), nn.ConvTranspose2d(3, 5, 2)]
)
def test_with_them_a_weight_in_evaluation_has_the_spectral_norm_1(norm, layer):
    torch.manual_seed(0)
    model = nn.Sequential(norm(layer.__class__(*_arguments(layer)))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))  # other weights than the vectors'
    (vectors,) = spectral_vectors(model)
    for name, value in vectors.converged().items():
        model.get_buffer(name).copy_(value)
    inputs = torch.ones(2, 3, 4, 4) if layer.weight.dim() == 4 else torch.ones(2, 6)
    model(inputs)
    weight = model[0].weight.detach()
    if isinstance(layer, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    norms = torch.linalg.matrix_norm(weight.flatten(1), 2)
    torch.testing.assert_close(norms, torch.ones(()))


def _arguments(layer):
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels, layer.kernel_size


def test_parametrizations_before_it_and_of_several_tensors_are_followed():
    layer = nn.Linear(6, 4)
    parametrize.register_parametrization(layer, "weight", Scaled())
    parametrize.register_parametrization(layer, "weight", Doubled())
    new(layer)
    (vectors,) = spectral_vectors(layer)
    assert vectors.names == ("parametrizations.weight.2._u", "parametrizations.weight.2._v")
    with torch.no_grad():
        layer.parametrizations.weight.original0.fill_(3.0)
    weight = 6 * layer.parametrizations.weight.original1.detach()
    u, v = vectors.converged().values()
    torch.testing.assert_close(
        u @ weight.double() @ v, torch.linalg.matrix_norm(weight, 2).double(), rtol=1e-5, atol=0
    )


def test_weights_of_zeros_and_biases_have_none():
    model = nn.Sequential(new(nn.Linear(3, 3)), nn.Linear(3, 3), new(nn.Linear(3, 3)))
    nn.utils.parametrizations.spectral_norm(model[1], "bias")  # a vector has no buffers
    with torch.no_grad():
        model[0].parametrizations.weight.original.zero_()
    first, last = spectral_vectors(model)
    assert first.converged() == {}
    assert set(last.converged()) == set(last.names)
    with torch.no_grad():
        model[2].parametrizations.weight.original[0, 0] = torch.nan
    assert last.converged() == {}
