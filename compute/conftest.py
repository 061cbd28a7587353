"""Doctests of modules that need a library of an extra are left out where it is not installed."""

from importlib.util import find_spec

_NEEDS = {
    "integrations/huggingface": ("transformers",),
    "integrations/lightning": ("lightning",),
    "integrations/stable_baselines3": ("stable_baselines3",),
    "study/inventory_environment": ("gymnasium",),
}
collect_ignore = [
    f"losslandscape/{module}.py"
    for module, libraries in _NEEDS.items()
    if not any(map(find_spec, libraries))
]
