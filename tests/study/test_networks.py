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
        ("resnet", (3, 32, 32), "did you mean 'resnet50'.*There are resnet50, vgg11"),
        ("resnet50", (1, 8, 8), "3 channels, not 1"),
        ("vgg11", (1, 32, 32), "3 channels, not 1"),
        ("vgg11", (3, 64, 64), "32x32, not 64x64"),
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
    with pytest.raises(LossLandscapeError, match=r"returned int; expected a torch.nn.Module"):
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
