"""Save the mean losses of dense landscapes, so that benchmarks/adaptive.py needs no forward passes.

``python -m benchmarks.dense_surfaces dense/vgg11_random.nc ...`` writes benchmarks/surfaces/*.npz.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from losslandscape import Landscape

FOLDER = Path(__file__).parent / "surfaces"


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        landscape = Landscape.open(path)
        told = {key: landscape.provenance.get(key) for key in ("subspace", "objective", "versions")}
        np.savez_compressed(
            FOLDER / f"{path.stem}.npz",
            loss=landscape.values("loss"),
            bounds=np.array(landscape.grid.bounds),
            provenance=json.dumps(told),
        )


if __name__ == "__main__":
    main()
