"""Which checkpoints a training run left on disk, and at which steps.

Only names are looked at here, and the numbers that the files hold; see
:mod:`losslandscape.training.checkpoint_files` for their tensors.
"""

import glob
import math
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union

import numpy as np

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.file_kinds import FOLDER
from losslandscape.files.inputs import input_file, input_kind
from losslandscape.public_calls import users_line
from losslandscape.training.manifest import MANIFEST
from losslandscape.training.weights import IN_A_FOLDER

PathLike = Union[str, "os.PathLike[str]"]

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
# entries of a checkpoint that count steps, the finest first
ENTRIES = ("global_step", "epoch", "step")
# entries in which training can only go forward; a plain "step" may begin anew in each epoch
_ASCENDING = ("global_step", "epoch")
# words before a step in a name, the finest first
_WORDS = (
    "global_step", "globalstep", "step", "iteration", "iter", "it", "checkpoint", "ckpt", "epoch",
    "ep", "e",
)  # fmt: skip
_NUMBER = r"\d+(?:\.\d+)?"
_ANY_NUMBER = re.compile(_NUMBER)
# of Hugging Face and others, beside the weights
_OTHER_FILES = re.compile(
    r"(optimizer|scheduler|scaler|training_args|rng_state(_\d+)?|trainer_state)\b.*|.*\.index\.json"
)
_SHARD = re.compile(r".*-\d+-of-\d+\.(safetensors|bin)")


class Steps(NamedTuple):
    """The order of checkpoints, their steps, and how these were found."""

    order: list[int]
    steps: list[float]
    source: str


def checkpoint_paths(paths: "Union[PathLike, Iterable[PathLike]]") -> tuple[list[Path], bool]:
    """The checkpoints that a pattern, a folder or a list names, in natural order of their names.

    Returns
    -------
    paths : list of Path
        Files, or folders that hold weights.
    is_list : bool
        Whether they were listed one by one; they are in the list's order then.

    Raises
    ------
    FileFormatError
        If there is none, one does not exist, or a folder is a recorded trajectory.
    """
    if isinstance(paths, (str, os.PathLike)):
        text = os.fspath(paths)
        if input_kind(text) == FOLDER:
            return _inside(Path(text)), False
        if os.path.lexists(text):
            return [input_file(text, "a checkpoint is expected")], False
        found = [Path(name) for name in glob.glob(text, recursive=True)]
        found = [path for path in found if _holds_weights(path)]
        if not found:
            raise FileFormatError(
                f"{text}: no checkpoint has this name; a pattern such as 'run/epoch_*.pt', a "
                "folder, or a list of files is expected"
            )
        return sorted(found, key=natural_order), False
    try:
        found = [Path(path) for path in paths]
    except TypeError:
        shown = "several objects" if isinstance(paths, Iterable) else type(paths).__name__
        raise FileFormatError(
            f"paths is {shown}, but a pattern such as 'run/epoch_*.pt', a folder, or a list of "
            "files is expected"
        ) from None
    if not found:
        raise FileFormatError("no checkpoint was given: the list of paths is empty")
    for path in found:
        if input_kind(path) != FOLDER:
            input_file(path, "a checkpoint is expected")
        if os.path.lexists(path / MANIFEST):
            raise FileFormatError(_recorded(path))
    twice = {path for path in found if found.count(path) > 1}
    if twice:
        raise FileFormatError(f"{min(twice)}: is in the list more than once; give it once")
    return found, not _is_iterator(paths)


def natural_order(path: Path) -> list[Union[tuple[int, float], tuple[int, str]]]:
    """A key for sorting: numbers in names by value.

    Examples
    --------
    >>> names = ["epoch_10.pt", "epoch_9.pt", "epoch_1.pt"]
    >>> [path.name for path in sorted(map(Path, names), key=natural_order)]
    ['epoch_1.pt', 'epoch_9.pt', 'epoch_10.pt']
    """
    parts = re.split(r"(\d+)", path.as_posix())
    return [(1, float(part)) if part.isdigit() else (0, part) for part in parts if part]


def _is_iterator(paths: object) -> bool:
    """Whether the order is that of a folder's listing, as of ``Path.glob``: by chance."""
    return hasattr(paths, "__next__") or isinstance(paths, (set, frozenset))


def _recorded(folder: Path) -> str:
    return (
        f"{folder}: is a trajectory that TrajectoryRecorder recorded; open it with "
        "Trajectory.open(...)"
    )


def _holds_weights(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in IN_A_FOLDER)
    return path.suffix.lower() in SUFFIXES and not (
        _OTHER_FILES.fullmatch(path.name) or _SHARD.fullmatch(path.name)
    )


def _inside(folder: Path) -> list[Path]:
    """The checkpoints in a folder: its numbered folders that hold weights, or else its files."""
    if os.path.lexists(folder / MANIFEST):
        raise FileFormatError(_recorded(folder))
    entries = sorted(folder.iterdir(), key=natural_order)
    folders = [path for path in entries if path.is_dir() and _ANY_NUMBER.search(path.name)]
    folders = [path for path in folders if _holds_weights(path)]
    files = [path for path in entries if path.is_file() and _holds_weights(path)]
    if folders:
        return folders
    if not files:
        raise FileFormatError(
            f"{folder}: holds no checkpoint: neither files ({', '.join(SUFFIXES)}) nor numbered "
            f"folders with weights ({', '.join(IN_A_FOLDER[1:4])}, ...)"
        )
    return files


def find_steps(
    paths: Sequence[Path],
    numbers: "Sequence[Mapping[str, float]]",
    steps: "Union[str, Sequence[float], None]" = None,
    is_list: bool = False,
) -> Steps:
    """Order checkpoints by their steps.

    Steps are taken from the names if all have one, or else from the first entry of ``ENTRIES``
    that all files hold and that differs between them. They must agree in order with the entries
    ``global_step`` and ``epoch``.

    Parameters
    ----------
    numbers
        The numbers at the top level of each file, by name.
    steps
        ``"name"`` or one of ``ENTRIES`` to take them from there, or the steps themselves.
    is_list
        The order of ``paths`` is that of training if neither names nor files say another.

    Raises
    ------
    LossLandscapeError
        If there are no steps, two checkpoints have the same, or the sources contradict each other.

    Examples
    --------
    >>> names = [Path("run/epoch_10.pt"), Path("run/epoch_9.pt")]
    >>> find_steps(names, [{}, {}])
    Steps(order=[1, 0], steps=[9.0, 10.0], source="the number after 'epoch' in the names")
    """
    if steps is not None and not isinstance(steps, str):
        found = [float(step) for step in steps]
        if len(found) != len(paths):
            raise LossLandscapeError(
                f"{len(found)} steps were given for {len(paths)} checkpoints; give one for each"
            )
        return _ordered(paths, found, "given")
    candidates = _candidates(paths, numbers)
    if steps is not None:
        if steps not in ("name", *ENTRIES):
            raise LossLandscapeError(
                f"steps={steps!r} is not one of 'name', {', '.join(map(repr, ENTRIES))}"
            )
        if steps not in candidates:
            where = "in the names" if steps == "name" else f"{steps!r} in all of the files"
            raise LossLandscapeError(
                f"{_first(paths)}: there is no step {where}; choose another source, or give "
                "the steps: steps=[...]"
            )
        found, source = candidates[steps]
        return _ordered(paths, found, source)
    distinct = {n: c for n, c in candidates.items() if len(set(c[0])) == len(paths)}
    if not distinct:
        return _without_steps(paths, candidates, is_list)
    chosen = next(iter(distinct))
    result = _ordered(paths, *distinct[chosen])
    for name in _ASCENDING:
        if name in candidates and name != chosen:
            values = [candidates[name][0][i] for i in result.order]
            for i, (one, other) in enumerate(zip(values, values[1:])):
                if one > other:
                    raise LossLandscapeError(
                        f"{paths[result.order[i]]} and {paths[result.order[i + 1]]}: the first is "
                        f"earlier by {result.source} ({result.steps[i]:g} and "
                        f"{result.steps[i + 1]:g}), but later by the entry {name!r} in the files "
                        f"({one:g} and {other:g}); choose one: steps={chosen!r} or "
                        f"steps={name!r} (--steps)"
                    )
    if chosen != "step" and "step" in distinct:
        values = [distinct["step"][0][i] for i in result.order]
        if values != sorted(values):
            warnings.warn(
                f"{paths[result.order[0]].parent}: the checkpoints are ordered by {result.source}; "
                "the entry 'step' in the files orders them differently (it may begin anew in "
                "each epoch). To use it, pass steps='step' (--steps)",
                stacklevel=users_line(),
            )
    return result


def _candidates(
    paths: Sequence[Path], numbers: "Sequence[Mapping[str, float]]"
) -> dict[str, tuple[list[float], str]]:
    """The steps by each source that all checkpoints have, and what the source is called."""
    found = {}
    if (named := _steps_in_names(paths)) is not None:
        found["name"] = named
    for name in ENTRIES:
        values = [one.get(name, math.nan) for one in numbers]
        if all(map(math.isfinite, values)):
            found[name] = values, f"the entry {name!r} in the files"
    return found


def _steps_in_names(paths: Sequence[Path]) -> Optional[tuple[list[float], str]]:
    names = _own_parts(paths)
    for word in _WORDS:
        pattern = re.compile(rf"(?<![a-z]){word}[-_= .]*({_NUMBER})(?![\d])", re.IGNORECASE)
        matches = [pattern.findall(name) for name in names]
        if all(len(one) == 1 for one in matches):
            return [float(one[0]) for one in matches], f"the number after {word!r} in the names"
    # no such word: the one number that differs between names that are alike otherwise
    if len({_ANY_NUMBER.sub("#", name) for name in names}) > 1:
        return None
    columns = list(zip(*(map(float, _ANY_NUMBER.findall(name)) for name in names)))
    differing = [column for column in columns if len(set(column)) > 1]
    if len(differing) == 1 or (len(columns) == 1 and len(paths) == 1):
        return list(differing[0] if differing else columns[0]), "the number in the names"
    return None


def _own_parts(paths: Sequence[Path]) -> list[str]:
    """The paths from their common folder on, without suffixes."""
    texts = [path.absolute().as_posix() for path in paths]
    if len(texts) == 1:
        texts, common = [Path(texts[0]).name], ""
    else:
        common = os.path.commonpath(texts)
    texts = [text.removeprefix(common).lstrip("/") for text in texts]
    suffix = re.compile(rf"({'|'.join(map(re.escape, SUFFIXES))})$", re.IGNORECASE)
    return [suffix.sub("", text) for text in texts]


def _ordered(paths: Sequence[Path], steps: list[float], source: str) -> Steps:
    for path, step in zip(paths, steps):
        if not math.isfinite(step):
            raise LossLandscapeError(f"{path}: step {step} is not a finite number")
    order = [int(i) for i in np.argsort(steps, kind="stable")]
    ordered = [steps[i] for i in order]
    for i, (one, other) in enumerate(zip(ordered, ordered[1:])):
        if one == other:
            raise LossLandscapeError(
                f"{paths[order[i]]} and {paths[order[i + 1]]}: both have step {one:g} (by "
                f"{source}); leave one out, for example by a pattern such as "
                "'ckpts/epoch=*.ckpt', or give the steps (in Python): steps=[...]"
            )
    return Steps(order, ordered, source)


def _without_steps(
    paths: Sequence[Path], candidates: dict[str, tuple[list[float], str]], is_list: bool
) -> Steps:
    """No source tells the checkpoints apart: an error, or the order of the list."""
    for steps, source in candidates.values():
        _ordered(paths, steps, source)  # names the two with the same step
    if is_list or len(paths) == 1:
        count = len(paths)
        return Steps(list(range(count)), [float(i) for i in range(count)], "the order of the list")
    plain = [path for path in paths if not _ANY_NUMBER.search(path.name)]
    if 0 < len(plain) < len(paths):
        raise LossLandscapeError(
            f"{plain[0]}: has no step, neither in its name nor under "
            f"{', '.join(map(repr, ENTRIES))} in the file; name the checkpoints by a pattern such "
            "as 'run/epoch_*.pt', or give the steps: steps=[...]"
        )
    raise LossLandscapeError(
        f"{_first(paths)}: no steps were found for these {len(paths)} checkpoints, neither in "
        f"their names nor under {', '.join(map(repr, ENTRIES))} in the files; give a list in the "
        "order of training, or the steps: steps=[...]"
    )


def _first(paths: Sequence[Path]) -> Path:
    return paths[0]
