"""The critical points of a landscape, with those that noise does not explain marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from losslandscape.analysis.pair_significance import PairSignificance, pair_significance
from losslandscape.analysis.short_table import short_table
from losslandscape.analysis.significance import (
    METHODS,
    SCALES,
    Method,
    NoiseThreshold,
    keeps_samples,
    noise_threshold,
    on_scale,
)
from losslandscape.argument_kinds import FLAG, Word
from losslandscape.landscape.identity import source_of
from losslandscape.landscape.interpolation_errors import Interpolation, interpolation_of
from losslandscape.landscape.landscape import INTERPOLATED, Landscape
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.public_calls import public
from losslandscape.topology import MorseSmaleComplex, morse_smale_complex


@dataclass(frozen=True)
class CriticalPoints:
    """The Morse-Smale complex of a landscape and the significance of its critical points.

    Returned by :func:`find_critical_points`.

    Attributes
    ----------
    arrays : dict of ndarray, shape (n, ...)
        The complex's ``critical_points``, with the mean loss itself in ``loss`` on either scale.
        ``significant`` int8 is 1 if the pair of the point is significant. It is always 1 for the
        global minimum, and 0 for a saddle that only closes a cycle around a hole of the domain.
        ``p_value`` float64, if pairs were judged one by one: the pair's, adjusted for all pairs;
        NaN if the pair never ends. If the landscape has per-sample losses,
        ``persistence_standard_error`` float64. If it has interpolated points, ``interpolated`` int8
        is 1 for a critical point at one of these.
    complex : MorseSmaleComplex
        The complex of the field on its scale; on the log scale, values and persistence are in
        decades.
    scale : "log" or "linear"
    threshold : float
        The persistence above which all pairs are significant, in units of the scale. If pairs were
        judged one by one, pairs below it may be significant too.
    noise : PairSignificance, NoiseThreshold or None
        How the pairs were judged; None if you passed a threshold.
    simplified : bool
        Whether pairs up to the threshold were removed.
    interpolation : Interpolation
        How many points of the landscape are interpolated, and their largest estimated error.
    pair_arrays : dict of ndarray, shape (pairs,)
        ``significant`` int8 of the complex's ``persistence_pairs``, and ``p_value`` float64 if they
        were judged one by one.
    source : dict of str
        Hashes of the landscape's plane, grid and losses.
    """

    arrays: dict[str, np.ndarray]
    complex: MorseSmaleComplex
    scale: str
    threshold: float
    noise: PairSignificance | NoiseThreshold | None
    simplified: bool
    interpolation: Interpolation
    pair_arrays: dict[str, np.ndarray]
    source: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.arrays["points"])

    def __repr__(self) -> str:
        kinds = self.arrays["CellDimension"]
        counts = ", ".join(
            f"{(n := int((kinds == i).sum()))} {name if n == 1 else _PLURALS[name]}"
            for i, name in enumerate(self.kinds)
        )
        significant = int((self.arrays["significant"] == 1).sum())
        columns = ("number", "kind", "position", "loss", "persistence", "significant")
        title = f"CriticalPoints: {counts}; {significant} {self.judged}"
        return short_table(title, columns, self.table())

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the cell dimensions; on a line, a critical edge is a maximum."""
        planar = self.complex.values.ndim == 2
        return ("minimum", "saddle", "maximum") if planar else ("minimum", "maximum")

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Counts by kind: ``significant`` and ``not_significant`` inside and on the boundary.

        The global minimum counts as inside and significant wherever it lies.
        """
        kind, on_boundary = self.arrays["CellDimension"], self.arrays["IsOnBoundary"] == 1
        significant = self.arrays["significant"] == 1
        inside = ~on_boundary
        if len(self):
            inside = inside | (np.arange(len(self)) == self.global_minimum)
        return {
            name: {
                "significant": int((significant & inside & (kind == number)).sum()),
                "not_significant": int((~significant & inside & (kind == number)).sum()),
                "boundary_significant": int((significant & ~inside & (kind == number)).sum()),
                "boundary_not_significant": int((~significant & ~inside & (kind == number)).sum()),
            }
            for number, name in enumerate(self.kinds)
        }

    @property
    def global_minimum(self) -> int:
        """Number of the lowest critical point."""
        minima = np.flatnonzero(self.arrays["CellDimension"] == 0)
        return int(minima[np.argmin(self.arrays["loss"][minima])])

    @property
    def judged(self) -> str:
        """What it means that a point is significant, in words."""
        if self.noise is None or self.noise.method == "none":
            return "of persistence above t"
        return f"significant at {100 * self.noise.confidence:g}%"

    def headline(self) -> str:
        """How many minima are significant, and by what."""
        found = self.counts["minimum"]
        significant = found["significant"] + found["boundary_significant"]
        total = int((self.arrays["CellDimension"] == 0).sum())
        of_all = f"{significant} of {total} minima {'is' if significant == 1 else 'are'}"
        if self.noise is None or self.noise.method == "none":
            return f"{of_all} of persistence above t = {self.threshold:.4g}"
        if isinstance(self.noise, PairSignificance):
            return (
                f"{of_all} {self.judged}, each judged by the standard error of its own difference "
                f"from its surroundings ({self.noise.samples} samples)"
            )
        return f"{of_all} {self.judged}, by a persistence above t = {self.threshold:.4g}"

    def summary(self) -> list[str]:
        """How many critical points stand above the noise, in one sentence per kind."""
        unit = " decades" if self.scale == "log" else ""
        source = self.noise.reason if self.noise else "as given"
        if isinstance(self.noise, PairSignificance):
            lines = [
                f"each pair is judged on its own: {source}",
                f"every pair of persistence above t = {self.threshold:.4g}{unit} is significant",
            ]
        else:
            lines = [f"threshold t = {self.threshold:.4g}{unit}: {source}"]
        word = self.judged
        for kind, found in self.counts.items():
            name = kind if found["significant"] == 1 else _PLURALS[kind]
            line = f"{found['significant']} {name} {word}, {found['not_significant']} not"
            edge = found["boundary_significant"] + found["boundary_not_significant"]
            if edge:
                line += f"; {edge} more on the boundary ({found['boundary_significant']} {word})"
            if kind == "minimum" and found["significant"] + found["boundary_significant"] == 1:
                line += "; the global minimum always counts, because its pair never ends"
            lines.append(line)
        if self.interpolation.interpolated:
            lines.append(f"{self.interpolation}{self._critical_interpolated()}")
        if self.arrays["IsOnBoundary"][self.global_minimum]:
            lines.append(
                "the global minimum lies on the boundary; the loss may be lower outside the window"
            )
        if len(self) == 1:
            lines.append("the minimum is the only critical point of this window")
        return lines

    def _critical_interpolated(self) -> str:
        """How many significant critical points lie at interpolated points."""
        significant = self.arrays["significant"] == 1
        count = int((significant & (self.arrays["interpolated"] == 1)).sum())
        of_them = "significant critical points"
        if not isinstance(self.noise, PairSignificance):
            of_them = "critical points above t"
        if not count:
            return f"; no {of_them.replace('points', 'point')} lies at one of them"
        total = int(significant.sum())
        return f"; {count} of the {total} {of_them} lie at one of them"

    def table(self) -> list[dict]:
        """One row per critical point, the most persistent first."""
        order = np.lexsort((self.arrays["loss"], -self.arrays["persistence"]))
        dimensions = self.complex.values.ndim
        rows = []
        for i in order:
            row = {
                "number": int(i),
                "kind": self.kinds[self.arrays["CellDimension"][i]],
                "position": [float(c) for c in self.arrays["points"][i, :dimensions]],
                "loss": float(self.arrays["loss"][i]),
                "persistence": float(self.arrays["persistence"][i]),
                "significant": bool(self.arrays["significant"][i]),
                "on_boundary": bool(self.arrays["IsOnBoundary"][i]),
            }
            if "p_value" in self.arrays:
                row["p_value"] = float(self.arrays["p_value"][i])
            if "persistence_standard_error" in self.arrays:
                error = self.arrays["persistence_standard_error"][i]
                row["persistence_standard_error"] = float(error)
            if "interpolated" in self.arrays:
                row["interpolated"] = bool(self.arrays["interpolated"][i])
            rows.append(row)
        return rows

    def to_json(self) -> dict:
        return {
            "scale": self.scale,
            "threshold": self.threshold,
            "noise": self.noise.to_json() if self.noise else None,
            "simplified": self.simplified,
            "interpolation": self.interpolation.to_json(),
            "counts": self.counts,
            "summary": self.summary(),
            "critical_points": self.table(),
        }


_PLURALS = {"minimum": "minima", "saddle": "saddles", "maximum": "maxima"}


@public(scale=Word(SCALES), method=Word(METHODS), simplify=FLAG)
def find_critical_points(
    landscape: LandscapeOrPath,
    *,
    scale: str | None = None,
    persistence: float | None = None,
    method: Method | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    simplify: bool = False,
    quiet: bool = True,
) -> CriticalPoints:
    """Compute the Morse-Smale complex of the mean loss and mark what noise does not explain.

    With per-sample losses, each pair of an extremum and a saddle is judged on its own:
    :func:`losslandscape.analysis.pair_significance.pair_significance`.

    Parameters
    ----------
    scale : "log" or "linear", optional
        By default the landscape's own scale.
    persistence : float, optional
        Your own threshold, in units of the scale; nothing is estimated.
    method : str, optional
        ``"studentized"`` judges each pair by its own standard error; the default if there are
        per-sample losses. The other methods have one threshold of persistence for all pairs:
        ``"bootstrap"``, ``"bottleneck"``, ``"standard_error"`` and ``"none"`` of
        :func:`losslandscape.analysis.significance.noise_threshold`.
    draws, seed, confidence
        Of ``method``.
    simplify : bool
        Remove the pairs up to the threshold instead of marking them. If each pair is judged on its
        own, this also removes significant pairs of smaller persistence than one that is not.
    quiet : bool
        Show no progress of a bootstrap on standard error.

    Raises
    ------
    LossLandscapeError
        If the landscape is 3-D, constant or NaN everywhere; if the threshold is negative; or if the
        noise cannot be estimated with the requested method.

    Notes
    -----
    See :func:`losslandscape.topology.morse_smale_complex` for the complex and its sources.

    Examples
    --------
    >>> from losslandscape import Grid
    >>> line = Landscape(Grid.line(5), {"loss": np.array([3.0, 1.0, 1.1, 0.5, 2.0])},
    ...                  np.ones(5, np.int8), np.eye(1))
    >>> find_critical_points(line, persistence=0.2).counts["minimum"]["significant"]
    1
    """
    landscape = opened(landscape)
    values, scale = on_scale(landscape, scale)
    origin, spacing = landscape.grid.origin, landscape.grid.spacing
    complex_ = morse_smale_complex(values, origin, spacing)  # refuses bad fields before any draw
    noise: PairSignificance | NoiseThreshold | None = None
    measured = complex_.persistence_pairs
    options: dict[str, Any] = {
        "draws": draws, "seed": seed, "confidence": confidence, "quiet": quiet
    }  # fmt: skip
    if persistence is not None:
        judged = _above(measured, persistence)
    elif method == "studentized" or (method is None and keeps_samples(landscape)):
        noise = pair_significance(landscape, values, scale, measured, **options)
        judged, persistence = noise.significant, noise.persistence
    else:
        noise = noise_threshold(landscape, scale=scale, method=method, **options)
        persistence = noise.persistence
        judged = _above(measured, persistence)
    pair_arrays = {"significant": _with_endless(measured, judged)}
    if isinstance(noise, PairSignificance):
        pair_arrays["p_value"] = noise.p_values
    if simplify:
        highest = float(np.nanmax(values) - np.nanmin(values))
        complex_ = morse_smale_complex(values, origin, spacing, min(persistence, highest))
        if isinstance(noise, PairSignificance):
            pair_arrays = _carried_over(measured, complex_.persistence_pairs, pair_arrays)
        else:
            pairs = complex_.persistence_pairs
            pair_arrays = {"significant": _with_endless(pairs, _above(pairs, persistence))}
    arrays = dict(complex_.critical_points)
    arrays["loss"] = landscape.values("loss").ravel()[arrays["ttkVertexScalarField"]]
    for name, of_pairs in pair_arrays.items():
        arrays[name] = of_pairs[arrays["pair"]]
    errors = _persistence_errors(landscape, complex_, scale)
    if errors is not None:
        arrays["persistence_standard_error"] = errors
    interpolation = interpolation_of(landscape)
    if interpolation.interpolated:
        status = landscape.status.ravel()[arrays["ttkVertexScalarField"]]
        arrays["interpolated"] = (status == INTERPOLATED).astype(np.int8)
    return CriticalPoints(
        arrays,
        complex_,
        scale,
        float(persistence),
        noise,
        simplify,
        interpolation,
        pair_arrays,
        source_of(landscape),
    )


def _above(pairs: Mapping[str, np.ndarray], persistence: float) -> np.ndarray:
    return pairs["Persistence"] > persistence


def _with_endless(pairs: Mapping[str, np.ndarray], judged: np.ndarray) -> np.ndarray:
    """A minimum that nothing ends counts; a saddle that closes around a hole does not."""
    return np.where(pairs["IsFinite"] == 1, judged, pairs["PairType"] == 0).astype(np.int8)


def _carried_over(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    arrays: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """What is known of pairs before a simplification, for the pairs of the extrema that are left.

    A pair of an extremum that was none before is not significant, and its p value is NaN.
    """
    known = {extremum: i for i, extremum in enumerate(_extrema(before))}
    source = np.array([known.get(extremum, -1) for extremum in _extrema(after)])
    new = (source < 0) & (after["IsFinite"] == 1)
    found = {name: values[source] for name, values in arrays.items()}
    found["significant"] = _with_endless(after, (found["significant"] == 1) & ~new)
    found["p_value"] = np.where(new | (after["IsFinite"] == 0), np.nan, found["p_value"])
    return found


def _extrema(pairs: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """Kind and vertex of the extremum of each pair."""
    kind = pairs["PairType"]
    vertices = np.where(kind == 0, pairs["birth_vertex"], pairs["death_vertex"])
    return list(zip(kind.tolist(), vertices.tolist()))


def _persistence_errors(
    landscape: Landscape, complex_: MorseSmaleComplex, scale: str
) -> np.ndarray | None:
    """Standard error of each point's persistence as the difference of two fixed grid points.

    Computed from per-sample differences between the two vertices of the pair. With other samples,
    other points may form the pair; the threshold accounts for that, but this error does not. NaN if
    one of the two points is interpolated.
    """
    losses = landscape.samples.get("loss_samples")
    if losses is None or losses.shape[-1] < 2:
        return None
    losses = losses.reshape(-1, losses.shape[-1])
    pairs = complex_.persistence_pairs
    ends = []
    for vertices in (pairs["death_vertex"], pairs["birth_vertex"]):
        rows = losses[vertices].astype(np.float64)
        with np.errstate(all="ignore"):
            # log scale: each sample's contribution to the change of log10, to first order
            scaled = rows / (np.log(10) * rows.mean(axis=1, keepdims=True))
        ends.append(scaled if scale == "log" else rows)
    with np.errstate(all="ignore"):
        errors = (ends[0] - ends[1]).std(axis=1, ddof=1) / np.sqrt(losses.shape[1])
    errors = np.where(pairs["IsFinite"] == 1, errors, np.nan)
    return errors[complex_.critical_points["pair"]]
