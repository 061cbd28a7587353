"""The memory order of parameters and images: channels-last or row-major."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from losslandscape.errors import LossLandscapeError


def choose_memory_format(
    model: nn.Module, lay_out: Callable[[bool], None], try_model: Callable[[], None]
) -> bool:
    """Channels-last where the model has convolutions and can be run so, else row-major.

    A model that calls ``view`` on its feature maps or kernels needs them row-major.

    Parameters
    ----------
    lay_out : callable
        Puts parameters and batches into channels-last order if true, row-major if false.
    try_model : callable
        Passes a few samples through the model.

    Returns
    -------
    bool
        Whether the order is channels-last; it is laid out so.

    Raises
    ------
    LossLandscapeError
        If the model cannot take the data in row-major order either.
    """
    if any(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in model.modules()):
        lay_out(True)
        try:
            try_model()
        except LossLandscapeError:
            pass  # row-major then; if it is not that, the trial below says what it is
        else:
            return True
    lay_out(False)
    try_model()
    return False
