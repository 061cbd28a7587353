"""The tables of ``docs/score_card.md``, from the stored results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.li.claims import interval, is_trained, test_error
from benchmarks.studies import put_between

PAGE = Path(__file__).parents[2] / "docs" / "score_card.md"
_BEGIN, _END = "<!-- score card -->", "<!-- end of the score card -->"


def table(content: dict[str, Any]) -> list[str]:
    """Lines of Markdown: the claims, then the networks."""
    lines = [
        "| claim | number | value | 95% interval | seeds | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for claim in content["claims"]:
        what = claim["number"] + (f" ({claim['note']})" if claim["note"] else "")
        what = what.replace("|", "\\|")  # ends no cell
        lines.append(
            f"| {claim['claim']}. {claim['text']} | {what} | {_number(claim['value'])} | "
            f"{_interval(claim['interval'])} | {claim['seeds']} | {claim['verdict']} |"
        )
    lines += [
        "",
        "| network | parameters | training loss | test error, % | flat length | ratio above 0.1, "
        "% of the plane | roughness | significant minima | ratio at the start | first two "
        "components, % | random walk, % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    names = list(dict.fromkeys(row["network"] for row in content["rows"]))
    for name in names:
        rows = [row for row in content["rows"] if row["network"] == name]
        cells = [
            name, f"{rows[0]['parameters']:,}", _mean([r["training_loss"] for r in rows]),
            _mean([100 * test_error(r) for r in rows]), _mean([r["flat_length"] for r in rows]),
            _mean([100 * r["not_convex"] for r in rows if "not_convex" in r]),
            _mean([r["roughness"] for r in rows]), _mean([r["minima"] for r in rows]),
            _mean([r["ratio_at_start"] for r in rows if "ratio_at_start" in r]),
            _mean([100 * r["path_variance"] for r in rows]),
            _mean([100 * r["walk_variance"] for r in rows]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines + _left_out(content["rows"])


def _left_out(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Which networks are in no claim, and which flat lengths are lower bounds."""
    lines = []
    for what, some in (
        ("Not trained, so in no claim", [row for row in rows if not is_trained(row)]),
        (
            "Flat up to the end of a line, so that the flat length is a lower bound",
            [row for row in rows if row["flat_lengths_at_edge"]],
        ),
    ):
        if some:
            names = ", ".join(f"{row['network']} of seed {row['seed']}" for row in some)
            lines += ["", f"{what}: {names}."]
    return lines


def write(content: dict[str, Any]) -> None:
    """Put the tables into the page."""
    put_between(PAGE, _BEGIN, _END, table(content))


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3g}"


def _interval(ends: Sequence[float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3g} to {ends[1]:.3g}"


def _mean(values: Sequence[float]) -> str:
    """Mean and half width of the 95% interval over seeds."""
    if not values:
        return ""
    mean, low, high = interval(values)
    return f"{mean:.3g}" if len(values) < 2 else f"{mean:.3g} ± {(high - low) / 2:.2g}"
