"""Paths stored in files, relative to the file's folder, so that both can move together."""

from __future__ import annotations

import os
from pathlib import Path


def seen_from(folder: Path, path: Path) -> str:
    """The path relative to a folder, with ``/``; absolute if there is no relative path.

    Examples
    --------
    >>> seen_from(Path("project/results"), Path("project"))
    '..'
    """
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # Windows: another drive
        return path.absolute().as_posix()
