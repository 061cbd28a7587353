"""What the studies share: what they keep, intervals over seeds, and tables in pages.

A study that was killed goes on with what it kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import losslandscape as ll
from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.journal import JOURNAL, TRAJECTORY_JOURNAL

LEVEL = 0.95


def exit_status(run: Callable[[], None]) -> int:
    """Run a study; 1 where it ended with an error of the user's, whose message is printed."""
    try:
        run()
    except LossLandscapeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def kept_numbers(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file holds; made and written, whole or not at all, if there is none."""
    if not path.exists():
        found = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n")
    return json.loads(path.read_text())


def evaluated(path: Path, *arguments: Any, **options: Any) -> ll.Landscape:
    """The landscape of a file; evaluated if it is not there, or goes on where it was killed."""
    unfinished = [path.with_name(path.name + end) for end in (JOURNAL, TRAJECTORY_JOURNAL)]
    if path.exists() and not any(journal.exists() for journal in unfinished):
        return ll.Landscape.open(path)
    return ll.evaluate(*arguments, path=path, **options)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of the 95% interval of Student's t, over seeds.

    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> round(mean, 3), round(half, 3)
    (2.0, 2.484)
    """
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values)
    return float(np.mean(values)), float(half)


def put_between(page: Path, begin: str, end: str, lines: Sequence[str]) -> None:
    """Put lines into a page, in the place of those between two marks."""
    head, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, tail = rest.partition(end)
    body = "\n".join(lines)
    page.write_text(f"{head}{begin}\n\n{body}\n\n{end}{tail}", encoding="utf-8")
