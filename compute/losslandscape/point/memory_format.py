"""The memory order of parameters and images: channels-last or row-major."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from losslandscape.errors import LossLandscapeError


def runs_channels_last(
    model: nn.Module,
    lay_out: Callable[[bool], None],
    try_model: Callable[[], None],
    allowed: bool = True,
    required: bool = False,
) -> bool:
    """Whether the model has convolutions and can be run channels-last; it is laid out so.

    A model that calls ``view`` on its feature maps or kernels needs them row-major.

    Parameters
    ----------
    lay_out : callable
        Puts parameters and batches into channels-last order if true, row-major if false.
    try_model : callable
        Passes a few samples through the model.
    allowed : bool
        Whether channels-last is tried at all.
    required : bool
        Whether the caller asked for channels-last.

    Raises
    ------
    LossLandscapeError
        If the model cannot take the data in row-major order either, or not in the required one.
    """
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    if allowed and any(isinstance(module, kinds) for module in model.modules()):
        lay_out(True)
        try:
            try_model()
        except LossLandscapeError as error:
            if required:
                raise LossLandscapeError(
                    f"{type(model).__name__} does not run channels-last, for which execution="
                    f"'channels_last' (--execution) asks; leave it out, or choose 'contiguous': "
                    f"{error}"
                ) from error
            # row-major then; if it is not that, the trial below says what it is
        else:
            return True
    lay_out(False)
    try_model()
    return False
