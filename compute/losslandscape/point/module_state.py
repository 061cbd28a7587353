"""What a model's modules hold beside their parameters and buffers, kept and copied.

That is their mode, and tensors in plain attributes: the weight that ``weight_norm``,
``spectral_norm`` and pruning compute in front of each pass, an activation that ``forward`` keeps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from losslandscape.errors import LossLandscapeError
from losslandscape.own_code import told


def kept_state(model: nn.Module) -> Callable[[], None]:
    """A function that puts every module back into its mode, with the plain tensors it has now.

    Examples
    --------
    >>> model = nn.Dropout()
    >>> restore = kept_state(model)
    >>> _ = model.eval()
    >>> restore()
    >>> model.training
    True
    """
    saved = [(module, module.training, dict(_plain_tensors(module))) for module in model.modules()]

    def restore() -> None:
        for module, training, tensors in saved:
            module.training = training
            vars(module).update(tensors)

    return restore


def copied(model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> nn.Module:
    """A copy of a model on a device and of a type; None leaves the type.

    Raises
    ------
    LossLandscapeError
        If the model holds something that cannot be copied.
    """
    # a tensor that autograd computed cannot be copied, and its history is of no use here
    without_history = {
        id(tensor): tensor.detach().clone()
        for module in model.modules()
        for _, tensor in _plain_tensors(module)
        if not tensor.is_leaf
    }
    try:
        return copy.deepcopy(model, without_history).to(device=device, dtype=dtype)
    except (Exception, SystemExit) as error:  # whatever the user's modules hold
        raise LossLandscapeError(
            f"{type(model).__name__} cannot be copied to {device}"
            + (f" as {str(dtype).removeprefix('torch.')}" if dtype else "")
            + f" ({told(error)}); give a model that is there already, "
            "or drop what it keeps from call to call"
        ) from error


def _plain_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in vars(module).items() if isinstance(value, Tensor))
