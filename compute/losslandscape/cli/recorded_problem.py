"""What is measured and on which plane, from a landscape file.

A file of unknown origin must not choose what code runs. Names of the study's networks and data are
this package's own; a name ``package.module:function`` is run only where it is repeated on the
command line, or the file is trusted (``--trust-file``). Nor does a folder that an untrusted file
names become one to import from. What is built is compared, hash by hash, with what the file was
made of before anything is evaluated.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losslandscape.cli.problem import KEPT, build_problem, kept_arguments
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
    "trajectory": _OPTIONAL_TEXT, "precision": _OPTIONAL_TEXT, "folder": _OPTIONAL_TEXT,
    "seed": int, "samples_seed": int, "dimensions": int, "samples": _OPTIONAL_NUMBER,
    "modes": _OPTIONAL_TEXT, "nondeterminism": str,
    "batch_size": _OPTIONAL_NUMBER, "reestimation_samples": _OPTIONAL_NUMBER, "test": bool,
    "compile": bool, "move_vectors": bool,
}  # fmt: skip
_LISTS = ("models", "labels")  # of texts, or None


@dataclass
class RecordedProblem:
    """What a landscape file and the command line say together.

    Attributes
    ----------
    arguments : argparse.Namespace
        For :func:`losslandscape.cli.problem.build_problem`, with absolute paths.
    folder : Path
        Where the file's paths start, and where trusted code is looked for first.
    trusted : list of str
        Code that the file alone names, and that may run.
    """

    arguments: argparse.Namespace
    folder: Path
    trusted: list[str]

    def build(self) -> tuple[Objective, Subspace]:
        with _working_folder(self.folder) if self.trusted else nullcontext():
            return build_problem(self.arguments)

    def kept(self, output: Path) -> dict[str, Any]:
        """For the provenance of another file of the same problem."""
        told = argparse.Namespace(**vars(self.arguments))
        for name in ("weights", "data_root", "trajectory"):
            if getattr(told, name) is not None:
                setattr(told, name, seen_from(self.folder, Path(getattr(told, name))))
        if told.models:
            told.models = [seen_from(self.folder, Path(file)) for file in told.models]
        place = output.absolute().parent
        return {**kept_arguments(told, output), "folder": seen_from(place, self.folder)}


def problem_of(landscape: Landscape, arguments: argparse.Namespace) -> tuple[Objective, Subspace]:
    """The objective and subspace of a landscape file, the same as when it was made.

    Raises
    ------
    LossLandscapeError
        If the file does not say, code of the user's is not named again, or something differs.
    """
    return build_recorded(landscape, recorded_problem(landscape, arguments))


def recorded_problem(landscape: Landscape, arguments: argparse.Namespace) -> RecordedProblem:
    """What the file says, changed by what the command line says again; runs nothing.

    Raises
    ------
    LossLandscapeError
        If the file does not say, or code of the user's is not named again.
    """
    if "imported" in landscape.provenance:
        raise LossLandscapeError(
            f"{landscape.path}: was imported from another tool's file, which holds neither "
            "model nor directions; this needs a landscape that 'losslandscape surface' measured"
        )
    kept = landscape.provenance.get("arguments")
    if isinstance(kept, dict):  # older files do not say these
        kept = {"compile": False, "modes": None, "nondeterminism": "refused", **kept}
        _check_kept(landscape, kept)
    else:
        kept = _from_recipe(landscape, arguments)
    problem = argparse.Namespace(**{name: kept[name] for name in KEPT})
    repeated = {n: v for n in _CODE if (v := getattr(arguments, n, None)) is not None}
    vars(problem).update(repeated)
    trusted = [(n, kept[n]) for n in _CODE if n not in repeated and ":" in str(kept[n])]
    place = Path(landscape.path or "file").absolute().parent
    folder = (place / kept["folder"]).resolve() if kept.get("folder") else Path.cwd()
    if trusted and not getattr(arguments, "trust_file", False):
        options = " ".join(f"--{name} {code}" for name, code in trusted)
        message = (
            f"{landscape.path}: was made with code of your own; say that it may run: {options}"
        )
        if hasattr(arguments, "trust_file"):
            message += (
                f" (looked for in {Path.cwd()}), or trust the file (--trust-file), "
                f"which runs it from {folder}"
            )
        raise LossLandscapeError(message)
    folders = [folder, Path.cwd(), place]
    problem.data_root = _found(kept["data_root"], folders)
    problem.weights = _found(kept["weights"], folders)
    problem.trajectory = _found(kept["trajectory"], folders)
    problem.models = [_found(file, folders) for file in kept["models"] or []] or None
    if getattr(arguments, "weights", None) is not None:
        problem.weights = os.path.abspath(arguments.weights)
    if getattr(arguments, "models", None):
        problem.models = [os.path.abspath(file) for file in arguments.models]
    if getattr(arguments, "checkpoints", None) is not None:
        problem.trajectory = arguments.checkpoints.absolute()
    problem.download = False
    problem.device, problem.threads = arguments.device, arguments.threads
    # what is typed now is meant from here
    here = any(":" in code for code in repeated.values()) and not trusted
    return RecordedProblem(problem, Path.cwd() if here else folder, [code for _, code in trusted])


def build_recorded(landscape: Landscape, problem: RecordedProblem) -> tuple[Objective, Subspace]:
    """Build the problem and compare it with what the landscape was made of.

    Raises
    ------
    LossLandscapeError
        If something cannot be had, or differs; the message says what.
    """
    from losslandscape.landscape.identity import check_objective, check_plane
    from losslandscape.point.determinism import check_origin_loss

    if problem.trusted:
        print(
            f"{landscape.path}: trusted; running {', '.join(problem.trusted)} from "
            f"{problem.folder}",
            file=sys.stderr,
        )
    objective, subspace = problem.build()
    told = problem.arguments
    source = told.models or told.weights or told.trajectory or "none: the model as it is built"
    check_plane(landscape, subspace, source)
    check_objective(landscape, objective)
    check_origin_loss(landscape, objective, subspace)
    return objective, subspace


def add_same_problem_arguments(parser: argparse.ArgumentParser, *, trust: bool = False) -> None:
    """For verbs that measure again on an existing landscape."""
    group = parser.add_argument_group(
        "model (as the file says; code of your own, package.module:function, must be named again)"
    )
    group.add_argument("--model", metavar="NAME", help="the model, as it was given to 'surface'")
    group.add_argument("--weights", metavar="FILE", help="where its weights are now")
    group.add_argument("--data", metavar="NAME", help="the data, as they were given to 'surface'")
    group.add_argument("--loss", metavar="NAME", help="the loss, as it was given to 'surface'")
    group.add_argument(
        "--trajectory",
        dest="checkpoints",
        type=Path,
        metavar="FOLDER",
        help="where the checkpoints are now, for a plane of their principal components",
    )
    group.add_argument(
        "--models", nargs="+", metavar="FILE", help="where the models of the plane are now"
    )
    if trust:
        group.add_argument(
            "--trust-file",
            action="store_true",
            help="run the code that the file names, from the folder that it names: only for files "
            "of your own or of people you trust",
        )


def _check_kept(landscape: Landscape, kept: dict[str, Any]) -> None:
    """The file's arguments are all there, and of the types that 'surface' writes."""
    wrong = [name for name in KEPT if name not in kept]
    wrong += [name for name, kind in _TYPES.items() if not isinstance(kept.get(name), kind)]
    for name in _LISTS:
        found = kept.get(name)
        if found is not None and not (
            isinstance(found, list) and all(isinstance(item, str) for item in found)
        ):
            wrong.append(name)
    if wrong:
        raise LossLandscapeError(
            f"{landscape.path}: does not say with which {wrong[0].replace('_', ' ')} it was made "
            "(provenance, 'arguments'); measure it again with 'losslandscape surface'"
        )


def _from_recipe(landscape: Landscape, arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments for a landscape made from Python: its recipe, and the names it does not have."""
    from losslandscape.problem.losses import NAMES

    plane = landscape.provenance.get("subspace", {})
    measured = landscape.provenance.get("objective", {})
    start = (
        f"{landscape.path}: was made from Python, with objects that have no name, and does not say "
        "which model and data it was made of"
    )
    if plane.get("kind") not in ("random", "pca", "between"):
        raise LossLandscapeError(
            f"{start}; its directions were given as tensors. Use the functions of Python instead, "
            "such as losslandscape.refine(landscape, objective, subspace, bounds, ...)"
        )
    needed = {"model": "package.module:build", "data": "package.module:load"}
    if measured.get("loss") not in NAMES:
        needed["loss"] = "package.module:function"
    trajectory = _recorded_trajectory(landscape)
    if plane["kind"] == "pca" and trajectory is None:
        needed["checkpoints"] = "FOLDER"
    if plane["kind"] == "between":
        needed["models"] = " ".join(["FILE"] * len(plane.get("models", "ab")))
    untold = {name: what for name, what in needed.items() if not getattr(arguments, name, None)}
    if untold:
        options = " ".join(f"--{name} {what}" for name, what in untold.items())
        raise LossLandscapeError(
            f"{start}; type {options.replace('--checkpoints', '--trajectory')} "
            "(and --weights FILE, where the function does not load them)"
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
        "trajectory": trajectory, "center": plane.get("center", "origin"), "models": None,
        "labels": plane.get("models"),
    }  # fmt: skip


def _recorded_trajectory(landscape: Landscape) -> str | None:
    """The checkpoints of a plane that was made from Python, if they are where the file says."""
    recorded = landscape.provenance.get("trajectory_folder")
    if not isinstance(recorded, str) or landscape.path is None:
        return None
    folder = landscape.path.absolute().parent / recorded
    return str(folder) if folder.is_dir() else None


def _found(path: str | None, folders: Sequence[Path]) -> str | None:
    """A path of the file's in the first folder that has it; hashes tell whether it is the one."""
    if path is None:
        return None
    places = [folder / path for folder in folders]
    return str(next((place for place in places if place.exists()), places[0]))


@contextmanager
def _working_folder(folder: Path) -> Iterator[None]:
    """Work there for the while; code that is looked for in the current folder is found here too."""
    before = Path.cwd()
    if folder == before:
        yield
        return
    if not folder.is_dir():
        raise LossLandscapeError(
            f"{folder}: the folder that the file's code and paths start from is not there; name "
            "the model and the data again (--model, --data, --weights)"
        )
    if str(before) not in sys.path:
        sys.path.insert(0, str(before))
    if str(folder) in sys.path:  # the folder goes first again, whatever ran before
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
