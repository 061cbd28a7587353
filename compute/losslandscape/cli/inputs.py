"""The files and folders that a command line names as inputs, which no output may replace."""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# arguments that name inputs; those that may be patterns are text
_NAMES = (
    "landscape", "landscapes", "source", "weights", "models", "trajectory", "files", "directions",
    "topology", "curvature",
)  # fmt: skip


def inputs_of(arguments: argparse.Namespace) -> list[Path]:
    """The inputs that exist; of a folder with weights also the file that is read.

    Examples
    --------
    >>> inputs_of(argparse.Namespace(landscape=Path(os.curdir), weights="no such file"))
    [PosixPath('.')]
    """
    found: list[Path] = []
    for name in _NAMES:
        given = getattr(arguments, name, None)
        if name == "directions" and not isinstance(given, Path):  # of 'surface': a kind
            continue
        for path in _paths(given):
            found.append(path)
            if name in ("weights", "models") and path.is_dir():
                from losslandscape.training.weights import IN_A_FOLDER

                found += (path / inside for inside in IN_A_FOLDER)
    return [path for path in found if os.path.exists(path)]


def _paths(given: Any) -> Iterator[Path]:
    if isinstance(given, (list, tuple)):
        for one in given:
            yield from _paths(one)
    elif given is not None:
        path = Path(given)
        yield path
        if glob.has_magic(os.fspath(path)):
            yield from map(Path, glob.iglob(os.fspath(path), recursive=True))
