"""References in docstrings find the page of an object, by whatever path they name it.

``losslandscape.problem.objective.Objective`` is documented as ``losslandscape.Objective``, and
docstrings may say either, or ``Objective`` alone. A name that has no page is left as text
where the code has it; one that the code has not remains an error.
"""

from functools import reduce
from importlib import import_module

import losslandscape

_PACKAGES = ("losslandscape", "losslandscape_paraview")


def setup(app):
    """Look up what Sphinx could not."""
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
    # words in backticks and in types may be any words, unless they look like a class
    if public is None and (node["reftype"] not in ("obj", "class") or target[:1].isupper()):
        same_end = [name for name in domain.objects if name.endswith(f".{target}")]
        public = same_end[0] if len(same_end) == 1 else None
    if public is not None:
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
    within = node.get("py:module") or _PACKAGES[0]
    return content if is_there(target) or is_there(f"{within}.{target}") else None


def _public_path(path):
    """The path by the public name of what is defined in a module of the package."""
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
