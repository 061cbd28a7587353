"""Batch-norm statistics at a point of the landscape.

A network's running statistics belong to the parameters with which they were gathered. Away from
the origin they do not fit the moved parameters, and the loss says more about the statistics than
about the network. ``fixed`` keeps the origin's statistics, as Li et al. 2018 do; ``reestimated``
gathers new ones at each point, as :func:`torch.optim.swa_utils.update_bn` does for averaged
weights (Izmailov et al. 2018, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from losslandscape.problem.batches import Batch

MODES = ("fixed", "reestimated")


def layers(model: nn.Module) -> list[_BatchNorm]:
    """The batch-norm layers that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def reestimate(
    batch_norms: Sequence[_BatchNorm], batches: Sequence[Batch], run: Callable[[Batch], object]
) -> None:
    """Reset the running statistics and set them to the mean over ``batches``.

    Meanwhile only the batch-norm layers are in train mode, so dropout stays off.

    Parameters
    ----------
    run : callable
        Passes one batch through the model.
    """
    momenta = [layer.momentum for layer in batch_norms]
    for layer in batch_norms:
        layer.reset_running_stats()
        layer.momentum = None  # for PyTorch: a plain mean over the batches
        layer.train()
    try:
        for batch in batches:
            run(batch)
    finally:
        for layer, momentum in zip(batch_norms, momenta):
            layer.momentum = momentum
            layer.eval()
