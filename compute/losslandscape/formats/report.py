"""Reports as JSON, as CSV, and as text tables."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape.files.atomic_files import replace_file
from losslandscape.landscape.landscape import Landscape


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as JSON, atomically; see :func:`plain` for its numbers."""
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(plain(report), indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table as CSV, atomically; unknown values are empty."""
    with replace_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def loss_sha256(landscape: Landscape) -> str:
    """SHA-256 of the mean losses; it identifies the landscape that a report belongs to."""
    return hashlib.sha256(np.ascontiguousarray(landscape.values("loss")).tobytes()).hexdigest()


def plain(value: Any) -> Any:
    """Convert a value to JSON's types: NaN to null, infinities to text (JSON has neither).

    Examples
    --------
    >>> plain({"a": np.array([1.0, np.nan]), "b": np.float64(np.inf)})
    {'a': [1.0, None], 'b': 'Infinity'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return str(value) if isinstance(value, Path) else value


def table_lines(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """A table for a terminal: text is aligned left, numbers right.

    Examples
    --------
    >>> print("\\n".join(table_lines(("kind", "loss"), [("saddle", 2.0), ("minimum", 0.125)])))
    kind      loss
    saddle       2
    minimum  0.125
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    numeric = [
        bool(rows) and all(not isinstance(row[i], str) for row in rows) for i in range(len(header))
    ]
    widths = [max(map(len, column)) for column in zip(header, *cells)]
    for line in [list(header), *cells]:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric)
        )
        yield "  ".join(padded).rstrip()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(_text(entry) for entry in value) + ")"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
