"""Files that are either the old ones or the new ones, never half of each."""

import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import LandscapeError


@contextmanager
def replaced(path):
    """A temporary path with the same ending, which replaces `path` where the block does not raise.

    Args:
        path: of the file to write; a symbolic link is followed.

    Raises:
        LandscapeError: the folder is missing or read-only, the disk is full, or the block wrote
            nothing.
    """
    target = Path(os.path.realpath(path))
    # ParaView's writers choose the format by the ending
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        # on a full disk, VTK removes what it began to write
        if not temporary.exists() or not temporary.stat().st_size:
            raise LandscapeError(f"{path}: ParaView wrote nothing")
        descriptor = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except OSError as error:
        raise LandscapeError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
