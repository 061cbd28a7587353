"""Sharpness of a minimum in a subspace, measured with the model's loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import torch
from scipy.optimize import minimize

from losslandscape.argument_checks import COORDINATE
from losslandscape.argument_kinds import Word, coordinates
from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import inner_products
from losslandscape.planes.subspace import Subspace
from losslandscape.point.checked_derivatives import AUTOMATIC, checked_derivatives
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import PRECISIONS
from losslandscape.progress import Progress
from losslandscape.public_calls import public

_COMPARED = 0.05  # of the coordinates: over this derivatives are compared with losses
_ITERATIONS = 10  # of L-BFGS-B, as in Keskar et al.


@dataclass(frozen=True)
class Sharpness:
    """The largest rise of the loss in a small box, and the curvature at its center.

    Attributes
    ----------
    value : float
        100 (max L - L(x)) / (1 + L(x)), in percent.
    epsilon : float
    position : list of float
        x, in coordinates of the subspace.
    box : list of [low, high]
        Bounds of each coordinate.
    loss, highest_loss : float
        L(x) and max L.
    highest_position : list of float
        Where max L was found, in coordinates of the subspace.
    hessian_eigenvalues : list of float
        Eigenvalues of the Hessian at x with respect to the coordinates, ascending.
    gradient_norm : float
        Norm of the gradient at x with respect to the coordinates.
    derivatives : str
        How they are computed; see :mod:`losslandscape.point.checked_derivatives`.
    """

    value: float
    epsilon: float
    position: list[float]
    box: list[list[float]]
    loss: float
    highest_loss: float
    highest_position: list[float]
    hessian_eigenvalues: list[float]
    gradient_norm: float
    derivatives: str = AUTOMATIC

    def to_json(self) -> dict:
        return asdict(self)


@public(precision=Word(tuple(PRECISIONS)))
def epsilon_sharpness(
    objective: Objective,
    subspace: Subspace,
    position: Sequence[float],
    *,
    epsilon: float = 1e-3,
    precision: str | None = None,
    batch_size: int | None = None,
    reestimation_batch_size: int | None = None,
    quiet: bool = True,
) -> Sharpness:
    """Epsilon-sharpness of Keskar et al. in the plane of the landscape.

    With A the directions, the box around coordinates c of x = theta0 + A c is
    ``|z_i - c_i| <= epsilon (|(A^+ x)_i| + 1)``, and the sharpness
    ``100 (max L(theta0 + A z) - L(x)) / (1 + L(x))``. L-BFGS-B searches the maximum from the best
    point of a lattice of 3 points per axis, which includes the corners and the center.

    Parameters
    ----------
    position : sequence of float
        Coordinates c of the minimum.
    epsilon : float
        Size of the box.
    precision, batch_size, reestimation_batch_size
        See :class:`losslandscape.point.plane_derivatives.PlaneDerivatives`.
    quiet : bool
        Show no progress.

    Raises
    ------
    LossLandscapeError
        If epsilon is not positive, the loss is not finite, or no derivatives agree with the losses
        that are measured.

    Notes
    -----
    N. S. Keskar, D. Mudigere, J. Nocedal, M. Smelyanskiy, P. T. P. Tang, "On large-batch training
    for deep learning: generalization gap and sharp minima", ICLR 2017, section 2.2.2, metric 2.1.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(model.weight)
    >>> objective = Objective(model, "mse", (torch.ones(1, 1), torch.zeros(1, 1)))
    >>> line = Subspace(dict(model.named_parameters()), [{"weight": torch.ones(1, 1)}])
    >>> found = epsilon_sharpness(objective, line, (0.0,), epsilon=0.5)
    >>> found.value, found.box
    (25.0, [[-0.5, 0.5]])
    """
    center = np.array(coordinates("position", position, subspace.dimensions))
    # A^+ x = G^+ A^T theta0 + c
    projected = np.linalg.pinv(subspace.gram_matrix) @ inner_products(
        subspace.directions, [subspace.origin]
    )
    half = epsilon * (abs(projected[:, 0] + center) + 1)
    _check_box(subspace, center, half, epsilon, precision)
    width = np.maximum(half, _COMPARED)
    lattice = [np.array(unit, float) for unit in product((-1, 0, 1), repeat=len(center))]
    samples = len(next(iter(objective.sets.values())))
    with (
        checked_derivatives(
            objective,
            subspace,
            [center, center - width, center + width],
            width,
            precision,
            batch_size,
            reestimation_batch_size,
            quiet,
        ) as (loss, method),
        Progress(
            len(lattice) + _ITERATIONS,
            "sharpness",
            quiet=quiet,
            work=f"a Hessian, {len(lattice)} gradients on a lattice, then up to {_ITERATIONS} "
            f"iterations of L-BFGS-B; each over {samples:,} samples",
            unit="gradients",
        ) as progress,
    ):
        here = loss.expansion(center)
        if not np.isfinite(here.value):
            raise LossLandscapeError(
                f"the loss at {tuple(center)} is {here.value}; sharpness needs a finite loss"
            )
        progress.begin()

        def fall(unit: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = loss.value_and_gradient(center + unit * half)
            progress.total = max(progress.total, progress.done + 1)  # line searches may need more
            progress.advance()
            return -value, -gradient * half

        start = min(lattice, key=lambda unit: fall(unit)[0])
        found = minimize(
            fall, start, jac=True, method="L-BFGS-B", bounds=[(-1, 1)] * len(center),
            options={"maxiter": _ITERATIONS},
        )  # fmt: skip
        progress.total = progress.done  # the search may need fewer
    low, high = center - half, center + half
    return Sharpness(
        value=float(100 * (-found.fun - here.value) / (1 + here.value)),
        epsilon=epsilon,
        position=center.tolist(),
        box=np.stack([low, high], axis=1).tolist(),
        loss=here.value,
        highest_loss=float(-found.fun),
        highest_position=(center + found.x * half).tolist(),
        hessian_eigenvalues=np.linalg.eigvalsh(here.hessian).tolist(),
        gradient_norm=float(np.linalg.norm(here.gradient)),
        derivatives=method.name,
    )


def _check_box(
    subspace: Subspace, center: np.ndarray, half: np.ndarray, epsilon: float, precision: str | None
) -> None:
    """Raise a LossLandscapeError if the box reaches too far, or is lost in rounding."""
    low, high = center - half, center + half
    farthest = max(-low.min(), high.max())
    if farthest > COORDINATE.most:
        raise LossLandscapeError(
            f"epsilon={epsilon:g}: the box reaches coordinates of {farthest:.3g}, and they end at "
            f"{COORDINATE.most:g}; choose a smaller epsilon (--box)"
        )
    lost = (low == high).any()
    if precision != "float64" and not lost:
        ends = [subspace.parameters_at(end.tolist()) for end in (low, high)]
        lost = all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    if lost:
        raise LossLandscapeError(
            f"epsilon={epsilon:g}: all points of the box are one, because its sides are smaller "
            "than the rounding of the weights; choose a larger epsilon (--box)"
        )
