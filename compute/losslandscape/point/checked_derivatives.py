"""Derivatives of the measured loss, by the first way that agrees with the surface.

The ways, in this order:

- automatic differentiation, twice;
- gradients by automatic differentiation, Hessians by differences of gradients;
- differences of the measured loss.

A way is taken if it runs, if its loss is the measured one, and if its gradients add up to the
differences of measured losses: at a few places, the integral of the gradient over one spacing
(Gauss-Legendre) is compared with the difference of the losses at the ends. A loss that holds other
tensors than the model's, a detached part, a straight-through estimator or layers that are run
again in the backward pass show there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.subspace import Subspace
from losslandscape.point.carried_buffers import CarriedBuffers
from losslandscape.point.copied_model import check_copy
from losslandscape.point.device_memory import out_of_memory
from losslandscape.point.differenced_gradients import DifferencedGradients
from losslandscape.point.differenced_losses import DifferencedLosses
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import mean_loss
from losslandscape.point.plane_derivatives import Coordinates, PlaneDerivatives
from losslandscape.problem.objective import Objective
from losslandscape.progress import Progress

AUTOMATIC = "automatic differentiation"
OF_GRADIENTS = "Hessians by finite differences of gradients"
OF_LOSSES = "finite differences of the loss"

Derivatives = Union[PlaneDerivatives, DifferencedLosses]

_HALF = 0.5  # spacings from a place to each end of the compared difference
_SHARES = (1.0, 0.25, 0.0625)  # of the way to a place, where losses farther out are not finite
_GAUSS = 3  # nodes
# where kinks make the nodes before too few; each has the nodes of the one before
_MIDPOINTS = (9, 27, 81, 243)
_WORK = f"comparing {_GAUSS} to {_MIDPOINTS[-1]} gradients at each place with measured losses"
_TOLERANCE = 0.02  # of the difference
# relative differences of a loss between two ways of computing it, by its type
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-5}
_COARSE = 0.02
_OF_A_SMALL_LOSS = 0.1  # losses near 0 are rounded as the outputs are that they come from
_SAME_LOSS = 1e-3
_HESSIAN_STEP = 1e-6  # spacings; in float64
_FEW = 16  # samples, of a check in another type
_HESSIAN_TOLERANCE = 0.1


@dataclass(frozen=True)
class _Seen:
    """Measured losses around a place."""

    place: np.ndarray
    loss: float
    rise: float  # from one end to the other
    reach: np.ndarray  # from the place to the second end


@dataclass(frozen=True)
class Method:
    """How derivatives are computed.

    Attributes
    ----------
    name : str
        ``AUTOMATIC``, ``OF_GRADIENTS`` or ``OF_LOSSES``.
    reasons : list of str
        Why not by those before it.
    disagreement : float
        Largest difference between the integral of gradients and the measured difference of
        losses, relative; NaN where no place had finite losses.
    """

    name: str
    reasons: list[str]
    disagreement: float

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.name,
            "reasons": self.reasons,
            "disagreement_with_losses": self.disagreement,
        }


@contextmanager
def checked_derivatives(
    objective: Objective,
    subspace: Subspace,
    places: Sequence[Coordinates],
    spacing: Sequence[float],
    precision: str | None = None,
    batch_size: int | None = None,
    reestimation_batch_size: int | None = None,
    quiet: bool = True,
) -> Iterator[tuple[Derivatives, Method]]:
    """Derivatives of the loss in a context, and how they are computed.

    Parameters
    ----------
    places : sequence of coordinates
        Where they are compared with measured losses.
    spacing : sequence of float, shape (dimensions,)
        Of the grid.
    precision, batch_size, reestimation_batch_size
        See :class:`losslandscape.point.plane_derivatives.PlaneDerivatives`.
    quiet : bool
        Show no progress of the comparison.

    Raises
    ------
    LossLandscapeError
        If no way agrees with the measured losses.
    """
    widths = np.array([float(width) for width in spacing])
    objective = objective.with_reestimation_batches(reestimation_batch_size)
    with Evaluator(objective, subspace, batch_size) as evaluator:
        seen = [one for place in places if (one := _seen(evaluator, place, widths)) is not None]
        statistics = evaluator.carried.kinds.get("reestimated", [])
    reasons: list[str] = []
    for kind, name in ((PlaneDerivatives, AUTOMATIC), (DifferencedGradients, OF_GRADIENTS)):
        reason = _why_not(kind, objective, subspace, statistics)
        if reason is None:
            loss = kind(objective, subspace, precision, batch_size)
            loss.spacing = widths
            with loss:
                disagreement = _check(loss, seen, objective, subspace, reasons, name, quiet)
                if disagreement is not None:
                    yield loss, Method(name, reasons, disagreement)
                    return
        elif reason not in reasons:
            reasons.append(reason)
    other = _in(objective, precision)
    # a copy of the model may not have what the loss holds; the model itself is always right
    for measured in (other, objective) if other.dtype != objective.dtype else (objective,):
        with ExitStack() as stack:
            try:
                check_copy(measured, subspace)
                differences = DifferencedLosses(measured, subspace, widths, batch_size)
                stack.enter_context(differences)
            except LossLandscapeError as error:
                reasons.append(f"{OF_LOSSES}: {error}")
                continue
            disagreement = _check(differences, seen, objective, subspace, reasons, OF_LOSSES, quiet)
            if disagreement is not None:
                yield differences, Method(OF_LOSSES, reasons, disagreement)
                return
    raise LossLandscapeError(
        f"{type(objective.model).__name__}: the loss has no usable derivatives here; one that "
        f"jumps, as where samples are sent to one expert or another, has none. {'; '.join(reasons)}"
    )


def _why_not(
    kind: type, objective: Objective, subspace: Subspace, statistics: Sequence[str]
) -> str | None:
    """What is known to be wrong with a way before it is tried."""
    if statistics:
        return f"autograd takes {', '.join(statistics)} for constant, re-estimated at each point"
    if kind is PlaneDerivatives and CarriedBuffers(objective.model, subspace).recomputed:
        return "the second derivative of spectral norm is not that of autograd"
    return None


def _seen(evaluator: Evaluator, place: Coordinates, spacing: np.ndarray) -> _Seen | None:
    """Losses at a place and half a spacing to both sides; nearer to 0 if they are not finite."""
    reach = _HALF * spacing
    for share in _SHARES:
        here = share * np.array([float(c) for c in place])
        ends = (here - reach, here, here + reach)
        losses = [mean_loss(evaluator.measure(end.tolist())) for end in ends]
        if np.isfinite(losses).all():
            return _Seen(here, losses[1], losses[2] - losses[0], reach)
    return None


def _check(
    loss: Derivatives,
    seen: Sequence[_Seen],
    objective: Objective,
    subspace: Subspace,
    reasons: list[str],
    name: str,
    quiet: bool,
) -> float | None:
    """The largest relative disagreement of a way with measured losses; None if it is not right.

    Then a sentence is added to ``reasons``.
    """
    try:
        largest = np.nan
        with Progress(len(seen), "derivatives", quiet=quiet, work=_WORK, unit="places") as progress:
            for one in seen:
                wrong, size = _compared(loss, one, objective)
                if wrong:
                    reasons.append(f"{name}: {wrong}")
                    return None
                largest = np.fmax(largest, size)
                progress.advance()
        if name == AUTOMATIC and (wrong := _wrong_hessian(loss, seen, objective, subspace)):
            reasons.append(f"{name}: {wrong}")
            return None
        return float(largest)
    except Exception as error:  # whatever a user's operators raise without a derivative
        if out_of_memory(error):
            raise
        lines = str(error).splitlines() or [type(error).__name__]
        reasons.append(f"{name}: {lines[0]}")
        return None


def _compared(loss: Derivatives, seen: _Seen, objective: Objective) -> tuple[str, float]:
    """What is wrong with a way at a place, empty if nothing is, and the relative disagreement."""
    reduced = objective.arithmetic is not None and objective.arithmetic.reduced
    rounding = _COARSE if reduced else _ROUNDING.get(objective.dtype, _COARSE)
    at = f"at ({', '.join(f'{c:.3g}' for c in seen.place)})"
    value = float(loss.sample_losses(seen.place).mean())
    floor = rounding * (abs(seen.loss) + _OF_A_SMALL_LOSS)
    if not abs(value - seen.loss) <= max(_SAME_LOSS * abs(seen.loss), floor):
        return f"{at} the loss is {value:.6g}, measured {seen.loss:.6g}", np.nan
    rises: dict[float, np.ndarray] = {}  # by node: the gradient times the way, axis by axis
    for nodes, weights in _rules():
        for node in nodes:
            if node not in rises:
                rises[node] = loss.gradient(seen.place + node * seen.reach) * seen.reach
        along = np.array([rises[node] for node in nodes])
        rise, scale = float(weights @ along.sum(1)), float(weights @ abs(along).sum(1))
        off = abs(rise - seen.rise)
        scale = max(scale, abs(seen.rise))
        if off <= _TOLERANCE * scale + floor:
            return "", float(off / scale) if scale > floor else 0.0
    return (
        f"{at} the gradients of one spacing add up to a rise of {rise:.4g}, measured "
        f"{seen.rise:.4g}",
        float(off / scale),
    )


def _rules() -> Iterator[tuple[list[float], np.ndarray]]:
    """Nodes and weights of quadrature over -1 to 1, finer and finer.

    >>> [len(nodes) for nodes, _ in _rules()]
    [3, 9, 27, 81, 243]
    """
    nodes, weights = np.polynomial.legendre.leggauss(_GAUSS)
    yield nodes.tolist(), weights
    for count in _MIDPOINTS:
        yield [(2 * i + 1) / count - 1 for i in range(count)], np.full(count, 2 / count)


def _wrong_hessian(
    loss: Derivatives, seen: Sequence[_Seen], objective: Objective, subspace: Subspace
) -> str:
    """What is wrong with Hessians: they are not the change of the gradients anywhere.

    Coarser types than float64 do not resolve that change over a step in which kinks are seldom.
    There a copy in float64 is tried on a few samples; nothing is known of a loss that has none.
    """
    if loss.dtype == torch.float64:
        return _unlike_changes(loss, seen)
    if seen:
        loss.expansion(seen[0].place)  # does it run?
    with ExitStack() as stack:
        try:
            few = objective.limited(_FEW)
            exact = PlaneDerivatives(few, subspace, "float64", _FEW)
            exact.spacing = loss.spacing
            stack.enter_context(exact)
            return _unlike_changes(exact, seen)
        except Exception:  # constants of the model in another type, or no memory for the copy
            return ""


def _unlike_changes(loss: Derivatives, seen: Sequence[_Seen]) -> str:
    worst = ""
    for one in seen:
        step = 2 * _HESSIAN_STEP * one.reach
        change = loss.gradient(one.place + step) - loss.gradient(one.place - step)
        expected = 2 * loss.expansion(one.place).hessian @ step
        size = max(np.linalg.norm(change), np.linalg.norm(expected))
        floor = 1e-13 * np.linalg.norm(loss.gradient(one.place)) / _HESSIAN_TOLERANCE
        if np.linalg.norm(change - expected) <= _HESSIAN_TOLERANCE * size + floor:
            return ""
        worst = (
            f"the gradient changes by {np.linalg.norm(change):.4g}, and its second derivative says "
            f"{np.linalg.norm(expected):.4g}"
        )
    return worst


def _in(objective: Objective, precision: str | None) -> Objective:
    """The same objective in another precision."""
    if precision is None:
        return objective
    other = objective.in_precision(precision)
    other.compile = False
    return other
