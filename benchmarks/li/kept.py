"""By what name finished networks are kept: that of their recipe and the code that made them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def digest(recipe: Any, *modules: str) -> str:
    """Eight hexadecimal digits of a recipe and of modules of this folder.

    What is stored under them was made by the same recipe and the same code.
    """
    found = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for module in modules:
        found.update((_HERE / f"{module}.py").read_bytes())
    return found.hexdigest()[:8]
