"""Train and eval mode of a model's modules during the measurement.

With dropout on, the loss is that of a random part of the network. A model that comes from training
is in train mode as a whole and is simply evaluated in eval mode. A single module in train mode
within a model in eval mode is either intended or a mistake, so the package never ignores it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from losslandscape.errors import LossLandscapeError

MODES = ("eval", "own")
_SHOWN = 3


def training_modules(model: nn.Module) -> list[str]:
    """Names of the modules in train mode; for the model itself, the name of its type.

    Examples
    --------
    >>> training_modules(nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval())
    []
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval()
    >>> _ = model[1].train()
    >>> training_modules(model)
    ['1']
    """
    return [
        name or type(model).__name__ for name, module in model.named_modules() if module.training
    ]


def check_modes(model: nn.Module, modes: str | None) -> None:
    """Raise a LossLandscapeError if it is unclear whether modules should be in train mode.

    This concerns ``modes=None``: a model in train mode as a whole comes from training and passes;
    a model in eval mode that has modules in train mode does not.
    """
    if modes is not None and modes not in MODES:
        raise LossLandscapeError(f"modes {modes!r} is not one of {', '.join(MODES)}")
    if modes is None and not model.training:
        refuse(model, training_modules(model), "is in eval mode")


def set_modes(model: nn.Module, modes: str | None) -> None:
    """Put every module into eval mode; with ``"own"``, leave each as it is.

    Raises
    ------
    LossLandscapeError
        If a module stays in train mode despite ``eval()``.
    """
    if modes == "own":
        return
    model.eval()
    refuse(model, training_modules(model), "was put into eval mode")


def refuse_batch_norm(model: nn.Module) -> None:
    """Raise a LossLandscapeError if batch norm is in train mode; re-estimation needs eval mode."""
    for name, module in model.named_modules():
        if module.training and isinstance(module, _BatchNorm):
            raise LossLandscapeError(
                f"'{name}' is batch norm in train mode, which normalizes with the batch's own "
                "statistics; batch_norm='reestimated' needs eval mode"
            )
        if module.training and isinstance(module, _NormBase) and module.track_running_stats:
            raise LossLandscapeError(
                f"'{name}' is {type(module).__name__} in train mode, which does not read its "
                "running statistics; batch_norm='reestimated' needs eval mode"
            )


def refuse(model: nn.Module, training: Sequence[str], stand: str) -> None:
    """Raise a LossLandscapeError that names these modules, if there are any."""
    if not training:
        return
    modules = dict(model.named_modules())
    shown = ", ".join(
        f"'{name}' ({type(modules.get(name, model)).__name__})" for name in training[:_SHOWN]
    )
    more = f" and {len(training) - _SHOWN} more" if len(training) > _SHOWN else ""
    raise LossLandscapeError(
        f"{type(model).__name__} {stand}, but {shown}{more} in train mode: dropout would be on, "
        "and batch norm would use the batch's own statistics. Call eval() on the whole model. Or "
        "choose: modes='eval' (--modes eval) evaluates every module in eval mode; modes='own' "
        "(--modes own) leaves each module as it is and states this in the file"
    )
