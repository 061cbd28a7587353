"""The networks of the study by name: the figures' pair, small ones, and those of Li et al. 2018.

torchvision is imported where it is used: it loads PyTorch's compiler, which takes longer to import
than the rest of the package.
"""

from collections import OrderedDict
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import call_without_arguments
from losslandscape.study import cifar_networks
from losslandscape.study.cifar_networks import ImageShape, ResidualBlock, vgg9
from losslandscape.study.resolve import resolve

_COLOR_32: ImageShape = (3, 32, 32)


def resnet50(image_shape: ImageShape = _COLOR_32, classes: int = 10) -> nn.Module:
    """torchvision's unmodified ResNet-50, including its ImageNet stem, with `classes` outputs.

    It has 23.5 million parameters. Source: He et al., Deep Residual Learning for Image
    Recognition, CVPR 2016, table 1.

    Raises
    ------
    LossLandscapeError
        If the images do not have three channels.
    """
    _require_color("resnet50", image_shape)
    from torchvision import models

    return models.resnet50(weights=None, num_classes=classes)


def vgg11(image_shape: ImageShape = _COLOR_32, classes: int = 10) -> nn.Module:
    """The convolutions of torchvision's VGG-11 (no batch norm) and one linear layer of 512 inputs.

    It has 9.2 million parameters, initialized as in torchvision. At 32x32 pixels the five pooling
    layers leave one pixel, so the two hidden layers of 4096 units that ImageNet needs are left
    out. Source: Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image
    Recognition, ICLR 2015, column A.

    Raises
    ------
    LossLandscapeError
        If the images are not 32x32 with three channels.
    """
    _require_color("vgg11", image_shape)
    if image_shape[1:] != (32, 32):
        raise LossLandscapeError(
            f"vgg11: takes images of 32x32 pixels, not {image_shape[1]}x{image_shape[2]}"
        )
    from torchvision import models

    # On the meta device the 120 million weights of ImageNet's linear layers take no memory or time.
    with torch.device("meta"):
        features = models.vgg11(weights=None, init_weights=False).features
    features.to_empty(device="cpu")
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return nn.Sequential(
        OrderedDict(features=features, flatten=nn.Flatten(), classifier=nn.Linear(512, classes))
    )


def small_resnet(image_shape: ImageShape = _COLOR_32, classes: int = 10) -> nn.Module:
    """A residual network with batch norm, small enough to measure on a laptop in seconds.

    It has about 20,000 parameters. The stem reduces a square image of 8, 16 or 32 pixels to 8x8 (a
    convolution whose stride and kernel size are that ratio). Two residual blocks of 16 and 32
    channels follow, then the mean over the pixels and a linear layer.
    """
    channels, height, width = image_shape
    stride = max(1, min(height, width) // 8)
    stem = (
        nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        if stride == 1
        else nn.Conv2d(channels, 16, stride, stride, bias=False)
    )
    return nn.Sequential(
        OrderedDict(
            stem=stem,
            bn=nn.BatchNorm2d(16),
            relu=nn.ReLU(),
            block1=ResidualBlock(16, 16, stride=1),
            block2=ResidualBlock(16, 32, stride=2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(32, classes),
        )
    )


def mlp(image_shape: ImageShape = _COLOR_32, classes: int = 10) -> nn.Module:
    """Two hidden layers of 64 rectified linear units on the flattened image."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def small_transformer(image_shape: ImageShape = _COLOR_32, classes: int = 10) -> nn.Module:
    """A vision transformer of two layers: 16 patches, width 64, 4 heads.

    It has about 80,000 parameters. Source: Dosovitskiy et al., An Image is Worth 16x16 Words,
    ICLR 2021.

    Raises
    ------
    LossLandscapeError
        If the images are not square, do not have three channels, or their side is not a multiple
        of four pixels.
    """
    _require_color("small_transformer", image_shape)
    height, width = image_shape[1:]
    if height != width or height % 4:
        raise LossLandscapeError(
            f"small_transformer: takes square images whose side is a multiple of 4 pixels, "
            f"not {height}x{width}"
        )
    from torchvision.models import VisionTransformer

    return VisionTransformer(
        image_size=height,
        patch_size=height // 4,
        num_layers=2,
        num_heads=4,
        hidden_dim=64,
        mlp_dim=128,
        num_classes=classes,
    )


NETWORKS: dict[str, Callable[[ImageShape, int], nn.Module]] = {
    "resnet50": resnet50,
    "vgg11": vgg11,
    "small_resnet": small_resnet,
    "mlp": mlp,
    "small_transformer": small_transformer,
    "vgg9": vgg9,
}


def is_network(name: str) -> bool:
    """Whether a network of the study has this name.

    Examples
    --------
    >>> is_network("vgg9"), is_network("cifar_resnet56_x2"), is_network("my_model:build")
    (True, True, False)
    """
    return name in NETWORKS or cifar_networks.is_named(name)


def build_network(name: str, image_shape: ImageShape = _COLOR_32, classes: int = 10) -> nn.Module:
    """A network of the study by name, or your own as ``package.module:function``.

    The study's networks are built for `image_shape` (channels, height, width) and `classes`.
    Residual networks for small images have their depth in the name, and may have their width:
    ``cifar_resnet56``, ``cifar_resnet20_x4``, ``cifar_resnet110_noshort`` without shortcuts; see
    `losslandscape.study.cifar_networks.cifar_resnet`. Your
    function is called without arguments and must return a ``torch.nn.Module``.

    Raises
    ------
    LossLandscapeError
        If the name is unknown, the network does not take such images, or your function does not
        exist or returns anything else.

    Examples
    --------
    >>> build_network("mlp", (1, 8, 8), 10)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    if ":" in name:
        model: Any = call_without_arguments(name, resolve(name))
        if not isinstance(model, nn.Module):
            raise LossLandscapeError(
                f"{name}: returned {type(model).__name__}; a torch.nn.Module is expected"
            )
        return model
    if cifar_networks.is_named(name):
        return cifar_networks.named(name, image_shape, classes)
    if name not in NETWORKS:
        similar = get_close_matches(name, NETWORKS, n=1)
        meant = f"did you mean {similar[0]!r}? " if similar else ""
        raise LossLandscapeError(
            f"no network is called {name!r}; {meant}Available: {', '.join(NETWORKS)}, "
            f"{cifar_networks.NAMES}, or your own as package.module:function"
        )
    return NETWORKS[name](image_shape, classes)


def _require_color(name: str, image_shape: ImageShape) -> None:
    if image_shape[0] != 3:
        raise LossLandscapeError(
            f"{name}: takes images with 3 channels, not {image_shape[0]}; "
            "repeat the channel, as the data set 'digits' does"
        )
