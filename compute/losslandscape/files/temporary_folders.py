"""Temporary folders, made in one place so that an ending process can remove all of them."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from losslandscape.errors import LossLandscapeError
from losslandscape.files.file_kinds import reason

_REMOVALS, _PAUSE = 20, 0.05  # tries to remove a folder; seconds between two
_folders: set[str] = set()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder, which is removed at the end of the block.

    Raises
    ------
    LossLandscapeError
        If none can be made.

    Examples
    --------
    >>> with temporary_folder() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    try:
        folder = tempfile.mkdtemp(prefix="losslandscape-")
    except OSError as error:
        raise LossLandscapeError(
            f"no temporary folder can be made: {reason(error)}; free some space, or set TMPDIR to "
            "a folder where you can write"
        ) from error
    _folders.add(folder)
    try:
        yield Path(folder)
    finally:
        for _ in range(_REMOVALS):  # a process that was ended may still write there
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(_PAUSE)
        _folders.discard(folder)


def remove_temporary_folders() -> None:
    """Remove all temporary folders of this process, which ends without leaving their blocks."""
    for folder in list(_folders):
        shutil.rmtree(folder, ignore_errors=True)
