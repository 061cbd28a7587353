"""Link what docstrings and parsers name: the sources they cite, and types of other packages.

"Li et al. 2018" on a generated page links to its entry in ``references.md``. Addresses of other
packages' pages are written here, so that a build needs no network; ``make docs-links`` asks them.
"""

import re
from pathlib import Path

from docutils import nodes

REFERENCES = "references"
_PYTHON = "https://docs.python.org/3/library"
_TORCH = "https://docs.pytorch.org/docs/stable"
# type, as docstrings write it -> its page
TYPES = {
    "DataLoader": f"{_TORCH}/data.html#torch.utils.data.DataLoader",
    "Dataset": f"{_TORCH}/data.html#torch.utils.data.Dataset",
    "concurrent.futures.Executor": f"{_PYTHON}/concurrent.futures.html#concurrent.futures.Executor",
    "ndarray": "https://numpy.org/doc/stable/reference/generated/numpy.ndarray.html",
    "os.PathLike": f"{_PYTHON}/os.html#os.PathLike",
    "torch.Tensor": f"{_TORCH}/tensors.html#torch.Tensor",
    "torch.device": f"{_TORCH}/tensor_attributes.html#torch.device",
    "torch.nn.Module": f"{_TORCH}/generated/torch.nn.Module.html",
}


def setup(app):
    """Link types while references are resolved, and sources on the finished pages."""
    # before `public_names`, which leaves such names as text
    app.connect("missing-reference", _link_type, priority=400)
    app.connect("doctree-resolved", _link_sources)
    return {"parallel_read_safe": True}


def sources(page):
    """The entries of the references: name -> anchor."""
    names = re.findall(r"^### (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in names}


def split_at_sources(text, names):
    """Pieces of a text, and for each the name of the source that it is, or None.

    A name may be broken over two lines.
    """
    words = (r"\s+".join(map(re.escape, name.split())) for name in names)
    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    for index, piece in enumerate(pattern.split(text)):
        if piece:
            yield piece, " ".join(piece.split()) if index % 2 else None


def _link_type(app, env, node, content):
    address = TYPES.get(node["reftarget"]) if node.get("refdomain") == "py" else None
    return nodes.reference("", "", content, refuri=address) if address else None


def _link_sources(app, tree, page):
    if not page.startswith("generated/"):
        return
    anchors = sources(Path(app.srcdir, f"{REFERENCES}.md"))
    address = app.builder.get_relative_uri(page, REFERENCES)
    for text in list(tree.findall(nodes.Text)):
        if _is_code_or_link(text):
            continue
        pieces = list(split_at_sources(text.astext(), anchors))
        if any(name for _, name in pieces):
            text.parent.replace(
                text,
                [
                    nodes.reference("", piece, refuri=f"{address}#{anchors[name]}", internal=True)
                    if name
                    else nodes.Text(piece)
                    for piece, name in pieces
                ],
            )


def _is_code_or_link(node):
    while node is not None:
        if isinstance(node, (nodes.reference, nodes.literal, nodes.FixedTextElement, nodes.title)):
            return True
        node = node.parent
    return False
