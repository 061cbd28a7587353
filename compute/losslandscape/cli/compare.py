"""``losslandscape compare``: landscapes in one table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.cli.arguments import positive_float
from losslandscape.cli.topology import add_noise_arguments
from losslandscape.errors import OutputExistsError

if TYPE_CHECKING:
    from losslandscape.landscape.landscape import Landscape

HELP = "set landscapes side by side: flatness, sharpness, minima, persistence, roughness"

DESCRIPTION = """\
One row a landscape, and the distances between their persistence diagrams. Sharpness is what
'losslandscape flatness --sharpness' measured before. Files of one label are a group with a spread.
"""

EPILOG = """\
examples:
  losslandscape compare resnet50.nc vgg11.nc
  losslandscape compare a0.nc a1.nc b0.nc b1.nc --labels a a b b --output seeds
"""

REPORT_FILE, TABLE_FILE, DISTANCES_FILE = "comparison.json", "comparison.csv", "distances.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "landscapes", type=Path, nargs="+", metavar="FILE.nc", help="two landscape files or more"
    )
    parser.add_argument(
        "--labels", nargs="+", metavar="TEXT", help="one a file, equal ones are grouped"
    )
    parser.add_argument(
        "--epsilon",
        type=positive_float,
        default=0.1,
        metavar="E",
        help="tolerance of the flat regions, in units of the loss (default: 0.1)",
    )
    add_noise_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        type=Path,
        default=Path("comparison"),
        metavar="FOLDER",
        help="folder of the results (default: comparison)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace results that are there")


def run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from losslandscape.analysis.comparison import compare
    from losslandscape.files.atomic_files import make_folder
    from losslandscape.formats.report import table_lines, write_csv, write_json
    from losslandscape.landscape.landscape import Landscape

    folder = arguments.output
    for name in (REPORT_FILE, TABLE_FILE, DISTANCES_FILE):
        if (folder / name).exists() and not arguments.overwrite:
            raise OutputExistsError(
                f"{folder / name}: exists; choose another folder (--output) or overwrite "
                "(--overwrite)"
            )
    landscapes = [Landscape.open(file) for file in arguments.landscapes]
    found = compare(
        landscapes,
        arguments.labels,
        epsilon=arguments.epsilon,
        scale=arguments.scale,
        method=arguments.noise,
        draws=arguments.draws,
        seed=arguments.seed,
        confidence=arguments.confidence,
        sharpness=[_measured_sharpness(landscape) for landscape in landscapes],
    )
    has_distances = bool(np.isfinite(found.wasserstein).any())
    make_folder(folder)
    columns = list(found.rows[0])
    write_csv(folder / TABLE_FILE, columns, [[row[c] for c in columns] for row in found.rows])
    labels = [row["label"] for row in found.rows]
    distances = [
        [labels[i], labels[j], float(found.wasserstein[i, j]), float(found.bottleneck[i, j])]
        for i in range(len(labels))
        for j in range(i + 1, len(labels))
    ]
    header = ("one", "other", "Wasserstein distance", "bottleneck distance")
    if has_distances:
        write_csv(folder / DISTANCES_FILE, header, distances)
    else:
        (folder / DISTANCES_FILE).unlink(missing_ok=True)  # of another comparison
    write_json(folder / REPORT_FILE, {"command": arguments.command, **found.to_json()})

    unit = "decades" if found.scale == "log" else "units of the loss"
    print(f"{len(labels)} landscapes, {found.scale} scale (persistence in {unit})")
    # a column a landscape: the quantities are many and the landscapes few
    facts = [name for name in columns if name not in ("label", "file")]
    rows = [[name.replace("_", " "), *(row[name] for row in found.rows)] for name in facts]
    print("\n".join(f"  {line}" for line in table_lines(("", *labels), rows)))
    if has_distances:
        print("\n".join(f"  {line}" for line in table_lines(header, distances)))
    if found.spread:
        names = list(found.spread[0])
        spread = [[row[name] for name in names] for row in found.spread]
        titles = [name.replace("_", " ") for name in names]
        print("\n".join(f"  {line}" for line in table_lines(titles, spread)))
    for note in found.notes:
        print(f"  note: {note}")
    print(f"  written to {folder}")
    return 0


def _measured_sharpness(landscape: Landscape) -> float | None:
    """What ``losslandscape flatness --sharpness`` found for just this landscape, where it did."""
    import json

    from losslandscape.cli.flatness import REPORT_FILE as FLATNESS_FILE
    from losslandscape.formats.report import loss_sha256

    assert landscape.path is not None
    file = landscape.path.with_name(f"{landscape.path.stem}_flatness") / FLATNESS_FILE
    try:
        report = json.loads(file.read_text())
        found = report["sharpness"]["value"]
        return float(found) if report["loss_sha256"] == loss_sha256(landscape) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none was measured
