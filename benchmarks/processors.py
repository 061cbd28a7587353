"""Time of a point with each instruction set of this processor, and all processors side by side.

Run ``python -m benchmarks.processors``: ``benchmarks.evaluation`` and ``benchmarks.opening`` as it
is, and held to smaller instruction sets. The tables of other processors stay. At most 15 minutes on
a quiet machine with two cores; ``--quick`` runs one round.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch

from benchmarks import report, results

# PyTorch's own kernels know no AMX: only oneDNN's have to be held back
LIMITS: dict[str, list[dict[str, str]]] = {
    "AVX512": [{}, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}],
    "AVX2": [{"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}],
}


def instruction_sets() -> list[dict[str, str]]:
    """Environments of the instruction sets that this processor has, the largest first."""
    largest = torch.backends.cpu.get_cpu_capability()
    if largest == "AVX512":
        return [*LIMITS["AVX512"], *LIMITS["AVX2"]]
    return [{}]


def side_by_side() -> None:
    """Write the tables that compare processors from the tables of each."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(results.FOLDER.glob("evaluation_*.json")):
        name = file.stem.removeprefix("evaluation_")
        found[name] = {
            table: json.loads((results.FOLDER / f"{table}_{name}.json").read_text())
            for table in ("evaluation", "forward")
        }
    columns, rows = ["model"], {}
    for tables in found.values():
        processor = tables["evaluation"]["machine"]["processor"]
        columns += [f"{processor}: fastest peer", "point / best pass"]
    names = [row[0] for tables in found.values() for row in tables["evaluation"]["rows"]]
    for name in dict.fromkeys(names):
        rows[name] = [name]
        for tables in found.values():
            for table, column in (("evaluation", "fastest peer"), ("forward", "best bare pass")):
                rows[name].append(_cell(tables[table], name, column))
    results.write(
        "processors",
        "Processors side by side: the fastest peer's time and the point's",
        columns,
        list(rows.values()),
        [
            "The fastest peer's time of a point as a multiple of losslandscape's, and "
            "losslandscape's as a multiple of the best bare pass; medians of the tables below."
        ],
        device=None,
    )


def _cell(content: dict[str, Any], name: str, column: str) -> str:
    place = next(i for i, title in enumerate(content["columns"]) if column in title)
    row = next((row for row in content["rows"] if row[0] == name), None)
    return "" if row is None else str(row[place]).partition(" ")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round per model")
    parser.add_argument("--only", nargs="+", help="these models alone")
    arguments = parser.parse_args()
    options = ["--quick"] if arguments.quick else []
    options += ["--only", *arguments.only] if arguments.only else []
    for limits in instruction_sets():
        for program in ("evaluation", "opening"):
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                environment = {**os.environ, **limits, "LOSSLANDSCAPE_CACHE": folder}
                command = [sys.executable, "-m", f"benchmarks.{program}", *options]
                subprocess.run(command, env=environment, check=True)
            print(f"{program} {limits or 'as it is'}: {time.perf_counter() - start:.0f} s\n")
    side_by_side()
    report.main()


if __name__ == "__main__":
    main()
