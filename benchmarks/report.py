"""Write the tables in docs/performance.md and other pages from results/*.json.

Run ``python -m benchmarks.report``. The table ``name`` is written between ``<!-- table name -->``
and ``<!-- end -->``; results without such markers are added to the end of performance.md.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks import results

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "performance.md"
OTHER_PAGES = tuple(
    DOCS / f"{name}.md"
    for name in (
        "scaling",
        "measurement",
        "adaptive",
        "model_families",
        "actor_critic",
        "curvature",
        "trust",
    )
)


def table(content: dict[str, Any]) -> str:
    """A result as Markdown.

    >>> print(table({"title": "T", "columns": ["a", "b"], "rows": [["x", 1]], "notes": ["N."],
    ...              "machine": {"processor": "P", "threads": 2}}))
    **T**
    <BLANKLINE>
    | a | b |
    | --- | --- |
    | x | 1 |
    <BLANKLINE>
    N. (processor P, threads 2)
    """
    lines = [f"**{content['title']}**", ""]
    for row in (content["columns"], ["---"] * len(content["columns"]), *content["rows"]):
        lines.append("| " + " | ".join(str(cell) for cell in row) + " |")
    machine = ", ".join(f"{key} {value}" for key, value in content.get("machine", {}).items())
    notes = " ".join(content.get("notes", []))
    lines += ["", " ".join(part for part in (notes, f"({machine})" if machine else "") if part)]
    return "\n".join(lines)


def filled(page: str, contents: dict[str, dict[str, Any]]) -> str:
    """The text of a page with its tables filled in.

    >>> content = {"title": "T", "columns": ["a"], "rows": [[1]]}
    >>> "| 1 |" in filled("<!-- table t -->\\nold\\n<!-- end -->", {"t": content})
    True
    """
    for name, content in contents.items():
        block = f"{_marker(name)}\n{table(content)}\n<!-- end -->"
        pattern = re.compile(rf"{re.escape(_marker(name))}.*?<!-- end -->", re.DOTALL)
        if pattern.search(page):
            page = pattern.sub(lambda _, block=block: block, page)
        else:
            page = f"{page.rstrip()}\n\n{block}\n"
    return page


def _marker(name: str) -> str:
    return f"<!-- table {name} -->"


def main() -> None:
    contents = {
        path.stem: json.loads(path.read_text()) for path in sorted(results.FOLDER.glob("*.json"))
    }
    for page in OTHER_PAGES:
        text = page.read_text()
        placed = {name: contents.pop(name) for name in list(contents) if _marker(name) in text}
        page.write_text(filled(text, placed))
    PAGE.write_text(filled(PAGE.read_text(), contents))


if __name__ == "__main__":
    main()
