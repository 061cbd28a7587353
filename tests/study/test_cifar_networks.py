"""The networks of Li et al.: numbers of parameters of their code, and what shortcuts add."""

import pytest
import torch
from torch import nn

from losslandscape.errors import LossLandscapeError
from losslandscape.study.cifar_networks import ResidualBlock, cifar_resnet, is_named, named, vgg9
from losslandscape.study.networks import build_network, is_network


def parameter_count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cifar_resnet20", 272_474),
        ("cifar_resnet56", 855_770),
        ("cifar_resnet110", 1_730_714),
        ("cifar_resnet20_noshort", 269_722),
        ("cifar_resnet56_noshort", 853_018),
        ("cifar_resnet110_noshort", 1_727_962),
        ("cifar_resnet56_x2", 3_412_394),
        ("cifar_resnet56_x2_noshort", 3_401_770),
        ("vgg9", 2_789_706),
    ],
)
def test_networks_have_the_parameters_of_the_original_code(name, count):
    with torch.device("meta"):
        assert parameter_count(build_network(name)) == count
    assert is_network(name)


@pytest.mark.parametrize("depth", [8, 14])
def test_depth_counts_the_layers_with_weights(depth):
    model = cifar_resnet(depth, channels=2, shortcuts=False)
    weights = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weights) == depth
    assert [m.stride for m in weights[:-1]].count((2, 2)) == 2


def test_without_shortcuts_nothing_is_added():
    torch.manual_seed(0)
    block = ResidualBlock(3, 3, 1, shortcuts=False).eval()
    images = torch.randn(2, 3, 4, 4)
    inner = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(images)))))
    assert torch.equal(block(images), torch.relu(inner))
    other = ResidualBlock(3, 3, 1).eval()
    other.load_state_dict(block.state_dict())  # an identity has no weights
    assert torch.equal(other(images), torch.relu(inner + images))


def test_widths_and_channels_multiply():
    shapes = [
        [tuple(p.shape) for p in cifar_resnet(8, width=width, channels=channels).parameters()]
        for width, channels in ((1, 8), (2, 4), (4, 2))
    ]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("pixels", [8, 16, 32])
def test_small_images(pixels):
    shape = (1, pixels, pixels)
    images = torch.zeros(2, *shape)
    assert named("cifar_resnet8_x2", shape, 7).eval()(images).shape == (2, 7)
    assert vgg9(shape, 7, channels=4).eval()(images).shape == (2, 7)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: build_network("cifar_resnet21"), "depth is 21; it must be 6 n"),
        (lambda: cifar_resnet(2), "depth is 2"),
        (lambda: cifar_resnet(8, width=0), "width is 0; it must be at least 1"),
        (lambda: cifar_resnet(8, channels=-1), "channels is -1"),
        (lambda: named("resnet50"), "not of the form cifar_resnet20"),
        (lambda: vgg9((3, 28, 28)), "multiples of 8 pixels.*not 28x28"),
        (lambda: vgg9(channels=0), "channels is 0"),
        (lambda: build_network("cifar_resnet"), "cifar_resnet20 .*_noshort"),
    ],
)
def test_what_cannot_be_built(build, message):
    with pytest.raises(LossLandscapeError, match=message):
        build()


def test_names():
    assert is_named("cifar_resnet56_x2_noshort")
    assert not is_named("cifar_resnet56_noshort_x2")
    assert not is_network("my_model:build")
