"""``losslandscape train``: train a network, and record its training trajectory."""

import argparse

from losslandscape.argument_checks import EPOCHS, NON_NEGATIVE
from losslandscape.cli.arguments import (
    add_data_arguments,
    add_model_arguments,
    add_output_arguments,
    add_run_arguments,
    add_seed_argument,
    device_from,
    model_from,
    samples_from,
)
from losslandscape.cli.kinds import COUNTED, POSITIVE_KIND, Kind
from losslandscape.files.outputs import claimed

HELP = "train a network, and record its training trajectory"
NOT_TO_GO_ON = ("--overwrite",)  # it discards the finished epochs

DESCRIPTION = """\
Train a classifier, and save everything that a landscape needs.

The output folder gets weights.safetensors (the trained model), trajectory/ (its parameters, several
times per epoch, for the plane of the trajectory's principal components), and metrics.json (loss and
accuracy after each epoch). With --data digits nothing is downloaded.

To continue a run that was stopped, by Ctrl-C or otherwise, give the same command again. It resumes
after the last finished epoch and ends with the same weights, bit for bit. To train a finished run
further, give more --epochs.
"""

EPILOG = """\
example:
  losslandscape train --model small_resnet --data digits --epochs 5 --output run/
  losslandscape surface --model small_resnet --weights run/ --data digits --output surface.nc

To record the trajectory in a training loop of your own, use losslandscape.TrajectoryRecorder.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, weights=False)
    add_data_arguments(parser)
    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs",
        type=Kind(EPOCHS),
        default=5,
        metavar="N",
        help="passes over the training set (default: 5)",
    )
    group.add_argument(
        "--optimizer",
        choices=("adamw", "adam", "sgd"),
        default="adamw",
        help="optimizer (default: adamw)",
    )
    group.add_argument(
        "--learning-rate",
        type=POSITIVE_KIND,
        default=5e-4,
        metavar="RATE",
        help="learning rate, constant over all epochs (default: 0.0005)",
    )
    group.add_argument(
        "--weight-decay",
        type=Kind(NON_NEGATIVE),
        default=0.01,
        metavar="RATE",
        help="weight decay (default: 0.01)",
    )
    group.add_argument(
        "--batch-size",
        type=COUNTED,
        default=64,
        metavar="N",
        help="samples per step (default: 64)",
    )
    group.add_argument(
        "--records-per-epoch",
        type=COUNTED,
        default=4,
        metavar="N",
        help="checkpoints of the trajectory per epoch (default: 4)",
    )
    group.add_argument(
        "--no-trajectory", action="store_true", help="save only the final weights, no checkpoints"
    )
    add_seed_argument(parser, "seed of the initial weights, the order of the samples, and dropout")
    add_output_arguments(parser, "folder for the run")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.study.training import training_output

    with claimed(training_output(arguments.output, "--output")):
        return _train(arguments)


def _train(arguments: argparse.Namespace) -> int:
    import torch

    from losslandscape.study.datasets import has_split
    from losslandscape.study.training import train

    device = device_from(arguments)
    data = samples_from(arguments, "train")
    test_data = None
    if has_split(arguments.data, "test"):
        arguments.samples = None  # the test set stays whole
        test_data = samples_from(arguments, "test")
    torch.manual_seed(arguments.seed)
    model = model_from(arguments, data)
    metrics = train(
        model,
        data,
        arguments.output,
        test_data=test_data,
        epochs=arguments.epochs,
        optimizer=arguments.optimizer,
        learning_rate=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        trajectory=not arguments.no_trajectory,
        records_per_epoch=arguments.records_per_epoch,
        device=device,
        name=arguments.model,
        overwrite=arguments.overwrite,
        quiet=arguments.quiet,
    )
    if not arguments.quiet:
        print(
            f"{arguments.output}: trained for {len(metrics) - 1} epochs; the weights are in "
            "weights.safetensors"
        )
        _print_table(metrics)
    return 0


def _print_table(metrics: list[dict[str, float]]) -> None:
    columns = list(metrics[-1])
    print("  ".join(f"{column.replace('_', ' '):>14}" for column in columns))
    for row in metrics:
        print("  ".join(f"{row[column]:>14.4g}" for column in columns))
