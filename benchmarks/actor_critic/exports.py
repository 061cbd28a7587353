"""The data of Figure 11: landscapes of one agent of each algorithm, as ParaView reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import losslandscape as ll

FOLDER = Path(__file__).parents[2] / "state_files" / "data"
NAMES = ("actor", "critic", "cost")


def export(landscapes: Mapping[str, Mapping[str, ll.Landscape]], folder: Path = FOLDER) -> None:
    """Write surface and trajectory of each landscape to ``folder/ALGORITHM_NAME/``."""
    for algorithm, found in landscapes.items():
        for name in NAMES:
            found[name].export(folder / f"{algorithm.lower()}_{name}", ["vti", "vtp"])
