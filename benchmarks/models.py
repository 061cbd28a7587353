"""The study's networks with random data: values do not affect the time, but must be finite."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from losslandscape.problem import batch_norm
from losslandscape.study.networks import build_network

# name -> number of images, 32x32 with three channels
SAMPLES = {
    "resnet50": 512,
    "vgg11": 512,
    "small_resnet": 1024,
    "small_transformer": 1024,
    "mlp": 1024,
}


def build(name: str, device: torch.device | str = "cpu") -> nn.Module:
    """A network in eval mode, with the batch-norm statistics of random images."""
    torch.manual_seed(0)
    model = build_network(name)
    layers = batch_norm.layers(model)
    if layers:
        images = torch.randn(64, 3, 32, 32)
        with torch.no_grad():
            batch_norm.reestimate(layers, [images], model.eval())
    return model.eval().to(device)


def data(samples: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Random images and targets."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(samples, 3, 32, 32, generator=generator)
    return images.to(device), torch.randint(0, 10, (samples,), generator=generator).to(device)
