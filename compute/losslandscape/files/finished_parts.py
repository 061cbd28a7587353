"""The finished parts of a computation, kept beside its output until all parts are done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.atomic_files import require_regular
from losslandscape.files.file_kinds import shown
from losslandscape.files.journal import Journal
from losslandscape.files.output_lock import OutputLock

Keep = Callable[[int, bytes], None]


@contextmanager
def finished_parts(
    path: str | Path | None, recipe: dict[str, Any], record_bytes: int, unit: str = "parts"
) -> Iterator[tuple[dict[int, bytes], Keep]]:
    """The records of an interrupted run, by part number, and a function that keeps another one.

    Records are used only if the interrupted run had the same recipe; otherwise they are discarded,
    as is a damaged journal, but not a journal of another kind of work. The journal is removed when
    the block ends without an exception. A file that is no journal stays as it is.

    Parameters
    ----------
    path : path or None
        The journal; with None nothing is kept.
    recipe : dict
        Everything that the bits of a part depend on; must be representable as JSON.
    record_bytes : int
        Size of a record, in bytes.
    unit : str
        What a part is called, in the plural, for messages.

    Raises
    ------
    LossLandscapeError
        If another process is doing the same work (the message names its process ID and host), if
        something else than a journal is at the path, or the folder cannot be written to.

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
    path = Path(path)
    header = {
        "recipe": json.loads(json.dumps(recipe)), "record_bytes": record_bytes, "unit": unit,
    }  # fmt: skip
    require_regular(path)
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
                if finished:  # shown as the last line of the traceback
                    error.args = (
                        f"{finished:,} {unit} are saved in {path}, and the same call continues",
                    )
                raise
            journal.remove()


def _journal(path: Path, header: dict[str, Any]) -> tuple[Journal, dict[int, bytes]]:
    """The existing journal and its records, if it has the same header; otherwise a new one."""
    if path.exists():
        there = _header(path)
        if there == header:
            return Journal.resume(path)
        if there is not None and there.get("unit") != header["unit"]:
            raise LossLandscapeError(
                f"{shown(path)}: this journal keeps the finished parts of other work, and it is "
                "not overwritten; delete it, or give the journal another name"
            )
    return Journal.create(path, header), {}


def _header(path: Path) -> dict[str, Any] | None:
    """The header of a journal; None of a damaged one."""
    if not Journal.begins_at(path):
        raise LossLandscapeError(
            f"{shown(path)}: this file is not a losslandscape journal, and it is not overwritten; "
            "delete it, or give the journal another name"
        )
    try:
        return Journal.header_of(path)
    except FileFormatError:
        return None
