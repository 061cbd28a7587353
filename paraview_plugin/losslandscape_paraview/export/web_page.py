"""A figure as one interactive web page, which opens from a file and needs no network.

The page holds the figure as glTF, what glTF cannot say (axes, colour bars, titles) as JSON, a
viewer (`web_viewer/viewer.js`) and the part of three.js it needs. Its
Content-Security-Policy lets run exactly these two scripts, by their hashes, and forbids everything
else, above all any request.
"""

import base64
import hashlib
import html
import json
from pathlib import Path

from .gltf import glb

_FOLDER = Path(__file__).resolve().parent / "web_viewer"

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="losslandscape">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div id="panels"></div>
<div id="legend"></div>
<div id="help">drag or arrow keys: turn &#183; wheel, pinch, + and &#8722;: zoom &#183; \
double click or 0: as at first</div>
<noscript>This figure needs JavaScript; the page fetches nothing.</noscript>
<script type="application/json" id="figure-data">{data}</script>
<script type="text/plain" id="figure-gltf">{gltf}</script>
<script>{library}</script>
<script>{viewer}</script>
</body>
</html>
"""


def web_page(scene):
    """A scene as a web page.

    Args:
        scene: `scene.Scene`.

    Returns:
        bytes, UTF-8.
    """
    style, library, viewer = (
        (_FOLDER / name).read_text(encoding="utf-8")
        for name in ("viewer.css", "three.min.js", "viewer.js")
    )
    titles = list(dict.fromkeys(panel.title for panel in scene.panels if panel.title))
    page = _PAGE.format(
        policy=(
            f"default-src 'none'; script-src {_hash(library)} {_hash(viewer)}; "
            f"style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
        ),
        title=html.escape(", ".join(titles) or "loss landscape"),
        style=style,
        data=_script_data(_description(scene)),
        gltf=base64.b64encode(glb(scene)).decode("ascii"),
        library=library,
        viewer=viewer,
    )
    return page.encode("utf-8")


def _description(scene):
    """What the viewer must know and glTF cannot say: all but the meshes."""
    panels = []
    for panel in scene.panels:
        fields = {name: value for name, value in vars(panel).items() if name != "meshes"}
        panels.append(fields)
    return {"panels": panels, "bars": scene.bars, "keys": scene.keys}


def _script_data(value):
    """JSON that may stand in a `script` element: no text of it can end the element.

    >>> _script_data({"title": "</script>"})
    '{"title":"\\\\u003c/script>"}'
    """
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text):
    """How a policy names an inline script (W3C, Content Security Policy Level 3)."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
