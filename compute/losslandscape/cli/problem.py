"""What is measured and on which plane, from the command line or from a landscape file.

The arguments that define the problem are kept in the file, so that later verbs need not be told
the model again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losslandscape.cli.arguments import (
    add_data_arguments,
    add_model_arguments,
    add_seed_argument,
    dataset_size,
    device_from,
    model_from,
    positive_int,
    samples_from,
)
from losslandscape.errors import LossLandscapeError

if TYPE_CHECKING:
    from losslandscape.landscape import Landscape
    from losslandscape.objective import Objective
    from losslandscape.subspace import Subspace

# what is kept in the file: everything below but the names of outputs
_KEPT = (
    "model", "weights", "data", "data_root", "samples", "samples_seed", "test", "loss",
    "batch_norm", "batch_size", "reestimation_samples", "precision", "compile", "directions",
    "dimensions", "normalization", "move_vectors", "seed", "trajectory", "center", "models",
    "labels", "modes", "nondeterminism",
)  # fmt: skip


def add_problem_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, data, loss and plane."""
    add_model_arguments(parser)
    add_data_arguments(parser)
    loss = parser.add_argument_group("loss")
    loss.add_argument(
        "--loss",
        default="cross_entropy",
        metavar="NAME",
        help="cross_entropy, mse, softmax_mse, or your own as package.module:function, called with "
        "(model, batch) and returning a loss for each sample (default: cross_entropy)",
    )
    loss.add_argument(
        "--test", action="store_true", help="measure the test set as well (test_loss, ...)"
    )
    loss.add_argument(
        "--batch-norm",
        choices=("fixed", "reestimated"),
        default="fixed",
        help="batch-norm statistics: the trained network's own everywhere, or gathered anew at "
        "each point, which costs a second pass (default: fixed)",
    )
    loss.add_argument(
        "--reestimation-samples",
        type=positive_int,
        metavar="N",
        help="samples that re-estimate the statistics (default: 1024, or all)",
    )
    loss.add_argument(
        "--batch-size",
        type=positive_int,
        metavar="N",
        help="samples a forward pass (default: the fastest, found by a short trial)",
    )
    loss.add_argument(
        "--precision",
        choices=("float32", "float64", "tf32", "bfloat16", "float16"),
        help="compute in another type than the model's own; how far the last three are from "
        "float32 is measured and kept in the file",
    )
    loss.add_argument(
        "--compile",
        action="store_true",
        help="compile the model with torch.compile; the deviation is measured and kept in the file",
    )
    doubtful = parser.add_argument_group("what is refused unless it is asked for")
    doubtful.add_argument(
        "--modes",
        choices=("eval", "own"),
        help="for a model with some modules in train mode: evaluate every module in eval mode, or "
        "leave each as it is (default: refused)",
    )
    doubtful.add_argument(
        "--nondeterminism",
        choices=("refused", "stated"),
        default="refused",
        help="losses that are not the same each time: refuse them, or measure the difference and "
        "state it in the file (default: refused)",
    )
    plane = parser.add_argument_group("directions")
    plane.add_argument(
        "--directions",
        choices=("random", "pca", "between"),
        default="random",
        help="random; the principal components of --trajectory; or between --models "
        "(default: random)",
    )
    plane.add_argument(
        "--dimensions", type=int, choices=(1, 2, 3), default=2, help="directions (default: 2)"
    )
    plane.add_argument(
        "--normalization",
        choices=("filter", "layer", "none"),
        default="filter",
        help="scale random directions like the weights, by filter (Li et al. 2018), by layer, or "
        "not (default: filter)",
    )
    plane.add_argument(
        "--move-vectors",
        action="store_true",
        help="random directions move biases and normalisation weights too",
    )
    add_seed_argument(plane, "seed of the random directions")  # type: ignore[arg-type]
    plane.add_argument(
        "--trajectory",
        type=Path,
        metavar="FOLDER",
        help="recorded checkpoints: needed by --directions pca, and drawn on the landscape",
    )
    plane.add_argument(
        "--center",
        choices=("origin", "mean"),
        default="origin",
        help="pca of the differences from the last checkpoint, or from their mean "
        "(default: origin)",
    )
    plane.add_argument(
        "--models",
        nargs="+",
        metavar="FILE",
        help="two or three weights files, for --directions between",
    )
    plane.add_argument("--labels", nargs="+", metavar="TEXT", help="names of the --models")


def build_problem(arguments: argparse.Namespace) -> tuple[Objective, Subspace]:
    """The objective and the subspace that the arguments describe.

    Raises
    ------
    LossLandscapeError
        If something cannot be had, or does not fit.
    """
    from losslandscape.objective import Objective
    from losslandscape.study.resolve import resolve

    device = device_from(arguments)
    samples = samples_from(arguments)
    data: Any = samples
    if arguments.test:
        whole = argparse.Namespace(**{**vars(arguments), "samples": None})
        data = {"train": samples, "test": samples_from(whole, "test")}
    model = model_from(arguments, samples)
    subspace = _subspace(arguments, model, samples)
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
        device=device,
        dataset_samples=dataset_size(arguments, samples),
        modes=arguments.modes,
        nondeterminism=arguments.nondeterminism,
    )
    return objective, subspace


def _subspace(arguments: argparse.Namespace, model: Any, samples: Any) -> Subspace:
    from losslandscape.subspace import Subspace
    from losslandscape.trajectory import Trajectory
    from losslandscape.weights import load_into, load_weights

    if arguments.directions == "random":
        return Subspace.random(
            model,
            arguments.dimensions,
            arguments.normalization,
            arguments.seed,
            zero_vectors=not arguments.move_vectors,
        )
    if arguments.directions == "pca":
        if arguments.trajectory is None:
            raise LossLandscapeError("--directions pca needs the checkpoints: --trajectory FOLDER")
        trajectory = Trajectory.open(arguments.trajectory)
        subspace = Subspace.pca(trajectory, arguments.dimensions, arguments.center)
        subspace.check_model(model)
        return subspace
    files = arguments.models or []
    if len(files) not in (2, 3):
        raise LossLandscapeError(
            f"--directions between needs two or three weights files after --models; "
            f"{len(files)} were given"
        )
    models = []
    for file in files:
        one = model_from(argparse.Namespace(model=arguments.model), samples)
        load_into(one, load_weights(file), source=str(file))
        models.append(one)
    labels = arguments.labels or [_label(Path(file)) for file in files]
    third = models[2] if len(models) == 3 else None
    return Subspace.between(models[0], models[1], third, labels)


def _label(file: Path) -> str:
    """What a weights file is of: its own name, or its folder's for a training run's."""
    return file.resolve().parent.name if file.stem == "weights" else file.stem


def kept_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments that define the problem, as JSON."""
    kept = {name: getattr(arguments, name) for name in _KEPT}
    return {name: str(v) if isinstance(v, Path) else v for name, v in kept.items()}


def problem_of(landscape: Landscape, arguments: argparse.Namespace) -> tuple[Objective, Subspace]:
    """The objective and subspace of a landscape file that ``losslandscape surface`` wrote.

    A model, data or loss that is code of the user's (``package.module:function``) is only run when
    it is named again on the command line: a file must not choose what code runs.

    Raises
    ------
    LossLandscapeError
        If the file does not say, or they are not those of the landscape.
    """
    kept = landscape.provenance.get("arguments")
    if isinstance(kept, dict):  # older files do not say these
        kept = {"compile": False, "modes": None, "nondeterminism": "refused", **kept}
    if "imported" in landscape.provenance:
        raise LossLandscapeError(
            f"{landscape.path}: was imported from another tool's file, which holds neither "
            "model nor directions; this needs a landscape that 'losslandscape surface' measured"
        )
    if not isinstance(kept, dict) or any(name not in kept for name in _KEPT):
        raise LossLandscapeError(
            f"{landscape.path}: does not say which model and data it was made of (it was made from "
            "Python, not by 'losslandscape surface'); use the Python functions instead"
        )
    problem = argparse.Namespace(**{name: kept[name] for name in _KEPT})
    untold = []
    for name in ("model", "data", "loss"):
        given = getattr(arguments, name, None)
        if given is not None:
            setattr(problem, name, given)
        elif ":" in str(kept[name]):
            untold.append(f"--{name} {kept[name]}")
    if untold:
        raise LossLandscapeError(
            f"{landscape.path}: was made with code of your own; say that it may run: "
            f"{' '.join(untold)}"
        )
    if getattr(arguments, "weights", None) is not None:
        problem.weights = arguments.weights
    problem.data_root = Path(problem.data_root)
    problem.trajectory = Path(problem.trajectory) if problem.trajectory else None
    problem.download = False
    problem.device, problem.threads = arguments.device, arguments.threads
    from losslandscape.determinism import check_origin_loss
    from losslandscape.identity import check_objective, check_plane

    objective, subspace = build_problem(problem)
    check_plane(landscape, subspace, problem.weights or problem.models)
    check_objective(landscape, objective)
    check_origin_loss(landscape, objective, subspace)
    return objective, subspace


def add_same_problem_arguments(parser: argparse.ArgumentParser) -> None:
    """For verbs that measure again on an existing landscape."""
    group = parser.add_argument_group(
        "model (as the file says; code of your own, package.module:function, must be named again)"
    )
    group.add_argument("--model", metavar="NAME", help="the model, as it was given to 'surface'")
    group.add_argument("--weights", metavar="FILE", help="where its weights are now")
    group.add_argument("--data", metavar="NAME", help="the data, as they were given to 'surface'")
    group.add_argument("--loss", metavar="NAME", help="the loss, as it was given to 'surface'")
