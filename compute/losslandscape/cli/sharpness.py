"""``losslandscape sharpness``: sharpness along a recorded training trajectory, beside 2 / eta."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from losslandscape.argument_checks import POSITIVE, Real, Whole, refused_text
from losslandscape.cli.arguments import add_run_arguments, add_seed_argument
from losslandscape.cli.curvature import add_tolerance_argument
from losslandscape.cli.inputs import inputs_of
from losslandscape.cli.kinds import PATH, PATH_TEXT, Kind, Range, Text
from losslandscape.cli.recorded_problem import (
    add_computation_arguments,
    add_same_problem_arguments,
    problem_of,
)
from losslandscape.cli.results import add_result_arguments, result_folder
from losslandscape.cli.trajectories import (
    add_checkpoint_arguments,
    open_trajectory,
    recorded_trajectory,
)
from losslandscape.errors import LossLandscapeError
from losslandscape.files.file_kinds import LANDSCAPE_ENDINGS
from losslandscape.files.outputs import OutputFile, claimed, complete_results

if TYPE_CHECKING:
    from losslandscape.analysis.training_sharpness import TrainingSharpness
    from losslandscape.landscape.landscape import Landscape

HELP = "measure the sharpness at each checkpoint of a training trajectory, beside 2 / eta"

DESCRIPTION = """\
Measure the sharpness at each checkpoint of a training trajectory: the critical sharpness along the
update, the largest eigenvalues of the Hessian with their residuals, and 2 (1 + momentum) / eta,
above which gradient descent is not stable on a quadratic. Samples and batch-norm mode are the
landscape's. If the landscape has the trajectory, its file gets the numbers as well.
"""

EPILOG = """\
examples:
  losslandscape sharpness vgg11_pca.nc run/trajectory --learning-rate 0.05
  losslandscape sharpness vgg11_pca.nc run/trajectory --learning-rate lr --momentum 0.9 --top 3
"""

REPORT_FILE, PICTURE_FILE = "sharpness.json", "sharpness.png"


class _Rate:
    """A learning rate of all checkpoints, or the name of a scalar recorded with them."""

    words = "a finite number above 0, or the name of a recorded scalar"

    def parse(self, option: str, text: str) -> float | str:
        try:
            float(text)
        except ValueError:
            kind: Range = Text()
        else:
            kind = POSITIVE
        try:
            return kind.parse(option, text)
        except LossLandscapeError:
            raise refused_text(option, text, self.words) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("landscape", type=PATH, metavar="FILE.nc", help="the landscape file")
    parser.add_argument(
        "trajectory",
        type=PATH_TEXT,
        metavar="FOLDER",
        help="folder that TrajectoryRecorder or 'losslandscape train' recorded, or a folder or "
        "pattern of checkpoints that a training script saved",
    )
    parser.add_argument(
        "--learning-rate",
        type=Kind(_Rate()),
        required=True,
        metavar="RATE",
        help="learning rate of the optimizer, or the name of a scalar that was recorded with the "
        "checkpoints",
    )
    parser.add_argument(
        "--momentum",
        type=Kind(Real(least=0, below=1)),
        default=0.0,
        metavar="M",
        help="momentum of the heavy-ball method, for 2 (1 + momentum) / eta (default: 0)",
    )
    parser.add_argument(
        "--direction",
        choices=("update", "gradient"),
        default="update",
        help="of the critical sharpness: along the way to the next checkpoint, or along the "
        "gradient at the checkpoint (default: update)",
    )
    parser.add_argument(
        "--top",
        type=Kind(Whole(0, 1000)),
        default=1,
        metavar="N",
        help="number of the largest eigenvalues, and of eigenvectors across the valley; 0 computes "
        "none (default: 1)",
    )
    parser.add_argument(
        "--passes",
        type=Kind(Whole(3, 100)),
        default=9,
        metavar="N",
        help="most evaluations of the loss for the critical sharpness of a checkpoint (default: 9)",
    )
    add_tolerance_argument(parser, tolerance=1e-3)
    add_checkpoint_arguments(parser)
    add_seed_argument(parser, "seed of the random vectors")
    add_computation_arguments(parser)
    add_same_problem_arguments(parser)
    add_result_arguments(parser, "sharpness")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from losslandscape.files.inputs import input_file

    input_file(arguments.landscape, endings=LANDSCAPE_ENDINGS)
    output = result_folder(arguments, "sharpness", (REPORT_FILE, PICTURE_FILE))
    # the landscape is changed, and no input that must stay
    inputs = [path for path in inputs_of(arguments) if path != arguments.landscape]
    with claimed(OutputFile(arguments.landscape, changed=True), output, inputs=inputs):
        return _measure(arguments, output.path)


def _measure(arguments: argparse.Namespace, folder: Path) -> int:
    from losslandscape.analysis.training_sharpness import training_sharpness
    from losslandscape.counted import counted
    from losslandscape.formats import netcdf
    from losslandscape.formats.report import table_lines, write_json
    from losslandscape.landscape.as_measured import as_measured
    from losslandscape.landscape.landscape import Landscape
    from losslandscape.point.determinism import require_one_value

    landscape = Landscape.open(arguments.landscape)
    require_one_value(landscape)
    where, options = arguments.trajectory, (arguments.checkpoints_key, arguments.steps)
    recorded_trajectory(where, *options)  # a missing folder is found before the model is built
    objective, _ = problem_of(landscape, arguments)
    trajectory = open_trajectory(where, objective.model, *options)
    found = training_sharpness(
        as_measured(landscape, objective),
        trajectory,
        arguments.learning_rate,
        direction=arguments.direction,
        momentum=arguments.momentum,
        top=arguments.top,
        passes=arguments.passes,
        tolerance=arguments.tolerance,
        seed=arguments.seed,
        precision=arguments.precision,
        batch_size=arguments.batch_size or landscape.provenance["objective"].get("batch_size"),
        quiet=arguments.quiet,
    )
    report = {"landscape": landscape.path, "command": arguments.command, **found.to_json()}
    inside = _add_to(landscape, found)
    with complete_results(folder) as place:
        drawn = _drawn(found, place / PICTURE_FILE)
        write_json(place / REPORT_FILE, report)
        if inside:  # before the folder has its name: a killed command can simply run again
            netcdf.write(landscape, arguments.landscape)
    print(f"{arguments.landscape}: {counted(len(found.step), 'checkpoint')} of '{found.label}'")
    names = ("step", "loss", "critical_sharpness", "top_eigenvalue", "top_eigenvalue_residual",
             "stability_limit")  # fmt: skip
    rows = [[row[name] for name in names] for row in found.table()]
    header = [name.replace("_", " ") for name in names]
    print("\n".join(f"  {line}" for line in table_lines(header, rows)))
    if not drawn:
        print(f"  {PICTURE_FILE} was not drawn: it needs matplotlib (pip install matplotlib)")
    print(f"  written to {folder}{f' and into {arguments.landscape}' if inside else ''}")
    if not inside:
        print(
            f"  {arguments.landscape} has no trajectory '{found.label}' with these steps; "
            "'losslandscape trajectory' adds it, and this command with --overwrite then adds the "
            "numbers"
        )
    return 0


def _drawn(found: TrainingSharpness, path: Path) -> bool:
    """Draw the figure; False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    found.plot(figure.add_subplot())
    figure.savefig(path, dpi=200)
    return True


def _add_to(landscape: Landscape, found: TrainingSharpness) -> bool:
    """Add the arrays to the landscape's trajectory; False if it has none of that name and steps."""
    try:
        found.add_to(landscape)
    except LossLandscapeError:
        return False
    return True
