"""Confidence intervals of losses and of their differences, and whether they can be trusted.

An interval from n samples knows nothing of what was not drawn. Where that may matter, the interval
is marked as one not to trust. ``docs/measurement.md`` has the definitions and the found coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.confidence_interval import ConfidenceInterval
from losslandscape.landscape.landscape import EVALUATED, Landscape
from losslandscape.landscape.mean_intervals import (
    LEVEL,
    effective_samples,
    mean_interval,
    undrawn_share,
)
from losslandscape.landscape.sampling_errors import (
    AGAINST,
    Against,
    Reference,
    dataset_size,
    finite_population_correction,
    per_sample_losses,
    reference_point,
)

# Samples that must at least carry half of the variance. Large differences have both signs, which
# takes one more; both numbers are from simulations (benchmarks/coverage/mean_tables.py).
_FEWEST, _FEWEST_OF_DIFFERENCES = 2, 3
_SCREENED = 0.1  # share of the error probability for points that could not be the minimum


def confidence_interval(
    landscape: Landscape,
    name: str = "loss",
    level: float = LEVEL,
    against: Against = "population",
    dataset_samples: int | None = None,
    undrawn_loss: float | None = None,
) -> ConfidenceInterval:
    """See :meth:`losslandscape.Landscape.confidence_interval`."""
    losses = per_sample_losses(landscape, name)
    size = _size(landscape, name, against, dataset_samples)
    shape = landscape.grid.shape
    low, high, trusted = _interval(landscape, name, losses, level, size, undrawn_loss)
    return ConfidenceInterval(low.reshape(shape), high.reshape(shape), trusted.reshape(shape))


def difference_confidence_interval(
    landscape: Landscape,
    reference: Reference = "minimum",
    name: str = "loss",
    level: float = LEVEL,
    against: Against = "population",
    dataset_samples: int | None = None,
    undrawn_loss: float | None = None,
) -> ConfidenceInterval:
    """See :meth:`losslandscape.Landscape.difference_confidence_interval`."""
    losses = per_sample_losses(landscape, name)
    size = _size(landscape, name, against, dataset_samples)
    point = reference_point(landscape, reference, name)
    shape, count = landscape.grid.shape, losses.shape[1]
    # Where the losses of neither point can be trusted, the difference may have missed the same
    # samples. Where those of one can, they have most of the difference's variance.
    trusted = _interval(landscape, name, losses, level, size, undrawn_loss)[2]
    trusted |= trusted[point]
    with np.errstate(invalid="ignore"):
        differences = losses.astype(np.float64) - losses[point]
    low, high = mean_interval(differences, level, size, hull=True)
    effective = effective_samples(differences)
    if isinstance(reference, str):
        candidates = _possible_minima(differences, level, size)
        if candidates > 1:
            chance = (1 - level) * (1 - _SCREENED) / candidates
            low = mean_interval(differences, 1 - chance, size, hull=True)[0]
    if size is None or size > count:
        trusted &= (effective == 0) | (effective >= _FEWEST_OF_DIFFERENCES)
    trusted &= np.isfinite(low)
    trusted[point] = True  # 0 by definition
    low[point] = high[point] = 0.0
    return ConfidenceInterval(low.reshape(shape), high.reshape(shape), trusted.reshape(shape))


def largest_usual_loss(landscape: Landscape, name: str = "loss") -> float:
    """The size of loss that a sample has which is wrong: the median of the points' largest losses.

    The median is over the evaluated points that have finite per-sample losses; NaN without any.

    Raises
    ------
    LossLandscapeError
        If the landscape holds no per-sample losses.
    """
    return _usual(per_sample_losses(landscape, name).max(axis=1))


def smallest_usual_loss(landscape: Landscape, name: str = "loss") -> float:
    """The loss of a sample that is right: the median of the points' smallest losses.

    As :func:`largest_usual_loss`, for samples that were not drawn and would lower a mean.

    Raises
    ------
    LossLandscapeError
        If the landscape holds no per-sample losses.
    """
    return _usual(per_sample_losses(landscape, name).min(axis=1))


@dataclass(frozen=True)
class Trust:
    """How well the samples determine the losses. Made by :func:`trust`.

    Attributes
    ----------
    level : float
    points, untrusted : int
        Points with an interval, and those of them where it cannot be trusted.
    effective_median : float
        Median over the points of the number of samples that carry half of the variance.
    effective_lowest : int
        The same at the lowest point.
    lowest_trusted : bool
    least_undrawn_loss, undrawn_loss : float
        The losses between which those of samples that were not drawn were assumed to be.
    """

    level: float
    points: int
    untrusted: int
    effective_median: float
    effective_lowest: int
    lowest_trusted: bool
    least_undrawn_loss: float
    undrawn_loss: float

    def lines(self) -> list[str]:
        """The numbers and the warning in sentences, without a period at the end."""
        found = [
            f"half of the variance is carried by {self.effective_median:,.0f} samples (median over "
            f"points), by {self.effective_lowest:,} at the lowest point"
        ]
        assumed = f"{self.least_undrawn_loss:.3g} to {self.undrawn_loss:.3g}"
        if self.untrusted:
            found.append(
                f"{self.untrusted:,} of {self.points:,} points"
                + (", the lowest among them" if not self.lowest_trusted else "")
                + ": too few samples carry the variance; the interval cannot be trusted (one "
                "sample has half of it, or samples that were not drawn, with assumed losses of "
                f"{assumed}, could move the mean beyond it)"
            )
        else:
            found.append(
                f"confidence intervals can be trusted at all {self.points:,} points, if samples "
                f"that were not drawn have losses of {assumed}"
            )
        return found


def trust(landscape: Landscape, name: str = "loss", level: float = LEVEL) -> Trust | None:
    """How well the samples determine a loss of the population; None where it cannot be said.

    That is without per-sample losses, with a single sample, or without any finite point.
    """
    kept = landscape.samples.get(f"{name}_samples")
    if kept is None or kept.shape[-1] < 2:
        return None
    losses = per_sample_losses(landscape, name)
    known = np.isfinite(losses).all(axis=1) & (landscape.status.ravel() == EVALUATED)
    if not known.any():
        return None
    lowest = reference_point(landscape, "minimum", name)
    effective = effective_samples(losses)
    trusted = confidence_interval(landscape, name, level).trusted.ravel()
    return Trust(
        level,
        int(known.sum()),
        int((known & ~trusted).sum()),
        float(np.median(effective[known])),
        int(effective[lowest]),
        bool(trusted[lowest]),
        smallest_usual_loss(landscape, name),
        largest_usual_loss(landscape, name),
    )


def trust_arrays(landscape: Landscape) -> dict[str, np.ndarray]:
    """``loss_effective_samples`` of each loss whose per-sample losses are kept, as grid arrays."""
    arrays = {}
    for name in landscape.fields:
        losses = landscape.samples.get(f"{name}_samples")
        if losses is None or losses.shape[-1] < 2 or not np.isfinite(losses).all(axis=-1).any():
            continue
        arrays[f"{name}_effective_samples"] = effective_samples(losses)
    return arrays


def _interval(
    landscape: Landscape,
    name: str,
    losses: np.ndarray,
    level: float,
    size: int | None,
    undrawn_loss: float | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Low, high and trusted of all points, shape (points,)."""
    low, high = mean_interval(losses, level, size)
    count = losses.shape[1]
    if undrawn_loss is None:
        undrawn_loss = largest_usual_loss(landscape, name)
    share = undrawn_share(count, level, size)
    with np.errstate(all="ignore"):
        mean = losses.mean(axis=1, dtype=np.float64)
        highest = mean + share * (undrawn_loss - mean)
        lowest = mean + share * (smallest_usual_loss(landscape, name) - mean)
    trusted = np.isfinite(low) & ~(highest > high) & ~(lowest < low)
    if size is None or size > count:
        trusted &= effective_samples(losses) >= _FEWEST  # equal losses have 0: they say nothing
    return (
        np.where(lowest < low, lowest, low),
        np.where(highest > high, highest, high),
        trusted,
    )


def _usual(extremes: np.ndarray) -> float:
    finite = extremes[np.isfinite(extremes)]
    return float(np.median(finite)) if finite.size else float("nan")


def _possible_minima(differences: np.ndarray, level: float, size: int | None) -> int:
    """How many points are not significantly above the lowest one, itself included."""
    finite = np.isfinite(differences).all(axis=1)
    rows = differences[finite]
    count = rows.shape[1]
    with np.errstate(all="ignore"):
        errors = rows.std(axis=1, ddof=1) / np.sqrt(count)
    if size is not None:
        errors *= finite_population_correction(count, size)
    chance = (1 - level) / 2 * _SCREENED / len(rows)
    return int((rows.mean(axis=1) <= stdtrit(count - 1, 1 - chance) * errors).sum())


def _size(landscape: Landscape, name: str, against: str, dataset_samples: int | None) -> int | None:
    if against not in AGAINST:
        raise LossLandscapeError(f"against {against!r} is not one of {', '.join(AGAINST)}")
    if against == "population":
        return None
    return dataset_size(landscape, name, dataset_samples)
