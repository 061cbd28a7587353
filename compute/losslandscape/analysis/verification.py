"""Are the critical points of the grid critical points of the loss?

Each is sought again with the loss's own derivatives. The method is told in
``docs/verification.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losslandscape.analysis.critical_points import CriticalPoints
from losslandscape.files.finished_parts import finished_parts
from losslandscape.landscape.identity import check_plane
from losslandscape.landscape.landscape import Landscape
from losslandscape.planes.subspace import Subspace
from losslandscape.point.determinism import require_one_value
from losslandscape.point.plane_derivatives import Expansion, PlaneDerivatives
from losslandscape.problem.objective import Objective
from losslandscape.progress import Progress

VERIFIED, MOVED, BOUNDARY, NON_SMOOTH, NOT_CONVERGED = range(5)
OUTCOMES = ("verified", "moved", "boundary", "non-smooth", "not converged")
NO_KIND, DEGENERATE = -1, 3

# of the change of the gradient over two spacings, how much may happen at the point itself
_KINK_SHARE = 0.25
_KINK_STEPS = (1e-2, 1e-3)  # spacings to either side
_SAME_POINT = 0.1  # spacings between two refined positions that are one critical point


@dataclass(frozen=True)
class StoppingRule:
    """When Newton's iteration ends; lengths are in spacings of the grid.

    Attributes
    ----------
    trust_radius : float
        Farther than this from the grid's critical point, the one found is another: "moved".
    step_limit : float
        Along each eigenvector of the Hessian no iteration goes farther.
    step_tolerance : float
        Converged once the whole Newton step is shorter.
    cycle_tolerance, cycle_length : float, int
        Converged also once this many positions in a row lie this close together: Newton's method
        goes round among the linear pieces of a ReLU network, which meet all over the plane, and
        the critical point lies where they meet. Of these positions that of the least gradient is
        taken.
    late_cycle_tolerance, late : float, int
        The tolerance after so many iterations: a deep network's pieces are coarser, and half a
        spacing is still nearer than the grid can say.
    iterations : int
        Not converged after so many.
    """

    trust_radius: float = 2.0
    step_limit: float = 0.5
    step_tolerance: float = 1e-9
    cycle_tolerance: float = 0.05
    cycle_length: int = 8
    late_cycle_tolerance: float = 0.5
    late: int = 16
    iterations: int = 50

    @classmethod
    def for_dtype(cls, dtype: torch.dtype) -> StoppingRule:
        """float64: steps below 1e-9 spacings; else below 1e-3, which is near the rounding."""
        return cls(step_tolerance=1e-9 if dtype == torch.float64 else 1e-3)


@dataclass(frozen=True)
class Verification:
    """What became of each critical point of the grid. Made by :func:`verify`.

    Attributes
    ----------
    arrays : dict of ndarray, shape (n, ...)
        The critical points' own arrays and

        - ``refined_position`` (n, 3): where Newton ended; the point itself on the boundary;
        - ``in_plane_gradient_norm``: there, per unit of the coordinates; where the loss is not
          smooth, of the shortest vector between the gradients of the two sides;
        - ``eigenvalue_min``, ``eigenvalue_max``: of the in-plane Hessian there; NaN where the loss
          is not smooth or the point is on the boundary;
        - ``verified_kind`` int8: 0 minimum, 1 saddle, 2 maximum, 3 degenerate, -1 none found;
        - ``verification`` int8: 0 verified, 1 moved, 2 boundary, 3 non-smooth, 4 not converged;
        - ``full_gradient_norm``: of the gradient by all parameters, at the refined position;
        - ``outward_derivative``: along the outward unit normal, on the boundary alone;
        - ``refined_loss``, ``displacement`` (in spacings) and ``newton_iterations`` int32;
        - ``cycle_diameter``: of the positions Newton's method went round among, in spacings; 0
          where its steps vanished.
    kinds : tuple of str
        Names of the cell dimensions.
    rule : StoppingRule
    about : dict
        Precision, batch-norm mode, samples and batch size.
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
        """Number of different true critical points that were reached, by kind."""
        converged = np.isin(self.arrays["verification"], (VERIFIED, MOVED))
        places = self.arrays["refined_position"][:, : len(self.spacing)] / self.spacing
        seen: list[np.ndarray] = []
        counts = dict.fromkeys((*self.kinds, "degenerate"), 0)
        for i in np.flatnonzero(converged):
            if all(np.linalg.norm(places[i] - other) > _SAME_POINT for other in seen):
                seen.append(places[i])
                kind = self.arrays["verified_kind"][i]
                counts["degenerate" if kind == DEGENERATE else self.kinds[kind]] += 1
        return counts

    def summary(self) -> list[str]:
        """The outcomes in two sentences."""
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
        ]

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
)  # fmt: skip
_PLURALS = {"minimum": "minima", "saddle": "saddles", "maximum": "maxima"}


def verify(
    landscape: Landscape,
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
    journal : path, optional
        A file for what is finished: an interrupted call goes on where it was.

    Raises
    ------
    LossLandscapeError
        If the subspace or the objective is not the landscape's, its losses are not the same each
        time they are measured, or the loss cannot be differentiated twice.

    Notes
    -----
    Newton's method for stationary points of any kind, its steps limited along each eigenvector: J.
    Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed. 2006, sections 3.4 and 11.1. One-sided
    gradients: F. H. Clarke, "Optimization and Nonsmooth Analysis", 1983, section 2.5.
    """
    check_plane(landscape, subspace)
    require_one_value(landscape)
    measured = landscape.provenance.get("objective", {})
    mode = measured.get("batch_norm", objective.batch_norm)
    if mode != "none":
        objective = objective.with_batch_norm(mode)
    landscape.check_objective(objective)
    batch_size = batch_size or measured.get("batch_size")
    arrays = critical_points.arrays
    if significant_only:
        arrays = {name: v[arrays["significant"] == 1] for name, v in arrays.items()}
    grid = landscape.grid
    reestimation_batch_size = measured.get("reestimation_batch_size")
    with PlaneDerivatives(
        objective, subspace, precision, batch_size, reestimation_batch_size
    ) as loss:
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
                work=f"Newton's method from {len(positions):,} points, at most {rule.iterations} "
                f"steps each; gradient and Hessian over {about['samples']:,} samples at each step",
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
        {**arrays, **_columns(found)}, critical_points.kinds, rule, about, np.array(grid.spacing)
    )


@dataclass
class _Found:
    """The end of one search."""

    outcome: int
    position: np.ndarray
    value: float
    gradient_norm: float
    full_gradient_norm: float
    eigenvalues: np.ndarray
    kind: int = NO_KIND
    outward: float = np.nan
    displacement: float = 0.0
    iterations: int = 0
    cycle_diameter: float = 0.0

    @staticmethod
    def record_bytes(dimensions: int) -> int:
        return 8 * (9 + 2 * dimensions)

    def record(self) -> bytes:
        """All of it as float64, which holds the whole numbers exactly."""
        numbers = (
            self.outcome, self.value, self.gradient_norm, self.full_gradient_norm, self.kind,
            self.outward, self.displacement, self.iterations, self.cycle_diameter,
        )  # fmt: skip
        return np.array([*numbers, *self.position, *self.eigenvalues], dtype=np.float64).tobytes()

    @classmethod
    def from_record(cls, record: bytes, dimensions: int) -> _Found:
        numbers = np.frombuffer(record)
        outcome, value, gradient, full, kind, outward, displacement, iterations, diameter = (
            float(number) for number in numbers[:9]
        )
        return cls(
            int(outcome), numbers[9 : 9 + dimensions], value, gradient, full,
            numbers[9 + dimensions :], int(kind), outward, displacement, int(iterations), diameter,
        )  # fmt: skip


def _columns(found: Sequence[_Found]) -> dict[str, np.ndarray]:
    positions = np.zeros((len(found), 3))
    for row, one in zip(positions, found):
        row[: len(one.position)] = one.position
    return {
        "refined_position": positions,
        "refined_loss": np.array([one.value for one in found]),
        "in_plane_gradient_norm": np.array([one.gradient_norm for one in found]),
        "eigenvalue_min": np.array([one.eigenvalues.min() for one in found]),
        "eigenvalue_max": np.array([one.eigenvalues.max() for one in found]),
        "verified_kind": np.array([one.kind for one in found], dtype=np.int8),
        "verification": np.array([one.outcome for one in found], dtype=np.int8),
        "full_gradient_norm": np.array([one.full_gradient_norm for one in found]),
        "outward_derivative": np.array([one.outward for one in found]),
        "displacement": np.array([one.displacement for one in found]),
        "cycle_diameter": np.array([one.cycle_diameter for one in found]),
        "newton_iterations": np.array([one.iterations for one in found], dtype=np.int32),
    }


class _Search:
    """Newton's search in units of the grid's spacing."""

    def __init__(self, loss: PlaneDerivatives, bounds, spacing, rule: StoppingRule):
        self.loss = loss
        self.low, self.high = np.array(bounds).T
        self.spacing = np.array(spacing)
        self.rule = rule

    def refine(self, start: np.ndarray, kind: int) -> _Found:
        position, path = start.copy(), []
        converged, diameter = False, 0.0
        clipped = -self.rule.cycle_length  # the last iteration whose step left the window
        for _ in range(self.rule.iterations):
            here = self.loss.expansion(position)
            path.append((position, here))
            if not (np.isfinite(here.gradient).all() and np.isfinite(here.hessian).all()):
                break
            step, length = self._step(here, kind)
            # positions pressed against the window's edge go round nothing
            pressed = len(path) - clipped <= self.rule.cycle_length
            diameter = np.inf if pressed else self._cycle_diameter(path)
            late = len(path) >= self.rule.late
            near = self.rule.late_cycle_tolerance if late else self.rule.cycle_tolerance
            if length <= self.rule.step_tolerance or diameter <= near:
                converged = True
                break
            moved = np.clip(position + step, self.low, self.high)
            if (moved != position + step).any():
                clipped = len(path)
            if (moved == position).all():
                break  # against the window's edge
            position = moved
        position, here = path[-1]
        if converged:
            if length <= self.rule.step_tolerance:
                diameter = 0.0
            else:
                position, here = min(
                    path[-self.rule.cycle_length :],
                    key=lambda one: float(np.linalg.norm(one[1].gradient * self.spacing)),
                )
            if self._disagreement(position):
                return self._non_smooth(start, position, len(path))
            eigenvalues = np.linalg.eigvalsh(here.hessian)
            distance = self._distance(start, position)
            far = distance > self.rule.trust_radius
            return _Found(
                MOVED if far else VERIFIED,
                position,
                here.value,
                float(np.linalg.norm(here.gradient)),
                self.loss.full_gradient_norm(position),
                eigenvalues,
                _kind(eigenvalues, self._relative_rounding),
                displacement=distance,
                iterations=len(path),
                cycle_diameter=diameter,
            )
        kink = self._kink(path)
        if kink is not None and self._disagreement(kink):
            return self._non_smooth(start, kink, len(path))
        return _Found(
            NOT_CONVERGED,
            position,
            here.value,
            float(np.linalg.norm(here.gradient)),
            self.loss.full_gradient_norm(position),
            np.linalg.eigvalsh(here.hessian)
            if np.isfinite(here.hessian).all()
            else np.full(len(position), np.nan),
            displacement=self._distance(start, position),
            iterations=len(path),
        )

    def on_boundary(self, position: np.ndarray, outward: np.ndarray) -> _Found:
        """Derivatives at a boundary point, which is never moved."""
        value, gradient = self.loss.value_and_gradient(position)
        return _Found(
            BOUNDARY,
            position,
            value,
            float(np.linalg.norm(gradient)),
            self.loss.full_gradient_norm(position),
            np.full(len(position), np.nan),
            outward=float(gradient @ outward),
        )

    def _step(self, here: Expansion, kind: int) -> tuple[np.ndarray, float]:
        """A step in coordinates, and the length in spacings of Newton's own step."""
        scaled = here.hessian * np.outer(self.spacing, self.spacing)
        curvature, axes = np.linalg.eigh(scaled)
        slope = axes.T @ (here.gradient * self.spacing)
        tiny = np.finfo(float).tiny
        # without curvature: uphill to a maximum, downhill otherwise
        flat = -tiny if kind == len(slope) else tiny
        curvature = np.where(abs(curvature) < tiny, flat, curvature)
        with np.errstate(over="ignore"):
            newton = -slope / curvature
            length = float(np.linalg.norm(newton))
        limited = np.clip(newton, -self.rule.step_limit, self.rule.step_limit)
        return (axes @ limited) * self.spacing, length

    def _cycle_diameter(self, path: list[tuple[np.ndarray, Expansion]]) -> float:
        """Diagonal, in spacings, of the box of the last positions; infinite while they are few."""
        if len(path) < self.rule.cycle_length:
            return np.inf
        last = np.array([position for position, _ in path[-self.rule.cycle_length :]])
        return float(np.linalg.norm(np.ptp(last, axis=0) / self.spacing))

    def _disagreement(self, position: np.ndarray) -> bool:
        """Whether the gradients to the two sides of a point do not approach each other."""

        def jump(axis: int, spacings: float) -> float:
            step = np.zeros_like(position)
            step[axis] = spacings * self.spacing[axis]
            change = self.loss.gradient(position + step) - self.loss.gradient(position - step)
            return float(np.linalg.norm(change * self.spacing))

        for axis in range(len(position)):
            whole = jump(axis, 1.0)
            near, nearer = (jump(axis, spacings) for spacings in _KINK_STEPS)
            # a smooth gradient changes by 1% and 0.1% of the whole; a sharp but smooth bend
            # changes ten times less over a tenth of the way, a kink does not
            if near > _KINK_SHARE * whole and nearer > 0.5 * near:
                return True
        return False

    def _kink(self, path: list[tuple[np.ndarray, Expansion]]) -> np.ndarray | None:
        """Where the slope along Newton's last jump to and fro changes its sign, by bisection."""
        for (one, first), (other, second) in reversed(list(zip(path, path[1:]))):
            way = other - one
            start, end = first.gradient @ way, second.gradient @ way
            if not start * end < 0:
                continue
            low, high = 0.0, 1.0
            length = np.linalg.norm(way / self.spacing)
            while (high - low) * length > 0.1 * _KINK_STEPS[-1]:
                middle = (low + high) / 2
                slope = self.loss.gradient(one + middle * way) @ way
                low, high = (middle, high) if slope * start > 0 else (low, middle)
            return one + (low + high) / 2 * way
        return None

    def _non_smooth(self, start: np.ndarray, position: np.ndarray, iterations: int) -> _Found:
        value, _ = self.loss.value_and_gradient(position)
        return _Found(
            NON_SMOOTH,
            position,
            value,
            min(self._shortest_between(position, axis) for axis in range(len(position))),
            self.loss.full_gradient_norm(position),
            np.full(len(position), np.nan),
            displacement=self._distance(start, position),
            iterations=iterations,
        )

    def _shortest_between(self, position: np.ndarray, axis: int) -> float:
        """Norm of the shortest vector on the segment between two one-sided gradients."""
        step = np.zeros_like(position)
        step[axis] = _KINK_STEPS[-1] * self.spacing[axis]
        one, other = self.loss.gradient(position - step), self.loss.gradient(position + step)
        way = other - one
        share = np.clip(-(one @ way) / max(way @ way, np.finfo(float).tiny), 0.0, 1.0)
        return float(np.linalg.norm(one + share * way))

    def _distance(self, start: np.ndarray, end: np.ndarray) -> float:
        return float(np.linalg.norm((end - start) / self.spacing))

    @property
    def _relative_rounding(self) -> float:
        return float(torch.finfo(self.loss.dtype).eps ** 0.5)


def _kind(eigenvalues: np.ndarray, tolerance: float) -> int:
    """The index of a Hessian: how many eigenvalues are negative.

    Examples
    --------
    >>> _kind(np.array([-1.0, 2.0]), 1e-8), _kind(np.array([0.0, 2.0]), 1e-8)
    (1, 3)
    """
    if abs(eigenvalues).min() <= tolerance * abs(eigenvalues).max():
        return DEGENERATE
    return int((eigenvalues < 0).sum())


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
