"""Resolve references in docstrings to the page of an object, whichever path they use.

``losslandscape.problem.objective.Objective`` is documented as ``losslandscape.Objective``;
docstrings may use either path, or ``Objective`` alone. A name without a page that exists in the
code is left as text; if it does not exist, the reference remains an error.
"""

from functools import reduce
from importlib import import_module

import losslandscape

_PACKAGES = ("losslandscape", "losslandscape_paraview")


def setup(app):
    """Resolve the references that Sphinx could not."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True}


def _resolve(app, env, node, content):
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    target = node["reftarget"]
    public = _public_path(target)
    if public not in domain.objects:
        public = None
    # words in backticks and in types may be anything, unless they look like a class
    if public is None and (node["reftype"] not in ("obj", "class") or target[:1].isupper()):
        same_end = [name for name in domain.objects if name.endswith(f".{target}")]
        public = same_end[0] if len(same_end) == 1 else None
    if public is not None:
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
    within = node.get("py:module") or _PACKAGES[0]
    return content if is_there(target) or is_there(f"{within}.{target}") else None


def _public_path(path):
    """The public path of an object that is defined in a module of the package."""
    for name, home in losslandscape._PUBLIC.items():
        defined = f"losslandscape.{home}.{name}"
        if path == defined or path.startswith(f"{defined}."):
            return f"losslandscape.{name}{path[len(defined) :]}"
    return path


def is_there(path):
    """Whether a dotted path names a module of this project, or something in one."""
    parts = path.split(".")
    if parts[0] not in _PACKAGES:
        return False
    for length in range(len(parts), 0, -1):
        try:
            module = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        try:
            reduce(getattr, parts[length:], module)
        except AttributeError:
            return False
        return True
    return False
