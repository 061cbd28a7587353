"""The folder for a verb's results, by default beside the landscape."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from losslandscape.cli.kinds import PATH, TEXT
from losslandscape.files.outputs import OutputFolder


def add_result_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Add ``--output`` and ``--overwrite``; the default folder is ``<landscape>_<name>``."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        type=PATH,
        metavar="FOLDER",
        help=f"folder for the results (default: FILE_{name}, beside FILE.nc)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace existing results")


def add_array_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--array``, the variable to analyze."""
    parser.add_argument(
        "--array",
        type=TEXT,
        metavar="NAME",
        help="analyze this variable of the file instead of the loss, such as test_loss",
    )


def result_folder(
    arguments: argparse.Namespace, name: str, files: Sequence[str], journals: Sequence[str] = ()
) -> OutputFolder:
    """The folder for the results, to be claimed.

    That of another variable than the loss ends in its name.
    """
    landscape = arguments.landscape
    if getattr(arguments, "array", None) not in (None, "loss"):
        name = f"{name}_{arguments.array}"
    folder = arguments.output or landscape.with_name(f"{landscape.stem}_{name}")
    option = "--output" if arguments.output else ""
    return OutputFolder(folder, files, arguments.overwrite, option, journals=journals)
