"""The journal of a running evaluation: each finished point is saved as soon as it is measured.

The journal is beside the output (``vgg11.nc.journal``). It begins with the recipe. Each finished
point is one record with its own checksum, so after a crash all complete records remain valid.
Records are flushed to disk every two seconds. The writer holds the output's lock, see
`losslandscape.files.output_lock`.

Layout: magic, header length (uint32) and CRC-32 (uint32), header (JSON), then records of fixed
size: point number (uint32), CRC-32 of number and payload (uint32), payload.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.atomic_files import replace_file

_MAGIC = b"losslandscape journal 1\n"
_HEAD = struct.Struct("<II")
_SYNC_SECONDS = 2.0


JOURNAL, TRAJECTORY_JOURNAL = ".journal", ".trajectory.journal"


def journal_path(output: str | os.PathLike) -> Path:
    """Path of the journal of an output."""
    return Path(f"{os.fspath(output)}{JOURNAL}")


def trajectory_journal_path(output: str | os.PathLike) -> Path:
    """Path of the journal of a trajectory that is being measured on a landscape."""
    return Path(f"{os.fspath(output)}{TRAJECTORY_JOURNAL}")


class Journal:
    """An append-only file of records; as a context manager it flushes at the end of the block."""

    def __init__(self, path: Path, header: dict[str, Any], file: Any):
        self.path = path
        self.header = header
        self._file = file
        self._synced = time.monotonic()

    @classmethod
    def create(cls, path: Path, header: dict[str, Any]) -> Journal:
        """Start a journal; ``header["record_bytes"]`` is the size of a payload in bytes."""
        text = json.dumps(header).encode()
        with replace_file(path) as temporary:
            temporary.write_bytes(_MAGIC + _HEAD.pack(len(text), zlib.crc32(text)) + text)
        return cls(path, header, path.open("a+b"))

    @classmethod
    def resume(cls, path: Path) -> tuple[Journal, dict[int, bytes]]:
        """Open a journal and read its records: point number -> payload.

        An incomplete record at the end (an interrupted write) is removed.

        Raises
        ------
        FileFormatError
            If the file is not a journal, or its header is damaged.
        """
        file = path.open("a+b")
        try:
            file.seek(0)
            header = _read_header(file, path)
            records = dict(_read_records(file, header["record_bytes"]))
            file.truncate()
        except BaseException:
            file.close()
            raise
        return cls(path, header, file), records

    @staticmethod
    def begins_at(path: Path) -> bool:
        """Whether the file begins as journals do, damaged ones included."""
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC

    @staticmethod
    def header_of(path: Path) -> dict[str, Any]:
        """Read only the header.

        Raises
        ------
        FileFormatError
            If the file is not a journal, or its header is damaged.
        """
        with path.open("rb") as file:
            return _read_header(file, path)

    def append(self, number: int, payload: bytes) -> None:
        """Add a finished point; later calls flush it to disk within two seconds.

        Raises
        ------
        LossLandscapeError
            If it cannot be written, for example to a full disk; earlier records stay valid.
        """
        checksum = zlib.crc32(payload, zlib.crc32(struct.pack("<I", number)))
        with self._explained():
            self._file.write(_HEAD.pack(number, checksum) + payload)
            self._file.flush()  # to the system: this process may be killed
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Flush all records to disk."""
        with self._explained():
            self._file.flush()
            os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = "Make it writable"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                advice = "Free some space"
            elif error.errno == errno.EFBIG:
                advice = "Raise the limit of file sizes (ulimit -f) or write to another disk"
            raise LossLandscapeError(
                f"{self.path}: cannot be written ({error.strerror}); finished points are kept. "
                f"{advice}, then run the same command again to continue"
            ) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        if self._file.closed:
            return
        try:
            self.sync()
        except LossLandscapeError:
            if kind is None:  # otherwise the first error is the one to report
                raise
        finally:
            with suppress(OSError):  # a full disk leaves data in the buffer
                self._file.close()

    def remove(self) -> None:
        """Remove the journal, once the output is complete."""
        self._file.close()
        self.path.unlink()


def _read_header(file, path: Path) -> dict[str, Any]:
    head = file.read(len(_MAGIC) + _HEAD.size)
    if len(head) == len(_MAGIC) + _HEAD.size and head.startswith(_MAGIC):
        length, checksum = _HEAD.unpack(head[len(_MAGIC) :])
        if length <= os.fstat(file.fileno()).st_size:
            text = file.read(length)
            if zlib.crc32(text) == checksum:
                return json.loads(text)
    raise FileFormatError(f"{path}: not a losslandscape journal, or a damaged one; delete it")


def _read_records(file, record_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Read the complete records; the file position ends up after the last one."""
    while True:
        place = file.tell()
        record = file.read(_HEAD.size + record_bytes)
        if len(record) == _HEAD.size + record_bytes:
            number, checksum = _HEAD.unpack_from(record)
            payload = record[_HEAD.size :]
            if zlib.crc32(payload, zlib.crc32(record[:4])) == checksum:
                yield number, payload
                continue
        file.seek(place)
        return
