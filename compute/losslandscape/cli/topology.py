"""``losslandscape topology``: critical points, and which of them are above the noise."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.argument_checks import DRAWS, NON_NEGATIVE, SHARE
from losslandscape.cli.arguments import add_seed_argument
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, Kind
from losslandscape.cli.option_rules import Line, check_line
from losslandscape.cli.option_table import DRAWN
from losslandscape.cli.results import add_array_argument, add_result_arguments, result_folder
from losslandscape.files.outputs import claimed, complete_results

if TYPE_CHECKING:
    from losslandscape.analysis.critical_points import CriticalPoints
    from losslandscape.landscape.landscape import Landscape

HELP = "find minima, saddles and maxima, and distinguish them from sampling noise"

DESCRIPTION = """\
Compute the Morse-Smale complex of the mean loss, or of its log10 if the file's scale is log. Pairs
of critical points are distinguished from sampling noise: each by the standard error of its own
difference, with a level for all pairs at once. --noise chooses other methods, and --persistence
sets a threshold by hand.
"""

EPILOG = """\
examples:
  losslandscape topology vgg11.nc
  losslandscape topology vgg11.nc --scale linear --draws 10000 --output topology
  losslandscape topology vgg11.nc --persistence 0.5 --simplify
"""

REPORT_FILE = "topology.json"
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    add_array_argument(parser)
    parser.add_argument(
        "--persistence",
        type=Kind(NON_NEGATIVE),
        metavar="T",
        help="threshold, in units of the loss, or in decades on a log scale (default: pairs are "
        "judged by the noise)",
    )
    parser.add_argument(
        "--simplify",
        action="store_true",
        help="remove pairs up to the threshold, instead of marking them; where each pair is judged "
        "on its own, up to the largest persistence of one that is not significant",
    )
    add_noise_arguments(parser)
    add_result_arguments(parser, "topology")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def add_noise_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--scale`` and the options that say how noise is judged."""
    group = parser.add_argument_group("noise")
    group.add_argument(
        "--scale",
        choices=("log", "linear"),
        help="analyze log10 of the mean loss (log), or the mean loss (linear) (default: the file's "
        "scale)",
    )
    group.add_argument(
        "--noise",
        choices=("studentized", "bootstrap", "bottleneck", "standard_error", "none"),
        help="how pairs are judged: each by its own standard error (studentized); or by one "
        "threshold of persistence from a bootstrap of the surface (bootstrap), from a bootstrap of "
        "its persistence diagram, which noise on slopes does not affect (bottleneck), or from the "
        "standard errors (standard_error); or not at all (none) (default: studentized, or else "
        "what the file allows)",
    )
    group.add_argument(
        "--draws",
        type=Kind(DRAWS),
        default=1000,
        metavar="N",
        help="number of bootstrap draws (default: 1000)",
    )
    group.add_argument(
        "--confidence",
        type=Kind(SHARE),
        default=0.95,
        metavar="SHARE",
        help="probability that no feature made by noise alone is called significant "
        "(default: 0.95)",
    )
    add_seed_argument(group, "seed of the bootstrap")  # type: ignore[arg-type]


def check_noise_arguments(arguments: argparse.Namespace, landscapes: Sequence[Landscape]) -> None:
    """Check that the options of a bootstrap have samples to draw in one of the landscapes.

    Raises
    ------
    LossLandscapeError
        If they would be ignored.
    """
    from losslandscape.analysis.significance import keeps_samples, keeps_standard_errors

    if arguments.noise is not None or any(map(keeps_samples, landscapes)):
        return
    line = arguments.line
    why = f"because {landscapes[0].path} has no per-sample losses"
    check_line(DRAWN[:1], Line(line.given, {**line.values, "--noise": "not a bootstrap"}, why))
    if not any(map(keeps_standard_errors, landscapes)):
        why = f"because {landscapes[0].path} has neither per-sample losses nor standard errors"
        check_line(DRAWN[1:], Line(line.given, {**line.values, "--noise": "none"}, why))


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.formats import topology_data

    output = result_folder(arguments, "topology", (REPORT_FILE, *topology_data.FILES))
    with claimed(output, inputs=inputs_of(arguments)):
        return _analyze(arguments, output.path)


def _analyze(arguments: argparse.Namespace, folder: Path) -> int:
    from losslandscape.analysis.critical_points import find_critical_points
    from losslandscape.formats import topology_data
    from losslandscape.formats.report import table_lines, write_json
    from losslandscape.landscape.arrays import in_words, of_array
    from losslandscape.landscape.landscape import Landscape

    array = arguments.array or "loss"
    landscape = of_array(Landscape.open(arguments.landscape), array)
    check_noise_arguments(arguments, [landscape])
    found = find_critical_points(
        landscape,
        scale=arguments.scale,
        persistence=arguments.persistence,
        method=arguments.noise,
        draws=arguments.draws,
        seed=arguments.seed,
        confidence=arguments.confidence,
        simplify=arguments.simplify,
        quiet=arguments.quiet,
    )
    report = {
        "landscape": landscape.path,
        "array": array,
        "command": arguments.command,
        **found.to_json(),
    }
    with complete_results(folder) as place:
        topology_data.write(landscape, found, place)
        write_json(place / REPORT_FILE, report)
    rows = found.table()
    quantity = "log10 of the mean loss" if found.scale == "log" else "the mean loss"
    headline, *summary = in_words([f"of {quantity}, {found.headline()}", *found.summary()], array)
    print(f"{arguments.landscape}: {headline}")
    print(f"  {_how_to_draw(arguments, found, folder)}")
    print("\n".join(f"  {line}" for line in summary))
    columns = [name for name in rows[0] if name != "number"]
    unit = " (decades)" if found.scale == "log" else ""
    titles = {
        "persistence": f"persistence{unit}",
        "p_value": "p value",
        "persistence_standard_error": f"standard error of persistence{unit}",
        "on_boundary": "on the boundary",
        "loss": array,
    }
    shown = [[row[name] for name in columns] for row in rows[:_SHOWN]]
    lines = table_lines([titles.get(name, name) for name in columns], shown)
    print("\n".join(f"  {line}" for line in lines))
    if len(rows) > _SHOWN:
        print(f"  ... and {len(rows) - _SHOWN} more in {REPORT_FILE}")
    print(f"  written to {folder}")
    return 0


def _how_to_draw(arguments: argparse.Namespace, found: CriticalPoints, folder: Path) -> str:
    """The command that draws what is significant."""
    if found.complex.values.ndim != 2:
        return "pairs of a line are drawn by no figure; the table below has them"
    draw = f"losslandscape render {arguments.landscape} --figure topology --topology {folder}"
    if arguments.array:
        draw += f" --array {arguments.array}"
    if found.simplified or found.arrays["significant"].all():
        return f"to draw them: {draw} --output topology.png"
    return (
        f"to draw these large, and the others small: {draw} --output topology.png; to draw only "
        "these, run topology with --simplify first"
    )
