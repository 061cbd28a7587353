"""The networks of the study: the paper's pair, and small ones for a laptop and for tests.

torchvision is imported where it is used: it brings PyTorch's compiler, which takes longer to import
than all the rest of the package.
"""

from collections import OrderedDict
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.study.resolve import resolve

ImageShape = tuple[int, int, int]  # channels, height, width

_COLOUR_32: ImageShape = (3, 32, 32)


def resnet50(image_shape: ImageShape = _COLOUR_32, classes: int = 10) -> nn.Module:
    """torchvision's ResNet-50 as it is, ImageNet stem included, with `classes` outputs.

    23.5 million parameters. Source: He et al., Deep Residual Learning for Image Recognition,
    CVPR 2016, table 1.

    Raises
    ------
    LossLandscapeError
        The images do not have three channels.
    """
    _require_colour("resnet50", image_shape)
    from torchvision import models

    return models.resnet50(weights=None, num_classes=classes)


def vgg11(image_shape: ImageShape = _COLOUR_32, classes: int = 10) -> nn.Module:
    """The convolutions of torchvision's VGG-11 (no batch norm) and one linear layer of 512 inputs.

    9.2 million parameters, initialised as torchvision does. At 32x32 the five poolings leave one
    pixel, so ImageNet's two layers of 4096 units have nothing to do. Source: Simonyan & Zisserman,
    Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, column A.

    Raises
    ------
    LossLandscapeError
        The images are not 32x32 with three channels.
    """
    _require_colour("vgg11", image_shape)
    if image_shape[1:] != (32, 32):
        raise LossLandscapeError(
            f"vgg11: made for images 32x32, not {image_shape[1]}x{image_shape[2]}"
        )
    from torchvision import models

    # On the meta device ImageNet's 120 million linear weights cost neither memory nor time.
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


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a 1x1 shortcut where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, images: Tensor) -> Tensor:
        residual = torch.relu(self.bn1(self.conv1(images)))
        return torch.relu(self.bn2(self.conv2(residual)) + self.shortcut(images))


def small_resnet(image_shape: ImageShape = _COLOUR_32, classes: int = 10) -> nn.Module:
    """A residual network with batch norm that a laptop measures in seconds.

    About 20,000 parameters. Its stem brings any square image of 8, 16 or 32 pixels to 8x8 (a
    convolution with stride and kernel of that ratio); two residual blocks of 16 and 32 channels
    follow, then the mean over the pixels and a linear layer.
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
            block1=_ResidualBlock(16, 16, stride=1),
            block2=_ResidualBlock(16, 32, stride=2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(32, classes),
        )
    )


def mlp(image_shape: ImageShape = _COLOUR_32, classes: int = 10) -> nn.Module:
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


def small_transformer(image_shape: ImageShape = _COLOUR_32, classes: int = 10) -> nn.Module:
    """A vision transformer of two layers: 16 patches, width 64, 4 heads.

    About 80,000 parameters. Source: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.

    Raises
    ------
    LossLandscapeError
        The images are not square with three channels and a multiple of four pixels.
    """
    _require_colour("small_transformer", image_shape)
    height, width = image_shape[1:]
    if height != width or height % 4:
        raise LossLandscapeError(
            f"small_transformer: made for square images of a multiple of 4 pixels, "
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
}


def build_network(name: str, image_shape: ImageShape = _COLOUR_32, classes: int = 10) -> nn.Module:
    """A network of the study by its name, or a user's own as ``package.module:function``.

    The study's networks are built for `image_shape` (channels, height, width) and `classes`; a
    user's function is called without arguments and must return a ``torch.nn.Module``.

    Raises
    ------
    LossLandscapeError
        The name is unknown, the network cannot take such images, or the user's function does not
        exist or returns something else.

    Examples
    --------
    >>> build_network("mlp", (1, 8, 8), 10)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    if ":" in name:
        model: Any = resolve(name)()
        if not isinstance(model, nn.Module):
            raise LossLandscapeError(
                f"{name}: returned {type(model).__name__}; expected a torch.nn.Module"
            )
        return model
    if name not in NETWORKS:
        similar = get_close_matches(name, NETWORKS, n=1)
        meant = f"did you mean {similar[0]!r}? " if similar else ""
        raise LossLandscapeError(
            f"no network is called {name!r}; {meant}There are {', '.join(NETWORKS)}, "
            "and your own as package.module:function"
        )
    return NETWORKS[name](image_shape, classes)


def _require_colour(name: str, image_shape: ImageShape) -> None:
    if image_shape[0] != 3:
        raise LossLandscapeError(
            f"{name}: made for images with 3 channels, not {image_shape[0]}; "
            "repeat the channel, as the data set 'digits' does"
        )
