"""Finished minima on disk, one file each: a run that was killed goes on from them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from benchmarks.huang.measures import Measured
from benchmarks.huang.minima import Minimum
from losslandscape.analysis import basin_volume, preconditioners
from losslandscape.files.atomic_files import replace_file
from losslandscape.point import many_points
from losslandscape.study import spirals

_HERE = Path(__file__).parent
_CODE = (
    *(Path(module.__file__) for module in (basin_volume, preconditioners, many_points, spirals)),
    _HERE / "minima.py",
    _HERE / "measures.py",
)


def code_hash() -> str:
    """Of all that a measured minimum depends on but PyTorch and the evaluator."""
    digest = hashlib.sha256()
    for path in _CODE:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def save(path: Path, measured: Measured, recipe: dict) -> None:
    """Write a minimum; the file is whole or not there."""
    minimum = measured.minimum
    about = {"recipe": recipe, "numbers": measured.numbers}
    with replace_file(path, ".npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            weights=minimum.weights,
            path=minimum.path,
            lines=measured.lines,
            **{f"radii_{name}": radii for name, radii in measured.radii.items()},
        )


def load(path: Path, recipe: dict) -> Measured | None:
    """A minimum of the same recipe; None if there is none."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as found:
        about = json.loads(found["about"].tobytes())
        if about["recipe"] != json.loads(json.dumps(recipe)):
            return None
        numbers = about["numbers"]
        minimum = Minimum(
            numbers["factor"], numbers["seed"], numbers["steps"], found["weights"], found["path"]
        )
        radii = {
            name.removeprefix("radii_"): found[name]
            for name in found.files
            if name.startswith("radii_")
        }
        return Measured(minimum, numbers, radii, found["lines"])
