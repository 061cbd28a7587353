"""Standard output and error that may close, fill up or lack a character without ending the work.

Text that cannot be written is dropped, and :attr:`StandardStreams.lost` says that some was. A
character that the stream's encoding does not have is escaped, as ``\\xe9``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

_UNWRITABLE = (OSError, ValueError)  # closed pipe, full disk; a closed file object


class _Stream:
    """A text stream that raises nothing when it is written to; otherwise the stream itself."""

    def __init__(self, stream: Any):
        self._stream = stream
        self.lost = False

    def write(self, text: str) -> int:
        if self._stream is None:  # it was closed before the process began
            self.lost |= bool(text)
            return len(text)
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            escaped = text.encode(encoding, "backslashreplace").decode(encoding)
            return self.write(escaped) if escaped != text else len(text)
        except _UNWRITABLE:
            self._lose()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except _UNWRITABLE:
                self._lose()

    def _lose(self) -> None:
        """From now on write to nowhere: what is buffered must not fail again when Python ends."""
        self.lost = True
        with suppress(*_UNWRITABLE):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class StandardStreams:
    """``sys.stdout`` and ``sys.stderr`` inside the block; a context manager.

    Examples
    --------
    >>> reading, writing = os.pipe()
    >>> os.close(reading)
    >>> with open(writing, "w") as sys.stderr, StandardStreams() as streams:
    ...     print("nobody reads this", file=sys.stderr, flush=True)
    >>> streams.lost
    True
    >>> sys.stderr = sys.__stderr__
    """

    def __enter__(self) -> StandardStreams:
        # A file that is opened later must not become standard output by its number.
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
        self._before = sys.stdout, sys.stderr
        self._out, self._error = _Stream(sys.stdout), _Stream(sys.stderr)
        sys.stdout, sys.stderr = self._out, self._error  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()
        self._error.flush()
        sys.stdout, sys.stderr = self._before

    @property
    def lost(self) -> bool:
        """Whether some text could not be written."""
        return self._out.lost or self._error.lost
