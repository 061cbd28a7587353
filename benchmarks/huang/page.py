"""The table of ``docs/basin_volume.md``, from the stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.studies import put_between

PAGE = Path(__file__).parents[2] / "docs" / "basin_volume.md"
_BEGIN, _END = "<!-- table of the minima -->", "<!-- end of the table -->"


def table(content: dict[str, Any]) -> list[str]:
    """Lines of Markdown: the claims, and a row for each poison factor."""
    lines = [
        "| estimator | rank correlation of its log10 V, a lower bound, and test accuracy | 95% "
        "interval | verdict |",
        "| --- | --- | --- | --- |",
    ]
    for claim in content["claims"]:
        value, ends = claim["rank_correlation"], claim["interval"]
        words = "-" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
        lines.append(
            f"| {claim['estimator']} | {'-' if value is None else f'{value:.2f}'} | {words} | "
            f"{claim['verdict']} |"
        )
    lines += [
        "",
        "| poison factor | seed | training loss | training accuracy | test accuracy | norm of the "
        "weights | naive log10 V | interval | effective samples | preconditioned log10 V | "
        "interval | effective samples |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in content["rows"]:
        cells = [
            f"{row['factor']:g}", str(row["seed"]), f"{row['loss']:.3f}",
            f"{row['training_accuracy']:.3f}", f"{row['test_accuracy']:.3f}", f"{row['norm']:.1f}",
        ]  # fmt: skip
        for name in ("naive", "preconditioned"):
            one = row[name]
            low, high = one["interval"]
            more = ", at least" if one["not_crossed"] else ""
            cells += [
                f"{one['log10_volume']:.0f}{more}", f"{low:.0f} to {high:.0f}",
                f"{one['effective_samples']:.1f}",
            ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def write(content: dict[str, Any]) -> None:
    """Put the table into the page."""
    put_between(PAGE, _BEGIN, _END, table(content))
