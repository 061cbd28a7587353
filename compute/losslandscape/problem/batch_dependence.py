"""Does a sample's loss depend on the other samples of its batch?"""

from __future__ import annotations

import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.problem.batches import batch_length, map_batch, place_batch
from losslandscape.problem.objective import Objective
from losslandscape.problem.own_functions import first_samples
from losslandscape.problem.trial_state import as_measured

_TRIED = 4  # samples
# of the largest loss; less exact types round a batch of another size otherwise
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_TOLERANCE_OF_OTHERS = 0.1


def batch_difference(objective: Objective) -> float:
    """The largest difference of a sample's loss in a batch of 4 samples and in one of 2.

    0 if it is within rounding, or if the model takes no such batches. Only the first set is tried,
    with a model in eval mode: in train mode, batch norm makes such differences by design.

    Examples
    --------
    >>> class Centered(torch.nn.Linear):
    ...     def forward(self, inputs):
    ...         return super().forward(inputs - inputs.mean(0))
    >>> data = torch.arange(8.0).reshape(4, 2), torch.zeros(4, 1)
    >>> models = torch.nn.Linear(2, 1), Centered(2, 1)
    >>> [batch_difference(Objective(model, "mse", data)) > 0 for model in models]
    [False, True]
    """
    name, samples = next(iter(objective.sets.items()))
    own = next(objective.model.parameters(), None)
    if objective.modes == "own" or samples.ragged or len(samples) < 2 or own is None:
        return 0.0
    loss = objective.losses[name]
    dtype = None if objective.data_dtype is None else own.dtype
    few = place_batch(first_samples(samples.first(_TRIED), _TRIED), own.device, dtype)
    few = map_batch(torch.Tensor.clone, few)  # a model may write to its inputs
    half = batch_length(few) // 2
    part = map_batch(lambda tensor: tensor[:half].clone(), few)
    try:
        with as_measured(objective.model, objective.modes), torch.set_grad_enabled(loss.gradients):
            whole = loss(objective.model, few)["loss"].detach()
            alone = loss(objective.model, part)["loss"].detach()
    except (LossLandscapeError, RuntimeError):  # it fails by itself when it is measured
        return 0.0
    apart = float((whole[:half] - alone).abs().max())
    tolerance = _TOLERANCE.get(own.dtype, _TOLERANCE_OF_OTHERS)
    return apart if apart > tolerance * float(whole.abs().max()) else 0.0
