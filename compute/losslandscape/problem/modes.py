"""Train and eval mode of a model's modules while it is measured.

A loss measured with dropout on is that of one random part of the network. A model that came out of
training is in train mode as a whole and is simply evaluated in eval mode; one module left in train
mode in a model that is otherwise in eval mode is somebody's wish, or a mistake, and is never passed
over in silence.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from losslandscape.errors import LossLandscapeError

MODES = ("eval", "own")
_SHOWN = 3


def training_modules(model: nn.Module) -> list[str]:
    """Names of the modules in train mode, the model's own type where it is itself.

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
    """Raise a LossLandscapeError if modules are in train mode that may be meant to be.

    ``modes`` is None where nobody said: then a model in train mode as a whole is fine, for it comes
    from training, and one in eval mode with modules in train mode is not.
    """
    if modes is not None and modes not in MODES:
        raise LossLandscapeError(f"modes {modes!r} is not one of {', '.join(MODES)}")
    if modes is None and not model.training:
        refuse(model, training_modules(model), "is in eval mode")


def set_modes(model: nn.Module, modes: str | None) -> None:
    """Put every module into eval mode, or with ``"own"`` leave each as it is.

    Raises
    ------
    LossLandscapeError
        If a module stays in train mode in spite of ``eval()``.
    """
    if modes == "own":
        return
    model.eval()
    refuse(model, training_modules(model), "was put into eval mode")


def refuse_batch_norm(model: nn.Module) -> None:
    """Raise a LossLandscapeError if batch norm is in train mode: it has no statistics to gather."""
    for name, module in model.named_modules():
        if module.training and isinstance(module, _BatchNorm):
            raise LossLandscapeError(
                f"'{name}' is batch norm in train mode, which normalises by the batch; statistics "
                "gathered at each point (batch_norm='reestimated') go with eval mode"
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
        f"{type(model).__name__} {stand}, but {shown}{more} in train mode: dropout would drop, "
        "batch norm would normalise by the batch. Call eval() on the whole model; or say what is "
        "meant: modes='eval' (--modes eval) evaluates every module in eval mode, modes='own' "
        "(--modes own) leaves each module as it is, and the file says so"
    )
