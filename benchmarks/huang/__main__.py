"""``python -m benchmarks.huang``: find the minima, measure them, and write table and figures."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from benchmarks import results
from benchmarks.huang import exports, kept, page
from benchmarks.huang.claims import claims
from benchmarks.huang.measures import Measured, measure
from benchmarks.huang.minima import train
from benchmarks.studies import exit_status
from losslandscape.files.atomic_files import replace_file
from losslandscape.files.output_lock import OutputLock

FACTORS = (0.0, 0.03, 0.1, 0.3)
SEEDS, DIRECTIONS = 3, 500
QUICK = {"factors": (0.0, 0.1), "seeds": 1, "directions": 100}
RESULTS = results.FOLDER / "huang" / "minima.json"


def minima(folder: Path, factors: tuple[float, ...], seeds: int, directions: int) -> list[Measured]:
    """All minima; those that are on disk are not made again."""
    found = []
    recipe = {"code": kept.code_hash(), "directions": directions}
    for number, (factor, seed) in enumerate((f, s) for f in factors for s in range(seeds)):
        path = folder / f"factor{factor:g}_seed{seed}.npz"
        measured = kept.load(path, recipe)
        if measured is None:
            began = time.perf_counter()
            measured = measure(train(factor, seed), directions)
            kept.save(path, measured, recipe)
            numbers = measured.numbers
            print(
                f"{number + 1} of {len(factors) * seeds}: factor {factor:g}, seed {seed}: "
                f"{numbers['steps']:,} steps, loss {numbers['loss']:.3g}, test accuracy "
                f"{numbers['test_accuracy']:.3f}, {time.perf_counter() - began:.1f} s",
                flush=True,
            )
        found.append(measured)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minima, 100 directions; a minute")
    parser.add_argument("--folder", type=Path, default=Path("study_runs/huang"))
    parser.add_argument(
        "--embedding", choices=("pca", "tsne"), default="pca", help="of the dot plot"
    )
    parser.add_argument(
        "--output", type=Path, help="folder for table and figures, instead of the repository's"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    return exit_status(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Make what is missing, print the table, and draw the figures."""
    folder = arguments.folder / ("quick" if arguments.quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    sizes = QUICK if arguments.quick else {
        "factors": FACTORS, "seeds": SEEDS, "directions": DIRECTIONS
    }  # fmt: skip
    output = arguments.output or (folder if arguments.quick else None)
    with OutputLock(folder / "study"):
        found = minima(folder, **sizes)  # type: ignore[arg-type]
        rows = [one.numbers for one in found]
        content = {
            "title": "Minima of two spirals",
            "directions": sizes["directions"],
            "claims": claims(rows),
            "rows": rows,
        }
        path = RESULTS if output is None else output / "minima.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
        print("\n".join(page.table(content)))
        from benchmarks.huang import figures  # matplotlib is slow to import

        figures.draw(found, output or figures.FOLDER, arguments.embedding)
        exports.export(figures.shown(found), exports.FOLDER if output is None else output)
        if output is None:
            page.write(content)


if __name__ == "__main__":
    sys.exit(main())
