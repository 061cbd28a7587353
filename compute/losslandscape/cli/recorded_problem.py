"""The model, data, loss and plane, from a landscape file.

A file of unknown origin must not decide which code runs. The study's networks and data are part of
this package. A function ``package.module:function`` runs only if you repeat its name on the command
line, or trust the file (``--trust-file``). Code is never imported from a folder that an untrusted
file names. Before anything is evaluated, the hashes of the model, data and plane are compared with
those in the file.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losslandscape.cli.kinds import COUNTED, PATH_TEXT, TEXT
from losslandscape.cli.option_rules import Given, Line, check_line
from losslandscape.cli.option_table import RECORDED
from losslandscape.cli.problem import KEPT, KEPT_IF_GIVEN, build_problem, kept_arguments
from losslandscape.errors import LossLandscapeError
from losslandscape.files.relative_paths import seen_from

if TYPE_CHECKING:
    from losslandscape.landscape.landscape import Landscape
    from losslandscape.planes.subspace import Subspace
    from losslandscape.problem.objective import Objective

_CODE = ("model", "data", "loss")
_OPTIONAL_TEXT, _OPTIONAL_NUMBER = (str, type(None)), (int, type(None))
_TYPES: dict[str, type | tuple[type, ...]] = {
    "model": str, "loss": str, "data_root": str, "batch_norm": str, "directions": str,
    "normalization": str, "center": str, "weights": _OPTIONAL_TEXT, "data": _OPTIONAL_TEXT,
    "weights_key": _OPTIONAL_TEXT, "model_output": _OPTIONAL_TEXT,
    "curvature": _OPTIONAL_TEXT, "eigenvectors": _OPTIONAL_TEXT,
    "trajectory": (str, list, type(None)), "steps": _OPTIONAL_TEXT,
    "checkpoints_key": _OPTIONAL_TEXT, "precision": _OPTIONAL_TEXT, "folder": _OPTIONAL_TEXT,
    "seed": int, "samples_seed": int, "dimensions": int, "samples": _OPTIONAL_NUMBER,
    "modes": _OPTIONAL_TEXT, "nondeterminism": str,
    "batch_size": _OPTIONAL_NUMBER, "reestimation_samples": _OPTIONAL_NUMBER, "test": bool,
    "compile": bool, "move_vectors": bool,
}  # fmt: skip
_LISTS = ("models", "labels", "parameters", "input_directions")
_NUMBERS = ("sample_numbers", "valid_range")  # lists of str, or None


@dataclass
class RecordedProblem:
    """The problem as described by a landscape file and the command line together.

    Attributes
    ----------
    arguments : argparse.Namespace
        For :func:`losslandscape.cli.problem.build_problem`, with absolute paths.
    folder : Path
        The folder that the file's paths start from, and where trusted code is searched for first.
    trusted : list of str
        Code that is named only in the file, and that may run.
    """

    arguments: argparse.Namespace
    folder: Path
    trusted: list[str]

    def build(self) -> tuple[Objective, Subspace]:
        """Build the objective and the subspace; runs the code that they name."""
        with _working_folder(self.folder) if self.trusted else nullcontext():
            return build_problem(self.arguments)

    def kept(self, output: Path) -> dict[str, Any]:
        """The arguments, as JSON, for the provenance of another file of the same problem."""
        told = argparse.Namespace(**vars(self.arguments))
        for name in ("weights", "data_root", "curvature"):
            if getattr(told, name, None) is not None:
                setattr(told, name, seen_from(self.folder, Path(getattr(told, name))))
        for name in ("models", "trajectory"):
            if getattr(told, name):
                paths = [seen_from(self.folder, Path(file)) for file in getattr(told, name)]
                setattr(told, name, paths)
        place = output.absolute().parent
        return {**kept_arguments(told, output), "folder": seen_from(place, self.folder)}


def problem_of(landscape: Landscape, arguments: argparse.Namespace) -> tuple[Objective, Subspace]:
    """Rebuild the objective and subspace that a landscape file was measured with.

    Raises
    ------
    LossLandscapeError
        If the file does not describe them, code of the user's own is not named again, or something
        differs.
    """
    return build_recorded(landscape, recorded_problem(landscape, arguments))


def recorded_problem(landscape: Landscape, arguments: argparse.Namespace) -> RecordedProblem:
    """The problem recorded in the file, updated from the command line; runs no code.

    Raises
    ------
    LossLandscapeError
        If the file does not describe the problem, or code of the user's own is not named again.
    """
    if "imported" in landscape.provenance:
        raise LossLandscapeError(
            f"{landscape.path}: was imported from another tool's file, which contains neither "
            "model nor directions; use a landscape measured by 'losslandscape surface'"
        )
    kept = landscape.provenance.get("arguments")
    if isinstance(kept, dict):  # older files lack these three
        kept = {"compile": False, "modes": None, "nondeterminism": "refused", **kept}
        _check_kept(landscape, kept)
    else:
        kept = _from_recipe(landscape, arguments)
    _check_options(landscape, arguments, kept)
    problem = argparse.Namespace(**{name: kept[name] for name in KEPT})
    vars(problem).update({name: kept.get(name) for name in KEPT_IF_GIVEN})
    problem.weights_key = getattr(arguments, "weights_key", None) or problem.weights_key
    problem.model_output = getattr(arguments, "model_output", None) or kept.get("model_output")
    repeated = {n: v for n in _CODE if (v := getattr(arguments, n, None)) is not None}
    vars(problem).update(repeated)
    trusted = [(n, kept[n]) for n in _CODE if n not in repeated and ":" in str(kept[n])]
    place = Path(landscape.path or "file").absolute().parent
    folder = (place / kept["folder"]).resolve() if kept.get("folder") else Path.cwd()
    if trusted and not getattr(arguments, "trust_file", False):
        options = " ".join(f"--{name} {code}" for name, code in trusted)
        message = (
            f"{landscape.path}: was made with your own code; to allow it to run, name it again: "
            f"{options}"
        )
        if hasattr(arguments, "trust_file"):
            message += (
                f" (searched for in {Path.cwd()}), or trust the file (--trust-file), "
                f"which runs the code from {folder}"
            )
        raise LossLandscapeError(message)
    folders = [folder, Path.cwd(), place]
    problem.data_root = _found(kept["data_root"], folders)
    problem.weights = _found(kept["weights"], folders)
    problem.curvature = _found(kept.get("curvature"), folders)
    runs = [kept["trajectory"]] if isinstance(kept["trajectory"], str) else kept["trajectory"]
    problem.trajectory = [_found(run, folders) for run in runs or []] or None
    problem.steps, problem.checkpoints_key = kept.get("steps"), kept.get("checkpoints_key")
    problem.models = [_found(file, folders) for file in kept["models"] or []] or None
    if getattr(arguments, "weights", None) is not None:
        problem.weights = os.path.abspath(arguments.weights)
    if getattr(arguments, "curvature", None) is not None:
        problem.curvature = os.path.abspath(arguments.curvature)
    if getattr(arguments, "models", None):
        problem.models = [os.path.abspath(file) for file in arguments.models]
    if getattr(arguments, "checkpoints", None) is not None:
        problem.trajectory = [os.path.abspath(run) for run in arguments.checkpoints]
    problem.download = False
    problem.device, problem.threads = arguments.device, arguments.threads
    # code named on this command line is searched for from the current folder
    here = any(":" in code for code in repeated.values()) and not trusted
    return RecordedProblem(problem, Path.cwd() if here else folder, [code for _, code in trusted])


def build_recorded(landscape: Landscape, problem: RecordedProblem) -> tuple[Objective, Subspace]:
    """Build the problem, and compare it with the one that the landscape was measured with.

    Raises
    ------
    LossLandscapeError
        If something is missing or differs; the message says what.
    """
    from losslandscape.landscape.identity import check_objective, check_plane
    from losslandscape.point.determinism import check_origin_loss

    if problem.trusted:
        print(
            f"{landscape.path}: trusted; running its code {', '.join(problem.trusted)} from "
            f"{problem.folder}",
            file=sys.stderr,
        )
    objective, subspace = problem.build()
    told = problem.arguments
    source = (
        told.models
        or told.weights
        or ", ".join(told.trajectory or ())
        or "none: the weights it is built with"
    )
    check_plane(landscape, subspace, source)
    check_objective(landscape, objective)
    check_origin_loss(landscape, objective, subspace)
    return objective, subspace


def add_computation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--precision`` and ``--batch-size`` of derivatives on an existing landscape."""
    parser.add_argument(
        "--precision",
        choices=("float32", "float64"),
        help="precision of the computation (default: the surface's)",
    )
    parser.add_argument(
        "--batch-size",
        type=COUNTED,
        metavar="N",
        help="samples per pass; use fewer if memory is short (default: the surface's)",
    )


def add_same_problem_arguments(parser: argparse.ArgumentParser, *, trust: bool = False) -> None:
    """Add the model arguments of verbs that measure again on an existing landscape."""
    group = parser.add_argument_group(
        "model (default: as recorded in the file; your own code, package.module:function, must be "
        "named again)"
    )
    group.add_argument(
        "--model", type=TEXT, metavar="NAME", help="the model, as given to 'surface'"
    )
    group.add_argument(
        "--weights", type=PATH_TEXT, metavar="FILE", help="current location of the weights"
    )
    group.add_argument(
        "--weights-key",
        type=TEXT,
        metavar="KEY",
        help="entry of the weights files that holds the weights",
    )
    group.add_argument("--data", type=TEXT, metavar="NAME", help="the data, as given to 'surface'")
    group.add_argument("--loss", type=TEXT, metavar="NAME", help="the loss, as given to 'surface'")
    group.add_argument(
        "--trajectory",
        dest="checkpoints",
        type=PATH_TEXT,
        nargs="+",
        metavar="FOLDER",
        help="current location of the checkpoints, for a plane of their principal components",
    )
    group.add_argument(
        "--models",
        type=PATH_TEXT,
        nargs="+",
        metavar="FILE",
        help="current location of the models of the plane",
    )
    group.add_argument(
        "--curvature",
        type=PATH_TEXT,
        metavar="FOLDER",
        help="current location of the curvature, for a plane of eigenvectors",
    )
    if trust:
        group.add_argument(
            "--trust-file",
            action="store_true",
            help="run the code that the file names, from the folder that it names; use this only "
            "for files from people you trust",
        )


def _check_options(
    landscape: Landscape, arguments: argparse.Namespace, kept: dict[str, Any]
) -> None:
    """Check that the options given go with the plane and the weights that the file records.

    Raises
    ------
    LossLandscapeError
        If one would be ignored.
    """
    line = getattr(arguments, "line", Line({}, {}))
    recorded = {f"--{name}": Given(f"--{name}", ()) for name in ("weights", "models") if kept[name]}
    values = {"--directions": kept["directions"]}
    check_line(RECORDED, Line({**recorded, **line.given}, values, f"in {landscape.path}"))


def _check_kept(landscape: Landscape, kept: dict[str, Any]) -> None:
    """Check that the file has all arguments, with the types that 'surface' writes.

    Raises
    ------
    LossLandscapeError
        If one is missing or has another type.
    """
    wrong = [name for name in KEPT if name not in kept]
    wrong += [name for name, kind in _TYPES.items() if not isinstance(kept.get(name), kind)]
    for name in (*_LISTS, "trajectory"):
        found = kept.get(name)
        if (
            found is not None
            and not isinstance(found, str)
            and not (isinstance(found, list) and all(isinstance(item, str) for item in found))
        ):
            wrong.append(name)
    for name in _NUMBERS:
        found = kept.get(name)
        if found is not None and not (
            isinstance(found, list) and all(isinstance(item, (int, float)) for item in found)
        ):
            wrong.append(name)
    if not isinstance(kept.get("clip"), (bool, type(None))):
        wrong.append("clip")
    if wrong:
        raise LossLandscapeError(
            f"{landscape.path}: does not record the {wrong[0].replace('_', ' ')} it was made with "
            "('arguments' in its provenance); measure it again with 'losslandscape surface'"
        )


def _from_recipe(landscape: Landscape, arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments for a landscape made in Python: its recipe, with names from the command line.

    Raises
    ------
    LossLandscapeError
        If a name is missing, or the directions were given as tensors.
    """
    from losslandscape.problem.losses import NAMES

    plane = landscape.provenance.get("subspace", {})
    measured = landscape.provenance.get("objective", {})
    start = f"{landscape.path}: was made in Python, so the file does not name its model and data"
    mixed = plane.get("kind") == "eigenvectors" and not isinstance(plane.get("which"), str)
    if plane.get("kind") not in ("random", "pca", "between", "eigenvectors") or mixed:
        raise LossLandscapeError(
            f"{start}; its directions "
            + ("move its inputs" if plane.get("kind") == "inputs" else "were given as tensors")
            + ". Use the Python functions instead, "
            "such as losslandscape.refine(landscape, objective, subspace, bounds, ...)"
        )
    needed = {"model": "package.module:build", "data": "package.module:load"}
    if measured.get("loss") not in NAMES:
        needed["loss"] = "package.module:function"
    trajectory = _recorded_trajectory(landscape)
    if plane["kind"] == "pca" and trajectory is None:
        needed["checkpoints"] = "FOLDER"
    if plane["kind"] == "eigenvectors":
        needed["curvature"] = "FOLDER"
    if plane["kind"] == "between":
        needed["models"] = " ".join(["FILE"] * len(plane.get("models", "ab")))
    untold = {name: what for name, what in needed.items() if not getattr(arguments, name, None)}
    if untold:
        options = " ".join(f"--{name} {what}" for name, what in untold.items())
        raise LossLandscapeError(
            f"{start}; add {options.replace('--checkpoints', '--trajectory')} "
            "(and --weights FILE, if the function does not load the weights)"
            + (f"; the loss was {measured.get('loss')}" if "loss" in untold else "")
        )
    reestimated = measured.get("batch_norm") == "reestimated"
    precision = measured.get("precision")
    return {
        "model": "", "weights": None, "data": None, "data_root": "data", "samples": None,
        "samples_seed": 0, "test": "test" in measured.get("sets", {}),
        "loss": measured.get("loss", "cross_entropy"),
        "batch_norm": "reestimated" if reestimated else "fixed",
        "batch_size": measured.get("reestimation_batch_size") if reestimated else None,
        "reestimation_samples": measured.get("reestimation_samples"),
        "precision": None if precision in ("float32", "float64") else precision,
        "compile": measured.get("compile", False), "modes": None, "nondeterminism": "refused",
        "directions": plane["kind"],
        "dimensions": landscape.grid.dimensions,
        "normalization": plane.get("normalization", "filter"),
        "move_vectors": not plane.get("zero_vectors", True), "seed": plane.get("seed", 0),
        **({"eigenvectors": plane["which"]} if plane["kind"] == "eigenvectors" else {}),
        "trajectory": trajectory, "center": plane.get("center", "origin"), "models": None,
        "labels": plane.get("models"), "parameters": plane.get("parameters"),
    }  # fmt: skip


def _recorded_trajectory(landscape: Landscape) -> str | None:
    """The checkpoints of a plane that was made in Python, if the recorded folder exists."""
    recorded = landscape.provenance.get("trajectory_folder")
    if not isinstance(recorded, str) or landscape.path is None:
        return None
    folder = landscape.path.absolute().parent / recorded
    return str(folder) if folder.is_dir() else None


def _found(path: str | None, folders: Sequence[Path]) -> str | None:
    """A path from the file, in the first folder that has it; hashes are compared later."""
    if path is None:
        return None
    places = [folder / path for folder in folders]
    there = (place for place in places if place.exists() or glob.glob(str(place)))
    return str(next(there, places[0]))


@contextmanager
def _working_folder(folder: Path) -> Iterator[None]:
    """Change to a folder for the block; code in the previous folder is still found."""
    before = Path.cwd()
    if folder == before:
        yield
        return
    if not folder.is_dir():
        raise LossLandscapeError(
            f"{folder}: the folder of the file's code and paths does not exist; name the model and "
            "the data again (--model, --data, --weights)"
        )
    if str(before) not in sys.path:
        sys.path.insert(0, str(before))
    if str(folder) in sys.path:  # moved to the front
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
