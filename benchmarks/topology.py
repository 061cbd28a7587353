"""Time of the Morse-Smale complex relative to sorting the same field, with TTK's ratios.

Run ``python benchmarks/topology.py``; ``--sizes 256 512`` selects other grids, ``--repeats 5``
gives steadier numbers. Sorting is the reference because its time grows as n log n, as that of the
complex should. Since version 2.0, NumPy sorts floats several times faster on processors with AVX2
or AVX-512. TTK's ratios refer to a sort without them: compare them with the "plain" columns.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

from losslandscape import topology

# TTK, development version of 2024, TTKMorseSmaleComplex, one thread: multiples of np.argsort
TTK_RATIO = {"smooth": "8-9", "noisy": "25-30"}


def smooth_field(size: int) -> np.ndarray:
    """A few waves on a bowl: the number of critical points does not depend on the size."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, size),) * 2, indexing="ij")
    return np.sin(5 * x) * np.cos(7 * y + 0.3) + x**2


def noisy_field(size: int) -> np.ndarray:
    """White noise: the critical points are more than half as many as the vertices."""
    return np.random.default_rng(0).standard_normal((size, size))


def fastest(function, repeats: int) -> float:
    """The shortest CPU time of some calls, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"NumPy {np.__version__}; times in ms, ratios to np.argsort; plain: kind='stable'\n")
    print(
        f"{'field':<8}{'size':>6}{'critical':>10}{'argsort':>9}{'plain':>8}{'complex':>9}"
        f"{'ratio':>7}{'plain':>7}{'TTK':>7}{'pairs':>8}{'growth':>8}{'n log n':>9}"
    )
    for name, field in (("smooth", smooth_field), ("noisy", noisy_field)):
        before = None
        for size in arguments.sizes:
            values = field(size)
            flat = values.ravel()
            points = topology.morse_smale_complex(values).critical_points["CellId"].size
            sort = fastest(lambda flat=flat: np.argsort(flat), 3 * arguments.repeats)
            plain = fastest(lambda flat=flat: np.argsort(flat, kind="stable"), arguments.repeats)
            complex_ = fastest(
                lambda values=values: topology.morse_smale_complex(values), arguments.repeats
            )
            pairs = fastest(
                lambda values=values: topology.persistence_pairs(values), arguments.repeats
            )
            work = flat.size * math.log2(flat.size)
            growth = "" if before is None else f"{complex_ / before[0]:.1f}"
            allowed = "" if before is None else f"{work / before[1]:.1f}"
            print(
                f"{name:<8}{size:>5}²{points:>10}{1e3 * sort:>9.1f}{1e3 * plain:>8.1f}"
                f"{1e3 * complex_:>9.1f}{complex_ / sort:>7.1f}{complex_ / plain:>7.1f}"
                f"{TTK_RATIO[name]:>7}{1e3 * pairs:>8.1f}{growth:>8}{allowed:>9}",
                flush=True,
            )
            before = complex_, work


if __name__ == "__main__":
    main()
