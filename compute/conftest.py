"""Doctests of modules that need a library of an extra are left out where it is not installed."""

from importlib.util import find_spec

_NEEDS = {
    "huggingface": ("transformers",),
    "lightning": ("lightning",),
}
collect_ignore = [
    f"losslandscape/integrations/{module}.py"
    for module, libraries in _NEEDS.items()
    if not any(map(find_spec, libraries))
]
