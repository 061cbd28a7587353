"""Runs the trials of all claims in several processes, and goes on where a run was killed."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch

import losslandscape
from benchmarks import results
from benchmarks.coverage import registry
from benchmarks.coverage.claim import Outcome, Row, row_of, seed_of
from benchmarks.coverage.journal import Block, TrialJournal
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.output_lock import OutputLock

RESULTS = results.FOLDER / "coverage" / "study.json"
_BLOCKS = 10  # of each family, at least one trial each
_QUICK = 20  # times fewer trials, but at least four
_LEAST = 4


def code_hash() -> str:
    """Of the package and of this study, which the outcomes depend on."""
    digest = hashlib.sha256()
    folders = (Path(losslandscape.__file__).parent, Path(__file__).parent)
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def repetitions(full: int, share: float) -> int:
    """Trials of a family at a share of the full size.

    >>> repetitions(600, 1.0), repetitions(600, 0.05), repetitions(40, 0.05), repetitions(2, 1.0)
    (600, 30, 4, 2)
    """
    return min(full, max(_LEAST, round(full * share)))


def blocks(only: Sequence[str], share: float) -> Iterator[tuple[Block, int]]:
    """All blocks of trials, and how many trials each has; long families are spread evenly."""
    found = []
    for place, (claim, family) in enumerate(registry.families(tuple(only))):
        trials = repetitions(family.repetitions, share)
        size = math.ceil(trials / _BLOCKS)
        for number, first in enumerate(range(0, trials, size)):
            block = (claim.key, family.name, first)
            found.append((number, place, block, min(size, trials - first)))
    for _, _, block, size in sorted(found):
        yield block, size


def _end_with_parent() -> None:
    """A worker of a parent that was killed would wait for work for ever."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run_block(block: Block, size: int) -> tuple[list[Outcome], float]:
    """Outcomes of some trials of a family, and the seconds they took."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    key, name, first = block
    trial = registry.claim(key).family(name).trial
    outcomes = [trial(seed_of(key, name, number)) for number in range(first, first + size)]
    return [_plain(outcome) for outcome in outcomes], time.perf_counter() - began


def _plain(outcome: Outcome) -> Outcome:
    """With Python's own types, which JSON takes."""
    right = None if outcome.right is None else bool(outcome.right)
    number = None if outcome.number is None else float(outcome.number)
    return Outcome(right, number, outcome.note)


def run(path: Path, only: Sequence[str], share: float, processes: int, fresh: bool = False) -> None:
    """Run what is missing, write the results, and print each row as it is done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = dict(blocks(only, share))
    with OutputLock(path):
        if fresh:
            path.unlink(missing_ok=True)
        journal = TrialJournal(path, code_hash())
        missing = [b for b in wanted if len(journal.blocks.get(b, ())) != wanted[b]]
        print(f"{len(wanted) - len(missing)} of {len(wanted)} blocks are done", flush=True)
        spent: dict[tuple[str, str], float] = {}
        began = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context, initializer=_end_with_parent) as pool:
            work = {pool.submit(run_block, block, wanted[block]): block for block in missing}
            for done, future in enumerate(as_completed(work), start=1):
                block = work[future]
                outcomes, seconds = future.result()
                journal.append(block, outcomes)
                spent[block[:2]] = spent.get(block[:2], 0.0) + seconds
                left = (time.perf_counter() - began) / done * (len(missing) - done)
                print(
                    f"{done} of {len(missing)}, about {left / 60:.0f} min left: {block[0]}, "
                    f"{block[1]}: {seconds:.1f} s", flush=True,
                )  # fmt: skip
        for (key, name), seconds in sorted(spent.items(), key=lambda item: -item[1])[:15]:
            print(f"{seconds:7.1f} s  {key}, {name}")
        store(rows(journal, only, share), complete=not only)


def rows(journal: TrialJournal, only: Sequence[str], share: float) -> list[Row]:
    """A row for each family, from its blocks in the order of their trials."""
    found = []
    for claim, family in registry.families(tuple(only)):
        mine = sorted(
            (block[2], outcomes)
            for block, outcomes in (
                ((key, name, first), journal.blocks[(key, name, first)])
                for (key, name, first), _ in blocks((claim.key,), share)
                if name == family.name
            )
        )
        found.append(row_of(claim.key, family.name, [one for _, part in mine for one in part]))
    return found


def store(found: Sequence[Row], complete: bool, path: Path = RESULTS) -> None:
    """Write the rows, each with the hash of the code that it is of.

    Rows of claims that were not run stay as they are, if the file has them.
    """
    kept = {}
    if not complete and path.exists():
        kept = {(row["claim"], row["family"]): row for row in json.loads(path.read_text())["rows"]}
    code = code_hash()
    kept.update({(row.claim, row.family): {**asdict(row), "code": code} for row in found})
    order = [(claim.key, family.name) for claim, family in registry.families()]
    content: dict[str, Any] = {
        "title": "Do the errors hold?",
        "seeds": "first four bytes of sha256('claim/family/trial'), little-endian",
        "versions": {
            "numpy": np.__version__, "scipy": scipy.__version__, "torch": torch.__version__,
        },
        "rows": [kept[place] for place in order if place in kept],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
