"""The study's data sets; CIFAR from small files of its own format, written here."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from losslandscape.errors import LossLandscapeError
from losslandscape.study.datasets import (
    cifar10,
    cifar100,
    digits,
    digits8,
    has_split,
    load_data,
    load_samples,
    stratified_indices,
    stratified_subset,
)

# --- digits


def test_digits_are_scikit_learns_normalised():
    images, labels = (torch.cat(parts) for parts in zip(digits8("train"), digits8("test")))
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert images.mean().item() == pytest.approx(0, abs=1e-3)
    assert images.std().item() == pytest.approx(1, abs=1e-3)

    scans = load_digits()
    pixels = ((images[:, 0] * 0.3760 + 0.3053) * 16).round().int()
    ours = sorted((*image.flatten().tolist(), int(k)) for image, k in zip(pixels, labels))
    theirs = sorted((*map(int, image), int(k)) for image, k in zip(scans.data, scans.target))
    assert ours == theirs


def test_digits_are_enlarged_bilinearly():
    small, _ = digits8("test")
    large, _ = digits("test")
    assert large.shape == (359, 3, 32, 32)
    assert torch.equal(large[:, 0], large[:, 1])
    assert torch.equal(large[:, 0], large[:, 2])
    # Bilinear in one dimension, by hand: the centre of output pixel x lies at (x + 1/2) / 4 - 1/2.
    places = (np.arange(32) + 0.5) / 4 - 0.5
    row = np.interp(places, np.arange(8), small[0, 0, 0].numpy())
    np.testing.assert_allclose(large[0, 0, 0].numpy(), row, atol=1e-5)


def test_the_split_of_the_digits_is_fixed_and_stratified():
    train, test = digits8("train"), digits8("test")
    assert (len(train[0]), len(test[0])) == (1438, 359)
    assert torch.equal(digits8("test")[0], test[0])
    shares = train[1].bincount() / len(train[1]) - test[1].bincount() / len(test[1])
    assert shares.abs().max() < 0.003
    # Which samples: so that a change of the split does not go unseen.
    digest = hashlib.sha256(test[1].numpy().tobytes()).hexdigest()
    assert digest == "59e0eaf9027b3261e842056093308c8c8ecd3c19d5f23de2920ce2d28213c8b1"
    assert not torch.equal(digits("test", size=8, channels=1, seed=1)[0], test[0])


# --- stratified subsets


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.data(),
    st.integers(0, 2**32),
)
def test_each_class_keeps_its_share(labels, data, seed):
    n = data.draw(st.integers(1, len(labels)))
    indices = stratified_indices(torch.tensor(labels), n, seed)
    assert len(set(indices.tolist())) == n
    assert indices.tolist() == sorted(indices.tolist())
    for label in set(labels):
        exact = n * labels.count(label) / len(labels)
        taken = sum(labels[i] == label for i in indices)
        assert abs(taken - exact) < 1


def test_the_seed_decides_the_subset():
    images, labels = torch.arange(100.0), torch.arange(100) % 10
    a, b, c = (stratified_subset(images, labels, 20, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    subset_images, subset_labels = stratified_subset(images, labels, 20, 0)
    assert torch.equal(subset_images.long() % 10, subset_labels)


def test_regression_targets_give_a_plain_subset():
    targets = torch.linspace(0, 1, 50)
    assert len(stratified_indices(targets, 7)) == 7
    assert len(stratified_indices(torch.zeros(50, 3, dtype=torch.int64), 7)) == 7


@pytest.mark.parametrize("n", [0, 11])
def test_too_many_or_no_samples(n):
    with pytest.raises(LossLandscapeError, match=f"{n} samples were requested, .* has 10"):
        stratified_indices(torch.zeros(10, dtype=torch.int64), n)


# --- CIFAR


def write_pickle(file, content):
    data = pickle.dumps(content, protocol=2)
    file.write_bytes(data)
    return [file.name, hashlib.md5(data).hexdigest()]


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """CIFAR's files with 4 images each, and torchvision told to expect these MD5 sums."""
    random = np.random.default_rng(0)
    written = {}

    def batch(folder, name, label_key, labels):
        pixels = random.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        written[name] = pixels
        return write_pickle(folder / name, {"data": pixels, label_key: labels})

    ten, hundred = tmp_path / "cifar-10-batches-py", tmp_path / "cifar-100-python"
    ten.mkdir()
    hundred.mkdir()
    dataset = torchvision.datasets.CIFAR10
    train = [batch(ten, f"data_batch_{i}", "labels", [i, 0, 9, 3]) for i in range(1, 6)]
    monkeypatch.setattr(dataset, "train_list", train)
    test = [batch(ten, "test_batch", "labels", [7, 8, 1, 2])]
    monkeypatch.setattr(dataset, "test_list", test)
    names = write_pickle(ten / "batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": names[1]})

    dataset = torchvision.datasets.CIFAR100
    train = [batch(hundred, "train", "fine_labels", [99, 0, 50, 3])]
    monkeypatch.setattr(dataset, "train_list", train)
    test = [batch(hundred, "test", "fine_labels", [98, 1, 2, 3])]
    monkeypatch.setattr(dataset, "test_list", test)
    names = write_pickle(hundred / "meta", {"fine_label_names": [str(i) for i in range(100)]})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": names[1]})
    return tmp_path, written


def test_cifar10(small_cifar):
    root, written = small_cifar
    images, labels = cifar10("train", root=root)
    assert images.shape == (20, 3, 32, 32)
    assert labels.tolist() == [k for i in range(1, 6) for k in (i, 0, 9, 3)]
    pixel = written["data_batch_2"][1, 1024 + 5 * 32 + 7] / 255  # green, row 5, column 7
    assert images[5, 1, 5, 7].item() == pytest.approx((pixel - 0.4822) / 0.2435, rel=1e-5)

    images, labels = load_samples("cifar10", "test", root=root)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert labels.tolist() == [7, 8, 1, 2]


def test_cifar100(small_cifar):
    root, written = small_cifar
    images, labels = cifar100("train", root=root)
    assert labels.tolist() == [99, 0, 50, 3]
    pixel = written["train"][3, 2048] / 255  # blue, first pixel
    assert images[3, 2, 0, 0].item() == pytest.approx((pixel - 0.4409) / 0.2762, rel=1e-5)
    assert load_samples("cifar100", "test", root=root)[1].tolist() == [98, 1, 2, 3]


def test_changed_cifar_files_are_not_read(small_cifar):
    """They are pickles: what does not have the known MD5 sum is never opened."""
    root, _ = small_cifar
    with (root / "cifar-10-batches-py" / "data_batch_3").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(
        LossLandscapeError, match=r"CIFAR10: missing or incomplete in .*cifar-10-batches"
    ):
        cifar10("train", root=root)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_cifar_says_how_to_get_it(tmp_path, name):
    with pytest.raises(LossLandscapeError, match="--data-root, or download it with --download"):
        load_samples(name, root=tmp_path)


def test_a_failed_download_says_so(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", no_network)
    with pytest.raises(LossLandscapeError, match=r"download to .* failed: no route to host"):
        cifar10("train", root=tmp_path, download=True)


# --- by name


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(
        """
import numpy, torch
def load():
    return torch.zeros(4, 2), torch.arange(4)
def load_split(split="train"):
    return numpy.zeros((4 if split == "train" else 2, 2)), numpy.zeros(4 if split == "train" else 2)
def one():
    return torch.zeros(3)
def words():
    return "a", ["b"]
def unequal():
    return torch.zeros(3, 2), torch.zeros(4)
def rows():
    return [(torch.ones(2), 1), (torch.zeros(2), 0)]
def lists():
    return [[1.0], [2.0]], [0, 1]
def batch():
    return {"features": torch.zeros(3, 2), "labels": torch.zeros(3)}
def text():
    return "cifar"
"""
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("own_data")
def test_a_users_own_data():
    assert load_samples("own_data:load")[0].shape == (4, 2)
    assert load_samples("own_data:load_split", "test")[0].shape == (2, 2)
    assert has_split("own_data:load", "train")
    assert not has_split("own_data:load", "test")
    assert has_split("own_data:load_split", "test")
    assert has_split("digits", "test")


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("own_data:load", "test", "no parameter 'split'"),
        ("own_data:one", "train", "returned Tensor; two tensors"),
        ("own_data:words", "train", "returned str and list; two tensors"),
        ("own_data:unequal", "train", r"shapes \(3, 2\) and \(4,\)"),
        ("digit", "train", "did you mean 'digits'"),
        ("digits", "validation", "no split is called 'validation'"),
    ],
)
def test_samples_that_cannot_be_used(name, split, message):
    with pytest.raises(LossLandscapeError, match=message):
        load_samples(name, split)


@pytest.mark.usefixtures("own_data")
def test_any_data_of_the_users():
    assert load_data("own_data:load")[0].shape == (4, 2)
    assert load_data("own_data:load_split", "test")[1].shape == (2,)
    inputs, targets = load_data("own_data:lists")
    assert inputs.shape == (2, 1)
    assert targets.tolist() == [0, 1]
    rows = load_data("own_data:rows")  # two samples, not a pair
    assert isinstance(rows, list)
    assert rows[0][1] == 1
    assert load_data("own_data:batch")["features"].shape == (3, 2)
    assert load_data("digits")[0].shape[0] > 1000
    with pytest.raises(LossLandscapeError, match="returned str; return"):
        load_data("own_data:text")
    with pytest.raises(LossLandscapeError, match=r"shapes \(3, 2\) and \(4,\)"):
        load_data("own_data:unequal")
