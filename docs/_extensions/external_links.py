"""List the external addresses of the site in ``external_links.txt``, beside its pages.

A build does not check them, so that it works without a network; ``make docs-links`` does.
"""

from pathlib import Path

from docutils import nodes


def setup(app):
    """Collect the addresses when all pages have been read."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}


def _write(app, error):
    if error is not None or app.builder.name != "html":
        return
    found = set()
    for page in app.env.found_docs:
        for link in app.env.get_doctree(page).findall(nodes.reference):
            address = link.get("refuri", "")
            if address.startswith(("http://", "https://")):
                found.add(f"{address}\t{page}")
    text = "".join(f"{line}\n" for line in sorted(found))
    Path(app.outdir, "external_links.txt").write_text(text, encoding="utf-8")
