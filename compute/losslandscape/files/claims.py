"""Which files the work of this process may replace: noted when it starts, compared when it ends.

:mod:`losslandscape.files.outputs` makes the claims; :mod:`losslandscape.files.atomic_files` asks
for the claim of each file that it replaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Stamp = tuple[int, ...]


@dataclass
class Claim:
    """The right to write one file.

    Attributes
    ----------
    target : str
        The real path of the file.
    overwrite : bool
        Whether a file that appears there meanwhile may be replaced.
    stamp : tuple of int, or None
        Of the file that was there at the start, or that this process wrote since; None for none.
    """

    target: str
    overwrite: bool
    stamp: Stamp | None = None

    def note(self) -> None:
        """Note the file that is there now as one that may be replaced."""
        self.stamp = _stamp(self.target)

    def is_lost(self) -> bool:
        """Whether a file is there that somebody else wrote, and that may not be replaced."""
        if self.overwrite or not os.path.lexists(self.target):
            return False
        return _stamp(self.target) != self.stamp


def _stamp(path: str) -> Stamp | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size


# of this thread's work: another thread that writes the same file must be refused
_claims: ContextVar[tuple[Claim, ...]] = ContextVar("claims", default=())


def claim_of(path: str | os.PathLike[str]) -> Claim | None:
    """The claim of a file, if the work that goes on has one."""
    target = os.path.realpath(path)
    return next((claim for claim in reversed(_claims.get()) if claim.target == target), None)


@contextmanager
def with_claims(claims: Iterable[Claim]) -> Iterator[None]:
    """Have these claims during the block."""
    token = _claims.set((*_claims.get(), *claims))
    try:
        yield
    finally:
        _claims.reset(token)
