"""The folder a verb writes its results into, beside the landscape unless told otherwise."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from losslandscape.errors import OutputExistsError


def add_result_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """``--output`` and ``--overwrite`` of a folder called ``<landscape>_<name>`` by default."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help=f"folder of the results (default: FILE_{name}, beside FILE.nc)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace results that are there")


def result_folder(arguments: argparse.Namespace, name: str, files: Sequence[str]) -> Path:
    """Where the results go; nothing is made or changed yet.

    Raises
    ------
    OutputExistsError
        If one of the files is there and ``--overwrite`` was not given.
    """
    landscape = arguments.landscape
    folder = arguments.output or landscape.with_name(f"{landscape.stem}_{name}")
    for file in files:
        if (folder / file).exists() and not arguments.overwrite:
            raise OutputExistsError(
                f"{folder / file}: exists; choose another folder (--output) or overwrite "
                "(--overwrite)"
            )
    return folder
