"""Does a copy of the model, in another type or on another device, have the model's losses?

A loss that holds tensors of the model, such as ``params = list(model.parameters())``, reads those
of the model while the copy moves. At the origin both are the same, so a few samples are also
measured half way to two opposite corners of the plane's default grid.
"""

from __future__ import annotations

import copy

import numpy as np

from losslandscape.errors import LossLandscapeError
from losslandscape.planes.parameters import trainable_parameters
from losslandscape.planes.subspace import Subspace
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import Measurement
from losslandscape.problem.configuration import Configuration
from losslandscape.problem.execution import CHANNELS_LAST
from losslandscape.problem.objective import Objective
from losslandscape.problem.precision import COARSE, type_name

_FEW = 8  # samples
_SHARES = (0.5, 0.125, 0.03125)  # of the way to a corner, where losses farther out are not finite
_TOLERANCE, _COARSE_TOLERANCE = 1e-2, 0.1  # of a loss
_ABSOLUTE = 1e-3


def check_copy(objective: Objective, subspace: Subspace) -> None:
    """Raise a LossLandscapeError if the objective needs a copy whose losses are not the model's.

    What a model gives that does not run as it is, in its own type on its own device, is unknown.
    """
    own = next(iter(trainable_parameters(objective.model).values()))
    if own.device == objective.device and objective.precision in (None, own.dtype):
        return
    few = objective.limited(_FEW).with_reestimation_batches(objective.reestimation_batch_size)
    few.compile = False
    few.execution = Configuration(CHANNELS_LAST, (), {})  # nothing is tried on a few
    itself = copy.copy(few)
    itself.arithmetic = itself.precision = None
    itself.dtype = itself.data_dtype = own.dtype
    itself.device = own.device
    bounds = subspace.default_grid().bounds
    for ends in zip(*bounds):
        for share in _SHARES:
            point = tuple(share * float(end) for end in ends)
            try:
                with Evaluator(itself, subspace, _FEW) as evaluator:
                    expected = _losses(evaluator.measure(point))
            except LossLandscapeError:
                return
            if np.isfinite(expected).all():
                break
        else:
            continue
        with Evaluator(few, subspace, _FEW) as evaluator:
            found = _losses(evaluator.measure(point))
        coarse = itself.dtype in COARSE or (few.arithmetic is not None and few.arithmetic.reduced)
        tolerance = _COARSE_TOLERANCE if coarse else _TOLERANCE
        size = max(float(np.abs(expected).mean()), float(np.abs(found).mean()))
        if not abs(found.mean() - expected.mean()) <= tolerance * size + _ABSOLUTE:
            where = ", ".join(f"{c:.3g}" for c in point)
            raise LossLandscapeError(
                f"{type(objective.model).__name__}: at ({where}) a copy of the model "
                f"({type_name(few.dtype)} on {few.device}) has a loss of {found.mean():.4g} on "
                f"{len(found)} samples, and the model itself {expected.mean():.4g}. Likely cause: "
                "the loss, or a module, holds parameters of the model, as in params = "
                "list(model.parameters()), which are not those of the copy. Read them in the loss "
                "from the model that it is called with; or measure without a copy, in the model's "
                f"own type and on its device (precision={type_name(itself.dtype)!r})"
            )


def _losses(measured: Measurement) -> np.ndarray:
    return next(iter(measured.values()))["loss"].astype(np.float64)
