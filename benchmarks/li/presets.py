"""The sizes of the study, and the networks of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

SAMPLES = {"digits": 500, "mnist5k": 1000, "cifar10": 10_000}  # for training; the others test
VGG, RESNET = "vgg9", "resnet"
OPTIMIZERS = {"sgd": 0.02, "adam": 0.001}  # learning rates


@dataclass(frozen=True)
class Preset:
    """Sizes of networks, training and measurements.

    Attributes
    ----------
    pixels : int
        A side of the images.
    channels, vgg_channels : int
        Of the first convolution of the ResNets of width 1, and of VGG-9.
    depths : tuple of int
        Of the ResNets of width 1, with shortcuts and without.
    wide_depth, widths : int, tuple of int
        Of the ResNets by width, with shortcuts and without.
    epochs : int
    batches : tuple of int
        The small and the large one; ResNets take the small one.
    weight_decay : float
        Of what is trained with weight decay.
    seeds : int
        Networks of each kind.
    planes, points : int
        Random planes of each network, and points along each axis.
    lines : int
        Random directions of each network, for its flat length.
    samples : int
        Of the training samples, those that surfaces and lines are measured on.
    map_points, map_samples : int
        Of the convexity map of the deepest networks along each axis, and the samples of its loss.
    """

    pixels: int
    channels: int
    vgg_channels: int
    depths: tuple[int, ...]
    wide_depth: int
    widths: tuple[int, ...]
    epochs: int
    batches: tuple[int, int]
    weight_decay: float
    seeds: int
    planes: int
    points: int
    lines: int
    samples: int
    map_points: int
    map_samples: int

    @property
    def deepest(self) -> int:
        return max(self.depths)


PRESETS = {
    "trial": Preset(8, 4, 8, (8,), 8, (1, 2), 10, (50, 250), 5e-3, 1, 1, 5, 4, 50, 3, 10),
    "quick": Preset(8, 4, 8, (20,), 20, (1, 2), 30, (50, 250), 5e-3, 1, 1, 7, 4, 100, 3, 25),
    "tiny": Preset(8, 4, 8, (8, 20), 8, (1, 4), 30, (50, 250), 5e-3, 3, 1, 7, 4, 100, 3, 25),
    "small": Preset(
        8, 4, 16, (20, 56), 20, (1, 2, 4), 20, (25, 250), 5e-3, 3, 2, 13, 9, 250, 5, 50
    ),
    "full": Preset(
        32, 16, 32, (20, 56), 20, (1, 2, 4), 30, (25, 250), 5e-4, 3, 1, 15, 15, 200, 5, 50
    ),
    "deep": Preset(
        32, 16, 64, (20, 56, 110), 20, (1, 2, 4), 60, (25, 250), 5e-4, 3, 3, 25, 30, 500, 9, 100
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How one network is built and trained, but for its seed."""

    kind: str
    depth: int
    width: int
    shortcuts: bool
    optimizer: str
    weight_decay: float
    batch: int

    @property
    def name(self) -> str:
        """Also the name of its folder."""
        if self.kind == VGG:
            decay = f"decay{self.weight_decay:g}"
            return f"vgg9_{self.optimizer}_batch{self.batch}_{decay}"
        return (
            f"resnet{self.depth}"
            + (f"_x{self.width}" if self.width > 1 else "")
            + ("" if self.shortcuts else "_noshort")
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def recipes(preset: Preset) -> list[Recipe]:
    """All networks of a preset, each once, those that cost least first."""
    return list(dict.fromkeys([*_vggs(preset), *_resnets(preset)]))


def mapped_recipes(preset: Preset) -> list[Recipe]:
    """The networks with a convexity map: the deepest ones."""
    return [r for r in recipes(preset) if r.kind == RESNET and r.depth == preset.deepest
            and r.width == 1]  # fmt: skip


def _vggs(preset: Preset) -> Iterator[Recipe]:
    for optimizer in OPTIMIZERS:
        for decay in (0.0, preset.weight_decay):
            for batch in preset.batches:
                yield Recipe(VGG, 9, 1, False, optimizer, decay, batch)


def _resnets(preset: Preset) -> Iterator[Recipe]:
    kinds = [(depth, 1) for depth in preset.depths]
    kinds += [(preset.wide_depth, width) for width in preset.widths]
    for depth, width in kinds:
        for shortcuts in (True, False):
            yield Recipe(
                RESNET, depth, width, shortcuts, "sgd", preset.weight_decay, preset.batches[0]
            )
