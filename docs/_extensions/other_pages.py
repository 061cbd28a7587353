"""Pages of ``docs/`` that the index does not list are added to its contents under "More".

A new page therefore appears on the site at once; to place it, add it to a toctree in ``index.md``.
"""

from pathlib import Path

INDEX = "index"


def setup(app):
    """Add these pages when the index is read; it is read again when a page is added or removed."""
    app.connect("source-read", _add_others)
    app.connect("env-get-outdated", _index_is_outdated)
    return {"parallel_read_safe": True}


def _index_is_outdated(app, env, added, changed, removed):
    return [INDEX] if added or removed else []


def _add_others(app, page, source):
    if page == INDEX:
        placed = source[0].split()
        pages = sorted(path.stem for path in Path(app.srcdir).glob("*.md"))
        pages += [f"generated/{path.stem}" for path in Path(app.srcdir).glob("generated/*.md")]
        others = [name for name in pages if name != INDEX and name not in placed]
        if others:
            lines = ["", "```{toctree}", ":hidden:", ":caption: More", "", *others, "```", ""]
            source[0] += "\n".join(lines)
