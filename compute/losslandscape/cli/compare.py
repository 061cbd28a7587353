"""``losslandscape compare``: compare landscapes in one table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, POSITIVE_KIND, TEXT
from losslandscape.cli.results import add_array_argument
from losslandscape.cli.topology import add_noise_arguments, check_noise_arguments
from losslandscape.files.outputs import OutputFolder, claimed, complete_results

if TYPE_CHECKING:
    from losslandscape.landscape.landscape import Landscape

HELP = "compare landscapes: flatness, sharpness, minima, persistence, roughness"

DESCRIPTION = """\
Compare landscapes in a table, and print the distances between their persistence diagrams. The
sharpness is taken from earlier runs of 'losslandscape flatness --sharpness'. Files with the same
label form a group; its mean and spread are printed too.
"""

EPILOG = """\
examples:
  losslandscape compare resnet50.nc vgg11.nc
  losslandscape compare a0.nc a1.nc b0.nc b1.nc --labels a a b b --output seeds
"""

REPORT_FILE, TABLE_FILE, DISTANCES_FILE = "comparison.json", "comparison.csv", "distances.csv"
RUNS_FILE = "trajectories.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "landscapes", type=PATH, nargs="+", metavar="FILE.nc", help="two or more landscape files"
    )
    add_array_argument(parser)
    parser.add_argument(
        "--labels",
        type=TEXT,
        nargs="+",
        metavar="TEXT",
        help="a label for each file; files with equal labels form a group",
    )
    parser.add_argument(
        "--epsilon",
        type=POSITIVE_KIND,
        default=0.1,
        metavar="E",
        help="height of the flat regions above the minimum, in units of the loss (default: 0.1)",
    )
    add_noise_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        type=PATH,
        default=Path("comparison"),
        metavar="FOLDER",
        help="folder for the results (default: comparison)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace existing results")


def run(arguments: argparse.Namespace) -> int:
    files = REPORT_FILE, TABLE_FILE, DISTANCES_FILE, RUNS_FILE
    output = OutputFolder(arguments.output, files, arguments.overwrite, "--output")
    with claimed(output, inputs=inputs_of(arguments)):
        return _compare(arguments, output.path)


def _compare(arguments: argparse.Namespace, folder: Path) -> int:
    import numpy as np

    from losslandscape.analysis.comparison import compare
    from losslandscape.formats.report import table_lines, write_csv, write_json
    from losslandscape.landscape.arrays import of_array
    from losslandscape.landscape.landscape import Landscape

    array = arguments.array or "loss"
    landscapes = [of_array(Landscape.open(file), array) for file in arguments.landscapes]
    check_noise_arguments(arguments, landscapes)
    found = compare(
        landscapes,
        arguments.labels,
        epsilon=arguments.epsilon,
        scale=arguments.scale,
        method=arguments.noise,
        draws=arguments.draws,
        seed=arguments.seed,
        confidence=arguments.confidence,
        # the sharpness is that of the loss
        sharpness=[_measured_sharpness(one) if array == "loss" else None for one in landscapes],
    )
    has_distances = bool(np.isfinite(found.wasserstein).any())
    columns = list(found.rows[0])
    labels = [row["label"] for row in found.rows]
    distances = [
        [labels[i], labels[j], float(found.wasserstein[i, j]), float(found.bottleneck[i, j])]
        for i in range(len(labels))
        for j in range(i + 1, len(labels))
    ]
    header = ("one", "other", "Wasserstein distance", "bottleneck distance")
    runs = found.trajectories
    report = {"command": arguments.command, "array": array, **found.to_json()}
    with complete_results(folder) as place:
        write_csv(place / TABLE_FILE, columns, [[row[c] for c in columns] for row in found.rows])
        if has_distances:
            write_csv(place / DISTANCES_FILE, header, distances)
        if runs:
            write_csv(place / RUNS_FILE, list(runs[0]), [list(row.values()) for row in runs])
        write_json(place / REPORT_FILE, report)
    for name, is_written in ((DISTANCES_FILE, has_distances), (RUNS_FILE, bool(runs))):
        if not is_written:  # left by another comparison
            (folder / name).unlink(missing_ok=True)

    unit = "decades" if found.scale == "log" else "units of the loss"
    if array != "loss":
        print(f"the loss below is '{array}'")
    print(_result(found.rows, found.epsilon))
    print(f"  scale: {found.scale}; persistence and threshold are in {unit}")
    # one column per landscape: there are many quantities and few landscapes
    facts = [name for name in columns if name not in ("label", "file")]
    rows = [[_title(name), *(row[name] for row in found.rows)] for name in facts]
    print("\n".join(f"  {line}" for line in table_lines(("", *labels), rows)))
    if has_distances:
        print("\n".join(f"  {line}" for line in table_lines(header, distances)))
    if runs:
        titles = [_title(name) if name != "label" else "" for name in runs[0]]
        lines = table_lines(titles, [list(row.values()) for row in runs])
        print("\n".join(f"  {line}" for line in lines))
    if found.spread:
        names = list(found.spread[0])
        spread = [
            [_title(row[name]) if name == "quantity" else row[name] for name in names]
            for row in found.spread
        ]
        titles = [name.replace("_", " ") for name in names]
        print("\n".join(f"  {line}" for line in table_lines(titles, spread)))
    for note in found.notes:
        print(f"  note: {note}")
    print(f"  written to {folder}")
    return 0


_TITLES = {
    "flat_size": "flat region: size in coordinates",
    "flat_parameter_size": "flat region: size in parameter space",
    "flat_lower_bound": "flat region: size is a lower bound",
    "flat_resolved": "flat region: resolved by the grid",
    "sharpness": "sharpness (%)",
    "threshold": "noise threshold",
}


def _title(name: str) -> str:
    """A quantity's title in the printed tables.

    >>> _title("flat_lower_bound"), _title("significant_minima")
    ('flat region: size is a lower bound', 'significant minima')
    """
    return _TITLES.get(name, name.replace("_", " "))


def _result(rows: list[dict[str, Any]], epsilon: float) -> str:
    """The comparison in a sentence: the lowest loss and the flat region of each landscape.

    >>> rows = [{"label": "a", "minimum_loss": 0.02, "flat_size": 1.5, "flat_parameter_size": 9.0,
    ...          "flat_lower_bound": True},
    ...         {"label": "b", "minimum_loss": 0.3, "flat_size": 0.5, "flat_parameter_size": 2.0,
    ...          "flat_lower_bound": False}]
    >>> print(_result(rows, 0.1))
    Compared 2 landscapes. Lowest loss, and size of the flat region (up to 0.1 above it): a 0.02,
    at least 1.5; b 0.3, 0.5
    """
    in_parameters = any(row["flat_size"] is None for row in rows)
    name = "flat_parameter_size" if in_parameters else "flat_size"
    parts = [
        f"{row['label']} {row['minimum_loss']:.4g}, "
        f"{'at least ' if row['flat_lower_bound'] else ''}{row[name]:.4g}"
        for row in rows
    ]
    where = " in parameter space" if in_parameters else ""
    return (
        f"Compared {len(rows)} landscapes. Lowest loss, and size of the flat region{where} (up to "
        f"{epsilon:g} above it): {'; '.join(parts)}"
    )


def _measured_sharpness(landscape: Landscape) -> float | None:
    """The sharpness that ``losslandscape flatness --sharpness`` measured for this landscape."""
    from losslandscape.cli.flatness import REPORT_FILE as FLATNESS_FILE
    from losslandscape.errors import FileFormatError
    from losslandscape.files.guarded_reading import read_json_object
    from losslandscape.formats.report import loss_sha256

    assert landscape.path is not None
    file = landscape.path.with_name(f"{landscape.path.stem}_flatness") / FLATNESS_FILE
    try:
        report = read_json_object(file, "the report of a flat region")
        found = report["sharpness"]["value"]
        return float(found) if report["loss_sha256"] == loss_sha256(landscape) else None
    except (FileFormatError, ValueError, KeyError, TypeError):
        return None  # it was not measured
