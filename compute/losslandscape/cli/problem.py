"""The model, data, loss and plane, from the command line.

The arguments that define them are stored in the landscape file, so that you need not repeat them
for later verbs (``recorded_problem.py``).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losslandscape.argument_checks import Whole
from losslandscape.cli.arguments import (
    add_data_arguments,
    add_model_arguments,
    add_seed_argument,
    dataset_size,
    device_from,
    model_from,
    require_pair,
    samples_from,
)
from losslandscape.cli.kinds import COUNTED, PATH_TEXT, TEXT, Ends, Kind, Numbers
from losslandscape.cli.trajectories import add_checkpoint_arguments, runs_from
from losslandscape.errors import LossLandscapeError
from losslandscape.files.relative_paths import seen_from
from losslandscape.problem.execution import AUTO, EXECUTIONS

if TYPE_CHECKING:
    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.objective import Objective

# arguments stored in the file: all below except the names of outputs
KEPT = (
    "model", "weights", "data", "data_root", "samples", "samples_seed", "test", "loss",
    "batch_norm", "batch_size", "reestimation_samples", "precision", "compile", "directions",
    "dimensions", "normalization", "move_vectors", "seed", "trajectory", "center", "models",
    "labels", "modes", "nondeterminism",
)  # fmt: skip


# stored only if given: older files lack them
KEPT_IF_GIVEN = (
    "weights_key", "parameters", "input_directions", "sample_numbers", "valid_range", "clip",
    "curvature", "eigenvectors",
)  # fmt: skip


def add_problem_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for model, data, loss and plane."""
    add_model_arguments(parser)
    add_data_arguments(parser)
    loss = parser.add_argument_group("loss")
    loss.add_argument(
        "--loss",
        type=TEXT,
        default="cross_entropy",
        metavar="NAME",
        help="cross_entropy, mse, softmax_mse; own, the loss that the model returns itself; a loss "
        "of PyTorch as package.module:name, such as torch.nn.functional:cross_entropy or a "
        "torch.nn loss object of your module; or your own function as package.module:function, "
        "which takes (model, batch) or (outputs, targets) and returns a loss for each sample "
        "(default: cross_entropy)",
    )
    loss.add_argument(
        "--model-output",
        type=TEXT,
        metavar="NAME",
        help="which of the model's outputs the loss takes, if there are several: a key, an "
        "attribute or a position",
    )
    loss.add_argument(
        "--test", action="store_true", help="also measure the test set (test_loss, ...)"
    )
    loss.add_argument(
        "--batch-norm",
        choices=("fixed", "reestimated"),
        default="fixed",
        help="batch-norm statistics: those of the trained network at every point (fixed), or "
        "re-estimated at each point, which needs a second pass (reestimated) (default: fixed)",
    )
    loss.add_argument(
        "--reestimation-samples",
        type=COUNTED,
        metavar="N",
        help="number of samples for re-estimating the statistics (default: 1024, or all)",
    )
    loss.add_argument(
        "--batch-size",
        type=COUNTED,
        metavar="N",
        help="samples per forward pass (default: the fastest in a short trial)",
    )
    loss.add_argument(
        "--precision",
        choices=("float32", "float64", "tf32", "bfloat16", "float16", "auto"),
        help="precision of the computation (default: the model's); for tf32, bfloat16 and float16 "
        "the deviation from float32 is measured and stored in the file; auto measures most points "
        "in a faster type, if a trial finds one, and enough in float32 to state the difference, "
        "which is within a third of --tolerance (of 1%% without --tolerance)",
    )
    loss.add_argument(
        "--execution",
        choices=EXECUTIONS,
        default=AUTO,
        help="how the model is run: the fastest way in a short trial (auto); in a fixed memory "
        "format, the rest by trial (channels_last, contiguous); or by the model alone, without "
        "shortcuts (plain) (default: auto)",
    )
    loss.add_argument(
        "--compile",
        action="store_true",
        help="compile the model with torch.compile; the deviation is measured and stored in the "
        "file",
    )
    doubtful = parser.add_argument_group("measurements that are refused by default")
    doubtful.add_argument(
        "--modes",
        choices=("eval", "own"),
        help="for a model with modules in train mode: switch every module to eval mode (eval), or "
        "leave each module in its own mode (own) (default: refuse such a model)",
    )
    doubtful.add_argument(
        "--nondeterminism",
        choices=("refused", "stated"),
        default="refused",
        help="for losses that differ between repeated measurements: refuse them (refused), or "
        "measure the difference and state it in the file (stated) (default: refused)",
    )
    plane = parser.add_argument_group("directions")
    plane.add_argument(
        "--directions",
        choices=("random", "pca", "between", "eigenvectors", "inputs"),
        default="random",
        help="random directions; the principal components of --trajectory (pca); the directions "
        "between --models; eigenvectors of the Hessian, of length 1 (eigenvectors); or directions "
        "in which the inputs move instead of the weights (inputs) (default: random)",
    )
    plane.add_argument(
        "--dimensions",
        type=int,
        choices=(1, 2, 3),
        default=2,
        help="number of directions (default: 2)",
    )
    plane.add_argument(
        "--normalization",
        choices=("filter", "layer", "none"),
        default="filter",
        help="scale random directions to the norms of the weights, per filter (Li et al. 2018), "
        "per layer, or not at all (default: filter)",
    )
    plane.add_argument(
        "--move-vectors",
        action="store_true",
        help="let random directions also change biases and normalization weights",
    )
    plane.add_argument(
        "--parameters",
        type=TEXT,
        nargs="+",
        metavar="PATTERN",
        help="move only a part of the network: patterns of parameter names, such as 'layer3.*', or "
        "names of modules (default: all trainable parameters)",
    )
    add_seed_argument(plane, "seed of the random directions")  # type: ignore[arg-type]
    plane.add_argument(
        "--trajectory",
        type=PATH_TEXT,
        nargs="+",
        metavar="FOLDER",
        help="one or several training runs of the model, for --directions pca, and drawn on the "
        "landscape: folders of recorded checkpoints, or checkpoints that a training script saved "
        "(a folder, or a pattern in quotes such as 'run/epoch_*.pt')",
    )
    plane.add_argument(
        "--center",
        choices=("origin", "mean"),
        default="origin",
        help="principal components of the differences from the last checkpoint (origin; of the "
        "first run) or from the mean of all checkpoints (mean) (default: origin)",
    )
    add_checkpoint_arguments(plane)
    plane.add_argument(
        "--models",
        type=PATH_TEXT,
        nargs="+",
        metavar="FILE",
        help="two or three weights files, for --directions between",
    )
    plane.add_argument(
        "--labels",
        type=TEXT,
        nargs="+",
        metavar="TEXT",
        help="names of the runs after --trajectory, or of the --models",
    )
    plane.add_argument(
        "--curvature",
        type=PATH_TEXT,
        metavar="FOLDER",
        help="results of 'losslandscape curvature' for these weights, for --directions "
        "eigenvectors",
    )
    plane.add_argument(
        "--eigenvectors",
        choices=("largest", "smallest", "extreme", "magnitude"),
        help="which eigenvectors: of the largest eigenvalues, of the smallest, of both ends in "
        "turn (extreme), or of the largest absolute values (magnitude) (default: largest)",
    )
    inputs = parser.add_argument_group("--directions inputs")
    inputs.add_argument(
        "--input-directions",
        nargs="+",
        choices=("gradient_sign", "gradient", "random_sign", "random"),
        help="one to three directions: the sign of the loss's gradient, the gradient, random "
        "signs, or random and orthogonal to those before (default: gradient_sign random_sign)",
    )
    inputs.add_argument(
        "--sample-numbers",
        type=Kind(Numbers(Whole(0))),
        metavar="N,N,...",
        help="move the inputs of these samples of --data alone, counted from 0 (default: all "
        "samples, or those of --samples)",
    )
    inputs.add_argument(
        "--valid-range",
        type=Kind(Ends()),
        metavar="LOW,HIGH",
        help="range of valid input values, for example 0,1; the share of values outside it is "
        "measured at each point (outside_range)",
    )
    inputs.add_argument(
        "--clip",
        action="store_true",
        default=None,
        help="clip the inputs to --valid-range before they reach the network (default: nothing is "
        "clipped)",
    )


def built_weights(kept: Mapping[str, Any]) -> str | None:
    """What the weights are if no --weights were given and the plane does not bring its own.

    Examples
    --------
    >>> built_weights({"model": "mlp", "weights": None, "directions": "random"})
    'none were given (--weights): this is an untrained mlp'
    >>> built_weights({"model": "mlp", "weights": "run", "directions": "random"}) is None
    True
    """
    model = kept.get("model")
    if kept.get("weights") is not None or kept.get("directions") not in (
        "random",
        "inputs",
        "eigenvectors",
    ):
        return None
    if not isinstance(model, str):
        return None
    if ":" not in model:
        return f"none were given (--weights): this is an untrained {model}"
    return f"none were given (--weights): those of {model}, random unless it loads some itself"


def build_problem(arguments: argparse.Namespace) -> tuple[Objective, Subspace]:
    """Build the objective and the subspace that the arguments describe.

    Raises
    ------
    LossLandscapeError
        If the model, weights, data, loss or trajectory is missing or invalid, or they do not fit
        each other.
    """
    from losslandscape.problem.objective import Objective
    from losslandscape.study.resolve import resolve

    device = device_from(arguments)
    samples = samples_from(arguments, pair=False)
    numbers = getattr(arguments, "sample_numbers", None)
    whole = samples
    if numbers is not None:
        require_pair(samples, "--sample-numbers", str(arguments.data))
        samples = _picked(samples, numbers)
    data: Any = samples
    if arguments.test:
        all_samples = argparse.Namespace(**{**vars(arguments), "samples": None})
        data = {"train": samples, "test": samples_from(all_samples, "test", pair=False)}
    model = model_from(arguments, whole)
    over_inputs = arguments.directions == "inputs"
    subspace = None if over_inputs else _subspace(arguments, model, samples)
    loss = resolve(arguments.loss) if ":" in arguments.loss else arguments.loss
    batch_norm = "reestimated" if arguments.directions == "between" else arguments.batch_norm
    objective = Objective(
        model,
        loss,
        data,
        batch_norm=batch_norm,
        batch_size=arguments.batch_size,
        reestimation_samples=arguments.reestimation_samples,
        precision=arguments.precision,
        compile=arguments.compile,
        execution=getattr(arguments, "execution", AUTO),  # files record what was found
        device=device,
        # samples that were picked by number are not a random part of the data set
        dataset_samples=dataset_size(arguments, samples) if numbers is None else None,
        output=_output(getattr(arguments, "model_output", None)),
        modes=arguments.modes,
        nondeterminism=arguments.nondeterminism,
    )
    if numbers is None and not objective.dataset_samples and objective.factors is None:
        name, first = next(iter(objective.sets.items()))  # all of --data, however it was returned
        objective.dataset_samples = {name: len(first)}
    if subspace is None:
        return _over_inputs(arguments, objective)
    return objective, subspace


def _output(name: str | None) -> str | int | None:
    """The output that ``--model-output`` names: a number is a position."""
    return int(name) if name is not None and name.lstrip("-").isdigit() else name


def _over_inputs(arguments: argparse.Namespace, objective: Objective) -> tuple[Objective, Subspace]:
    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.input_directions import DEFAULT

    valid_range = arguments.valid_range
    over = objective.over_inputs(
        None if valid_range is None else tuple(valid_range), clip=bool(arguments.clip)
    )
    kinds = arguments.input_directions or DEFAULT[: arguments.dimensions]
    return over, Subspace.inputs(over, kinds, arguments.seed)


def _picked(samples: tuple[Any, Any], numbers: list[int]) -> tuple[Any, Any]:
    count = len(samples[0])
    wrong = [number for number in numbers if not 0 <= number < count]
    if wrong:
        raise LossLandscapeError(
            f"--sample-numbers {wrong[0]}: the data have {count} samples, numbered 0 to {count - 1}"
        )
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise LossLandscapeError(
            f"--sample-numbers: {twice[0]} is given {numbers.count(twice[0])} times, and would "
            "count as that many samples; give each number once"
        )
    return samples[0][numbers], samples[1][numbers]


def _subspace(arguments: argparse.Namespace, model: Any, samples: Any) -> Subspace:
    from losslandscape.planes.subspace import Subspace
    from losslandscape.training.weights import load_weights

    if arguments.directions == "random":
        return Subspace.random(
            model,
            arguments.dimensions,
            arguments.normalization,
            arguments.seed,
            zero_vectors=not arguments.move_vectors,
            parameters=getattr(arguments, "parameters", None),
        )
    if arguments.directions == "pca":
        runs = runs_from(arguments, model)
        subspace = Subspace.pca(
            runs,
            arguments.dimensions,
            arguments.center,
            parameters=getattr(arguments, "parameters", None),
        )
        subspace.fitted_to(model).check_model(model)
        return subspace
    if arguments.directions == "eigenvectors":
        from losslandscape.formats.curvature_data import read_vectors

        return Subspace.eigenvectors(
            read_vectors(arguments.curvature, model),
            getattr(arguments, "eigenvectors", None) or "largest",
            arguments.dimensions,
        )
    files = arguments.models or []
    if len(files) not in (2, 3):
        raise LossLandscapeError(
            f"--directions between needs two or three weights files after --models, but "
            f"{len(files)} were given"
        )
    models = []
    for file in files:
        one = model_from(argparse.Namespace(model=arguments.model), samples)
        load_weights(one, file, getattr(arguments, "weights_key", None))
        models.append(one)
    labels = arguments.labels or [_label(Path(file)) for file in files]
    if len(set(labels)) < len(labels) and not arguments.labels:
        labels = list(map(str, files))
    third = models[2] if len(models) == 3 else None
    return Subspace.between(models[0], models[1], third, labels)


def _label(file: Path) -> str:
    """The label of a weights file: its name, or for a training run the name of its folder."""
    in_run = file.stem == "weights" and (file.parent / "settings.json").is_file()
    return file.resolve().parent.name if in_run else file.stem


def kept_arguments(arguments: argparse.Namespace, output: Path) -> dict[str, Any]:
    """The arguments that define the problem, representable as JSON.

    Paths are stored as typed; ``folder`` is the folder that they start from, relative to the
    output's folder.
    """
    kept = {name: getattr(arguments, name) for name in KEPT}
    for name in (*KEPT_IF_GIVEN, "steps", "checkpoints_key"):
        if (value := getattr(arguments, name, None)) is not None:  # else as in older files
            kept[name] = value
    if kept["trajectory"] is not None and not isinstance(kept["trajectory"], str):
        kept["trajectory"] = [str(run) for run in kept["trajectory"]]
        if len(kept["trajectory"]) == 1:
            (kept["trajectory"],) = kept["trajectory"]
    if (chosen := getattr(arguments, "model_output", None)) is not None:
        kept["model_output"] = chosen
    kept = {name: str(v) if isinstance(v, Path) else v for name, v in kept.items()}
    return {**kept, "folder": seen_from(output.absolute().parent, Path.cwd())}
