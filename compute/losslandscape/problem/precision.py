"""The arithmetic in which a model is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from losslandscape.errors import LossLandscapeError

_TELLS_AUTOCAST = hasattr(torch, "get_autocast_dtype")  # for any device: PyTorch 2.4 and later
# in these types, a step below 1/256 or 1/2,048 of a parameter's value is rounded away
COARSE = (torch.bfloat16, torch.float16)
# types of parameters and data; derivatives are computed in one of them
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
AUTO = "auto"  # float32, and a faster type where one is tried and found; see `narrower`
# significant bits of the factors of a product
SIGNIFICANT_BITS = {"float64": 53, "float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}


@dataclass(frozen=True)
class Precision:
    """The type of parameters and data, and that of matrix products and convolutions.

    Parameters stay in float32 if products are computed in a narrower type. In bfloat16, a step
    along a direction below 1/256 of a parameter would be lost, and the surface would be a
    staircase.
    """

    name: str
    parameters: torch.dtype
    autocast: torch.dtype | None = None
    tf32: bool = False

    @property
    def reduced(self) -> bool:
        """Whether values differ from those of plain arithmetic in the parameters' type."""
        return self.autocast is not None or self.tf32


_NAMED = {
    **{name: Precision(name, dtype) for name, dtype in PRECISIONS.items()},
    "bfloat16": Precision("bfloat16", torch.float32, autocast=torch.bfloat16),
    "float16": Precision("float16", torch.float32, autocast=torch.float16),
    "tf32": Precision("tf32", torch.float32, tf32=True),
}
NAMES = tuple(_NAMED)


def type_name(dtype: torch.dtype) -> str:
    """The name of a type as written in files, such as ``float32``."""
    return str(dtype).removeprefix("torch.")


def narrower(device: torch.device) -> tuple[str, ...]:
    """Types whose products may be faster than float32's; whether they are has to be tried.

    float16 is none of them: its largest value is 65,504, and activations far from a minimum exceed
    it.

    Examples
    --------
    >>> narrower(torch.device("cpu"))
    ('bfloat16',)
    """
    return ("tf32", "bfloat16") if device.type == "cuda" else ("bfloat16",)


def resolve(name: str, device: torch.device) -> Precision:
    """Find a precision by its name.

    Raises
    ------
    LossLandscapeError
        If the name is unknown, or the device does not support it.
    """
    if name not in _NAMED:
        raise LossLandscapeError(f"precision {name!r} is not one of {', '.join(NAMES)}")
    if name == "tf32" and device.type != "cuda":
        raise LossLandscapeError(
            f"precision 'tf32' needs an NVIDIA GPU, and the device is {device.type}; "
            "choose 'float32', or a cuda device"
        )
    return _NAMED[name]


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Compute products in ``dtype``; with None, in the type of their factors.

    This overrides what the caller set, in this thread.
    """
    if dtype is None and _TELLS_AUTOCAST and not torch.is_autocast_enabled(device.type):
        return nullcontext()
    # no cache: it would keep the weights of another point
    return torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False)


@contextmanager
def arithmetic(tf32: bool = False) -> Iterator[None]:
    """Compute float32 products in float32, whatever the caller set; with ``tf32``, in TF32.

    By default, PyTorch allows TF32 (10 bits of mantissa) in cuDNN's convolutions, and
    ``set_float32_matmul_precision`` allows TF32 and bfloat16 elsewhere. Deterministic algorithms
    are preferred. These settings hold for the whole process; the caller's are restored.
    """
    saved = []

    def set_to(owner: Any, name: str, value: Any) -> None:
        saved.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    try:
        for owner, name, value in _float32_settings(tf32):
            set_to(owner, name, value)
        set_to(torch.backends.cudnn, "benchmark", False)
        set_to(torch.backends.cudnn, "deterministic", True)
        yield
    finally:
        for owner, name, value in reversed(saved):
            setattr(owner, name, value)


def _float32_settings(tf32: bool) -> list[tuple[Any, str, Any]]:
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):  # PyTorch 2.9 and later
        wanted = "tf32" if tf32 else "ieee"
        return [
            (backends.cuda.matmul, "fp32_precision", wanted),
            (backends.cudnn.conv, "fp32_precision", wanted),
            (backends.cudnn.rnn, "fp32_precision", wanted),
            (backends.mkldnn.matmul, "fp32_precision", "ieee"),
            (backends.mkldnn.conv, "fp32_precision", "ieee"),
        ]
    return [
        (backends.cuda.matmul, "allow_tf32", tf32),
        (backends.cudnn, "allow_tf32", tf32),
    ]
