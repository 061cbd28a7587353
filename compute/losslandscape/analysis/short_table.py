"""The first rows of a table, for the ``repr`` of a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ROWS = 5


def short_table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A title and the first rows; the last line says how many more there are.

    Examples
    --------
    >>> rows = [{"kind": "minimum", "loss": n / 8} for n in range(7)]
    >>> print(short_table("Points: 7 minima", ("kind", "loss"), rows))
    <Points: 7 minima
      kind     loss
      minimum  0
      minimum  0.125
      minimum  0.25
      minimum  0.375
      minimum  0.5
      ... 2 more: .table()>
    """
    cells = [list(columns), *([_text(row[name]) for name in columns] for row in rows[:ROWS])]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [f"<{title}"]
    lines += [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
        for line in cells
    ]
    left = len(rows) - ROWS
    if left > 0:
        lines.append(f"  ... {left} more: .table()")
    return "\n".join(lines) + ">"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
