"""Are the critical points of the grid critical points of the loss?

Each is sought again with the loss's own derivatives; ``docs/verification.md`` describes the method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losslandscape.analysis.critical_point_search import (
    DEGENERATE,
    CriticalPointSearch,
    ScaledLoss,
    Stationary,
    StoppingRule,
)
from losslandscape.analysis.critical_points import CriticalPoints
from losslandscape.analysis.short_table import short_table
from losslandscape.analysis.stationarity import displacement, sampling_radius
from losslandscape.argument_kinds import FLAG, PATH, Instance, Word
from losslandscape.counted import counted
from losslandscape.files.finished_parts import finished_parts
from losslandscape.landscape.as_measured import as_measured
from losslandscape.landscape.identity import check_plane, check_source
from losslandscape.landscape.opening import LandscapeOrPath, opened
from losslandscape.planes.subspace import Subspace
from losslandscape.point.checked_derivatives import AUTOMATIC, Derivatives, checked_derivatives
from losslandscape.point.determinism import require_one_value
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import PRECISIONS
from losslandscape.progress import Progress
from losslandscape.public_calls import public

VERIFIED, MOVED, BOUNDARY, NON_SMOOTH, NOT_CONVERGED = range(5)
OUTCOMES = ("verified", "moved", "boundary", "non-smooth", "not converged")
NO_KIND = -1

_SAME_POINT = 0.1  # spacings between two refined positions that are one critical point


@dataclass(frozen=True)
class Verification:
    """What became of each critical point of the grid. Made by :func:`verify`.

    Attributes
    ----------
    arrays : dict of ndarray, shape (n, ...)
        The critical points' own arrays and

        - ``refined_position`` (n, 3): where the search ended; the point itself on the boundary;
        - ``in_plane_gradient_norm``: there, per unit of the coordinates; where the loss is not
          smooth, of the shortest vector in the convex hull of the gradients around;
        - ``relative_gradient``: that vector against the gradients one spacing away, direction by
          direction: how far, in spacings, these say that the critical point is from here;
        - ``eigenvalue_min``, ``eigenvalue_max``: of the in-plane Hessian there; of the curvature
          that the gradients one spacing away have where Newton's method cycled; NaN where the loss
          is not smooth or the point is on the boundary;
        - ``verified_kind`` int8: 0 minimum, 1 saddle, 2 maximum, 3 degenerate, -1 none found;
        - ``verification`` int8: 0 verified, 1 moved, 2 boundary, 3 non-smooth, 4 not converged;
        - ``full_gradient_norm``: of the gradient by all parameters, at the refined position;
        - ``outward_derivative``: along the outward unit normal, on the boundary alone;
        - ``refined_loss``, ``displacement`` (in spacings) and ``newton_iterations`` int32;
        - ``cycle_diameter``: of the positions among which Newton's method cycled, in spacings; 0
          where its steps vanished;
        - ``position_rounding``: how far off the refined position may be, in spacings: by the
          rounding of the gradient and the Newton step that was left;
        - ``position_sampling``: the radius, in spacings, that holds the critical point of the
          population with 95% (bootstrap); infinite where the curvature vanishes.
          Both are NaN where the loss is not smooth, and where nothing was found.
    kinds : tuple of str
        Names of the cell dimensions.
    rule : StoppingRule
    about : dict
        Precision, batch-norm mode, samples, batch size, and how derivatives are computed; see
        :class:`losslandscape.point.checked_derivatives.Method`.
    spacing : ndarray, shape (dimensions,)
    """

    arrays: dict[str, np.ndarray]
    kinds: tuple[str, ...]
    rule: StoppingRule
    about: dict[str, Any]
    spacing: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """Number of points by outcome."""
        found = self.arrays["verification"]
        return {name: int((found == code).sum()) for code, name in enumerate(OUTCOMES)}

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """Rows: kind on the grid. Columns: true kind of the verified, and the other outcomes."""
        grid, true = self.arrays["CellDimension"], self.arrays["verified_kind"]
        outcome = self.arrays["verification"]
        table = {}
        for number, name in enumerate(self.kinds):
            mine = grid == number
            verified = mine & (outcome == VERIFIED)
            row = {other: int((verified & (true == k)).sum()) for k, other in enumerate(self.kinds)}
            row["degenerate"] = int((verified & (true == DEGENERATE)).sum())
            for code in (MOVED, BOUNDARY, NON_SMOOTH, NOT_CONVERGED):
                row[OUTCOMES[code]] = int((mine & (outcome == code)).sum())
            table[name] = row
        return table

    @property
    def distinct(self) -> dict[str, int]:
        """Number of different true critical points that were reached, by kind.

        ``"non-smooth"`` is among the kinds if such a point was reached beyond the trust radius.
        """
        converged = np.isin(self.arrays["verification"], (VERIFIED, MOVED))
        places = self.arrays["refined_position"][:, : len(self.spacing)] / self.spacing
        seen: list[np.ndarray] = []
        counts = dict.fromkeys((*self.kinds, "degenerate"), 0)
        for i in np.flatnonzero(converged):
            if all(np.linalg.norm(places[i] - other) > _SAME_POINT for other in seen):
                seen.append(places[i])
                kind = int(self.arrays["verified_kind"][i])
                name = {DEGENERATE: "degenerate", NO_KIND: "non-smooth"}.get(kind)
                name = name or self.kinds[kind]
                counts[name] = counts.get(name, 0) + 1
        return counts

    def summary(self) -> list[str]:
        """The outcomes in sentences, and what they do not say: of other samples, off the plane."""
        counts, same = self.counts, sum(row[name] for name, row in self.confusion.items())
        total = len(self.arrays["verification"])
        others = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES[1:])
        distinct = ", ".join(
            f"{n} {kind if n == 1 else _PLURALS.get(kind, kind)}"
            for kind, n in self.distinct.items() if n
        )  # fmt: skip
        return [
            f"{counts['verified']} of {total} critical points of the grid are verified, {same} of "
            f"them as the same kind; {others}",
            f"the points that converged are {distinct or 'none'} of the loss in the plane",
            *self._about_samples(),
            *self._about_the_network(),
            *self._about_derivatives(),
        ]

    def _about_samples(self) -> list[str]:
        """Which verified points these samples do not locate."""
        radius = self.arrays["position_sampling"]
        far = radius[(self.arrays["verification"] == VERIFIED) & (radius > 1)]
        if not far.size:
            return []
        radius, one = far.max(), far.size == 1
        known = np.isfinite(radius)
        # between two draws there is the error of both
        distance = f"up to {2**0.5 * radius:.3g} grid spacings" if known else "any distance"
        return [
            f"{far.size} {'point is' if one else 'points are'} verified for these samples only: "
            f"other samples of the same kind would move {'it' if one else 'them'} by {distance} "
            f"(95%; position_sampling is {radius:.3g}, more than one spacing)"
        ]

    def _about_the_network(self) -> list[str]:
        """How far the points that converged are from critical points of the network."""
        converged = np.isin(self.arrays["verification"], (VERIFIED, MOVED))
        norms = self.arrays["full_gradient_norm"][converged]
        norms = norms[np.isfinite(norms)]
        if not norms.size:
            return []
        low, high = (f"{end:.3g}" for end in (norms.min(), norms.max()))
        return [
            "a critical point of the plane is none of the network unless the full gradient norm is "
            f"0 too; here it is {low if low == high else f'{low} to {high}'}"
        ]

    def _about_derivatives(self) -> list[str]:
        derivatives = self.about.get("derivatives", {})
        if derivatives.get("method", AUTOMATIC) == AUTOMATIC:
            return []
        return [f"derivatives: {derivatives['method']}; {'; '.join(derivatives['reasons'])}"]

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {name}" for name, n in self.counts.items())
        columns = ("kind", "position", "verification", "verified_kind", "refined_position")
        return short_table(f"Verification: {counts}", columns, self.table())

    def table(self) -> list[dict[str, Any]]:
        """A row a critical point."""
        a, dimensions = self.arrays, len(self.spacing)
        names = {NO_KIND: None, DEGENERATE: "degenerate", **dict(enumerate(self.kinds))}
        return [
            {
                "kind": self.kinds[a["CellDimension"][i]],
                "position": a["points"][i, :dimensions].tolist(),
                "verification": OUTCOMES[a["verification"][i]],
                "verified_kind": names[int(a["verified_kind"][i])],
                "refined_position": a["refined_position"][i, :dimensions].tolist(),
                **{name: float(a[name][i]) for name in _NUMBERS},
                "newton_iterations": int(a["newton_iterations"][i]),
            }
            for i in range(len(a["verification"]))
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "counts": self.counts,
            "confusion": self.confusion,
            "distinct": self.distinct,
            "summary": self.summary(),
            "stopping_rule": asdict(self.rule),
            **self.about,
            "critical_points": self.table(),
        }


_NUMBERS = (
    "loss", "refined_loss", "displacement", "in_plane_gradient_norm", "full_gradient_norm",
    "eigenvalue_min", "eigenvalue_max", "outward_derivative", "cycle_diameter",
    "relative_gradient", "position_rounding", "position_sampling",
)  # fmt: skip
RULE = Instance(
    "losslandscape.analysis.critical_point_search:StoppingRule", "StoppingRule(iterations=60)"
)
_PLURALS = {"minimum": "minima", "saddle": "saddles", "maximum": "maxima"}


@public(precision=Word(tuple(PRECISIONS)), significant_only=FLAG, rule=RULE, journal=PATH)
def verify(
    landscape: LandscapeOrPath,
    critical_points: CriticalPoints,
    objective: Objective,
    subspace: Subspace,
    *,
    precision: str | None = None,
    batch_size: int | None = None,
    significant_only: bool = False,
    rule: StoppingRule | None = None,
    quiet: bool = True,
    journal: Path | None = None,
) -> Verification:
    """Seek each critical point of the grid again with the loss's own gradient and Hessian.

    The loss is the one the landscape was measured with: the objective's first set of samples, and
    the landscape's own batch-norm mode and re-estimation batches.

    Parameters
    ----------
    precision : "float32" or "float64", optional
        The objective's own by default. In float32 a refined position is good to about 1e-3
        spacings, in float64 to the rounding of the positions.
    batch_size : int, optional
        Samples a pass, which bounds the memory; the landscape's by default.
    significant_only : bool
        Leave the other points out.
    rule : StoppingRule, optional
    quiet : bool
        Show no progress.
    journal : str or os.PathLike, optional
        A file for what is finished: an interrupted call goes on where it was.

    Raises
    ------
    LossLandscapeError
        If the subspace or the objective is not the landscape's, its losses are not the same each
        time they are measured, or no derivatives agree with the losses that are measured.

    Notes
    -----
    The search is that of :class:`losslandscape.analysis.critical_point_search.CriticalPointSearch`;
    what is found is judged by :class:`losslandscape.analysis.stationarity.Surroundings`.
    """
    landscape = opened(landscape)
    check_plane(landscape, subspace)
    check_source(
        landscape, critical_points.source, "the critical points", "find_critical_points(landscape)"
    )
    require_one_value(landscape)
    measured = landscape.provenance.get("objective", {})
    objective = as_measured(landscape, objective)
    batch_size = batch_size or measured.get("batch_size")
    arrays = critical_points.arrays
    if significant_only:
        arrays = {name: v[arrays["significant"] == 1] for name, v in arrays.items()}
    grid = landscape.grid
    reestimation_batch_size = measured.get("reestimation_batch_size")
    with checked_derivatives(
        objective,
        subspace,
        _places(grid.bounds),
        grid.spacing,
        precision,
        batch_size,
        quiet=quiet,
    ) as (loss, method):
        rule = rule or StoppingRule.for_dtype(loss.dtype)
        search = _Search(loss, grid.bounds, grid.spacing, rule)
        positions = arrays["points"][:, : grid.dimensions].astype(np.float64)
        about = {
            "precision": str(loss.dtype).removeprefix("torch."),
            "batch_norm": objective.batch_norm,
            "batch_size": batch_size,
            "samples": len(next(iter(objective.sets.values()))),
        }
        recipe = {
            **about,
            "positions": positions.tolist(),
            "kinds": arrays["CellDimension"].tolist(),
            "rule": asdict(rule),
            "subspace": subspace.identity,
            "objective": objective.to_json(),
            "reestimation_batch_size": reestimation_batch_size,
            "derivatives": method.name,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        found = []
        with (
            finished_parts(
                journal, recipe, _Found.record_bytes(grid.dimensions), "critical points"
            ) as parts,
            Progress(
                len(positions),
                "critical points",
                done=len(parts[0]),
                quiet=quiet,
                work=f"Newton's method from {counted(len(positions), 'point')}, at most "
                f"{rule.iterations} steps each; gradient and Hessian over "
                f"{about['samples']:,} samples at each step",
                unit="critical points",
            ) as progress,
        ):
            records, keep = parts
            for i, position in enumerate(positions):
                if i in records:
                    found.append(_Found.from_record(records[i], grid.dimensions))
                    continue
                if arrays["IsOnBoundary"][i]:
                    vertex = int(arrays["ttkVertexScalarField"][i])
                    outward = _outward(critical_points.complex.domain, vertex, grid.spacing)
                    found.append(search.on_boundary(position, outward))
                else:
                    found.append(search.refine(position, int(arrays["CellDimension"][i])))
                keep(i, found[-1].record())
                progress.advance()
    return Verification(
        {**arrays, **_columns(found)},
        critical_points.kinds,
        rule,
        {**about, "derivatives": method.to_json()},
        np.array(grid.spacing),
    )


def _places(bounds: Sequence[tuple[float, float]]) -> list[np.ndarray]:
    """The middle of the window, and half way from there to two opposite corners."""
    low, high = np.array(bounds).T
    return [(low + high) / 2, (3 * low + high) / 4, (low + 3 * high) / 4]


@dataclass
class _Found:
    """The end of one search; positions in coordinates."""

    outcome: int
    position: np.ndarray
    loss: float = np.nan
    gradient_norm: float = np.nan
    relative_gradient: float = np.nan
    full_gradient_norm: float = np.nan
    eigenvalue_min: float = np.nan
    eigenvalue_max: float = np.nan
    kind: int = NO_KIND
    outward: float = np.nan
    displacement: float = 0.0
    iterations: int = 0
    cycle_diameter: float = 0.0
    rounding: float = np.nan
    sampling: float = np.nan

    @staticmethod
    def record_bytes(dimensions: int) -> int:
        return 8 * (len(fields(_Found)) - 1 + dimensions)

    def record(self) -> bytes:
        """All of it as float64, which holds the whole numbers exactly."""
        numbers = [getattr(self, one.name) for one in fields(self) if one.name != "position"]
        return np.array([*numbers, *self.position], dtype=np.float64).tobytes()

    @classmethod
    def from_record(cls, record: bytes, dimensions: int) -> _Found:
        numbers = np.frombuffer(record)
        names = [one.name for one in fields(cls) if one.name != "position"]
        found = cls(position=numbers[-dimensions:], **dict(zip(names, numbers[:-dimensions])))
        found.outcome, found.kind = int(found.outcome), int(found.kind)
        found.iterations = int(found.iterations)
        return found


def _columns(found: Sequence[_Found]) -> dict[str, np.ndarray]:
    positions = np.zeros((len(found), 3))
    for row, one in zip(positions, found):
        row[: len(one.position)] = one.position

    def column(name: str, dtype: type = np.float64) -> np.ndarray:
        return np.array([getattr(one, name) for one in found], dtype=dtype)

    return {
        "refined_position": positions,
        "refined_loss": column("loss"),
        "in_plane_gradient_norm": column("gradient_norm"),
        "relative_gradient": column("relative_gradient"),
        "eigenvalue_min": column("eigenvalue_min"),
        "eigenvalue_max": column("eigenvalue_max"),
        "verified_kind": column("kind", np.int8),
        "verification": column("outcome", np.int8),
        "full_gradient_norm": column("full_gradient_norm"),
        "outward_derivative": column("outward"),
        "displacement": column("displacement"),
        "cycle_diameter": column("cycle_diameter"),
        "position_rounding": column("rounding"),
        "position_sampling": column("sampling"),
        "newton_iterations": column("iterations", np.int32),
    }


class _Search:
    """Searches from critical points of the grid, and what the table says of each."""

    def __init__(self, loss: Derivatives, bounds, spacing, rule: StoppingRule):
        self._loss = loss
        self._spacing = np.array(spacing)
        self._rule = rule
        low, high = np.array(bounds).T
        self._scaled = ScaledLoss(loss, self._spacing)
        self._search = CriticalPointSearch(
            self._scaled, low / self._spacing, high / self._spacing, rule
        )

    def refine(self, start: np.ndarray, kind: int) -> _Found:
        found = self._search.near(start / self._spacing, kind)
        position = (self._search.last if found is None else found.position) * self._spacing
        value, gradient = self._loss.value_and_gradient(position)
        row = _Found(
            NOT_CONVERGED,
            position,
            value,
            float(np.linalg.norm(gradient)),
            full_gradient_norm=self._loss.full_gradient_norm(position),
            displacement=float(np.linalg.norm((position - start) / self._spacing)),
            iterations=self._search.iterations,
        )
        if found is not None:
            self._describe(row, found)
        return row

    def _describe(self, row: _Found, found: Stationary) -> None:
        around = found.surroundings
        row.cycle_diameter = found.cycle_diameter
        far = row.displacement > self._rule.trust_radius
        if found.curvature is None:
            row.outcome = MOVED if far else NON_SMOOTH
            row.gradient_norm = float(np.linalg.norm(around.shortest / self._spacing))
            row.relative_gradient = around.offset(around.shortest)
            return
        row.outcome = MOVED if far else VERIFIED
        left = displacement(found.curvature, around.here[None])
        row.relative_gradient = min(around.offset(around.here), float(np.linalg.norm(left)))
        assert found.kind is not None
        row.kind = found.kind
        eigenvalues = np.linalg.eigvalsh(found.curvature / np.outer(self._spacing, self._spacing))
        row.eigenvalue_min, row.eigenvalue_max = eigenvalues[0], eigenvalues[-1]
        noise = around.rounding * np.eye(len(row.position))
        left = displacement(found.curvature, np.vstack([noise, around.here]))
        row.rounding = float(np.linalg.norm(left))
        row.sampling = sampling_radius(
            found.curvature, self._loss.sample_gradients(row.position) * self._spacing
        )

    def on_boundary(self, position: np.ndarray, outward: np.ndarray) -> _Found:
        """Derivatives at a boundary point, which is never moved."""
        value, gradient = self._loss.value_and_gradient(position)
        return _Found(
            BOUNDARY,
            position,
            value,
            float(np.linalg.norm(gradient)),
            full_gradient_norm=self._loss.full_gradient_norm(position),
            outward=float(gradient @ outward),
        )


def _outward(domain: np.ndarray, vertex: int, spacing: Sequence[float]) -> np.ndarray:
    """Unit vector, in coordinates, to where neighbours of a vertex are missing; NaN on all sides.

    Examples
    --------
    >>> _outward(np.ones((3, 3), bool), 0, (1.0, 1.0)).round(2)
    array([-0.71, -0.71])
    """
    index = np.unravel_index(vertex, domain.shape)
    direction = np.zeros(domain.ndim)
    for axis, length in enumerate(domain.shape):
        for side in (-1, 1):
            neighbour = list(index)
            neighbour[axis] += side
            inside = 0 <= neighbour[axis] < length and domain[tuple(neighbour)]
            if not inside:
                direction[domain.ndim - 1 - axis] += side  # array axes run slowest first
    direction *= np.array(spacing)
    norm = np.linalg.norm(direction)
    return direction / norm if norm > 0 else np.full(domain.ndim, np.nan)
