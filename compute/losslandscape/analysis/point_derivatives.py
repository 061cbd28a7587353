"""Derivatives of the loss at one point by all parameters, compared with measured losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.subspace import Subspace
from losslandscape.point.checked_derivatives import Method, checked_derivatives
from losslandscape.point.plane_derivatives import PlaneDerivatives
from losslandscape.problem.objective import Objective

_COMPARED = 0.02  # of the parameters' norm: over this, derivatives are compared with losses


@contextmanager
def point_derivatives(
    objective: Objective,
    line: Subspace,
    precision: str | None,
    batch_size: int | None,
    quiet: bool,
) -> Iterator[tuple[PlaneDerivatives, Method]]:
    """Derivatives at the origin of a line of :func:`line_through`, and how they are computed.

    Raises
    ------
    LossLandscapeError
        If no gradients agree with the measured losses.
    """
    with checked_derivatives(
        objective, line, [(0.0,)], [_COMPARED], precision, batch_size, quiet=quiet
    ) as (loss, method):
        if not isinstance(loss, PlaneDerivatives):
            raise LossLandscapeError(
                f"{type(objective.model).__name__}: its curvature needs gradients, and none agree "
                f"with the measured losses: {'; '.join(method.reasons)}"
            )
        yield loss, method


def line_through(
    origin: Mapping[str, Tensor], buffers: Mapping[str, Tensor], seed: int
) -> Subspace:
    """A random line through the parameters, whose unit is their norm.

    Examples
    --------
    >>> line = line_through({"weight": torch.tensor([3.0, 4.0])}, {}, 0)
    >>> round(float(line.directions[0].norm()), 4)
    5.0
    """
    generator = torch.Generator("cpu").manual_seed(seed % 2**63)
    drawn = {n: torch.randn(p.shape, generator=generator) for n, p in origin.items()}
    length = float(sum(d.double().square().sum() for d in drawn.values()) ** 0.5)
    norm = float(sum(p.detach().double().square().sum() for p in origin.values()) ** 0.5) or 1.0
    direction = {n: (d * (norm / length)).to(origin[n]) for n, d in drawn.items()}
    return Subspace({n: p.detach() for n, p in origin.items()}, [direction], buffers)
