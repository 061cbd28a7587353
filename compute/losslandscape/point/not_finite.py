"""A loss at the model's own weights that is not finite is refused, with what is not finite first.

Points away from the center may have such losses: these are stored, and counted.
"""

from __future__ import annotations

import numpy as np
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.point.evaluator import Evaluator
from losslandscape.point.measurement import Measurement
from losslandscape.problem.batches import Batch, batch_length
from losslandscape.problem.not_finite import in_network, in_sample, in_weights
from losslandscape.training.finite_values import DIVERGED

_ADVICE = {
    "weights": DIVERGED,
    "data": "remove the sample, or replace the value",
    "network": "does the network take data of this range, and this precision?",
}


def refuse_not_finite(evaluator: Evaluator, measured: Measurement) -> None:
    """Raise a LossLandscapeError if a mean loss at the origin is not finite and a cause is found.

    Parameters
    ----------
    measured : as :meth:`losslandscape.point.evaluator.Evaluator.measure`
        The origin.
    """
    for name, values in measured.items():
        losses = values["loss"]
        if name not in evaluator.batches.sets or np.isfinite(losses).all():
            continue
        cause, advice = _cause(evaluator, name, int((~np.isfinite(losses)).argmax()))
        if cause:
            raise LossLandscapeError(
                f"{name}: the loss at the center, at the model's own weights, is not finite: "
                f"{cause}; {_ADVICE[advice]}"
            )


@torch.no_grad()
def _cause(evaluator: Evaluator, name: str, number: int) -> tuple[str, str]:
    # the origin itself: a direction that is not finite spoils it even with the factor 0
    plane = evaluator.subspace
    evaluator._moving.assign(plane.layout.views(plane.origin))
    evaluator.shortcuts.at_point(None)
    if cause := in_weights(evaluator.model):
        return cause, "weights"
    batch, row = _place(evaluator, name, number)
    if cause := in_sample(batch, row):
        return f"sample {number:,} of '{name}': {cause}", "data"
    with evaluator._forward.of_set(name):
        cause = in_network(evaluator.model, lambda: evaluator._forward.plain(batch))
    return (f"sample {number:,} of '{name}': {cause}" if cause else ""), "network"


def _place(evaluator: Evaluator, name: str, number: int) -> tuple[Batch, int]:
    """The batch that holds a sample, and the sample's row in it."""
    for batch in evaluator.batches.sets[name]:
        count = batch_length(batch)
        if number < count:
            return batch, number
        number -= count
    raise AssertionError


def refuse_other(measured: Measurement) -> None:
    """Raise a LossLandscapeError if a mean loss at the origin is not finite for another cause."""
    for name, values in measured.items():
        wrong = ~np.isfinite(values["loss"])
        if wrong.any():
            raise LossLandscapeError(
                f"{name}: the loss at the center, at the model's own weights, is "
                f"{float(values['loss'][wrong][0])} for sample {int(wrong.argmax()):,}, although "
                "weights, data and outputs are finite: the loss function itself makes it, as a "
                "logarithm of 0 or a division by 0 does"
            )
