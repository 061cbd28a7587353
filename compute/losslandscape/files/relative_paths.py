"""Paths in files: seen from the file's folder, so that both may move together."""

from __future__ import annotations

import os
from pathlib import Path


def seen_from(folder: Path, path: Path) -> str:
    """The way from a folder to a path, with ``/``; absolute where there is none.

    Examples
    --------
    >>> seen_from(Path("project/results"), Path("project"))
    '..'
    """
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # Windows: another drive
        return path.absolute().as_posix()
