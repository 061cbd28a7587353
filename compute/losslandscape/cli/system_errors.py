"""Errors of the operating system that no other code has explained: folders that are gone."""

import errno
import os
import tempfile

from losslandscape.errors import LossLandscapeError

_NO_FOLDER = "the working folder no longer exists; change to another one and start again"


def check_working_folder() -> None:
    """Raise a LossLandscapeError if the working folder was deleted."""
    try:
        os.getcwd()
    except OSError as error:
        raise LossLandscapeError(_NO_FOLDER) from error


def broken_system(error: OSError) -> str:
    """What an error of the operating system means, in a sentence."""
    try:
        os.getcwd()
    except OSError:
        return _NO_FOLDER
    try:
        folder = tempfile.gettempdir()
    except OSError:
        folder = ""
    if not folder or not os.access(folder, os.W_OK):
        return (
            f"no folder for temporary files can be written ({folder or 'tried TMPDIR, /tmp'}); "
            "set TMPDIR to a folder that you can write to"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" of {error.filename}" if error.filename else ""
        return f"no space left on the disk{where}; free some space, and start again"
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error or type(error).__name__}"
