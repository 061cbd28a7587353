"""Families that see images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from losslandscape.study.networks import build_network

from .family import Family


def images(count: int, size: int = 16, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


def labels(count: int, classes: int) -> Tensor:
    return torch.randint(0, classes, (count,), generator=torch.Generator().manual_seed(2))


def classification(model: nn.Module, x: Tensor, y: Tensor, **options: object) -> Family:
    model = model.eval()
    loss = nn.CrossEntropyLoss()
    return Family(model, loss, (x, y), lambda: loss(model(x), y), dict(options))


def mlp() -> Family:
    x = torch.randn(96, 6, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] * x[:, 1] > 0).long()
    return classification(nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2)), x, y)


def cnn() -> Family:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    return classification(model, images(64), labels(64, 4))


def resnet() -> Family:
    return classification(
        build_network("small_resnet"), images(32, 32), labels(32, 10), batch_norm="fixed"
    )


def vit() -> Family:
    from torchvision.models import VisionTransformer

    model = VisionTransformer(
        image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32,
        num_classes=4,
    )  # fmt: skip
    return classification(model, images(48), labels(48, 4))


class UNet(nn.Module):
    """Two levels with a skip connection."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.head = nn.Conv2d(16, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.tanh(self.down(x))
        coarse = torch.tanh(self.middle(F.max_pool2d(fine, 2)))
        return self.head(torch.cat([fine, self.up(coarse)], dim=1))


def unet() -> Family:
    """Segmentation: pixels of class 255 do not count, and they are not equally many per image."""
    model, x = UNet().eval(), images(16, 8)
    y = torch.randint(0, 3, (16, 8, 8), generator=torch.Generator().manual_seed(2))
    for image in range(16):
        y[image, : image // 2] = 255
    loss = nn.CrossEntropyLoss(ignore_index=255)
    return Family(model, loss, (x, y), lambda: loss(model(x), y))


def spectral_norm() -> Family:
    """Its power iteration, a buffer, moves in train mode only."""
    norm = nn.utils.parametrizations.spectral_norm
    model = nn.Sequential(norm(nn.Linear(6, 16)), nn.Tanh(), norm(nn.Linear(16, 2)))
    x = torch.randn(96, 6, generator=torch.Generator().manual_seed(1))
    family = classification(model, x, (x[:, 0] > 0).long())
    family.training_mode = True
    return family


def weight_norm() -> Family:
    norm = nn.utils.parametrizations.weight_norm
    model = nn.Sequential(norm(nn.Linear(6, 16)), nn.Tanh(), norm(nn.Linear(16, 2)))
    x = torch.randn(96, 6, generator=torch.Generator().manual_seed(1))
    return classification(model, x, (x[:, 0] > 0).long())


class Autoencoder(nn.Module):
    """A variational autoencoder whose noise is an input, so that its loss has one value."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(12, 8)
        self.decoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 12))

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return self.decoder(mean + noise * (log_variance / 2).exp()), mean, log_variance


def evidence(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The negative evidence lower bound of each sample."""
    x, noise = batch
    output, mean, log_variance = model(x, noise)
    divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
    return ((output - x) ** 2).sum(dim=1) / 2 + divergence


def vae() -> Family:
    generator = torch.Generator().manual_seed(1)
    model = Autoencoder()
    x = torch.randn(64, 12, generator=generator)
    noise = torch.randn(64, 4, generator=generator)
    return Family(model.eval(), evidence, (x, noise), lambda: evidence(model, (x, noise)).mean())


def gan() -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    critic = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    return generator.eval(), critic.eval(), torch.randn(64, 4), torch.randn(64, 2) + 1


def gan_generator() -> Family:
    """The generator's weights move, the discriminator is frozen."""
    model, critic, noise, _ = gan()
    critic.requires_grad_(False)

    def loss(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        return F.softplus(-critic(model(batch[0]))).squeeze(1)

    return Family(model, loss, (noise,), lambda: loss(model, (noise,)).mean())


def gan_discriminator() -> Family:
    """The discriminator's weights move, the generator's samples are data."""
    model, critic, noise, real = gan()
    fake = model(noise).detach()
    loss = nn.BCEWithLogitsLoss()
    x = torch.cat([real, fake])
    y = torch.cat([torch.ones(64, 1), torch.zeros(64, 1)])
    return Family(critic, loss, (x, y), lambda: loss(critic(x), y))


def detection_mode(model: nn.Module) -> None:
    """Train mode, in which a detector returns its losses, with the statistics of eval mode."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def detector() -> Family:
    """Torchvision's SSDlite: it returns its losses in train mode only.

    The boxes' and classes' losses of an image are divided by the image's own number of matched
    boxes when it is passed alone, so this landscape is that of single images.
    """
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
    x = images(4, 64).sigmoid()
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]]).repeat(4, 1) + torch.arange(4)[:, None] * 4

    targets = [{"boxes": box[None], "labels": torch.ones(1, dtype=torch.int64)} for box in boxes]
    model.train()
    with torch.no_grad():
        for _ in range(20):  # batch-norm statistics that belong to the weights
            model(list(x), targets)
    detection_mode(model)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        detection_mode(model)
        ones = torch.ones(1, dtype=torch.int64)
        return torch.stack(
            [
                sum(model([image], [{"boxes": box[None], "labels": ones}]).values())
                for image, box in zip(*batch, strict=True)
            ]
        )

    return Family(
        model, loss, (x, boxes), lambda: loss(model, (x, boxes)).mean(),
        {"batch_norm": "fixed"}, steps=3, rate=1e-4,
    )  # fmt: skip
