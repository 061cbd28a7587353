"""Sampling errors told apart: against the population, the data set, and between two points.

A loss is the mean over n samples. How far off it is depends on what it stands for; each error is
defined in ``docs/measurement.md``. W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, chapter
2, has the formulas.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Union

import numpy as np

from losslandscape.argument_kinds import coordinates, is_whole
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.landscape import EVALUATED, Landscape

Against = Literal["population", "dataset"]
# "minimum", the number of a grid point (x fastest), or the coordinates of one
Reference = Union[str, int, Sequence[float]]

AGAINST = ("population", "dataset")
# Where a point stops drawing as soon as its error seems small enough, it stops too early where s is
# too small by chance. The error that it was allotted, times this, holds in its place; the factor is
# from simulations (benchmarks/coverage/mean_tables.py).
STOPPING_FACTOR = 1.5
_ON_GRID = 1e-3  # of the spacing: how near to a grid point written coordinates must be
_BLOCK_BYTES = 64 << 20


def finite_population_correction(samples: int, dataset_samples: int) -> float:
    """sqrt(1 - n/N): what s / sqrt(n) shrinks by where the n samples are some of N.

    Parameters
    ----------
    samples : int
        n, drawn without replacement.
    dataset_samples : int
        N, of the data set they were drawn from.

    Raises
    ------
    LossLandscapeError
        If there are fewer than 1 or more than N samples.

    Notes
    -----
    W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, section 2.6; with s^2 in place of the
    data set's variance the squared error is unbiased (theorem 2.4).

    Examples
    --------
    >>> finite_population_correction(75, 100), finite_population_correction(100, 100)
    (0.5, 0.0)
    """
    if not 1 <= samples <= dataset_samples:
        raise LossLandscapeError(
            f"{samples} samples cannot be drawn from a data set of {dataset_samples}; "
            "dataset_samples is the size of the whole data set"
        )
    return float(np.sqrt(1 - samples / dataset_samples))


def mean_standard_error(losses: np.ndarray) -> np.ndarray:
    """s / sqrt(n) of the means over the last axis, s with n - 1.

    Parameters
    ----------
    losses : ndarray, shape (..., n)

    Returns
    -------
    float64 ndarray, shape (...)
        NaN where a loss is not finite or n is 1.

    Examples
    --------
    >>> mean_standard_error(np.array([[1.0, 3.0], [1.0, np.inf]]))
    array([ 1., nan])
    """
    count = losses.shape[-1]
    errors = np.full(losses.shape[:-1], np.nan)
    if count > 1:
        rows, flat = losses.reshape(-1, count), errors.reshape(-1)
        for some in row_blocks(len(rows), count):
            with np.errstate(all="ignore"):
                flat[some] = rows[some].astype(np.float64).std(axis=1, ddof=1) / np.sqrt(count)
    return errors


def paired_standard_error(losses: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Standard error of the difference of two points' means over the same samples.

    That of the mean of the differences by sample: s_d / sqrt(n), which holds the covariance of the
    two means.

    Parameters
    ----------
    losses : ndarray, shape (points, n)
    first, second : int ndarray, shape (pairs,)
        Points of each pair.

    Returns
    -------
    float64 ndarray, shape (pairs,)
        NaN where a loss is not finite.

    Notes
    -----
    W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, theorem 2.3 (the covariance of two
    means over the same samples, found by way of the mean of u = x + y; here u = x - y).

    Examples
    --------
    >>> losses = np.array([[1.0, 5.0, 9.0], [2.0, 6.0, 10.0], [9.0, 5.0, 1.0]])
    >>> paired_standard_error(losses, np.array([1, 2]), np.array([0, 0])).round(3)
    array([0.   , 4.619])
    """
    errors = np.empty(len(first))
    for some in row_blocks(len(first), losses.shape[1]):
        with np.errstate(all="ignore"):
            differences = losses[first[some]].astype(np.float64) - losses[second[some]]
        errors[some] = mean_standard_error(differences)
    return errors


def sample_count(landscape: Landscape, name: str = "loss") -> int:
    """n: the samples that a loss is the mean of; the median where points took different numbers.

    Raises
    ------
    LossLandscapeError
        If there is no such loss, or the landscape does not say.
    """
    landscape.values(name)
    kept = landscape.samples.get(f"{name}_samples")
    if kept is not None:
        return kept.shape[-1]
    # first what points took: with an allotment that is a part of the set
    counts = _counts(landscape, name)
    count = np.median(counts) if counts.size else _set(landscape, name).get("samples")
    if count is None:
        raise LossLandscapeError(
            f"{landscape._where()}the landscape does not say how many samples '{name}' is the mean "
            "of"
        )
    return int(count)


def dataset_size(landscape: Landscape, name: str = "loss", given: int | None = None) -> int:
    """N: the size of the data set that the samples were drawn from.

    Parameters
    ----------
    given : int, optional
        Takes the place of what the landscape says (provenance ``objective.sets``,
        ``dataset_samples``).

    Raises
    ------
    LossLandscapeError
        If it is not given and the landscape does not say.
    """
    found = given if given is not None else _set(landscape, name).get("dataset_samples")
    if found is None:
        count = sample_count(landscape, name)
        raise LossLandscapeError(
            f"{landscape._where()}the landscape does not say how large the data set is that its "
            f"{count} samples are from; give dataset_samples= (info --dataset-samples), {count} "
            "where they are all of it"
        )
    return int(found)


def standard_error(
    landscape: Landscape,
    name: str = "loss",
    against: Against = "population",
    dataset_samples: int | None = None,
) -> np.ndarray:
    """See :meth:`losslandscape.Landscape.standard_error`."""
    correction = _correction(landscape, name, against, dataset_samples)
    landscape.values(name)
    errors = landscape.fields.get(f"{name}_standard_error")
    if errors is None:
        if f"{name}_samples" not in landscape.samples:
            raise LossLandscapeError(
                f"{landscape._where()}neither a standard error ({name}_standard_error) nor losses "
                f"by sample ({name}_samples) of '{name}' are kept"
            )
        errors = mean_standard_error(landscape.samples[f"{name}_samples"])
    size = np.inf if against == "population" else dataset_size(landscape, name, dataset_samples)
    return np.maximum(errors * correction, _allotted_error(landscape, name, errors, size))


def difference_standard_error(
    landscape: Landscape,
    reference: Reference = "minimum",
    name: str = "loss",
    against: Against = "population",
    dataset_samples: int | None = None,
) -> np.ndarray:
    """See :meth:`losslandscape.Landscape.difference_standard_error`."""
    correction = _correction(landscape, name, against, dataset_samples)
    point = reference_point(landscape, reference, name)
    first = np.arange(landscape.grid.size)
    errors = paired_standard_error(
        per_sample_losses(landscape, name), first, np.full_like(first, point)
    )
    return errors.reshape(landscape.grid.shape) * correction


def neighbour_difference_standard_error(
    landscape: Landscape,
    axis: str,
    name: str = "loss",
    against: Against = "population",
    dataset_samples: int | None = None,
) -> np.ndarray:
    """See :meth:`losslandscape.Landscape.neighbour_difference_standard_error`."""
    correction = _correction(landscape, name, against, dataset_samples)
    first, second = _neighbours(landscape, axis)
    errors = paired_standard_error(
        per_sample_losses(landscape, name), second.ravel(), first.ravel()
    )
    return errors.reshape(first.shape) * correction


def reference_point(landscape: Landscape, reference: Reference, name: str = "loss") -> int:
    """The number of a grid point, x fastest, that has losses by sample.

    Raises
    ------
    LossLandscapeError
        If there is no such point, or its losses by sample are not kept or not finite.
    """
    grid, losses = landscape.grid, per_sample_losses(landscape, name)
    if isinstance(reference, str):
        if reference != "minimum":
            raise LossLandscapeError(
                f"reference {reference!r}: give 'minimum', the number of a grid point, or the "
                "coordinates of one"
            )
        measured = np.isfinite(losses).all(axis=1)
        if not measured.any():
            raise LossLandscapeError(
                f"{landscape._where()}no point has finite losses for all samples"
            )
        values = landscape.values(name).ravel()
        return int(np.nanargmin(np.where(measured, values, np.nan)))
    points = grid.points()
    if is_whole(reference):
        point = operator.index(reference)  # type: ignore[arg-type]
        if not 0 <= point < grid.size:
            raise LossLandscapeError(
                f"reference {point}: the grid's points have the numbers 0 to {grid.size - 1}"
            )
    else:
        wanted = np.array(coordinates("reference", reference, grid.dimensions))
        cells = (abs(points - wanted) / np.array(grid.spacing)).max(axis=1)
        point = int(cells.argmin())
        if not cells[point] <= _ON_GRID:
            raise LossLandscapeError(
                f"reference {tuple(map(float, wanted))} is not a grid point; the nearest is "
                f"{tuple(map(float, points[point]))}"
            )
    if not np.isfinite(losses[point]).all():
        raise LossLandscapeError(
            f"{landscape._where()}reference {tuple(map(float, points[point]))}: there are no "
            "finite losses by sample at this point (not evaluated, interpolated, or not finite)"
        )
    return point


@dataclass(frozen=True)
class ErrorSummary:
    """Medians of the sampling errors of a loss. Made by :func:`summary`.

    Attributes
    ----------
    name : str
    samples : int
        n.
    dataset_samples : int or None
        N, where it is known.
    rows : list of dict
        ``error`` (of what), ``median``, ``ratio`` (the median over points of the error over that of
        independent samples; None where the error is not of a difference) and ``points`` that it is
        the median over.
    notes : list of str
        What could not be had, and what the errors take for granted.
    """

    name: str
    samples: int
    dataset_samples: int | None
    rows: list[dict[str, Any]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summary(
    landscape: Landscape, name: str = "loss", dataset_samples: int | None = None
) -> ErrorSummary:
    """The median of each error over the evaluated points, as far as they can be had.

    The ratio of a difference's error is to sqrt(SE_a^2 + SE_b^2), point by point: that of two means
    over independent samples. 1 means that sharing the samples gains nothing.

    Raises
    ------
    LossLandscapeError
        If there is no such loss or no error of it at all, or N is smaller than n.
    """
    count = sample_count(landscape, name)
    population = standard_error(landscape, name)
    evaluated = (landscape.status == EVALUATED) & np.isfinite(population)
    rows = [_row("of the loss, against the population", population[evaluated])]
    notes = []
    try:
        size = dataset_size(landscape, name, dataset_samples)
    except LossLandscapeError:
        size = None
        notes.append(
            "against the data set: not known, for the file does not say how large it is"
            + ("; N is its size: info --dataset-samples N" if name == "loss" else "")
            + ", or Objective(dataset_samples=N) when it is measured"
        )
    if size is not None:
        against_dataset = standard_error(landscape, name, "dataset", size)
        rows.append(_row("of the loss, against the data set", against_dataset[evaluated]))
        if _allotment(landscape):
            notes.append(
                f"points stopped drawing when their error sufficed: against the data set, it is at "
                f"least {STOPPING_FACTOR / 2:g} of the error that was allotted"
            )
    counts = _counts(landscape, name)
    if np.unique(counts).size > 1:
        notes.append(
            f"points took {counts.min():,.0f} to {counts.max():,.0f} samples; n is their median"
        )
    if f"{name}_samples" not in landscape.samples:
        notes.append("of differences: not known, for losses by sample are not kept")
    elif np.isfinite(per_sample_losses(landscape, name)).all(axis=1).any():
        losses = per_sample_losses(landscape, name)
        minimum = reference_point(landscape, "minimum", name)
        others = np.delete(np.arange(landscape.grid.size), minimum)
        pairs = {"from the minimum": (others, np.full_like(others, minimum))}
        for axis in landscape.grid.axis_names:
            first, second = _neighbours(landscape, axis)
            pairs[f"of neighbors along {axis}"] = (second.ravel(), first.ravel())
        notes.append(
            "from the minimum: the lowest point was selected, so its loss is more likely too low "
            "than too high; difference_confidence_interval() takes that into account"
        )
        single = mean_standard_error(losses)
        for words, (first, second) in pairs.items():
            paired = paired_standard_error(losses, first, second)
            independent = np.hypot(single[first], single[second])
            rows.append(_row(f"of the difference {words}", paired, independent))
    if landscape.provenance.get("objective", {}).get("batch_norm") == "reestimated":
        notes.append(
            "batch-norm statistics are re-estimated from these samples, whose losses are then not "
            "independent: all errors are approximations"
            if name == "loss"
            else "batch-norm statistics are re-estimated from other samples, whose choice these "
            "errors do not hold"
        )
    return ErrorSummary(name, count, size, rows, notes)


def grid_arrays(landscape: Landscape) -> dict[str, np.ndarray]:
    """All errors that the landscape has the data for, by name, as grid arrays for other programs.

    Returns
    -------
    dict of name to float64 ndarray, shape ``grid.shape``
        For each loss ``loss_dataset_standard_error``, ``loss_difference_standard_error`` (from the
        minimum) and ``loss_difference_standard_error_alpha`` and so on (from a point to the next
        along the axis, NaN at the last). The errors against the population are variables already.
    """
    arrays = {}
    for name in landscape.fields:
        if name != "loss" and not name.endswith("_loss"):
            continue
        known = _set(landscape, name).get("dataset_samples") is not None
        if known and (f"{name}_standard_error" in landscape.fields):
            arrays[f"{name}_dataset_standard_error"] = standard_error(landscape, name, "dataset")
        losses = landscape.samples.get(f"{name}_samples")
        if losses is None or losses.shape[-1] < 2 or not np.isfinite(losses).all(axis=-1).any():
            continue
        arrays[f"{name}_difference_standard_error"] = difference_standard_error(
            landscape, "minimum", name
        )
        for i, axis in enumerate(landscape.grid.axis_names):
            errors = neighbour_difference_standard_error(landscape, axis, name)
            last = [(0, 0)] * errors.ndim
            last[errors.ndim - 1 - i] = (0, 1)
            arrays[f"{name}_difference_standard_error_{axis}"] = np.pad(
                errors, last, constant_values=np.nan
            )
    return arrays


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Cover rows of ``width`` float64 numbers in slices of bounded memory."""
    step = max(1, _BLOCK_BYTES // (8 * width))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _row(words: str, errors: np.ndarray, independent: np.ndarray | None = None) -> dict[str, Any]:
    known = np.isfinite(errors)
    ratio = None
    if independent is not None:
        varying = known & (independent > 0)  # two points without any variance have no ratio
        ratio = _median(errors[varying] / independent[varying])
    return {
        "error": words,
        "median": _median(errors[known]),
        "ratio": ratio,
        "points": int(known.sum()),
    }


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _correction(
    landscape: Landscape, name: str, against: str, dataset_samples: int | None
) -> float | np.ndarray:
    if against not in AGAINST:
        raise LossLandscapeError(f"against {against!r} is not one of {', '.join(AGAINST)}")
    if against == "population":
        return 1.0
    size = dataset_size(landscape, name, dataset_samples)
    counts = _counts(landscape, name)
    if np.unique(counts).size <= 1:
        return finite_population_correction(sample_count(landscape, name), size)
    finite_population_correction(int(counts.max()), size)  # its message
    # points took what they needed of the data
    return np.sqrt(1 - landscape.fields[f"{name}_sample_count"] / size)


def _allotment(landscape: Landscape) -> dict[str, Any] | None:
    """How points stopped drawing samples; see :mod:`losslandscape.adaptive.allotment`."""
    return (landscape.provenance.get("adaptive") or {}).get("allotment")


def _allotted_error(landscape: Landscape, name: str, errors: np.ndarray, size: float) -> np.ndarray:
    """The standard error that points were allotted, where they stopped when it was reached.

    NaN or 0 elsewhere. A data set larger than the measured set adds the error of that set, and so
    does the population, whose ``size`` is infinite.
    """
    allotment, counts = _allotment(landscape), landscape.fields.get(f"{name}_sample_count")
    measured = _set(landscape, name).get("samples")
    if allotment is None or counts is None or measured is None:
        return np.zeros_like(errors)
    unit = landscape.values(name) * np.log(10) if allotment["scale"] == "log" else 1.0
    allotted = STOPPING_FACTOR * allotment["error"] / 2 * np.where(counts < measured, unit, 0.0)
    with np.errstate(invalid="ignore"):
        beyond = errors * np.sqrt(counts * max(0.0, 1 / measured - 1 / size))
    return np.where(allotted > 0, np.hypot(allotted, beyond), 0.0)


def _counts(landscape: Landscape, name: str) -> np.ndarray:
    """How many samples points took, of those that took any; empty where it is not kept."""
    counts = landscape.fields.get(f"{name}_sample_count", np.empty(0))
    return counts[np.isfinite(counts)]


def per_sample_losses(landscape: Landscape, name: str = "loss") -> np.ndarray:
    """Per-sample losses of all grid points, shape (points, samples).

    Raises
    ------
    LossLandscapeError
        If they are not kept, or there is one sample.
    """
    landscape.values(name)
    losses = landscape.samples.get(f"{name}_samples")
    if losses is None:
        raise LossLandscapeError(
            f"{landscape._where()}the error of a difference needs the losses by sample (variable "
            f"{name}_samples), which are not kept here; evaluate with keep_samples=True "
            "(surface --keep-samples)"
        )
    if losses.shape[-1] < 2:
        raise LossLandscapeError(f"{landscape._where()}one sample has no standard error")
    return losses.reshape(-1, losses.shape[-1])


def _neighbours(landscape: Landscape, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the points and of the next ones along an axis, as from numpy.diff."""
    names = landscape.grid.axis_names
    if axis not in names:
        raise LossLandscapeError(f"axis {axis!r} is not one of {', '.join(names)}")
    i = names.index(axis)
    numbers = np.arange(landscape.grid.size).reshape(landscape.grid.shape)
    first = np.delete(numbers, -1, axis=len(names) - 1 - i)
    return first, first + int(np.prod(landscape.grid.counts[:i]))


def _set(landscape: Landscape, name: str) -> dict[str, Any]:
    """Provenance of the set of samples that a loss is the mean of."""
    sets = landscape.provenance.get("objective", {}).get("sets", {})
    if name == "loss":
        return next(iter(sets.values()), {})
    return sets.get(name.removesuffix("_loss"), {})
