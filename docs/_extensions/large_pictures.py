"""A picture wider than the column of text links to itself in full size.

It gets the class ``large``. The pages in `wide_pages` of ``conf.py`` have no contents on their
right, so that the style sheet can give their pictures this room.
"""

from pathlib import Path

from docutils import nodes
from sphinx.util.images import get_image_size

COLUMN = 800  # pixels


def setup(app):
    """Link them on the finished pages."""
    app.add_config_value("wide_pages", [], "html")
    app.connect("env-updated", _make_room)
    app.connect("doctree-resolved", _link)
    return {"parallel_read_safe": True}


def _make_room(app, env):
    for page in set(app.config.wide_pages) & set(env.found_docs):
        env.metadata[page]["hide-toc"] = ""  # an option of the theme


def _link(app, tree, page):
    if app.builder.format != "html":
        return
    # from a page to the folder of pictures, as the theme writes it
    folder = app.builder.get_relative_uri(page, "_images/x").rpartition("/")[0]
    for image in list(tree.findall(nodes.image)):
        stored = app.env.images.get(image["uri"])
        size = get_image_size(Path(app.srcdir, image["uri"])) if stored else None
        if size is None or size[0] <= COLUMN:
            continue
        image["classes"].append("large")
        if not _is_in_link(image):
            link = nodes.reference("", "", image.deepcopy(), refuri=f"{folder}/{stored[1]}")
            link["internal"] = True
            image.parent.replace(image, link)


def _is_in_link(node):
    while node is not None and not isinstance(node, nodes.reference):
        node = node.parent
    return node is not None
