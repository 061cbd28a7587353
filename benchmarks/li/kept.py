"""Numbers of finished networks on disk: a study that was killed goes on with the next one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from losslandscape.files.atomic_files import replace_file

_HERE = Path(__file__).parent


def digest(recipe: Any, *modules: str) -> str:
    """Eight hexadecimal digits of a recipe and of modules of this folder.

    What is stored under them was made by the same recipe and the same code.
    """
    found = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for module in modules:
        found.update((_HERE / f"{module}.py").read_bytes())
    return found.hexdigest()[:8]


def numbers(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file holds; made and written, whole or not at all, if there is none."""
    if not path.exists():
        found = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n")
    return json.loads(path.read_text())
