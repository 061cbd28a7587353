"""``docs/coverage.md`` from the stored results and the claims' words.

``python -m benchmarks.coverage.page`` writes the page again; it runs no trial.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.coverage import registry
from benchmarks.coverage.claim import (
    CONSERVATIVE,
    FAILS,
    FEW,
    HOLDS,
    SILENT,
    Claim,
    Row,
    clopper_pearson,
    verdict,
)
from benchmarks.coverage.runner import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
_HEAD, _TAIL = (Path(__file__).with_name(f"page_{part}.md") for part in ("head", "tail"))
_COLUMNS = ("family", "nominal", "found, in %", "claimed", "verdict")


def load(path: Path = RESULTS) -> dict[str, Any]:
    return json.loads(path.read_text())


def rows_of(content: dict[str, Any]) -> list[Row]:
    """The stored rows whose claim and family are still among the claims."""
    known = {(claim.key, family.name) for claim, family in registry.families()}
    return [
        Row(**{**{name: value for name, value in row.items() if name != "code"},
               "numbers": tuple(row["numbers"]),
               "failures": tuple((seed, note) for seed, note in row["failures"])})
        for row in content["rows"]
        if (row["claim"], row["family"]) in known
    ]  # fmt: skip


def judged(claim: Claim, row: Row) -> str:
    return verdict(row.right, row.claimed, claim.nominal, claim.least)


def found_in_words(row: Row) -> str:
    """A share in percent with its interval.

    >>> found_in_words(Row("a", "b", 120, 100, 95))
    '95.0 [88.7, 98.4]'
    """
    if not row.claimed:
        return "-"
    low, high = clopper_pearson(row.right, row.claimed)
    return f"{100 * row.right / row.claimed:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def pooled(rows: Sequence[Row]) -> Row:
    """All families of a claim together.

    >>> pooled([Row("a", "b", 9, 8, 7), Row("a", "c", 5, 4, 3)])
    Row(claim='a', family='all together', trials=14, claimed=12, right=10, numbers=(), failures=())
    """
    counts = np.sum([(row.trials, row.claimed, row.right) for row in rows], axis=0)
    return Row(rows[0].claim, "all together", *counts.tolist())


def _nominal(claim: Claim) -> str:
    words = f"{100 * claim.nominal:g}"
    return words if claim.required is None else f"{words}, from {100 * claim.required:g}"


def _number(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2g}" for value in values)


def _table(claim: Claim, rows: Sequence[Row]) -> list[str]:
    columns = [*_COLUMNS, *([f"{claim.number}: median, largest"] if claim.number else [])]
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join(["---"] * len(columns)) + " |"]
    for row in [*rows, *([pooled(rows)] if len(rows) > 1 else [])]:
        said = judged(claim, row)
        cells = [
            row.family.replace("|", "\\|"), _nominal(claim), found_in_words(row),
            f"{row.claimed:,} of {row.trials:,}", f"**{FAILS}**" if said == FAILS else said,
        ]  # fmt: skip
        if claim.number:
            cells.append(_number(row.numbers))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _failures(claim: Claim, rows: Sequence[Row]) -> list[str]:
    """What is said of families, and of failures where none is allowed."""
    lines = []
    for row in rows:
        why = claim.family(row.family).why
        notes = [f"{note} (seed {seed})" for seed, note in row.failures if note]
        if claim.nominal == 1 and notes:
            wrong = row.claimed - row.right
            words = f"{row.family}: {wrong} wrong, for example {notes[0]}."
            lines.append(f"- {words} {why}".rstrip())
        elif why:
            lines.append(f"- {row.family}: {why}")
    return lines


def text(content: dict[str, Any]) -> str:
    """The page."""
    rows = rows_of(content)
    by_claim = {claim.key: [r for r in rows if r.claim == claim.key] for claim in registry.claims()}
    verdicts = [judged(registry.claim(row.claim), row) for row in rows]
    parts = []
    for name in (HOLDS, CONSERVATIVE, FAILS, FEW, SILENT):
        if verdicts.count(name):
            parts.append(f"{name}: {verdicts.count(name)}")
    trials = sum(row.trials for row in rows)
    full = sum(family.repetitions for _, family in registry.families())
    counts = (
        f"The stored run has {trials:,} trials; a full run has {full:,}. Of its {len(rows)} rows: "
        f"{', '.join(parts)}."
    )
    lines = [_HEAD.read_text().format(counts=counts)]
    lines += [
        "| claim | nominal, in % | found in all families, in % | does not hold |",
        "| --- | --- | --- | --- |",
    ]
    for claim in registry.claims():
        mine = by_claim[claim.key]
        if mine:
            bad = [row.family for row in mine if judged(claim, row) == FAILS]
            failed = "; ".join(bad).replace("|", "\\|") or "-"
            whole = found_in_words(pooled(mine))
            lines.append(f"| {claim.sentence} | {_nominal(claim)} | {whole} | {failed} |")
    section = ""
    for claim in registry.claims():
        mine = by_claim[claim.key]
        if not mine:
            continue
        if claim.section != section:
            section = claim.section
            lines += ["", f"## {section}"]
        lines += ["", f"**{claim.sentence}**", "", *_table(claim, mine)]
        failures = _failures(claim, mine)
        if failures:
            lines += ["", *failures]
        if claim.why:
            lines += ["", claim.why]
    versions = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    lines += ["", _TAIL.read_text().format(versions=versions).rstrip()]
    return "\n".join(lines) + "\n"


def main() -> None:
    PAGE.write_text(text(load()))


if __name__ == "__main__":
    main()
