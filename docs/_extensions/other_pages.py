"""Pages of ``docs/`` that the index does not place have a part of its contents: More.

A new page is so on the site at once; a line in a toctree of ``index.md`` gives it its place.
"""

from pathlib import Path

INDEX = "index"


def setup(app):
    """Add them when the index is read, which it is again whenever a page comes or goes."""
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
