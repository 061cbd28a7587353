"""Finished blocks of trials, one JSON line each; a run that was killed goes on from them."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.coverage.claim import Outcome

Block = tuple[str, str, int]  # claim, family, number of the first trial


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, allow_nan=True)
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _content(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None if it is not whole."""
    checksum, _, text = line.partition(b" ")
    if not line.endswith(b"\n") or checksum != f"{zlib.crc32(text[:-1]):08x}".encode():
        return None
    return json.loads(text)


class TrialJournal:
    """Outcomes of blocks of trials, on disk after each block.

    Each line has a checksum. A line that a kill left unfinished is cut off before the next one is
    written. Blocks of another version of the code are not used.

    Parameters
    ----------
    path : Path
    code : str
        Hash of all code that an outcome depends on.
    """

    def __init__(self, path: Path, code: str):
        self.path, self._code = path, code
        self.blocks: dict[Block, list[Outcome]] = {}
        if not path.exists():
            return
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            content = _content(line)
            if content is None:
                break
            whole += len(line)
            if content["code"] == code:
                block = content["claim"], content["family"], content["first"]
                self.blocks[block] = [Outcome(**one) for one in content["outcomes"]]
        os.truncate(path, whole)

    def append(self, block: Block, outcomes: list[Outcome]) -> None:
        self.blocks[block] = outcomes
        content = {
            "code": self._code,
            **dict(zip(("claim", "family", "first"), block)),
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        with self.path.open("ab") as file:
            file.write(_line(content))
            file.flush()
            os.fsync(file.fileno())
