"""``losslandscape train``: a network of the study, or a user's own, trained with its trajectory."""

import argparse

from losslandscape.cli.arguments import (
    add_data_arguments,
    add_model_arguments,
    add_output_arguments,
    add_run_arguments,
    add_seed_argument,
    device_from,
    model_from,
    positive_float,
    positive_int,
    samples_from,
)

HELP = "train a network and record the way its parameters go"
NOT_TO_GO_ON = ("--overwrite",)  # it throws the finished epochs away

DESCRIPTION = """\
Train a classifier and keep everything that a landscape needs.

The output folder gets weights.safetensors (the trained model), trajectory/ (its parameters a few
times an epoch, for the plane of the trajectory's principal components), and metrics.json (loss and
accuracy after each epoch). Nothing has to be downloaded for --data digits.

If it is stopped, by Ctrl-C or otherwise, the same command goes on after the last finished
epoch and ends in the same weights, bit for bit. With more --epochs a finished run goes on.
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
        type=positive_int,
        default=5,
        metavar="N",
        help="passes over the training set (default: 5)",
    )
    group.add_argument(
        "--optimizer", choices=("adamw", "sgd"), default="adamw", help="(default: adamw)"
    )
    group.add_argument(
        "--learning-rate",
        type=positive_float,
        default=5e-4,
        metavar="RATE",
        help="step size, the same in all epochs (default: 0.0005)",
    )
    group.add_argument(
        "--weight-decay",
        type=float,
        default=0.01,
        metavar="RATE",
        help="pull of the weights towards zero (default: 0.01)",
    )
    group.add_argument(
        "--batch-size",
        type=positive_int,
        default=64,
        metavar="N",
        help="samples a step (default: 64)",
    )
    group.add_argument(
        "--records-per-epoch",
        type=positive_int,
        default=4,
        metavar="N",
        help="checkpoints of the trajectory in each epoch (default: 4)",
    )
    group.add_argument(
        "--no-trajectory", action="store_true", help="keep no checkpoints, only the final weights"
    )
    add_seed_argument(parser, "for the initial weights, the order of the samples, and dropout")
    add_output_arguments(parser, "folder of the run")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
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
        _print_table(metrics)
        print(f"\n{arguments.output}: trained weights in weights.safetensors")
    return 0


def _print_table(metrics: list[dict[str, float]]) -> None:
    columns = list(metrics[-1])
    print("  ".join(f"{column.replace('_', ' '):>14}" for column in columns))
    for row in metrics:
        print("  ".join(f"{row[column]:>14.4g}" for column in columns))
