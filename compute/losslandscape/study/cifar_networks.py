"""The networks of Li et al. 2018: residual networks for small images, and a VGG of nine layers."""

from __future__ import annotations

import re
from collections import OrderedDict

import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError

ImageShape = tuple[int, int, int]  # channels, height, width

NAMES = "cifar_resnet20 (56, 110, ...; _x2 for twice the width; _noshort without shortcuts)"
_NAME = re.compile(r"cifar_resnet(\d{1,4})(?:_x(\d{1,3}))?(_noshort)?")
_COLOR_32: ImageShape = (3, 32, 32)
_STAGES = 3
_VGG9 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool")
_VGG9_HIDDEN = 256


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a shortcut around them.

    The shortcut is a 1x1 convolution with batch norm if the shape changes. Without `shortcuts`
    there is none.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, *, shortcuts: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module | None = nn.Identity() if shortcuts else None
        if shortcuts and (stride != 1 or channels_in != channels_out):
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, images: Tensor) -> Tensor:
        residual = torch.relu(self.bn1(self.conv1(images)))
        found = self.bn2(self.conv2(residual))
        if self.shortcut is not None:
            found = found + self.shortcut(images)
        return torch.relu(found)


def cifar_resnet(
    depth: int,
    *,
    width: int = 1,
    channels: int = 16,
    shortcuts: bool = True,
    image_shape: ImageShape = _COLOR_32,
    classes: int = 10,
) -> nn.Module:
    """A residual network for small images: ResNet-20, 56, 110, wide or without shortcuts.

    A 3x3 convolution is followed by three stages of n blocks with c, 2c and 4c channels, the
    second and the third at half of the resolution each; then the mean over the pixels, and a linear
    layer. Where a shape changes, the shortcut is a 1x1 convolution with batch norm.

    Parameters
    ----------
    depth : int
        Layers with weights, shortcuts not counted: 6 n + 2, such as 20, 56 or 110.
    width : int
        Factor of all numbers of channels, as in wide residual networks.
    channels : int
        c of the network of width 1. With 16, ResNet-20 has 272,474 parameters at three color
        channels and ten classes.
    shortcuts : bool
        Without them nothing else changes ("noshort").
    image_shape : tuple of int
        Channels, height and width. Any height and width will do.

    Raises
    ------
    LossLandscapeError
        If the depth is not 8, 14, 20, ..., or another number is less than 1.

    Source: K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2;
    H. Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018.

    Examples
    --------
    >>> model = cifar_resnet(20, shortcuts=False)
    >>> sum(p.numel() for p in model.parameters())
    269722
    """
    if depth < 8 or depth % 6 != 2:
        raise LossLandscapeError(
            f"cifar_resnet: depth is {depth}; it must be 6 n + 2 for n blocks in each of three "
            "stages, such as 20, 56 or 110"
        )
    for name, value in (("width", width), ("channels", channels), ("classes", classes)):
        if value < 1:
            raise LossLandscapeError(f"cifar_resnet: {name} is {value}; it must be at least 1")
    here = channels * width
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(image_shape[0], here, 3, padding=1, bias=False),
        bn=nn.BatchNorm2d(here),
        relu=nn.ReLU(),
    )
    for stage in range(_STAGES):
        blocks = []
        for block in range((depth - 2) // 6):
            wanted = channels * width * 2**stage
            stride = 2 if stage and not block else 1
            blocks.append(ResidualBlock(here, wanted, stride, shortcuts=shortcuts))
            here = wanted
        layers[f"stage{stage + 1}"] = nn.Sequential(*blocks)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(here, classes)
    return nn.Sequential(layers)


def vgg9(
    image_shape: ImageShape = _COLOR_32, classes: int = 10, *, channels: int = 64
) -> nn.Module:
    """Seven 3x3 convolutions and two linear layers, with batch norm and without shortcuts.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height and width; height and width are multiples of 8 pixels.
    channels : int
        Of the first convolution. With 64, it has 2,789,706 parameters at 32x32x3 and ten classes.

    Raises
    ------
    LossLandscapeError
        If height or width is no multiple of 8 pixels, or another number is less than 1.

    Source: H. Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018.

    Examples
    --------
    >>> sum(p.numel() for p in vgg9().parameters())
    2789706
    """
    height, width = image_shape[1:]
    if height % 8 or width % 8 or not height * width:
        raise LossLandscapeError(
            "vgg9: takes images whose sides are multiples of 8 pixels, for three poolings, not "
            f"{height}x{width}"
        )
    for name, value in (("channels", channels), ("classes", classes)):
        if value < 1:
            raise LossLandscapeError(f"vgg9: {name} is {value}; it must be at least 1")
    here = image_shape[0]
    features: list[nn.Module] = []
    for entry in _VGG9:
        if isinstance(entry, str):
            features.append(nn.MaxPool2d(2))
            continue
        wanted = entry * channels // 64
        features += [nn.Conv2d(here, max(1, wanted), 3, padding=1)]
        here = max(1, wanted)
        features += [nn.BatchNorm2d(here), nn.ReLU()]
    hidden = max(1, _VGG9_HIDDEN * channels // 64)
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            flatten=nn.Flatten(),
            hidden=nn.Linear(here * (height // 8) * (width // 8), hidden),
            bn=nn.BatchNorm1d(hidden),
            relu=nn.ReLU(),
            classifier=nn.Linear(hidden, classes),
        )
    )


def is_named(name: str) -> bool:
    """Whether a name is one of a residual network, such as ``cifar_resnet56_x2_noshort``.

    Examples
    --------
    >>> is_named("cifar_resnet20"), is_named("resnet50")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


def named(name: str, image_shape: ImageShape = _COLOR_32, classes: int = 10) -> nn.Module:
    """The residual network of a name.

    Raises
    ------
    LossLandscapeError
        If it is none, or as `cifar_resnet`.

    Examples
    --------
    >>> sum(p.numel() for p in named("cifar_resnet56_noshort").parameters())
    853018
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise LossLandscapeError(f"{name!r}: not of the form {NAMES}")
    depth, width, noshort = found.groups()
    return cifar_resnet(
        int(depth), width=int(width or 1), shortcuts=noshort is None,
        image_shape=image_shape, classes=classes,
    )  # fmt: skip
