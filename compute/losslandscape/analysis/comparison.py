"""Compare landscapes by flatness, sharpness, topology and roughness.

For what can be compared with what, see ``docs/comparison.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.analysis.diagrams import (
    NEEDS_GUDHI,
    bottleneck_distance,
    distances_are_available,
    total_persistence,
    wasserstein_distance,
)
from losslandscape.analysis.flatness import flat_region
from losslandscape.analysis.roughness import roughness
from losslandscape.analysis.significance import METHODS, SCALES, Method, on_scale
from losslandscape.argument_kinds import Items, Maybe, Number, Word
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.identity import samples_alone
from losslandscape.landscape.interpolation_errors import interpolation_of
from losslandscape.landscape.landscape import Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.landscape.overlays import run_shares
from losslandscape.public_calls import LANDSCAPE, public

_TOPOLOGY_DIMENSIONS = (1, 2)


@dataclass(frozen=True)
class Comparison:
    """A table of landscapes, returned by :func:`compare`.

    Attributes
    ----------
    rows : list of dict
        One row per landscape; see ``docs/comparison.md`` for the columns.
    wasserstein, bottleneck : ndarray, shape (n, n)
        Distances between the persistence diagrams; NaN for 3-D landscapes, or if GUDHI is not
        installed, which a note states.
    scale : "log" or "linear"
        Common scale of all landscapes.
    epsilon : float
        Height of the flat regions.
    notes : list of str
        Differences that limit the comparison.
    trajectories : list of dict
        One row per training run of each landscape; see ``docs/comparison.md`` for the columns.
    """

    rows: list[dict[str, Any]]
    wasserstein: np.ndarray
    bottleneck: np.ndarray
    scale: str
    epsilon: float
    notes: list[str]
    trajectories: list[dict[str, Any]] = field(default_factory=list)

    @property
    def spread(self) -> list[dict[str, Any]]:
        """Mean, standard deviation, smallest and largest value of each label with several rows."""
        found = []
        for label in dict.fromkeys(row["label"] for row in self.rows):
            group = [row for row in self.rows if row["label"] == label]
            if len(group) < 2:
                continue
            for name in group[0]:
                values = [row[name] for row in group]
                if any(value is None or isinstance(value, (str, bool)) for value in values):
                    continue
                wide = np.array(values, dtype=float)
                found.append(
                    {
                        "label": label,
                        "quantity": name,
                        "files": len(group),
                        "mean": float(wide.mean()),
                        "standard_deviation": float(wide.std(ddof=1)),
                        "least": float(wide.min()),
                        "greatest": float(wide.max()),
                    }
                )
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "epsilon": self.epsilon,
            "landscapes": self.rows,
            "spread": self.spread,
            "wasserstein_distance": self.wasserstein,
            "bottleneck_distance": self.bottleneck,
            "notes": self.notes,
            **({"trajectories": self.trajectories} if self.trajectories else {}),
        }


@public(
    landscapes=Items(LANDSCAPE, "landscapes"),
    scale=Word(SCALES),
    method=Word(METHODS),
    sharpness=Items(Maybe(Number()), "numbers"),
)
def compare(
    landscapes: Sequence[LandscapeOrPath],
    labels: Sequence[str] | None = None,
    *,
    epsilon: float = 0.1,
    scale: str | None = None,
    method: Method | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    sharpness: Sequence[float | None] | None = None,
) -> Comparison:
    """Compare landscapes by flatness, sharpness, topology and roughness.

    Parameters
    ----------
    labels : sequence of str, optional
        By default the files' names. Landscapes with the same label, such as several seeds, form a
        group with a spread.
    epsilon : float
        Height of the flat regions, the same for all.
    scale : "log" or "linear", optional
        The same for all. By default "log" if any landscape has that scale and all losses are
        positive.
    method, draws, seed, confidence
        Of the significance; see :func:`losslandscape.find_critical_points`.
    sharpness : sequence of float or None, optional
        Epsilon-sharpness of each landscape, if it was measured with the model.

    Raises
    ------
    LossLandscapeError
        If there are fewer than two landscapes, their dimensions differ, or the number of labels is
        wrong.

    Examples
    --------
    >>> from losslandscape import Grid
    >>> grid = Grid.square(21)
    >>> def bowl(width):
    ...     values = 1 + ((grid.points() / width) ** 2).sum(axis=1).reshape(grid.shape)
    ...     return Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(2))
    >>> found = compare([bowl(1.0), bowl(2.0)], ["sharp", "flat"])
    >>> [round(row["flat_size"], 2) for row in found.rows]
    [0.3, 1.25]
    """
    measured = [opened(landscape) for landscape in landscapes]
    if len(measured) < 2:
        raise LossLandscapeError("a comparison needs at least two landscapes")
    if labels is not None and len(labels) != len(measured):
        raise LossLandscapeError(f"{len(labels)} labels were given for {len(measured)} landscapes")
    if sharpness is not None and len(sharpness) != len(measured):
        raise LossLandscapeError(
            f"{len(sharpness)} values of sharpness were given for {len(measured)} landscapes"
        )
    dimensions = {landscape.grid.dimensions for landscape in measured}
    if len(dimensions) > 1:
        raise LossLandscapeError(
            "landscapes of different dimensions cannot be compared: "
            + ", ".join(
                f"{name} has {one.grid.dimensions}" for name, one in zip(_names(measured), measured)
            )
        )
    names = labels or _names(measured)
    _refuse_copies(measured, names)
    scale = scale or _common_scale(measured)
    comparable_planes = _same(measured, _normalization)
    interpolations = [interpolation_of(landscape) for landscape in measured]
    any_interpolated = any(one.interpolated for one in interpolations)
    rows, diagrams = [], []
    for i, landscape in enumerate(measured):
        region = flat_region(landscape, epsilon, scale=scale)
        row: dict[str, Any] = {
            "label": names[i],
            "file": str(landscape.path) if landscape.path else "",
            "minimum_loss": region.minimum_loss,
            # coordinates are in lengths of the directions, which differ between recipes
            "flat_size": region.size if comparable_planes else None,
            "flat_parameter_size": region.parameter_size,
            "flat_lower_bound": region.lower_bound,
            "flat_resolved": region.resolved,
            "sharpness": sharpness[i] if sharpness is not None else None,
        }
        if any_interpolated:
            row["interpolated_points"] = interpolations[i].interpolated
            row["interpolation_error"] = interpolations[i].largest_error
        if landscape.grid.dimensions in _TOPOLOGY_DIMENSIONS:
            found = find_critical_points(
                landscape,
                scale=scale,
                method=method,
                draws=draws,
                seed=seed,
                confidence=confidence,
            )
            pairs = found.complex.persistence_pairs
            diagrams.append(pairs)
            finite = (pairs["IsFinite"] == 1) & (found.pair_arrays["significant"] == 1)
            for kind, count in found.counts.items():
                plural = "minima" if kind == "minimum" else f"{kind}s".replace("maximums", "maxima")
                row[f"significant_{plural}"] = count["significant"]
                row[f"boundary_{plural}"] = count["boundary_significant"]
            row["threshold"] = found.threshold
            row["noise_method"] = found.noise.method if found.noise else None
            row["total_persistence"] = total_persistence(pairs)
            row["significant_persistence"] = float(pairs["Persistence"][finite].sum())
        row["roughness"] = roughness(on_scale(landscape, scale)[0])
        explained = landscape.provenance.get("subspace", {}).get("explained_variance")
        row["explained_variance"] = float(sum(explained)) if explained else None
        rows.append(row)
    notes = _notes(measured, comparable_planes)
    if any_interpolated:
        notes += [f"{name}: {one}" for name, one in zip(names, interpolations) if one.interpolated]
        notes.append(
            "interpolated surfaces are smoother than evaluated ones: compare roughness and total "
            "persistence only between landscapes with equally many evaluated points"
        )
    if len({row.get("noise_method") for row in rows}) > 1:
        notes.append(
            "the thresholds come from different methods (noise_method), so the counts of "
            "significant points are not comparable"
        )
    if diagrams and not distances_are_available():
        notes.append(NEEDS_GUDHI)
        diagrams = []
    return Comparison(
        rows,
        _matrix(diagrams, wasserstein_distance, len(measured)),
        _matrix(diagrams, bottleneck_distance, len(measured)),
        scale,
        epsilon,
        notes,
        [row for name, one in zip(names, measured) for row in _trajectory_rows(name, one)],
    )


def _trajectory_rows(name: str, landscape: Landscape) -> list[dict[str, Any]]:
    """The training runs of a landscape: where they end, and how much of them the plane shows."""
    plane = landscape.provenance.get("subspace", {})
    shown = plane.get("explained_variance") if len(landscape.trajectories) == 1 else None
    rows = []
    for run in landscape.trajectories:
        shares = run_shares(plane, run.label) or shown
        rows.append(
            {
                "label": name,
                "run": run.label,
                "checkpoints": len(run.step),
                "first_checkpoint_loss": float(run.checkpoint_loss[0]),
                "last_checkpoint_loss": float(run.checkpoint_loss[-1]),
                "largest_distance": float(run.distance_to_plane.max()),
                "explained_variance": float(sum(shares)) if shares else None,
            }
        )
    return rows


def _names(landscapes: Sequence[Landscape]) -> list[str]:
    """The files' names without suffix, or their folders' names if all files have one name."""
    paths = [landscape.path or Path(f"landscape {i}") for i, landscape in enumerate(landscapes)]
    names = [path.stem for path in paths]
    if len(set(names)) == 1:
        names = [path.resolve().parent.name for path in paths]
    if len(set(names)) < len(names):  # only labels that are given make groups
        names = [path.as_posix() for path in paths]
    return names


def _refuse_copies(landscapes: Sequence[Landscape], names: Sequence[str]) -> None:
    """Raise a LossLandscapeError if a group holds a landscape twice: its spread would be too small.

    The landscape of a file and of its copy are the same one.
    """
    for i, one in enumerate(landscapes):
        for j, other in enumerate(landscapes[:i]):
            if names[i] != names[j] or one.grid != other.grid:
                continue
            planes = [each.provenance.get("subspace") for each in (one, other)]
            same = planes[0] == planes[1] and np.array_equal(
                one.values(), other.values(), equal_nan=True
            )
            if same:
                raise LossLandscapeError(
                    f"landscapes {j + 1} and {i + 1}, both of the label '{names[i]}', are the same "
                    "one, which would count as two in the mean and spread of the group; give it "
                    "once, or other labels"
                )


def _common_scale(landscapes: Sequence[Landscape]) -> str:
    positive = all(
        np.nanmin(np.where(np.isfinite(one.values()), one.values(), np.nan)) > 0
        for one in landscapes
        if np.isfinite(one.values()).any()
    )
    any_log = any(landscape.scale == "log" for landscape in landscapes)
    return "log" if any_log and positive else "linear"


def _matrix(diagrams: list, distance: Callable[[Any, Any], float], count: int) -> np.ndarray:
    if not diagrams:
        return np.full((count, count), np.nan)
    matrix = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = distance(diagrams[i], diagrams[j])
    return matrix


def _normalization(landscape: Landscape) -> Any:
    plane = landscape.provenance.get("subspace", {})
    found = plane.get("kind"), plane.get("normalization")
    return (*found, plane.get("directions")) if plane.get("kind") == "inputs" else found


def _moves_inputs(landscape: Landscape) -> bool:
    return landscape.provenance.get("subspace", {}).get("kind") == "inputs"


def _samples(landscape: Landscape) -> Any:
    """What identifies the samples of the loss, which are the first set; the set's name does not."""
    sets = samples_alone(landscape.provenance.get("objective", {}).get("sets", {}))
    return next(iter(sets.values()), None)


def _same(landscapes: Sequence[Landscape], fact: Callable[[Landscape], Any]) -> bool:
    return len({repr(fact(landscape)) for landscape in landscapes}) == 1


def _notes(landscapes: Sequence[Landscape], comparable_planes: bool) -> list[str]:
    notes = []
    if not comparable_planes:
        notes.append(
            "the directions have different kinds or normalizations: the table compares sizes in "
            "parameter space, not in coordinates"
        )
    elif _same(landscapes, _normalization) and _normalization(landscapes[0])[1] == "none":
        notes.append(
            "the directions are not normalized: networks that compute the same function with "
            "differently scaled weights have different flat regions"
        )
    if not _same(landscapes, _moves_inputs):
        notes.append(
            "some landscapes move the inputs and others the weights: none of their sizes can be "
            "compared"
        )
    kind = _plane(landscapes[0]).get("kind")
    if comparable_planes and kind in ("between", "given") and not _same(landscapes, _lengths):
        notes.append(
            "the directions have different lengths, which coordinates are multiples of: compare "
            "sizes in parameter space"
        )
    for what, fact in (
        ("moving parts", lambda one: _plane(one).get("parameters")),
        ("treatments of biases and normalization weights", _vectors),
        ("losses", lambda one: _objective(one).get("loss")),
        ("factors or losses of terms", lambda one: _objective(one).get("terms")),
        ("outputs of the model under the loss", _output),
        ("batch-norm modes", lambda one: _objective(one).get("batch_norm")),
        ("samples or batches for re-estimated statistics", _reestimation),
        ("modules in train mode", lambda one: _objective(one).get("training_modules") or []),
        ("reduced precisions", _reduced),
        ("samples", _samples),
        ("windows", lambda one: one.grid.bounds),
        ("grids", lambda one: one.grid.counts),
    ):
        if not _same(landscapes, fact):
            notes.append(f"the landscapes have different {what}")
    if _same(landscapes, lambda one: _objective(one).get("loss")) and _codes_differ(landscapes):
        notes.append(
            "the landscapes have losses of one name and different code: the function, or a "
            "constant that it uses, is another one"
        )
    return notes


def _plane(landscape: Landscape) -> Mapping[str, Any]:
    return landscape.provenance.get("subspace", {})


def _objective(landscape: Landscape) -> Mapping[str, Any]:
    return landscape.provenance.get("objective", {})


def _lengths(landscape: Landscape) -> list[str]:
    """Lengths of the directions, to three digits."""
    return [f"{length:.3g}" for length in np.sqrt(np.diag(landscape.gram_matrix))]


def _vectors(landscape: Landscape) -> bool:
    """Whether random directions move biases and normalization weights."""
    return _plane(landscape).get("zero_vectors") is False


def _output(landscape: Landscape) -> Any:
    call = _objective(landscape).get("loss_call", {})
    return call.get("output"), call.get("formula")


def _reestimation(landscape: Landscape) -> Any:
    about = _objective(landscape)
    if about.get("batch_norm") != "reestimated":
        return None  # the modes differ, which has a note of its own
    return about.get("reestimation_samples"), about.get("reestimation_batch_size")


def _reduced(landscape: Landscape) -> Any:
    """The type of products, if it has fewer digits than float32."""
    precision = _objective(landscape).get("precision")
    return None if precision in ("float32", "float64") else precision


def _codes_differ(landscapes: Sequence[Landscape]) -> bool:
    """Whether two hashes of the loss's code differ that are of one version of Python."""
    found: dict[tuple[str, str], set[str]] = {}
    for landscape in landscapes:
        stated = _objective(landscape).get("loss_code")
        for term, code in (stated if isinstance(stated, dict) else {"": stated}).items():
            if isinstance(code, str):
                found.setdefault((str(term), code.partition(":")[0]), set()).add(code)
    return any(len(codes) > 1 for codes in found.values())
