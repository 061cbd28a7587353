"""The study's networks, held against torchvision's own."""

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from losslandscape.errors import LossLandscapeError
from losslandscape.study.networks import NETWORKS, build_network


def parameter_count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_resnet50_is_torchvisions():
    torch.manual_seed(3)
    ours = build_network("resnet50")
    torch.manual_seed(3)
    theirs = torchvision.models.resnet50(num_classes=10)
    for (name, a), (other_name, b) in zip(ours.state_dict().items(), theirs.state_dict().items()):
        assert name == other_name
        assert torch.equal(a, b)


def test_vgg11_has_torchvisions_features():
    ours = build_network("vgg11").eval()
    theirs = torchvision.models.vgg11(init_weights=False)
    theirs.features.load_state_dict(ours.features.state_dict())
    images = torch.randn(2, 3, 32, 32)
    expected = theirs.features(images).flatten(1) @ ours.classifier.weight.T + ours.classifier.bias
    assert torch.equal(ours(images), expected) or torch.allclose(ours(images), expected, atol=1e-6)
    assert parameter_count(ours) == parameter_count(theirs.features) + 512 * 10 + 10


def test_vgg11_is_initialised_as_torchvision_does():
    torch.manual_seed(0)
    for layer in build_network("vgg11").features:
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.device.type == "cpu"
            expected = (2 / (layer.out_channels * 9)) ** 0.5  # kaiming normal, fan out
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
            assert not layer.bias.any()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_seed_decides_the_weights(name):
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(build_network(name))
    for a, b in zip(*(model.parameters() for model in models)):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["small_resnet", "mlp"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (3, 32, 32), (1, 28, 28)])
def test_small_networks_take_small_images(name, shape):
    model = build_network(name, shape, classes=7)
    assert model(torch.zeros(4, *shape)).shape == (4, 7)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_the_default_data(name):
    assert build_network(name).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_small_resnet_is_small_enough_for_a_surface(shape):
    """A point of 300 samples takes 3 ms (8x8) or 6 ms (32x32) on two idle cores."""
    model = build_network("small_resnet", shape).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape))
    assert counter.get_total_flops() < 1.3e6
    assert parameter_count(model) < 25_000


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnet", (3, 32, 32), "did you mean 'resnet50'.*Available: resnet50, vgg11"),
        ("resnet50", (1, 8, 8), "3 channels, not 1"),
        ("vgg11", (1, 32, 32), "3 channels, not 1"),
        ("vgg11", (3, 64, 64), "32x32 pixels, not 64x64"),
    ],
)
def test_what_cannot_be_built(name, shape, message):
    with pytest.raises(LossLandscapeError, match=message):
        build_network(name, shape)


def test_a_users_own_network(tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(
        "import torch\ndef build():\n    return torch.nn.Linear(2, 3)\ndef wrong():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert build_network("own_network:build").out_features == 3
    with pytest.raises(LossLandscapeError, match=r"returned int; a torch.nn.Module is expected"):
        build_network("own_network:wrong")


def test_small_transformer_attends_and_refuses_other_images():
    network = build_network("small_transformer").eval()
    nn.init.normal_(network.heads.head.weight)  # torchvision starts the head at zero
    images = torch.randn(2, 3, 32, 32)
    changed = images.clone()
    changed[:, :, 24:, 24:] += 1  # one patch, which only attention carries to the class token
    assert not torch.allclose(network(images), network(changed))
    assert parameter_count(network) == 81_226
    with pytest.raises(LossLandscapeError, match="square"):
        build_network("small_transformer", (3, 32, 30))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_adds_its_shortcut_before_the_last_rectifier(stride):
    torch.manual_seed(0)
    block = (
        build_network("small_resnet").block1
        if stride == 1
        else build_network("small_resnet").block2
    )
    block.eval()
    images = torch.randn(3, 16, 8, 8)
    inner = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(images)))))
    if stride == 1:
        shortcut = images
        assert isinstance(block.shortcut, nn.Identity)
    else:
        convolution, norm = block.shortcut
        shortcut = norm(convolution(images))
        assert (convolution.kernel_size, convolution.stride, convolution.bias) == (
            (1, 1),
            (2, 2),
            None,
        )
    found = block(images)
    assert torch.equal(found, torch.relu(inner + shortcut))
    assert found.shape == (3, 16 * stride, 8 // stride, 8 // stride)
    assert block.conv1.bias is block.conv2.bias is None


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [((1, 4, 4), 3), ((1, 8, 8), 3), ((3, 16, 16), 2), ((3, 32, 32), 4), ((1, 28, 28), 3)],
)
def test_the_stem_brings_images_to_about_8_pixels(shape, kernel):
    stem = build_network("small_resnet", shape).stem
    assert stem.kernel_size == (kernel, kernel)
    assert stem.bias is None
    assert stem(torch.zeros(1, *shape)).shape[-1] in (4, 8, 9)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        # 3x3 and 1x1 convolutions, two numbers a channel of batch norm, and the last layer
        ("small_resnet", (1, 8, 8), 144 + 32 + (2304 + 32) * 2 + (4608 + 64) + (9216 + 64)
         + (512 + 64) + 330),
        ("mlp", (1, 8, 8), 64 * 64 + 64 + 64 * 64 + 64 + 650),
    ],
)  # fmt: skip
def test_the_number_of_parameters_is_counted_by_hand(name, shape, parameters):
    assert parameter_count(build_network(name, shape)) == parameters


def test_the_transformer_has_16_patches_and_two_layers_of_4_heads():
    model = build_network("small_transformer", (3, 16, 16))
    assert model.seq_length == 16 + 1
    assert len(model.encoder.layers) == 2
    assert model.encoder.layers[0].num_heads == 4
    assert model.hidden_dim == 64
    assert model.mlp_dim == 128


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_made_directly_have_ten_classes_and_color_images(name):
    assert NETWORKS[name]().eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
