"""Running statistics of norm layers at a point of the landscape.

A network's running statistics belong to the parameters with which they were gathered. Away from
the origin they do not fit the moved parameters, and the loss says more about the statistics than
about the network. ``fixed`` keeps the origin's statistics, as Li et al. 2018 do; ``reestimated``
gathers new ones at each point, as :func:`torch.optim.swa_utils.update_bn` does for averaged
weights (Izmailov et al. 2018, section 3.2).

Batch norm and instance norm are PyTorch's. Modules with running statistics of their own are
treated by :mod:`losslandscape.problem.own_statistics`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from losslandscape.argument_kinds import Instance, Items, Series, With
from losslandscape.problem.batches import Batch
from losslandscape.problem.own_statistics import OwnStatistics, candidates
from losslandscape.public_calls import public

MODES = ("fixed", "reestimated")
OWN = Instance(
    "losslandscape.problem.own_statistics:OwnStatistics", "OwnStatistics.seen(module, ...)"
)
NORM = Instance("torch.nn.modules.batchnorm:_NormBase", "one of layers(model)")


@public()
def layers(model: nn.Module) -> list[_NormBase]:
    """The batch-norm and instance-norm layers that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _NormBase) and m.track_running_stats]


@public()
def keeps_statistics(model: nn.Module) -> bool:
    """Whether a module of the model has running statistics."""
    return bool(layers(model) or candidates(model))


@public(
    norms=Items(NORM, "norm layers"),
    batches=Series("a list of batches"),
    run=With("__call__", "a function of a batch"),
    own=Items(OWN, "modules with statistics of their own"),
)
def reestimate(
    norms: Sequence[_NormBase],
    batches: Sequence[Batch],
    run: Callable[[Batch], object],
    own: Sequence[OwnStatistics] = (),
) -> None:
    """Reset the running statistics and set them to the mean over ``batches``.

    Meanwhile only these layers are in train mode, so dropout stays off.

    Parameters
    ----------
    run : callable
        Passes one batch through the model.
    own : sequence of OwnStatistics
        Modules with running statistics of their own.
    """
    momenta = [layer.momentum for layer in norms]
    counting = []
    for layer in norms:
        layer.reset_running_stats()
        if isinstance(layer, _BatchNorm):
            layer.momentum = None  # for PyTorch: a plain mean over the batches
        else:  # for instance norm, None means no update: the n-th call weighs 1 / n
            counting.append(layer.register_forward_pre_hook(_plain_mean()))
        layer.train()
    for one in own:
        one.begin()
    try:
        for batch in batches:
            for one in own:
                one.before_batch()
            run(batch)
            for one in own:
                one.after_batch()
    finally:
        for hook in counting:
            hook.remove()
        for layer, momentum in zip(norms, momenta):
            layer.momentum = momentum
            layer.eval()
        for one in own:
            one.end()


def _plain_mean() -> Callable[[nn.Module, object], None]:
    """A hook before each call of a layer that makes its statistics the mean of its calls."""
    calls = itertools.count(1)

    def hook(layer: nn.Module, _: object) -> None:
        layer.momentum = 1.0 / next(calls)  # type: ignore[assignment]

    return hook
