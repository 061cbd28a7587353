"""What is finished of a list of equal parts, kept beside an output until the whole is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from losslandscape.errors import FileFormatError
from losslandscape.files.journal import Journal
from losslandscape.files.output_lock import OutputLock

Keep = Callable[[int, bytes], None]


@contextmanager
def finished_parts(
    path: Path | None, recipe: dict[str, Any], record_bytes: int, unit: str = "parts"
) -> Iterator[tuple[dict[int, bytes], Keep]]:
    """Records of the parts that an interrupted run finished, and how to keep further ones.

    They count only where the run was of the same recipe: of another nothing is worth asking about.
    The journal goes when the block ends without an exception.

    Parameters
    ----------
    path : path or None
        Of the journal; nothing is kept without one.
    recipe : dict
        All that a part's bits depend on, as JSON.
    record_bytes : int
        Size of a record.
    unit : str
        What the parts are, in the plural, for people.

    Raises
    ------
    LossLandscapeError
        If another process is at the same work (the message names its process id and host), or
        the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "squares.journal"
    >>> try:
    ...     with finished_parts(path, {"of": "squares"}, 1) as (records, keep):
    ...         keep(3, bytes([9]))
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt:
    ...     pass
    >>> with finished_parts(path, {"of": "squares"}, 1) as (records, keep):
    ...     records
    {3: b'\\t'}
    >>> path.exists()
    False
    """
    if path is None:
        yield {}, lambda number, record: None
        return
    header = {"recipe": json.loads(json.dumps(recipe)), "record_bytes": record_bytes}
    with OutputLock(path, elsewhere=False):
        journal, records = _journal(path, header)
        finished = len(records)

        def keep(number: int, record: bytes) -> None:
            nonlocal finished
            journal.append(number, record)
            finished += 1

        with journal:
            try:
                yield records, keep
            except KeyboardInterrupt as error:
                if finished:  # the last line of the traceback
                    error.args = (f"{finished:,} {unit} are in {path}, and the same call goes on",)
                raise
            journal.remove()


def _journal(path: Path, header: dict[str, Any]) -> tuple[Journal, dict[int, bytes]]:
    """The journal that lies there and its records, if it is of the same work; else a new one."""
    try:
        same = path.exists() and Journal.header_of(path) == header
    except FileFormatError:
        same = False
    return Journal.resume(path) if same else (Journal.create(path, header), {})
