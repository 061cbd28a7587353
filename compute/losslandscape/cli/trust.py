"""``losslandscape trust``: how far to trust the picture of a plane."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losslandscape.argument_checks import Whole
from losslandscape.cli.arguments import add_run_arguments, add_seed_argument
from losslandscape.cli.kinds import PATH, POSITIVE_KIND, Kind
from losslandscape.cli.recorded_problem import (
    add_same_problem_arguments,
    build_recorded,
    recorded_problem,
)
from losslandscape.cli.results import add_result_arguments, result_folder
from losslandscape.files.file_kinds import LANDSCAPE_ENDINGS
from losslandscape.files.outputs import OutputFile, claimed, complete_results

if TYPE_CHECKING:
    from losslandscape.analysis.plane_curvature import PlaneCurvature
    from losslandscape.analysis.trust import Trust
    from losslandscape.landscape.landscape import Landscape

HELP = "say how far to trust the picture of a plane, and what mends it"

DESCRIPTION = """\
Say how much of the network a plane shows, beside what chance would show, and check its picture for
what commonly makes one odd. Each failed check comes with the command that mends it. The results are
written to a folder, and into the landscape file.
"""

EPILOG = """\
examples:
  losslandscape trust vgg11.nc
  losslandscape trust vgg11.nc --hessian --spread
  losslandscape trust vgg11_pca.nc --path --overwrite
"""

REPORT_FILE = "trust.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "--epsilon",
        type=POSITIVE_KIND,
        default=0.1,
        metavar="E",
        help="height above the lowest loss of the flat region that judges the window, in units of "
        "the loss (default: 0.1)",
    )
    group = parser.add_argument_group("measured with the model")
    group.add_argument(
        "--path",
        action="store_true",
        help="read the checkpoints of the plane's trajectories, for the share of their lengths",
    )
    group.add_argument(
        "--hessian",
        action="store_true",
        help="compute the Hessian's largest eigenvalues, its trace and the gradient at the origin, "
        "for their shares in the plane",
    )
    group.add_argument(
        "--top",
        type=Kind(Whole(1, 1000)),
        default=5,
        metavar="K",
        help="number of eigenvalues (default: 5)",
    )
    group.add_argument(
        "--spread",
        action="store_true",
        help="measure the loss along random directions, for the spread of flatness, minimum, "
        "curvature and roughness",
    )
    group.add_argument(
        "--width",
        type=POSITIVE_KIND,
        default=0.1,
        metavar="W",
        help="draw directions until the mean flat length and curvature are known within this half "
        "width, relative to the mean, at 95%% (default: 0.1)",
    )
    group.add_argument(
        "--most-directions",
        type=Kind(Whole(2, 300)),
        default=60,
        metavar="K",
        help="draw no more directions than this (default: 60)",
    )
    add_seed_argument(parser, "seed of the random walks and directions")
    add_same_problem_arguments(parser)
    add_result_arguments(parser, "trust")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.files.inputs import input_file

    input_file(arguments.landscape, endings=LANDSCAPE_ENDINGS)
    output = result_folder(arguments, "trust", (REPORT_FILE,))
    with claimed(OutputFile(arguments.landscape, changed=True), output):
        return _judge(arguments, output.path)


def _judge(arguments: argparse.Namespace, folder: Path) -> int:
    from losslandscape.analysis.trust import trust
    from losslandscape.formats import netcdf
    from losslandscape.formats.report import loss_sha256, table_lines, write_json
    from losslandscape.landscape.landscape import Landscape

    landscape = Landscape.open(arguments.landscape)
    found = trust(
        landscape,
        **_measured_with(arguments, landscape),
        epsilon=arguments.epsilon,
        spread=arguments.spread,
        width=arguments.width,
        most_directions=arguments.most_directions,
        seed=arguments.seed,
        quiet=arguments.quiet,
    )
    about = {"landscape": landscape.path, "loss_sha256": loss_sha256(landscape)}
    command = {"command": arguments.command}
    with complete_results(folder) as place:
        write_json(place / REPORT_FILE, {**about, **command, **found.to_json()})
    landscape.provenance["trust"] = {**command, **found.to_json(profiles=False)}
    netcdf.write(landscape, arguments.landscape)
    print(f"{arguments.landscape}:")
    print("\n".join(f"  {line}" for line in found.verdict))
    print("\n".join(f"  {line}" for line in table_lines(*_checks(found))))
    if curved := found.curvature:
        print("\n".join(f"  {line}" for line in table_lines(*_shares(curved))))
    if lines := found.lines:
        header = ("along random directions", "mean", "+-", "95% from", "to", "this plane")
        rows = [
            (one.name, one.mean, one.half_width, *one.spread,
             "none" if one.own is None else ", ".join(f"{v:.4g}" for v in one.own))
            for one in lines.quantities.values()
        ]  # fmt: skip
        print("\n".join(f"  {line}" for line in table_lines(header, rows)))
    for check in found.failed:
        print(f"  {check.name}: mend it with\n    {check.remedy}")
    print(f"  written to {folder} and into {arguments.landscape}")
    return 0


def _checks(found: Trust) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    words = {True: "yes", False: "NO", None: "not known"}
    return ("check", "passed", "found"), [
        (check.name, words[check.passed], check.finding) for check in found.checks
    ]


def _shares(curved: PlaneCurvature) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    from losslandscape.analysis.path_shares import random_plane_share

    header = ("at the origin", "value", "share in the plane", "of a random plane", "95% from", "to")
    mean, (low, high) = random_plane_share(curved.parameters, curved.dimensions)
    rows = [
        (f"eigenvalue {i}", value, share, mean, low, high)
        for i, (value, share) in enumerate(
            zip(curved.eigenvalues, curved.eigenvector_shares), start=1
        )
    ]
    for name, value, share in (
        ("these eigenvalues", sum(curved.eigenvalues), curved.top),
        ("trace", curved.whole_trace, curved.trace),
        ("squared gradient", curved.gradient_norm**2, curved.gradient),
    ):
        if share is not None:
            rows.append((name, value, share.value, share.random, *share.random_interval))
    return header, rows


def _measured_with(arguments: argparse.Namespace, landscape: Landscape) -> dict[str, Any]:
    """The model's side, if --path, --hessian or --spread ask for it."""
    from losslandscape.cli.trajectories import runs_from
    from losslandscape.point.determinism import require_one_value

    if not (arguments.spread or arguments.path or arguments.hessian):
        return {}
    require_one_value(landscape)
    problem = recorded_problem(landscape, arguments)
    objective, subspace = build_recorded(landscape, problem)
    found: dict[str, Any] = {"objective": objective, "subspace": subspace}
    if arguments.hessian:
        from losslandscape.analysis.curvature import curvature
        from losslandscape.landscape.as_measured import as_measured

        found["curvature"] = curvature(
            as_measured(landscape, objective),
            arguments.top,
            density_probes=0,
            seed=arguments.seed,
            batch_size=landscape.provenance["objective"].get("batch_size"),
            subspace=subspace,
            quiet=arguments.quiet,
        )
    if arguments.path and problem.arguments.trajectory:
        found["trajectory"] = runs_from(problem.arguments, objective.model)
    return found
