"""The spirals of Huang et al. 2020, and what a network's outputs say of them."""

import math

import numpy as np
import torch

from losslandscape.study.spirals import right, spiral_network, two_spirals


def test_points_without_noise_lie_on_their_own_spiral():
    points, labels = two_spirals(400, noise=0)
    x, y = points.double().T.numpy()
    radius = np.hypot(x, y)
    angle = radius / 1.5
    sign = np.where(labels[:, 0].numpy() == 1, -1, 1)
    np.testing.assert_allclose(x, -sign * radius * np.cos(angle), atol=1e-5)
    np.testing.assert_allclose(y, sign * radius * np.sin(angle), atol=1e-5)
    assert radius.max() < 600 / 180 * math.pi * 1.5
    assert radius.max() > 15
    assert int(labels.sum()) == 200


def test_the_noise_has_the_stated_standard_deviation_and_the_seed_decides():
    clean, _ = two_spirals(4000, noise=0, seed=2)
    noisy, _ = two_spirals(4000, noise=0.5, seed=2)
    assert abs(float((noisy - clean).std()) - 0.5) < 0.02
    assert torch.equal(noisy, two_spirals(4000, noise=0.5, seed=2)[0])
    assert not torch.equal(noisy, two_spirals(4000, noise=0.5, seed=3)[0])


def test_a_right_label_is_the_more_probable_one():
    outputs = torch.tensor([[2.0], [-0.1], [3.0], [-1.0]])
    labels = torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    assert right(outputs, labels).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert spiral_network()(torch.zeros(3, 2)).shape == (3, 1)
